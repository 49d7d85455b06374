"""What this node owes to customers, for whoever shows it."""

from collections.abc import Iterator

from attrs import frozen

from pylon.app.store import Store
from pylon.model.ids import JobId, PublicKey
from pylon.model.job import Cancelled, Failed, Job, JobState, Refunding
from pylon.model.money import Msat
from pylon.ports.records import Record


@frozen
class Owed:
    """Money that a customer paid for an answer it did not get."""

    job: JobId
    customer: PublicKey
    amount: Msat
    reason: str
    since: int  # unix seconds
    under_way: bool  # the customer has sent an invoice, which is being paid


async def refunds_owed(store: Store) -> list[Owed]:
    """Return what is owed and not yet paid back, the oldest debt first."""
    records = await store.jobs.in_phases(("Failed", "Cancelled", "Refunding"))
    return [owed for record in records for owed in _owed(record)]


def _owed(record: Record[Job, JobState]) -> Iterator[Owed]:
    match record.state:
        case Refunding(reason=reason, owed=amount):
            yield Owed(record.id, record.facts.customer, amount, reason, record.updated_at, True)
        case Failed(reason=reason, owed=amount) if amount:
            yield Owed(record.id, record.facts.customer, amount, reason, record.updated_at, False)
        case Cancelled(owed=amount) if amount:
            reason = "called off by its author"
            yield Owed(record.id, record.facts.customer, amount, reason, record.updated_at, False)
        case _:
            return
