"""The actor that gets money back: it makes invoices for what providers owe, and sees them paid."""

from collections.abc import Container

import trio
from attrs import frozen

from pylon.core.order_machine import (
    CheckRefund,
    MakeRefundInvoice,
    News,
    RefundArrived,
    RefundInvoiceClosed,
    RefundInvoiceImpossible,
    RefundInvoiceMade,
)
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.core.outbox import COLLECTOR
from pylon.errors import BadInvoice, Misconfigured, WalletUnavailable
from pylon.model.ids import JobId, PaymentHash
from pylon.model.order import Order, OrderState
from pylon.model.wallet import InvoiceState
from pylon.ports.channels import Hint
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within


@frozen
class Collector:
    """Carry out `MakeRefundInvoice` and `CheckRefund`; each attempt of an order has one invoice."""

    records: Records[Order, OrderState]
    mine: Container[JobId]
    wallet: Wallet
    hint: Hint
    mail: trio.MemorySendChannel[OrderMail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; without a wallet invoices wait to be made, in a later run."""
        reader = OutboxReader(self.records, COLLECTOR, self.mine)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                for row in await reader.take():
                    nursery.start_soon(self._serve, row)
                await self.hint.wait()

    async def _serve(self, row: Row) -> None:
        match entry_of(row):
            case MakeRefundInvoice() as act:
                news: News | None = await self._make(row.subject, act)
            case CheckRefund(payment_hash):
                news = await self._check(payment_hash)
            case _:
                return
        if news is None:
            await self.records.drop([row.seq])
        else:
            await self.mail.send(AboutOrder(row.subject, news, done=(row.seq,)))

    async def _make(self, order: JobId, act: MakeRefundInvoice) -> News:
        try:
            with answers_within():
                invoice = await self.wallet.make_invoice(
                    act.amount,
                    description=f"refund of {order}",
                    expiry_seconds=act.expiry_seconds,
                    idempotency_key=f"refund {act.attempt} of {order}",
                )
        except (Misconfigured, BadInvoice) as exc:
            return RefundInvoiceImpossible(str(exc))
        return RefundInvoiceMade(invoice)

    async def _check(self, payment_hash: PaymentHash) -> News | None:
        """Ask once; what is not known yet is asked again when time has passed."""
        try:
            with answers_within():
                status = await self.wallet.lookup(payment_hash)
        except WalletUnavailable:
            return None
        match None if status is None else status.state:
            case InvoiceState.SETTLED:
                return RefundArrived(payment_hash)
            case InvoiceState.EXPIRED | InvoiceState.CANCELLED | None:
                return RefundInvoiceClosed(payment_hash)
            case _:
                return None
