"""The actor that pays: each payment hash once, and never believes a payment failed unless told."""

from collections.abc import Container

import trio
from attrs import frozen

from pylon.core.order_machine import (
    LookUp,
    News,
    Pay,
    PaymentRefused,
    PaymentSucceeded,
    PaymentUncertain,
)
from pylon.core.order_mail import AboutOrder, OrderMail
from pylon.core.outbox import PAYER
from pylon.core.proof import believed
from pylon.errors import BadInvoice, WalletUnavailable
from pylon.model.ids import JobId, PaymentHash
from pylon.model.money import Msat
from pylon.model.order import Order, OrderState
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled
from pylon.ports.budget import Budget
from pylon.ports.channels import Hint
from pylon.ports.outbox import OutboxReader, entry_of
from pylon.ports.records import Records, Row
from pylon.ports.wallet import Wallet, answers_within

PAY_SECONDS = 30.0  # after this the payment is looked up instead of waited for


@frozen
class Payer:
    """Carry out `Pay` and `LookUp`; a `Pay` repeated after a crash meets the wallet's first outcome.

    A payment that the budget vetoes at the last moment is refused, and only looked up: an earlier
    life may have begun it.
    """

    records: Records[Order, OrderState]
    mine: Container[JobId]
    wallet: Wallet
    budget: Budget
    hint: Hint
    mail: trio.MemorySendChannel[OrderMail]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; payments of different orders run side by side."""
        reader = OutboxReader(self.records, PAYER, self.mine)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                for row in await reader.take():
                    nursery.start_soon(self._serve, row)
                await self.hint.wait()

    async def _serve(self, row: Row) -> None:
        match entry_of(row):
            case Pay(bolt11, payment_hash, max_fee):
                veto = await self.budget.veto(payment_hash)
                if veto is None:
                    news = await self._pay(bolt11, payment_hash, max_fee)
                else:
                    news = await self._look_up(payment_hash, veto=veto)
            case LookUp(payment_hash):
                news = await self._look_up(payment_hash)
            case _:
                return
        await self.mail.send(AboutOrder(row.subject, news, done=(row.seq,)))

    async def _pay(self, bolt11: str, payment_hash: PaymentHash, max_fee: Msat) -> News:
        try:
            with answers_within(2 * PAY_SECONDS):
                result = await self.wallet.pay(
                    bolt11, max_fee=max_fee, deadline_seconds=PAY_SECONDS
                )
        except WalletUnavailable:
            return PaymentUncertain(payment_hash)
        except BadInvoice as exc:
            return PaymentRefused(payment_hash, str(exc))
        return _read(result, payment_hash)

    async def _look_up(self, payment_hash: PaymentHash, *, veto: str | None = None) -> News:
        try:
            with answers_within():
                result = await self.wallet.payment(payment_hash)
        except WalletUnavailable:
            return PaymentUncertain(payment_hash)
        if result is not None:
            return _read(result, payment_hash)
        if veto is not None:
            return PaymentRefused(payment_hash, veto)
        return PaymentRefused(payment_hash, "the wallet never began the payment", never_begun=True)


def _read(result: PaymentResult, payment_hash: PaymentHash) -> News:
    match believed(result, payment_hash):
        case PaymentSettled(preimage=preimage, fee=fee):
            return PaymentSucceeded(payment_hash, preimage, fee)
        case PaymentFailed(reason=reason):
            return PaymentRefused(payment_hash, reason)
        case PaymentInFlight():
            return PaymentUncertain(payment_hash)
