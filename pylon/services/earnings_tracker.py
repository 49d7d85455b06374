"""The actor that counts earnings, on the wallet's evidence alone."""

import trio
from attrs import frozen

from pylon.core.backoff import Backoff
from pylon.core.job_machine import Credit
from pylon.core.outbox import ACCOUNTANT
from pylon.model.earning import Earning
from pylon.model.ids import PaymentHash
from pylon.model.job import Job, JobState
from pylon.model.wallet import InvoiceState
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.earnings import Earnings
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within

LOOK = Backoff(first=0.5, ceiling=300.0)  # between the times that the wallet is asked for one row


@frozen
class EarningsTracker:
    """Carry out `Credit`: look the payment up in the wallet, then count it once.

    Several are under way at once, so that the store commits them together. A wallet may tell of a
    payment before it shows it: that one is looked up again, and stays in the outbox meanwhile.
    """

    records: Records[Job, JobState]
    earnings: Earnings
    wallet: Wallet
    clock: Clock
    hint: Hint
    counted: Hint

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Count until cancelled."""
        reader = OutboxReader(self.records, ACCOUNTANT)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                rows = await reader.take()
                jobs = await self.records.load([row.subject for row in rows])
                for row in rows:
                    nursery.start_soon(self._credit, row, jobs[row.subject].facts)
                await self.hint.wait()

    async def _credit(self, row: Row, job: Job) -> None:
        entry = entry_of(row)
        if not isinstance(entry, Credit):
            return
        tries = 0
        while not await self._is_settled(entry.payment_hash):
            tries += 1
            await trio.sleep(LOOK.after(tries, fraction=1.0))
        earning = Earning(
            payment_hash=entry.payment_hash,
            job=job.id,
            customer=job.customer,
            kind=job.kind,
            backend=job.backend,
            amount=entry.amount,
            at=int(self.clock.now()),
        )
        await self.earnings.credit(earning, done=(row.seq,))
        self.counted.poke()

    async def _is_settled(self, payment_hash: PaymentHash) -> bool:
        with answers_within():
            status = await self.wallet.lookup(payment_hash)
        return status is not None and status.state is InvoiceState.SETTLED
