"""What a seller sees: a line for each turn a job takes."""

from typing import TYPE_CHECKING

from pylon.cli.output import say, when

if TYPE_CHECKING:
    from pylon.model.job import Job, JobState, Working
    from pylon.model.money import Msat
    from pylon.ports.channels import Hint
    from pylon.ports.records import Record, Records

LOOK = 50  # jobs looked at whenever some have changed; of more at once, some are not shown
KEPT = 1_000  # jobs whose last line is remembered
SHORT = 8  # characters of an id that are shown


async def show_jobs(jobs: "Records[Job, JobState]", changed: "Hint") -> None:
    """Tell what happens to jobs from now on, whenever `changed` is poked, until cancelled."""
    from pylon.core.recent import Recent
    from pylon.model.ids import JobId

    told = Recent[JobId, str](KEPT)
    for record in await jobs.recent(limit=LOOK):
        told.put(record.id, in_words(record.facts, record.state) or "")
    while True:
        await changed.wait()
        for record in reversed(await jobs.recent(limit=LOOK)):
            words = in_words(record.facts, record.state)
            if words is not None and told.get(record.id) != words:
                told.put(record.id, words)
                _show(record, words)


def _show(record: "Record[Job, JobState]", words: str) -> None:
    state = type(record.state).__name__
    say(
        f"{when(record.updated_at)}  {record.id[:SHORT]}  {state.lower():<9}  {words}",
        style=_STYLES.get(state, ""),
        hang=_HANG,
    )


def in_words(job: "Job", state: "JobState") -> str | None:
    """Say where a job stands and what that means for the money; None where it only passes by."""
    from pylon.core.job_machine import is_final
    from pylon.model.money import show_sats

    price = show_sats(job.price)
    return _ended(state, price) if is_final(state) else _going_on(state, price)


def _going_on(state: "JobState", price: str) -> str | None:
    from pylon.model import job as jobs

    match state:
        case jobs.Offered(closing=False):
            return f"{price} asked"
        case jobs.Working():
            return _working(state, price)
        case jobs.Delivered(closing=False):
            return f"answered under lock, {price} not paid yet"
        case jobs.Settling():
            return f"answered, {price} being taken from what is held"
        case _:
            return None


def _ended(state: "JobState", price: str) -> str | None:
    from pylon.model import job as jobs

    match state:
        case jobs.Settled(paid=paid):
            return f"answered, {price} earned" if paid else "answered, for nothing"
        case jobs.Unpaid(reason=reason):
            return f"answered, and {price} never came: {reason}"
        case jobs.Refused(reason=reason):
            return reason
        case jobs.Expired():
            return "not paid in time"
        case _:
            return _owing(state, price)


def _owing(state: "JobState", price: str) -> str | None:
    """Say what becomes of the money of a job that ended without an answer."""
    from pylon.model import job as jobs

    match state:
        case jobs.Failed(reason=reason, owed=owed):
            return f"{reason}{_owed(owed)}"
        case jobs.Cancelled(owed=owed):
            return f"called off by its author{_owed(owed)}"
        case jobs.Refunding(asked_at=None, retry_at=None):
            return f"{price} being paid back"
        case jobs.Refunding(retry_at=int()):
            return f"{price} could not be paid back; tried again until the invoice for it expires"
        case jobs.Refunded():
            return f"{price} paid back"
        case _:
            return None


def _working(state: "Working", price: str) -> str:
    if state.paid:
        return f"{price} paid"
    if state.held:
        return f"{price} held"
    return f"for {price}, to be paid with the answer" if state.invoice else "for nothing"


def _owed(amount: "Msat") -> str:
    from pylon.model.money import show_sats

    return f"; {show_sats(amount)} are owed back" if amount else ""


_HANG = 39  # where the words of a line begin
_STYLES = {
    "Settled": "green",
    "Refused": "dim",
    "Failed": "red",
    "Expired": "dim",
    "Unpaid": "yellow",
}
