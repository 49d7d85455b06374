"""What a buyer believes of what providers send: every check between an event and a payment."""

import binascii
from hashlib import sha256
from typing import TypeAlias

from attrs import frozen

from pylon.model.ids import JobId, PublicKey
from pylon.model.invoice import Invoice
from pylon.model.job import Encryption, FeedbackStatus
from pylon.model.money import Msat, PayMode, show_sats
from pylon.model.order import Answer, Offer, Order
from pylon.model.reply import Feedback, Locked, Result
from pylon.wire.jobs import result_kind
from pylon.wire.locked import NONCE_BYTES, TAG_BYTES

MAX_EXPIRY_SECONDS = 7 * 86_400  # an offer open for longer is a mistake or a trap
MAX_FUTURE_SECONDS = 900  # how far a provider's clock may be ahead
MAX_FINAL_CLTV = 2_016  # blocks, two weeks: for so long a payment could be held

_BEFORE_WORK = (PayMode.PREPAY, PayMode.HOLD, PayMode.HOLD_LOCKED)  # what feedback may ask for
_EMPTY = sha256(b"").hexdigest()
_DESCRIPTION = "pylon:"  # what invoices of providers like us begin with


@frozen
class Unacceptable:
    """Not to be paid, or not an answer; `reason` is for the buyer.

    A `contradiction` is one that the provider has signed: its event is worth keeping.
    """

    reason: str
    contradiction: bool = False


def read_offer(
    order: Order, feedback: Feedback, invoice: Invoice | None, *, now: int, margin: int
) -> Offer | Unacceptable:
    """Make an offer of verified feedback and the invoice in it, decoded; None if it has none.

    `margin` is how many seconds an invoice must still be good for. That the payment hash was never
    paid before is for the budget to say.
    """
    mode = feedback.mode or PayMode.PREPAY  # strangers do not say
    if feedback.status != FeedbackStatus.PAYMENT_REQUIRED:
        return Unacceptable("it suggests a payment and requires none")
    if mode not in _BEFORE_WORK:
        return Unacceptable(f"it wants to be paid before the work, and in the mode {mode}")
    return _offer(order, feedback, mode, invoice, now=now, margin=margin)


def read_locked_offer(
    order: Order, result: Result, invoice: Invoice | None, *, now: int, margin: int
) -> Offer | Unacceptable:
    """Make an offer of a verified result that the payment of its invoice will open.

    Its tags must fit the invoice before anything is paid, as only they can be checked by then.
    """
    answer = read_answer(order, result)
    if isinstance(answer, Unacceptable):
        return answer
    if answer.locked is None or result.mode is not PayMode.LOCKED:
        return Unacceptable("it is locked, and does not say that its invoice is the key")
    if invoice is not None and invoice.payment_hash != answer.locked.payment_hash:
        return Unacceptable("its invoice does not pay for the key it is locked with", True)
    return _offer(order, result, result.mode, invoice, now=now, margin=margin, answer=answer)


def read_answer(order: Order, result: Result) -> Answer | Unacceptable:
    """Make an answer of a verified result. Whether its provider was chosen the machine knows."""
    reason = foreign(order, result)
    if reason is None and result.kind != result_kind(order.request.kind):
        reason = f"kind {result.kind} does not answer kind {order.request.kind}"
    if reason is not None:
        return Unacceptable(reason)
    if result.locked is not None:
        wrong = _wrong_lock(result, result.locked)
        if wrong:
            return Unacceptable(wrong, True)
    elif not result.content.strip():
        return Unacceptable("the answer is empty")
    return Answer(result.id, result.provider, result.locked)


def does_not_open(answer: Answer, offer: Offer) -> Unacceptable | None:
    """Say why what is paid for an offer would not open the answer of the same provider."""
    if answer.locked is None or answer.locked.payment_hash == offer.payment_hash:
        return None
    return Unacceptable("the answer is locked with another key than the one that was sold", True)


def description(job: JobId, provider: PublicKey) -> str:
    """Return what an invoice says of itself: which job it is for, and whose offer it belongs to.

    The provider's Lightning node signs it. Offers are public, and an invoice could be copied into
    somebody else's: it would be paid, and its owner's answer not be waited for.
    """
    return f"{_DESCRIPTION}{job}:{provider}"


def misplaced(described: str, job: JobId, provider: PublicKey) -> str | None:
    """Say why an invoice does not belong to an offer, by its description, if that is one of ours."""
    if not described.startswith(_DESCRIPTION):
        return None
    for_job, _, owner = described.removeprefix(_DESCRIPTION).partition(":")
    if for_job != job:
        return "the invoice was made for another job"
    if owner not in ("", provider):  # who says no more than the job may say so
        return "the invoice is one of another provider"
    return None


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


def _offer(
    order: Order,
    reply: Reply,
    mode: PayMode,
    invoice: Invoice | None,
    *,
    now: int,
    margin: int,
    answer: Answer | None = None,
) -> Offer | Unacceptable:
    """Make an offer of a reply that demands a payment in a mode which fits its kind."""
    amount = reply.amount
    if invoice is None or reply.bolt11 is None or amount is None:
        return Unacceptable("it names no amount, or has no invoice")
    reason = (
        foreign(order, reply)
        or _wrong_mode(order, mode)
        or _wrong_invoice(order, invoice)
        or misplaced(invoice.description or "", order.id, reply.provider)
        or _wrong_time(invoice, now, margin)
    )
    if reason:
        return Unacceptable(reason)
    if invoice.amount != amount:
        return Unacceptable(_other_amount(amount, invoice.amount), True)
    if amount > order.max_price:
        limit = show_sats(order.max_price)
        return Unacceptable(f"{show_sats(amount)} is above the limit of {limit}")
    return Offer(
        provider=reply.provider,
        feedback=reply.id,
        amount=amount,
        bolt11=reply.bolt11,
        payment_hash=invoice.payment_hash,
        node_key=invoice.payee,
        expires_at=invoice.expires_at,
        mode=mode,
        answer=answer,
    )


def _wrong_mode(order: Order, mode: PayMode) -> str | None:
    if mode in order.accepts:
        return None
    return f"it wants to be paid in the mode {mode}, and we pay by {', '.join(order.accepts)}"


def _wrong_lock(result: Result, locked: Locked) -> str | None:
    """Say what is wrong with a locked result that can be seen without the key."""
    if result.encryption is not Encryption.NIP44:
        return "it is locked and not encrypted to us: whoever forwards the payment could read it"
    try:
        data = binascii.a2b_base64(result.content, strict_mode=True)
    except (binascii.Error, ValueError):
        return "it is locked, and no base64"
    if len(data) <= NONCE_BYTES + TAG_BYTES or locked.digest == _EMPTY:
        return "it is locked, and too short to hold an answer"
    return None


def _other_amount(amount: Msat, asked: Msat | None) -> str:
    if asked is None:
        return "the invoice leaves the amount open"
    return f"it says {show_sats(amount)} and its invoice {show_sats(asked)}"


def _wrong_invoice(order: Order, invoice: Invoice) -> str | None:
    if invoice.network is not order.network:
        return f"the invoice is for {invoice.network}, this order for {order.network}"
    if (invoice.description is None) == (invoice.description_hash is None):
        return "the invoice must have a description or its hash, and not both"
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
