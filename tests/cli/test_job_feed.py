"""What a seller is told about each turn of a job."""

import pytest
import trio
import trio.testing
from attrs import evolve

from pylon.adapters.memory.records import MemoryRecords
from pylon.cli.job_feed import in_words, show_jobs
from pylon.model import job as jobs
from pylon.model.ids import Preimage
from pylon.model.job import Job, JobState
from pylon.model.money import Msat
from pylon.model.wallet import IssuedInvoice
from pylon.ports.channels import Hint
from pylon.ports.records import Records
from tests.adapters.stores import samples

HASH = samples.payment_hash(1)
JOB = samples.job(1)
ANSWER = samples.event(1).id
SECRET = Preimage("5e" * 32)
INVOICE = IssuedInvoice("lnbcrt1", HASH, Msat(12_000), 0, 600, SECRET)
REFUNDING = jobs.Refunding("gone", HASH, Msat(12_000), jobs.Refund("lnbcrt2", HASH, Msat(5_000)))


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (jobs.Received(), None),
        (jobs.Working(0, HASH), "12 sat paid"),
        (jobs.Working(0), "for nothing"),
        (jobs.Working(0, None, INVOICE, held=True, settle_by=9), "12 sat held"),
        (jobs.Working(0, None, INVOICE), "for 12 sat, to be paid with the answer"),
        (jobs.Delivered(ANSWER, INVOICE), "answered under lock, 12 sat not paid yet"),
        (jobs.Delivered(ANSWER, INVOICE, closing=True), None),
        (jobs.Settling(ANSWER, INVOICE), "answered, 12 sat being taken from what is held"),
        (
            jobs.Unpaid(ANSWER, HASH, "not paid in time"),
            "answered, and 12 sat never came: not paid in time",
        ),
        (samples.settled(1), "answered, 12 sat earned"),
        (jobs.Settled(samples.event(1).id), "answered, for nothing"),
        (jobs.Refused("too long"), "too long"),
        (
            jobs.Failed("the backend is gone", HASH, Msat(12_000)),
            "the backend is gone; 12 sat are owed back",
        ),
        (jobs.Failed("the backend is gone"), "the backend is gone"),
        (jobs.Expired(HASH), "not paid in time"),
        (jobs.Cancelled(HASH), "called off by its author"),
        (
            jobs.Cancelled(HASH, HASH, Msat(1_500)),
            "called off by its author; 1.5 sat are owed back",
        ),
        (REFUNDING, "12 sat being paid back"),
        (evolve(REFUNDING, asked_at=9), None),
        (
            evolve(REFUNDING, retry_at=9),
            "12 sat could not be paid back; tried again until the invoice for it expires",
        ),
        (jobs.Refunded("gone", HASH, Msat(12_000), HASH, SECRET), "12 sat paid back"),
    ],
)
def test_a_state_is_told_with_what_it_means_for_the_money(
    state: JobState, words: str | None
) -> None:
    assert in_words(JOB, state) == words


async def test_each_turn_is_told_once_and_what_was_before_not_at_all(
    capsys: pytest.CaptureFixture[str], autojump_clock: object
) -> None:
    records: Records[Job, JobState] = MemoryRecords()
    changed = Hint()
    await records.save([samples.begin(1)])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show_jobs, records, changed)
            await trio.testing.wait_all_tasks_blocked()
            for change in (samples.begin(2), samples.end(1), samples.end(1, now=samples.NOW + 90)):
                await records.save([change])
                changed.poke()
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    assert capsys.readouterr().err.splitlines() == [
        f"2023-11-14 22:13Z  {samples.job_id(2)[:8]}  working    for nothing",
        f"2023-11-14 22:13Z  {samples.job_id(1)[:8]}  settled    answered, 12 sat earned",
    ]
