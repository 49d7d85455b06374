"""What a buyer believes of what providers send: every check between an event and a payment."""

from typing import TypeAlias

from attrs import frozen

from pylon.model.invoice import Invoice
from pylon.model.job import FeedbackStatus
from pylon.model.money import Msat, PayMode, show_sats
from pylon.model.order import Answer, Offer, Order
from pylon.model.reply import Feedback, Result
from pylon.wire.jobs import result_kind

MAX_EXPIRY_SECONDS = 7 * 86_400  # an offer open for longer is a mistake or a trap
MAX_FUTURE_SECONDS = 900  # how far a provider's clock may be ahead
MAX_FINAL_CLTV = 2_016  # blocks, two weeks: for so long a payment could be held

_PAYABLE = (None, PayMode.PREPAY, PayMode.HOLD)  # an ordinary payment does for both
_DESCRIPTION = "pylon:"  # followed by a job's id, in the invoices of providers like us


@frozen
class Unacceptable:
    """Not to be paid, or not an answer; `reason` is for the buyer."""

    reason: str


def read_offer(
    order: Order, feedback: Feedback, invoice: Invoice | None, *, now: int, margin: int
) -> Offer | Unacceptable:
    """Make an offer of verified feedback and the invoice in it, decoded; None if it has none.

    `margin` is how many seconds an invoice must still be good for. That the payment hash was never
    paid before is for the budget to say.
    """
    amount = feedback.amount
    if invoice is None or feedback.bolt11 is None or amount is None:
        return Unacceptable("it names no amount, or has no invoice")
    reason = (
        _not_for_us(order, feedback)
        or _wrong_amount(order, amount, invoice)
        or _wrong_invoice(order, invoice)
        or _wrong_time(invoice, now, margin)
    )
    if reason:
        return Unacceptable(reason)
    return Offer(
        provider=feedback.provider,
        feedback=feedback.id,
        amount=amount,
        bolt11=feedback.bolt11,
        payment_hash=invoice.payment_hash,
        node_key=invoice.payee,
        expires_at=invoice.expires_at,
        mode=feedback.mode or PayMode.PREPAY,
    )


def read_answer(order: Order, result: Result) -> Answer | Unacceptable:
    """Make an answer of a verified result. Whether its provider was chosen the machine knows."""
    reason = foreign(order, result)
    if reason is None and result.kind != result_kind(order.request.kind):
        reason = f"kind {result.kind} does not answer kind {order.request.kind}"
    if reason is None and not result.content.strip():
        reason = "the answer is empty"
    return Unacceptable(reason) if reason else Answer(result.id, result.provider)


Reply: TypeAlias = Feedback | Result


def foreign(order: Order, reply: Reply) -> str | None:
    """Say why a reply does not concern an order; None if it does."""
    if reply.job != order.id:
        return "it is about another job"
    if reply.customer != order.request.pubkey:
        return "it is addressed to somebody else"
    if order.provider not in (None, reply.provider):
        return "it is not from the provider that was asked"
    return None


def _not_for_us(order: Order, feedback: Feedback) -> str | None:
    if feedback.status != FeedbackStatus.PAYMENT_REQUIRED:
        return "it suggests a payment and requires none"
    if feedback.mode not in _PAYABLE:
        return f"it wants to be paid in the mode {feedback.mode}, which we do not know"
    return foreign(order, feedback)


def _wrong_amount(order: Order, amount: Msat, invoice: Invoice) -> str | None:
    if invoice.amount is None:
        return "the invoice leaves the amount open"
    if invoice.amount != amount:
        return f"it says {show_sats(amount)} and its invoice {show_sats(invoice.amount)}"
    if amount > order.max_price:
        return f"{show_sats(amount)} is above the limit of {show_sats(order.max_price)}"
    return None


def _wrong_invoice(order: Order, invoice: Invoice) -> str | None:
    described = invoice.description or ""
    if invoice.network is not order.network:
        return f"the invoice is for {invoice.network}, this order for {order.network}"
    if (invoice.description is None) == (invoice.description_hash is None):
        return "the invoice must have a description or its hash, and not both"
    if described.startswith(_DESCRIPTION) and described != f"{_DESCRIPTION}{order.id}":
        return "the invoice was made for another job"
    if invoice.min_final_cltv > MAX_FINAL_CLTV:
        return "the invoice would let its payee hold the payment for weeks"
    return None


def _wrong_time(invoice: Invoice, now: int, margin: int) -> str | None:
    if invoice.created_at > now + MAX_FUTURE_SECONDS:
        return "the invoice is dated in the future"
    if invoice.expiry_seconds > MAX_EXPIRY_SECONDS:
        return "the invoice stays open for an absurdly long time"
    if invoice.expires_at < now + margin:
        return "the invoice has expired, or is about to"
    return None
