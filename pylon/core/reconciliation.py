"""Hold what was counted as earned against what the wallet has received, and name every difference."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from pylon.model.earning import Earning
from pylon.model.ids import JobId, PaymentHash
from pylon.model.job import Cancelled, Failed, JobState, Refunded, Refunding, Settled
from pylon.model.money import ZERO, Msat, show_sats
from pylon.model.wallet import Direction, HistoryEntry

_SETTLED = "settled"

Jobs: TypeAlias = Mapping[PaymentHash, tuple[JobId, JobState]]  # by the invoice of each


@frozen
class Difference:
    """One payment on which the two do not agree."""

    payment_hash: PaymentHash
    job: JobId | None
    received: Msat  # by the wallet's word
    earned: Msat  # by our count
    words: str
    wrong: bool  # no state of a job explains it


@frozen
class Reconciliation:
    """Both sums, and what lies between them: `received - earned` is the sum over the differences."""

    received: Msat
    earned: Msat
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Say whether every difference has an explanation."""
        return not any(difference.wrong for difference in self.differences)


def reconcile(
    earnings: Sequence[Earning], history: Iterable[HistoryEntry], jobs: Jobs
) -> Reconciliation:
    """Compare every earning with the wallet's history, which must reach back as far."""
    incoming = {
        entry.payment_hash: entry
        for entry in history
        if entry.direction is Direction.INCOMING and entry.payment_hash is not None
    }
    counted = {earning.payment_hash for earning in earnings}
    settled = {hash_: entry for hash_, entry in incoming.items() if entry.state == _SETTLED}
    found = [_of_earning(earning, incoming.get(earning.payment_hash)) for earning in earnings]
    found += [_of_income(entry, jobs) for hash_, entry in settled.items() if hash_ not in counted]
    return Reconciliation(
        received=Msat(sum(entry.amount for entry in settled.values())),
        earned=Msat(sum(earning.amount for earning in earnings)),
        differences=tuple(difference for difference in found if difference is not None),
    )


def _of_earning(earning: Earning, entry: HistoryEntry | None) -> Difference | None:
    """Look for the payment behind an earning."""
    received = entry.amount if entry is not None and entry.state == _SETTLED else ZERO
    if received == earning.amount:
        return None
    if entry is None:
        words = "counted as earned, and this wallet knows of no such payment"
    elif entry.state != _SETTLED:
        words = f"counted as earned, and the wallet says {entry.state}"
    else:
        words = f"counted as {show_sats(earning.amount)}, and the wallet has another amount"
    return Difference(
        earning.payment_hash, earning.job, received, earning.amount, words, wrong=True
    )


def _of_income(entry: HistoryEntry, jobs: Jobs) -> Difference:
    """Explain a payment that was not counted as earned."""
    assert entry.payment_hash is not None  # noqa: S101 - `reconcile` has seen to it
    job, state = jobs.get(entry.payment_hash, (None, None))
    words, wrong = _uncounted(state)
    return Difference(entry.payment_hash, job, entry.amount, ZERO, words, wrong)


def _uncounted(state: JobState | None) -> tuple[str, bool]:
    """Say why a payment for a job in this state is no earning, and whether that is wrong."""
    match state:
        case None:
            return "received, and for no job of this node", False
        case Failed(owed=owed) | Cancelled(owed=owed) if owed:
            return "received for a job that was not done: it is owed back to the customer", False
        case Refunding():
            return "received for a job that was not done: it is being paid back", False
        case Refunded():
            return "received for a job that was not done, and paid back", False
        case Settled():
            return "received and not counted yet: `pylon run` will count it", True
        case _:
            return "received for a job that goes on: it counts when the answer is out", False
