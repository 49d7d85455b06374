"""The actor that makes and withdraws invoices for sold jobs."""

import logging

import trio
from attrs import frozen

from pylon.core.job_machine import (
    CancelInvoice,
    InvoiceClosed,
    InvoiceImpossible,
    InvoiceMade,
    MakeInvoice,
    News,
    Paid,
)
from pylon.core.mail import AboutJob, Mail
from pylon.core.outbox import CASHIER
from pylon.errors import BadInvoice, Misconfigured
from pylon.model.ids import JobId, PaymentHash
from pylon.model.job import Job, JobState
from pylon.model.money import Msat
from pylon.model.wallet import InvoiceState
from pylon.ports.channels import Hint
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within

log = logging.getLogger(__name__)

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
                    news = await self._make(row.subject, amount, expiry_seconds)
                case CancelInvoice(payment_hash):
                    news = await self._cancel(payment_hash)
                case _:
                    return
            await self.mail.send(AboutJob(row.subject, news, done=(row.seq,)))
        finally:
            limit.release_on_behalf_of(row.seq)

    async def _make(self, job: JobId, amount: Msat, expiry_seconds: int) -> News:
        try:
            with answers_within():
                invoice = await self.wallet.make_invoice(
                    amount,
                    description=description(job),
                    expiry_seconds=expiry_seconds,
                    idempotency_key=job,
                )
        except (Misconfigured, BadInvoice) as exc:
            return InvoiceImpossible(str(exc))
        return InvoiceMade(invoice)

    async def _cancel(self, payment_hash: PaymentHash) -> News:
        """Withdraw an invoice, unless it turns out to be paid; one of another wallet is beyond us."""
        try:
            with answers_within():
                status = await self.wallet.cancel_invoice(payment_hash)
        except Misconfigured as exc:
            log.warning("an invoice cannot be withdrawn: %s", exc)
            return InvoiceClosed(payment_hash)
        paid = status.state is InvoiceState.SETTLED
        return Paid(payment_hash) if paid else InvoiceClosed(payment_hash)


def description(job: JobId) -> str:
    """Return an invoice's description, which ties it to its job."""
    return f"pylon:{job}"
