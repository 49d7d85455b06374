"""The actor that makes and withdraws invoices for sold jobs."""

import trio
from attrs import frozen

from pylon.core.job_machine import CancelInvoice, InvoiceImpossible, InvoiceMade, MakeInvoice
from pylon.core.mail import AboutJob, Mail
from pylon.core.outbox import CASHIER
from pylon.errors import Misconfigured
from pylon.model.ids import JobId
from pylon.model.job import Job, JobState
from pylon.model.money import Msat
from pylon.ports.channels import Hint
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet

AT_ONCE = 32  # invoices in the making; the wallet commits them in groups


@frozen
class Cashier:
    """Carry out `MakeInvoice` and `CancelInvoice`. A job has one invoice: its id is the wallet's key."""

    records: Records[Job, JobState]
    wallet: Wallet
    hint: Hint
    mail: trio.MemorySendChannel[Mail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `WalletUnavailable` ends the run, and the rows wait."""
        reader = OutboxReader(self.records, CASHIER)
        limit = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                for row in await reader.take():
                    await limit.acquire_on_behalf_of(row.seq)
                    nursery.start_soon(self._serve, row, limit)
                await self.hint.wait()

    async def _serve(self, row: Row, limit: trio.CapacityLimiter) -> None:
        try:
            match entry_of(row):
                case MakeInvoice(amount, expiry_seconds):
                    await self._make(row, amount, expiry_seconds)
                case CancelInvoice(payment_hash):
                    await self.wallet.cancel_invoice(payment_hash)
                    await self.records.drop([row.seq])
                case _:
                    return
        finally:
            limit.release_on_behalf_of(row.seq)

    async def _make(self, row: Row, amount: Msat, expiry_seconds: int) -> None:
        news: InvoiceMade | InvoiceImpossible
        try:
            invoice = await self.wallet.make_invoice(
                amount,
                description=description(row.subject),
                expiry_seconds=expiry_seconds,
                idempotency_key=row.subject,
            )
            news = InvoiceMade(invoice)
        except Misconfigured as exc:
            news = InvoiceImpossible(str(exc))
        await self.mail.send(AboutJob(row.subject, news, done=(row.seq,)))


def description(job: JobId) -> str:
    """Return an invoice's description, which ties it to its job."""
    return f"pylon:{job}"
