"""How money comes to a payee: paying, holding, settling, giving back."""

import apsw
from attrs import evolve, frozen

from pylon.adapters.lightning.ledger import faults, invoices, payments
from pylon.adapters.lightning.ledger.accounts import balance, post
from pylon.adapters.lightning.ledger.faults import FaultKind, Faults
from pylon.adapters.lightning.ledger.invoices import StoredInvoice
from pylon.adapters.lightning.ledger.payments import StoredPayment
from pylon.adapters.lightning.ledger.schema import ESCROW, FEES
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import Msat, show_sats
from pylon.model.wallet import (
    InvoiceState,
    InvoiceStatus,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)

_FEE_BASE = Msat(100)
_UNPAYABLE = {
    InvoiceState.ACCEPTED: "already paid",
    InvoiceState.SETTLED: "already paid",
    InvoiceState.CANCELLED: "the invoice was cancelled",
    InvoiceState.EXPIRED: "the invoice has expired",
}


@frozen
class Terms:
    """What the ledger's one route costs, and how long a hold may last."""

    fee_base: Msat = _FEE_BASE
    fee_ppm: int = 100  # millionths of the amount
    hold_seconds: int = 3600

    def fee(self, amount: Msat) -> Msat:
        """Return the routing fee for an amount, rounded down to whole msat."""
        return Msat(self.fee_base + amount * self.fee_ppm // 1_000_000)


@frozen
class Attempt:
    """What came of an order to pay, and how the payer is to learn of it."""

    result: PaymentResult
    delay_ms: int = 0
    lost: bool = False


@frozen
class PayOrder:
    """An order to pay an invoice that was read and checked.

    `payment` is the payment as it will be; `bolt11` the text, in lower case.
    """

    payment: StoredPayment
    bolt11: str
    max_fee: Msat
    terms: Terms
    now: float


def pay(order: PayOrder, db: apsw.Connection) -> Attempt:
    """Try to pay, unless that is under way or done: then say so and change nothing."""
    cancel_overdue(order.now, db)
    payment = order.payment
    earlier = payments.outcome(db, payment.payer, payment.payment_hash)
    if earlier is not None and not isinstance(earlier, PaymentFailed):
        return Attempt(earlier)
    trouble = Faults(db, payment.payer)
    result = _attempt(db, order, trouble)
    delay = trouble.take(FaultKind.LATENCY)
    return Attempt(
        result,
        delay_ms=0 if delay is None else delay.value,
        lost=trouble.take(FaultKind.LOSE_PAYMENT) is not None,
    )


def settle_hold(
    payment_hash: PaymentHash,
    preimage: Preimage,
    account: int,
    now: float,
    db: apsw.Connection,
) -> InvoiceStatus | None:
    """Take what a hold invoice of ours holds, if it holds anything."""
    cancel_overdue(now, db)
    invoice = invoices.find(db, payment_hash)
    if invoice is None or invoice.payee != account:
        return None
    if invoice.state is InvoiceState.ACCEPTED:
        held = payments.held(db, payment_hash)
        invoice = _settle(db, held, invoice, preimage, source=ESCROW, now=now)
    return invoice.status(now)


def cancel(
    payment_hash: PaymentHash, account: int, now: float, db: apsw.Connection
) -> InvoiceStatus | None:
    """Make an invoice of ours unpayable, and give back what it holds."""
    invoice = invoices.find(db, payment_hash)
    if invoice is None or invoice.payee != account:
        return None
    if invoice.state is InvoiceState.ACCEPTED:
        _give_back(db, payments.held(db, payment_hash), "cancelled by the payee", now)
    if invoice.state in (InvoiceState.OPEN, InvoiceState.ACCEPTED):
        invoice = invoices.change(db, invoice, InvoiceState.CANCELLED)
    return invoice.status(now)


def cancel_overdue(now: float, db: apsw.Connection) -> None:
    """Give back what was held for longer than a hold may last."""
    for invoice in invoices.overdue(db, now):
        held = payments.held(db, invoice.payment_hash)
        _give_back(db, held, "held for too long", now)
        invoices.change(db, invoice, InvoiceState.CANCELLED)


def clear_faults(
    account: int, terms: Terms, now: float, db: apsw.Connection, *, deliver: bool
) -> None:
    """End an account's faults. What is stuck arrives, if late, or else comes back."""
    faults.clear(account, db)
    for payment in payments.stuck(db, account):
        invoice = invoices.find(db, payment.payment_hash)
        if deliver and invoice is not None and invoice.state is InvoiceState.OPEN:
            _arrive(db, payment, invoice, terms, source=ESCROW, now=now)
        else:
            _give_back(db, payment, "timed out on its way", now)


def _attempt(db: apsw.Connection, order: PayOrder, trouble: Faults) -> PaymentResult:
    payment = order.payment
    invoice = invoices.find(db, payment.payment_hash)
    if invoice is None or invoice.bolt11 != order.bolt11:
        return payments.fail(db, payment, "no route: no such invoice in this ledger", order.now)
    if reason := _refusal(db, order, invoice) or _injected(trouble, payment.amount):
        return payments.fail(db, payment, reason, order.now)
    if trouble.take(FaultKind.STUCK):
        _lock(db, payment, order.now)
        payments.record(db, payment)
        return PaymentInFlight(payment.payment_hash)
    return _arrive(db, payment, invoice, order.terms, source=payment.payer, now=order.now)


def _refusal(db: apsw.Connection, order: PayOrder, invoice: StoredInvoice) -> str:
    """Say why this payer cannot pay this invoice now; nothing if it can."""
    payment = order.payment
    if unpayable := _UNPAYABLE.get(invoice.state_at(order.now)):
        return unpayable
    if invoice.payee == payment.payer:
        return "an invoice of this very wallet"
    if payment.fee > order.max_fee:
        fee, limit = show_sats(payment.fee), show_sats(order.max_fee)
        return f"the fee of {fee} is above the limit of {limit}"
    if balance(db, payment.payer) < payment.amount + payment.fee:
        return "insufficient funds"
    return ""


def _injected(trouble: Faults, amount: Msat) -> str:
    route = trouble.look(FaultKind.NO_ROUTE)
    if route is not None and amount > route.value:
        trouble.take(FaultKind.NO_ROUTE)
        return route.reason or "no route"
    failure = trouble.take(FaultKind.FAIL)
    return "" if failure is None else failure.reason or "temporary channel failure"


def _arrive(
    db: apsw.Connection,
    payment: StoredPayment,
    invoice: StoredInvoice,
    terms: Terms,
    *,
    source: int,
    now: float,
) -> PaymentResult:
    """Let money come to the payee: into its account, or before its eyes if it holds."""
    if invoice.preimage is not None:
        _settle(db, payment, invoice, invoice.preimage, source=source, now=now)
        return PaymentSettled(payment.payment_hash, invoice.preimage, payment.amount, payment.fee)
    if source != ESCROW:
        _lock(db, payment, now)
    payments.record(db, evolve(payment, arrived=True, at=now))
    deadline = int(now) + terms.hold_seconds
    invoices.change(db, invoice, InvoiceState.ACCEPTED, deadline=deadline)
    return PaymentInFlight(payment.payment_hash)


def _settle(
    db: apsw.Connection,
    payment: StoredPayment,
    invoice: StoredInvoice,
    preimage: Preimage,
    *,
    source: int,
    now: float,
) -> StoredInvoice:
    total = payment.amount + payment.fee
    moves = {source: -total, invoice.payee: payment.amount, FEES: payment.fee}
    post(db, "settle", moves, payment_hash=payment.payment_hash, at=now)
    payments.record(db, evolve(payment, state="settled", arrived=True, at=now))
    return invoices.change(db, invoice, InvoiceState.SETTLED, preimage=preimage)


def _lock(db: apsw.Connection, payment: StoredPayment, now: float) -> None:
    total = payment.amount + payment.fee
    moves = {payment.payer: -total, ESCROW: total}
    post(db, "lock", moves, payment_hash=payment.payment_hash, at=now)


def _give_back(db: apsw.Connection, payment: StoredPayment, reason: str, now: float) -> None:
    total = payment.amount + payment.fee
    moves = {ESCROW: -total, payment.payer: total}
    post(db, "release", moves, payment_hash=payment.payment_hash, at=now)
    payments.fail(db, payment, reason, now)
