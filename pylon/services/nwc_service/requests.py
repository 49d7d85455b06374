"""What is done for each request."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio
from attrs import define, field

from pylon.core import nwc_answers as answers
from pylon.core.backoff import Backoff
from pylon.errors import BadInvoice, InUse, Misconfigured, OverBudget, Transient, WalletUnavailable
from pylon.model.ids import EventId, PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import Msat
from pylon.model.wallet import (
    Direction,
    InvoiceStatus,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
    WalletInfo,
)
from pylon.ports.clock import Clock
from pylon.ports.wallet import Wallet, answers_within
from pylon.services.nwc_service.looking import HISTORY, find
from pylon.wire import bolt11
from pylon.wire.nwc.payloads import (
    NAMES,
    Balance,
    CancelHoldInvoice,
    Done,
    ErrorCode,
    GetBalance,
    GetInfo,
    ListTransactions,
    LookupInvoice,
    MakeHoldInvoice,
    MakeInvoice,
    NodeInfo,
    Notification,
    NotificationType,
    Paid,
    PayInvoice,
    Refusal,
    Request,
    Result,
    SettleHoldInvoice,
)

PAY_SECONDS = 30.0  # after this the outcome is looked up
LOOK = Backoff(first=0.5, ceiling=5.0)


class Spending(Protocol):
    """Pays within what this client may spend."""

    async def pay(
        self, text: str, payment_hash: PaymentHash, amount: Msat, *, seconds: float
    ) -> PaymentResult:
        """Pay an invoice once.

        Raises:
            OverBudget: It may not be paid.
            InUse: It is being paid.
            WalletUnavailable: Nothing was begun.
            BadInvoice: The wallet cannot read it.
        """
        ...

    async def settle(self) -> None:
        """Book what has become of payments that were in flight."""
        ...


@define(eq=False)
class Requests:
    """Answers a client's requests out of a wallet."""

    _wallet: Wallet
    _spending: Spending
    _clock: Clock
    _info: WalletInfo
    _alias: str
    _notify: Callable[[Notification], Awaitable[None]]
    _handlers: dict[type, Callable[[Any, EventId], Awaitable[Result | Refusal]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._handlers = {
            PayInvoice: self._pay,
            MakeInvoice: self._make_invoice,
            LookupInvoice: self._look_up,
            ListTransactions: self._list,
            GetBalance: self._get_balance,
            GetInfo: self._get_info,
            MakeHoldInvoice: self._make_hold_invoice,
            SettleHoldInvoice: self._settle,
            CancelHoldInvoice: self._cancel,
        }

    @property
    def methods(self) -> tuple[str, ...]:
        """What can be asked."""
        return answers.methods(self._info.capabilities)

    @property
    def notifications(self) -> tuple[str, ...]:
        """What is told unasked."""
        return answers.notifications(self._info.capabilities)

    async def answer(self, request: Request, event_id: EventId) -> tuple[str, Result | Refusal]:
        """Do what is asked; return the method's name, and the result or why there is none."""
        method = NAMES[type(request)]
        if method not in self.methods:
            return method, Refusal(ErrorCode.NOT_IMPLEMENTED, "this wallet cannot hold payments")
        try:
            return method, await self._handlers[type(request)](request, event_id)
        except OverBudget as fault:
            return method, Refusal(ErrorCode.QUOTA_EXCEEDED, str(fault))
        except (BadInvoice, Misconfigured) as fault:
            return method, Refusal(ErrorCode.OTHER, str(fault))
        except Transient as trouble:
            return method, Refusal(ErrorCode.INTERNAL, str(trouble))

    # Paying

    async def _pay(self, asked: PayInvoice, _: EventId) -> Result | Refusal:
        invoice = bolt11.decode(asked.invoice)
        amount = invoice.amount
        if amount is None:
            return Refusal(
                ErrorCode.NOT_IMPLEMENTED, "only an invoice that names its amount is paid"
            )
        if asked.amount not in (None, amount):
            return Refusal(ErrorCode.OTHER, "the invoice is about another amount")
        if invoice.network is not self._info.network:
            return Refusal(ErrorCode.OTHER, f"this wallet is on {self._info.network}")
        result = await self._outcome(asked.invoice, invoice, amount)
        if isinstance(result, PaymentSettled):
            await self._tell_sent(result)
            return Paid(result.preimage, fees_paid=result.fee)
        with answers_within():
            balance = await self._wallet.balance()
        return answers.payment_failure(result, amount=amount, balance=balance)

    async def _outcome(
        self, text: str, invoice: Invoice, amount: Msat
    ) -> PaymentSettled | PaymentFailed:
        """Pay once, and wait until it is known what came of it, however long that takes."""
        tries, result = 0, None
        while result is None:
            try:
                result = await self._spending.pay(
                    text, invoice.payment_hash, amount, seconds=PAY_SECONDS
                )
            except InUse:
                tries += 1
                await trio.sleep(LOOK.after(tries, 1.0))
        while isinstance(result, PaymentInFlight):
            tries += 1
            await trio.sleep(LOOK.after(tries, 1.0))
            result = await self._look(invoice.payment_hash)
            await self._spending.settle()
        return result

    async def _look(self, payment_hash: PaymentHash) -> PaymentResult:
        try:
            with answers_within():
                known = await self._wallet.payment(payment_hash)
        except WalletUnavailable:
            return PaymentInFlight(payment_hash)
        return known or PaymentFailed(payment_hash, "the payment was never begun")

    async def _tell_sent(self, paid: PaymentSettled) -> None:
        entry = await find(self._wallet, paid.payment_hash, Direction.OUTGOING)
        if entry is not None:
            tx = answers.transaction(entry, paid)
            await self._notify(Notification(NotificationType.PAYMENT_SENT, tx))

    # Being paid

    async def _make_invoice(self, asked: MakeInvoice, event_id: EventId) -> Result | Refusal:
        if asked.description_hash and not asked.description:
            return _NO_HASH
        with answers_within():
            made = await self._wallet.make_invoice(
                Msat(asked.amount),
                description=asked.description or "",
                expiry_seconds=answers.expiry_seconds(asked.expiry),
                idempotency_key=f"nwc {event_id}",
            )
        return answers.issued(made, asked.description or "")

    async def _make_hold_invoice(self, asked: MakeHoldInvoice, _: EventId) -> Result | Refusal:
        if asked.description_hash and not asked.description:
            return _NO_HASH
        with answers_within():
            made = await self._wallet.make_hold_invoice(
                PaymentHash(asked.payment_hash),
                Msat(asked.amount),
                description=asked.description or "",
                expiry_seconds=answers.expiry_seconds(asked.expiry),
                hold_seconds=answers.hold_seconds(asked.min_cltv_expiry_delta),
            )
        return answers.issued(made, asked.description or "")

    async def _settle(self, asked: SettleHoldInvoice, _: EventId) -> Result | Refusal:
        try:
            with answers_within():
                status = await self._wallet.settle_hold(Preimage(asked.preimage))
        except Misconfigured as fault:
            return Refusal(ErrorCode.NOT_FOUND, str(fault))
        return answers.unsettled(status) or Done()

    async def _cancel(self, asked: CancelHoldInvoice, _: EventId) -> Result | Refusal:
        try:
            with answers_within():
                status = await self._wallet.cancel_invoice(PaymentHash(asked.payment_hash))
        except Misconfigured as fault:
            return Refusal(ErrorCode.NOT_FOUND, str(fault))
        return answers.uncancelled(status) or Done()

    # Looking

    async def _look_up(self, asked: LookupInvoice, _: EventId) -> Result | Refusal:
        if asked.payment_hash is None and asked.invoice is None:
            return Refusal(ErrorCode.OTHER, "which one? give payment_hash or invoice")
        payment_hash = PaymentHash(
            asked.payment_hash or bolt11.decode(asked.invoice or "").payment_hash
        )
        direction = Direction.INCOMING
        news: InvoiceStatus | PaymentResult | None
        with answers_within():
            news = await self._wallet.lookup(payment_hash)
            if news is None:
                direction, news = Direction.OUTGOING, await self._wallet.payment(payment_hash)
            if news is None:
                return Refusal(ErrorCode.NOT_FOUND, "neither made nor paid here")
            entry = await find(self._wallet, payment_hash, direction)
        return answers.transaction(entry or answers.unlisted(payment_hash, direction, news), news)

    async def _list(self, asked: ListTransactions, _: EventId) -> Result | Refusal:
        with answers_within():
            return answers.page(await self._wallet.history(limit=HISTORY), asked)

    async def _get_balance(self, _asked: GetBalance, _: EventId) -> Result | Refusal:
        with answers_within():
            return Balance(await self._wallet.balance())

    async def _get_info(self, _asked: GetInfo, _: EventId) -> Result | Refusal:
        await trio.lowlevel.checkpoint()
        return NodeInfo(
            alias=self._alias,
            pubkey=self._info.node_key,
            network=self._info.network.value,
            block_height=answers.block_height(self._clock.now()),
            methods=self.methods,
            notifications=self.notifications,
        )


_NO_HASH = Refusal(
    ErrorCode.NOT_IMPLEMENTED, "an invoice here has a description, not the hash of one"
)
