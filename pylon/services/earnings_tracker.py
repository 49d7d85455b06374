"""The actor that counts earnings, on the wallet's evidence alone."""

import trio
from attrs import frozen

from pylon.core.job_machine import Credit
from pylon.core.outbox import ACCOUNTANT
from pylon.model.earning import Earning
from pylon.model.job import Job, JobState
from pylon.model.wallet import InvoiceState
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.earnings import Earnings
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within


@frozen
class EarningsTracker:
    """Carry out `Credit`: look the payment up in the wallet, then count it once.

    Several are under way at once, so that the store commits them together.
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
        task_status.started()
        while True:
            rows = await reader.take()
            jobs = await self.records.load([row.subject for row in rows])
            async with trio.open_nursery() as nursery:
                for row in rows:
                    nursery.start_soon(self._credit, row, jobs[row.subject].facts)
            await self.hint.wait()

    async def _credit(self, row: Row, job: Job) -> None:
        entry = entry_of(row)
        if not isinstance(entry, Credit):
            return
        with answers_within():
            status = await self.wallet.lookup(entry.payment_hash)
        if status is None or status.state is not InvoiceState.SETTLED:
            return  # the row stays, for `doctor` to find: paid without the wallet's word is a bug
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
