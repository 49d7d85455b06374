"""What the wallet says is ours is counted, once; what it does not say yet is asked again."""

from collections.abc import Iterator
from typing import Any

import trio
from trio.testing import MockClock

from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.earnings import MemoryEarnings
from pylon.adapters.memory.records import MemoryRecords
from pylon.core.job_machine import Credit
from pylon.model.ids import PaymentHash
from pylon.model.job import Job, JobState, Settled
from pylon.model.money import Msat
from pylon.model.wallet import InvoiceState, InvoiceStatus
from pylon.ports.channels import Hint
from pylon.services.earnings_tracker import EarningsTracker
from tests.market.actors import a_paid_job, a_result, begun, working

FIRST, SECOND = a_paid_job(1), a_paid_job(2)
SLOW, QUICK = PaymentHash("aa" * 32), PaymentHash("bb" * 32)
PRICE = Msat(12_000)


class Wallet:
    """Says of an invoice what it is told to, and after that that it is settled."""

    def __init__(self, *said: InvoiceState | None) -> None:
        self.said: Iterator[InvoiceState | None] = iter(said)

    async def lookup(self, payment_hash: PaymentHash) -> InvoiceStatus | None:
        await trio.lowlevel.checkpoint()
        settled = InvoiceState.SETTLED
        state = settled if payment_hash == QUICK else next(self.said, settled)
        return None if state is None else InvoiceStatus(payment_hash, state, PRICE)


async def test_a_wallet_that_shows_late_what_it_has_told_delays_what_it_concerns_alone(
    autojump_clock: MockClock,
) -> None:
    records: MemoryRecords[Job, JobState] = MemoryRecords()
    for job, payment_hash in ((FIRST, SLOW), (SECOND, QUICK)):
        state = Settled(a_result(job).id, payment_hash)
        await records.save([begun(job, state, Credit(payment_hash, PRICE))])
    earnings = MemoryEarnings(records)
    wallet: Any = Wallet(InvoiceState.ACCEPTED, None)
    hint, counted = Hint(), Hint()
    tracker = EarningsTracker(records, earnings, wallet, MemoryClock(), hint, counted)
    async with working(tracker.run):
        await counted.wait()
        assert [one.job for one in await earnings.recent(limit=9)] == [SECOND.id]
        await counted.wait()
        assert {one.job for one in await earnings.recent(limit=9)} == {FIRST.id, SECOND.id}
    assert await records.outbox("accountant") == []
