"""Decide what happens to a bought job next; do none of it.

`advance` is pure, like its sister in `job_machine`. It pays at most one payment hash at a time, the
chosen provider's, and looks at another offer only after the wallet has said for certain that the
first was not paid (market.md).

    Draft ► Published(offers) ► Chosen ► Reserving ► Paying ► Paid ► Done
                                  │          │         └ Unknown ─ wallet says ► Paid | next offer
                                  └ Declined ┘         Paid, no answer by the deadline ► Disputed
    Paid for what does not open ► Cheated
    Paid, then refused with a refund ► Reclaiming ► Refunded

A held payment is one that stays `Unknown` until the answer is there. A locked result is an offer
that brings its answer along; what is paid for it is the key.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TypeAlias

from attrs import evolve, frozen

from pylon.model.ids import EventId, PaymentHash, Preimage, PublicKey
from pylon.model.money import ZERO, Msat, PayMode
from pylon.model.order import (
    Answer,
    Cause,
    Cheated,
    Chosen,
    Declined,
    Disputed,
    Done,
    Draft,
    Failure,
    NotServed,
    Offer,
    Order,
    OrderState,
    Paid,
    Paying,
    Published,
    Reclaiming,
    Refunded,
    Reserving,
    Unknown,
    Withdrawn,
)
from pylon.model.wallet import IssuedInvoice

EXPIRY_MARGIN_SECONDS = 10  # an invoice with less time left is not worth starting to pay
LOOKUP_SECONDS = 2  # how often an unknown payment is asked about
LATE_LOOKUP_SECONDS = 20  # and how often after the order's deadline; some are held for a day
WORD_SECONDS = 3  # how long a provider may take to say why it has given a payment back
REFUND_LOOKUP_SECONDS = 5  # how soon the wallet is asked whether a refund has come
REFUND_PATIENCE_SECONDS = 600  # and how often in the end
REFUND_EXPIRY_SECONDS = 86_400  # how long a provider has to pay one invoice for it
MAX_REFUND_INVOICES = 7
MAX_OFFERS = 64  # offers kept for one order; more are a flood

HELD_FIRST = (PayMode.HOLD, PayMode.HOLD_LOCKED)

# News: what can happen to an order.


@frozen
class RequestPublished:
    """Enough relays have the request."""


@frozen
class RequestRefused:
    """Every relay has refused the request for good."""

    reason: str


@frozen
class OfferHeard:
    """A provider asks to be paid; the offer has passed `core.offers`."""

    offer: Offer


@frozen
class ErrorHeard:
    """A provider says that it will not answer, and perhaps that it owes us a refund."""

    provider: PublicKey
    reason: str
    refund: Msat = ZERO


@frozen
class ResultHeard:
    """A provider has published a result that is addressed to us, and readable unless locked."""

    answer: Answer


@frozen
class Approved:
    """A person said yes to the offer of this payment hash."""

    payment_hash: PaymentHash


@frozen
class Denied:
    """A person said no to the offer of this payment hash."""

    payment_hash: PaymentHash


@frozen
class BudgetReserved:
    """Amount and fee cap are set aside for this payment hash."""

    payment_hash: PaymentHash


@frozen
class BudgetExceeded:
    """Some cap does not allow it, or the hash belongs to another order."""

    payment_hash: PaymentHash
    reason: str


@frozen
class PaymentSucceeded:
    """The wallet has the preimage, and it fits the hash."""

    payment_hash: PaymentHash
    preimage: Preimage
    fee: Msat


@frozen
class PaymentRefused:
    """The wallet is certain that nothing was paid.

    With `never_begun` it has not even tried, and may be asked to again: it pays a hash only once.
    """

    payment_hash: PaymentHash
    reason: str
    never_begun: bool = False


@frozen
class PaymentUncertain:
    """The wallet does not know, or did not answer."""

    payment_hash: PaymentHash


@frozen
class Opened:
    """The preimage opens the locked result, and it is what was promised."""

    result: EventId


@frozen
class NotOpened:
    """The preimage does not open the locked result, or it is not what was promised."""

    result: EventId
    reason: str


@frozen
class ReclaimAsked:
    """The buyer wants to try once more to get back what a provider owes.

    It may not have had the money when it was asked, or may never have heard of it.
    """


@frozen
class RefundInvoiceMade:
    """Our wallet made the invoice for what we are owed."""

    invoice: IssuedInvoice


@frozen
class RefundInvoiceImpossible:
    """Our wallet cannot make that invoice."""

    reason: str


@frozen
class RefundArrived:
    """Our wallet says that the invoice for a refund is settled."""

    payment_hash: PaymentHash


@frozen
class RefundInvoiceClosed:
    """Our wallet says that the invoice for a refund was not paid and can no longer be."""

    payment_hash: PaymentHash


@frozen
class CancelAsked:
    """The buyer wants the order called off."""


@frozen
class TimePassed:
    """It is now this late."""


News: TypeAlias = (
    RequestPublished
    | RequestRefused
    | OfferHeard
    | ErrorHeard
    | ResultHeard
    | Approved
    | Denied
    | BudgetReserved
    | BudgetExceeded
    | PaymentSucceeded
    | PaymentRefused
    | PaymentUncertain
    | Opened
    | NotOpened
    | ReclaimAsked
    | RefundInvoiceMade
    | RefundInvoiceImpossible
    | RefundArrived
    | RefundInvoiceClosed
    | CancelAsked
    | TimePassed
)

# Acts: what the world must now do.


@frozen
class PublishRequest:
    """Publish the order's request, and tell when a relay has it."""


@frozen
class PublishCancel:
    """Tell providers that the order is off (kind 5)."""


@frozen
class Reserve:
    """Set amount and fee cap aside in every budget above, in one transaction."""

    payment_hash: PaymentHash
    amount: Msat
    fee: Msat


@frozen
class Release:
    """Give a reservation back: its payment has definitely failed."""

    payment_hash: PaymentHash


@frozen
class Spend:
    """Turn a reservation into what was really spent."""

    payment_hash: PaymentHash
    amount: Msat
    fee: Msat


@frozen
class Pay:
    """Pay the invoice, once."""

    bolt11: str
    payment_hash: PaymentHash
    max_fee: Msat


@frozen
class LookUp:
    """Ask the wallet what became of a payment, by hash."""

    payment_hash: PaymentHash


@frozen
class Open:
    """Open a locked result with the preimage that was paid for."""

    result: EventId
    preimage: Preimage


@frozen
class MakeRefundInvoice:
    """Make an invoice for what we are owed; the wallet's key is the order's id and `attempt`."""

    amount: Msat
    attempt: int
    expiry_seconds: int


@frozen
class SendRefundInvoice:
    """Send the provider our invoice, signed and encrypted."""

    provider: PublicKey
    invoice: IssuedInvoice


@frozen
class CheckRefund:
    """Ask the wallet whether our invoice was paid."""

    payment_hash: PaymentHash


Act: TypeAlias = (
    PublishRequest
    | PublishCancel
    | Reserve
    | Release
    | Spend
    | Pay
    | LookUp
    | Open
    | MakeRefundInvoice
    | SendRefundInvoice
    | CheckRefund
)


@frozen
class Step:
    """The outcome of one piece of news."""

    state: OrderState
    acts: tuple[Act, ...] = ()


def begin() -> Step:
    """Open an order's life."""
    return Step(Draft(), (PublishRequest(),))


def advance(
    order: Order,
    state: OrderState,
    news: News,
    now: int,
    failures: Mapping[PublicKey, int] = MappingProxyType({}),
    *,
    cheats: Collection[str] = (),
) -> Step:
    """Apply `news`, heard at `now` (unix seconds), to `state`. Total: it never raises.

    `failures` counts, by provider, the earlier orders that were paid and not answered; `cheats` have
    sold an answer that did not open, and are not paid any more, whatever they have offered before.
    """
    view = _View(order, now, failures, cheats)
    match state:
        case Draft() | Published():
            return _open(view, state, news)
        case Chosen():
            return _chosen(view, state, news)
        case Reserving():
            return _reserving(view, state, news)
        case Unknown(returned=str()):
            return _returned(view, state, news)
        case Paying() | Unknown():
            return _paying(view, state, news)
        case Paid() | Disputed():
            return _paid(view, state, news)
        case Reclaiming():
            return _reclaiming(view, state, news)
        case _:
            return Step(state)


def due(order: Order, state: OrderState) -> int | None:
    """Return when time itself becomes news for this state (unix seconds)."""
    match state:
        case Published(window_ends=int(ends)):
            return min(ends, order.deadline)
        case Draft() | Published() | Chosen() | Paid(answer=None):
            return order.deadline
        case Unknown(since=since, returned=str()):
            return since + WORD_SECONDS
        case Unknown(since=since, asking=False):
            return since + (LOOKUP_SECONDS if since < order.deadline else LATE_LOOKUP_SECONDS)
        case Reclaiming(invoice=IssuedInvoice() as invoice, asked_at=int(asked_at)):
            return asked_at + _refund_pause(asked_at - invoice.created_at)
        case _:
            return None


def _refund_pause(age: int) -> int:
    """Say when to ask again about an invoice that has waited for so many seconds: ever less often."""
    return min(max(age // 4, REFUND_LOOKUP_SECONDS), REFUND_PATIENCE_SECONDS)


def is_final(state: OrderState) -> bool:
    """Say whether the order has ended; a disputed one may be answered late, or paid back."""
    return not isinstance(state, Draft | Published | Chosen | Reserving | Paying | Unknown | Paid)


def is_owed(state: OrderState) -> bool:
    """Say whether a provider has promised money back that has not come."""
    return isinstance(state, Reclaiming) or (isinstance(state, Disputed) and state.refund > 0)


def best(offers: tuple[Offer, ...], failures: Mapping[PublicKey, int]) -> Offer:
    """Pick by price times (1 + own failure history); ties go to the offer heard first."""
    return min(offers, key=lambda offer: offer.amount * (1 + failures.get(offer.provider, 0)))


@frozen
class _View:
    """What a step is decided by, beside state and news."""

    order: Order
    now: int
    failures: Mapping[PublicKey, int]
    cheats: Collection[str]

    @property
    def too_late(self) -> bool:
        return self.now >= self.order.deadline

    def is_due(self, state: OrderState) -> bool:
        when = due(self.order, state)
        return when is not None and self.now >= when

    def accepts(self, offer: Offer) -> bool:
        """Repeat the checks that time, arithmetic and memory decide, whoever read the offer."""
        return (
            self.order.provider in (None, offer.provider)
            and offer.provider not in self.cheats
            and offer.mode in self.order.accepts
            and 0 < offer.amount <= self.order.max_price
            and self.now + EXPIRY_MARGIN_SECONDS <= offer.expires_at
            and not self.too_late
        )

    def gone(self, offer: Offer) -> str:
        """Say why an offer that was good is so no more."""
        return "its provider cheated" if offer.provider in self.cheats else "the offer expired"

    def choose(self, offers: tuple[Offer, ...]) -> Step | None:
        """Go for the best of those that still stand; None where none does."""
        live = tuple(filter(self.accepts, offers))
        if not live:
            return None
        offer = best(live, self.failures)
        return self.pick(offer, tuple(other for other in live if other != offer))

    def pick(self, offer: Offer, others: tuple[Offer, ...] = ()) -> Step:
        if not self.order.auto_pay:
            return Step(Chosen(offer, others))
        return self.reserve(offer, others)

    def reserve(self, offer: Offer, others: tuple[Offer, ...]) -> Step:
        reserve = Reserve(offer.payment_hash, offer.amount, self.order.max_fee)
        return Step(Reserving(offer, others), (reserve,))

    def next_offer(self, others: tuple[Offer, ...], reason: str, cause: Cause) -> Step:
        """Turn to the next best offer; only ever after the last one is certainly unpaid."""
        return self.choose(others) or Step(NotServed(reason, cause), (PublishCancel(),))


def _open(view: _View, state: Draft | Published, news: News) -> Step:
    match news:
        case RequestPublished() if isinstance(state, Draft):
            return Step(Published())
        case RequestRefused(reason) if isinstance(state, Draft):
            return Step(NotServed(f"no relay takes the request: {reason}", Cause.RELAYS))
        case OfferHeard(offer) if view.accepts(offer):
            return _collect(view, state, offer)
        case ErrorHeard(provider, reason):
            return _lose_provider(view.order, state, provider, reason)
        case ResultHeard(answer) if (
            view.order.provider in (None, answer.provider) and answer.locked is None
        ):
            return Step(Done(answer))
        case CancelAsked():
            return Step(Withdrawn(), (PublishCancel(),))
        case TimePassed():
            return _open_at(view, state)
        case _:
            return Step(state)


def _open_at(view: _View, state: Draft | Published) -> Step:
    match state:
        case Draft() if view.too_late:
            return Step(NotServed("no relay took the request in time", Cause.RELAYS))
        case Published() if view.too_late:
            return Step(NotServed("no provider answered in time", Cause.TIME), (PublishCancel(),))
        case Published(offers=offers, window_ends=int(ends)) if view.now >= ends:
            return view.choose(offers) or Step(Published())
        case _:
            return Step(state)


def _collect(view: _View, state: Draft | Published, offer: Offer) -> Step:
    """Keep a provider's first offer; a targeted order needs no window.

    A payment hash offered before is somebody else's invoice, copied.
    """
    if view.order.provider is not None:
        return view.pick(offer)
    window_ends = view.now + view.order.offer_seconds
    if isinstance(state, Draft):
        return Step(Published((offer,), window_ends))
    offers = state.offers
    taken = any(
        offer.provider == known.provider or offer.payment_hash == known.payment_hash
        for known in offers
    )
    if taken or len(offers) >= MAX_OFFERS:
        return Step(state)
    return Step(Published((*offers, offer), state.window_ends or window_ends))


def _lose_provider(
    order: Order, state: Draft | Published, provider: PublicKey, reason: str
) -> Step:
    if provider == order.provider:
        return Step(NotServed(f"the provider refused: {reason}", Cause.PROVIDER))
    if isinstance(state, Published):
        offers = tuple(offer for offer in state.offers if offer.provider != provider)
        return Step(evolve(state, offers=offers, window_ends=state.window_ends if offers else None))
    return Step(state)


def _chosen(view: _View, state: Chosen, news: News) -> Step:
    offer = state.offer
    match news:
        case Approved(payment_hash) if payment_hash == offer.payment_hash:
            if not view.accepts(offer):
                reason = f"{view.gone(offer)} before it was approved"
                return Step(NotServed(reason, Cause.TIME), (PublishCancel(),))
            return view.reserve(offer, state.others)
        case Denied(payment_hash) if payment_hash == offer.payment_hash:
            return Step(Declined("not approved", Cause.PERSON), (PublishCancel(),))
        case ErrorHeard(provider, reason) if provider == offer.provider:
            return view.next_offer(state.others, reason, Cause.PROVIDER)
        case ResultHeard(answer) if _is_gift(answer, offer):
            return Step(Done(answer))
        case CancelAsked():
            return Step(Withdrawn(), (PublishCancel(),))
        case TimePassed() if view.too_late:
            return Step(
                Declined("nobody approved the offer in time", Cause.PERSON), (PublishCancel(),)
            )
        case _:
            return Step(state)


def _reserving(view: _View, state: Reserving, news: News) -> Step:
    offer = state.offer
    release = Release(offer.payment_hash)
    match news:
        case BudgetReserved(payment_hash) if payment_hash == offer.payment_hash:
            if not view.accepts(offer):
                step = view.next_offer(state.others, view.gone(offer), Cause.TIME)
                return evolve(step, acts=(release, *step.acts))
            return Step(Paying(offer, state.others), (_pay(view, offer),))
        case BudgetExceeded(payment_hash, reason) if payment_hash == offer.payment_hash:
            return Step(Declined(reason, Cause.BUDGET), (PublishCancel(),))
        case ErrorHeard(provider, reason) if provider == offer.provider:
            step = view.next_offer(state.others, reason, Cause.PROVIDER)
            return evolve(step, acts=(release, *step.acts))
        case ResultHeard(answer) if _is_gift(answer, offer):
            return Step(Done(answer), (release,))
        case CancelAsked():
            return Step(Withdrawn(), (release, PublishCancel()))
        case _:
            return Step(state)


def _pay(view: _View, offer: Offer) -> Pay:
    return Pay(offer.bolt11, offer.payment_hash, view.order.max_fee)


def _is_gift(answer: Answer, offer: Offer) -> bool:
    """Say whether a provider has given away what it has made an offer for."""
    return answer.provider == offer.provider and answer.locked is None


def _belongs(answer: Answer, offer: Offer) -> bool:
    """Say whether an answer is the chosen provider's, and opens with what is paid for the offer."""
    opens = answer.locked is None or answer.locked.payment_hash == offer.payment_hash
    return answer.provider == offer.provider and opens


def _paying(view: _View, state: Paying | Unknown, news: News) -> Step:
    offer = state.offer
    match news:
        case PaymentSucceeded(payment_hash, preimage, fee) if payment_hash == offer.payment_hash:
            step = _succeeded(state, preimage, fee)
            return evolve(step, acts=(Spend(payment_hash, offer.amount, fee), *step.acts))
        case PaymentRefused(payment_hash) if payment_hash == offer.payment_hash:
            stale = news.never_begun and isinstance(state, Paying)  # it has been begun since
            return Step(state) if stale else _not_paid(view, state, news)
        case PaymentUncertain(payment_hash) if payment_hash == offer.payment_hash:
            return Step(_unknown(state, view.now))
        case ResultHeard(answer) if _belongs(answer, offer):
            return Step(evolve(state, answer=_readable(state.answer, answer)))
        case ErrorHeard(provider, reason, refund) if provider == offer.provider:
            return Step(evolve(state, failure=state.failure or Failure(reason, refund)))
        case CancelAsked() if offer.mode in HELD_FIRST and not state.cancelled:
            return Step(evolve(state, cancelled=True), (PublishCancel(),))
        case TimePassed() if isinstance(state, Unknown) and view.is_due(state):
            return _ask_wallet(view, state)
        case _:
            return Step(state)


def _readable(known: Answer | None, answer: Answer) -> Answer:
    """Keep the first answer, but prefer one that needs no key."""
    if known is None or (known.locked is not None and answer.locked is None):
        return answer
    return known


def _ask_wallet(view: _View, state: Unknown) -> Step:
    """Ask what became of a payment; one that is still held at the deadline is asked back."""
    asking, ask = evolve(state, since=view.now, asking=True), LookUp(state.offer.payment_hash)
    held = state.offer.mode in HELD_FIRST and state.answer is None
    if held and view.too_late and not state.cancelled:
        return Step(evolve(asking, cancelled=True), (PublishCancel(), ask))
    return Step(asking, (ask,))


def _unknown(state: Paying | Unknown, now: int) -> Unknown:
    return Unknown(
        state.offer,
        now,
        state.answer,
        state.others,
        failure=state.failure,
        cancelled=state.cancelled,
    )


def _succeeded(state: Paying | Unknown, preimage: Preimage, fee: Msat) -> Step:
    """Go on from a payment that is made, with what was heard before its word came."""
    paid, sold = Paid(state.offer, preimage, fee), state.offer.answer
    answer = state.answer if sold is None else _readable(sold, state.answer or sold)
    if answer is not None:
        return _answered(paid, answer)
    if state.failure is not None:
        return _refused(paid, state.failure)
    return Step(paid)


def _not_paid(view: _View, state: Paying | Unknown, refused: PaymentRefused) -> Step:
    """Go on from a payment that is certainly not made, or was held and has come back."""
    offer, answer = state.offer, state.answer
    given = answer is not None and answer.locked is None
    called_off = given or state.cancelled or state.failure is not None
    if refused.never_begun and not called_off and view.accepts(offer):
        return Step(Paying(offer, state.others, answer), (_pay(view, offer),))
    if offer.mode in HELD_FIRST and not called_off:
        return Step(evolve(_unknown(state, view.now), returned=refused.reason))
    return _unpaid(view, state, refused.reason)


def _returned(view: _View, state: Unknown, news: News) -> Step:
    """Wait a moment for the provider to say why a payment came back, or never was held."""
    match news:
        case ErrorHeard(provider, reason, refund) if provider == state.offer.provider:
            failed = evolve(state, failure=Failure(reason, refund))
            return _unpaid(view, failed, reason)
        case ResultHeard(answer) if _is_gift(answer, state.offer):
            return _unpaid(view, evolve(state, answer=answer), "")
        case CancelAsked():
            step = _unpaid(view, evolve(state, cancelled=True), "")
            return evolve(step, acts=(*step.acts, PublishCancel()))
        case TimePassed() if view.is_due(state):
            return _unpaid(view, state, state.returned or "")
        case PaymentSucceeded():  # a wallet that was wrong is not contradicted
            return _paying(view, state, news)
        case _:
            return Step(state)


def _unpaid(view: _View, state: Paying | Unknown, reason: str) -> Step:
    """Give back what was set aside, and go on."""
    step = _without_payment(view, state, reason)
    return evolve(step, acts=(Release(state.offer.payment_hash), *step.acts))


def _without_payment(view: _View, state: Paying | Unknown, reason: str) -> Step:
    """Say what becomes of an order whose payment is certainly not made."""
    if state.answer is not None and state.answer.locked is None:
        return Step(Done(state.answer))
    if state.cancelled:
        return Step(NotServed("no answer in time", Cause.TIME) if view.too_late else Withdrawn())
    if state.failure is not None:
        return view.next_offer(state.others, state.failure.reason, Cause.PROVIDER)
    return view.next_offer(state.others, f"payment failed: {reason}", Cause.PAYMENT)


def _paid(view: _View, state: Paid | Disputed, news: News) -> Step:
    offer, preimage, fee = state.offer, state.preimage, state.fee
    match news:
        case ResultHeard(answer) if _belongs(answer, offer) and state.answer is None:
            return _answered(state, answer)
        case Opened(result) if state.answer is not None and result == state.answer.result:
            return Step(Done(state.answer, offer, preimage, fee))
        case NotOpened(result, reason) if state.answer and result == state.answer.result:
            return Step(Cheated(offer, preimage, fee, state.answer, reason))
        case ErrorHeard(provider, reason, refund) if provider == offer.provider:
            return _refused(state, Failure(reason, refund))
        case ReclaimAsked() if isinstance(state, Disputed) and state.refund:
            return _reclaim(state, state.reason, state.refund)
        case TimePassed() if isinstance(state, Paid) and not state.answer and view.too_late:
            return Step(Disputed(offer, preimage, fee, "paid, and not answered in time"))
        case _:
            return Step(state)


def _answered(state: Paid | Disputed, answer: Answer) -> Step:
    """Take an answer that is paid for, and open it if it is locked."""
    if answer.locked is None:
        return Step(Done(answer, state.offer, state.preimage, state.fee))
    return Step(evolve(state, answer=answer), (Open(answer.result, state.preimage),))


def _refused(state: Paid | Disputed, failure: Failure) -> Step:
    """Hear that what is paid for will not come; whoever offers the money back is taken at the word."""
    if state.answer is not None:
        return Step(state)
    reason = f"paid, then refused: {failure.reason}"
    if 0 < failure.refund <= state.offer.amount:
        return _reclaim(state, reason, failure.refund)
    if isinstance(state, Disputed):
        return Step(state)
    return Step(Disputed(state.offer, state.preimage, state.fee, reason))


def _reclaim(state: Paid | Disputed | Reclaiming, reason: str, amount: Msat) -> Step:
    """Make the next invoice for what we are owed."""
    attempt = 1 if isinstance(state, Paid) else state.attempt + 1
    claim = Reclaiming(state.offer, state.preimage, state.fee, reason, amount, attempt)
    return Step(claim, (MakeRefundInvoice(amount, attempt, REFUND_EXPIRY_SECONDS),))


def _reclaiming(view: _View, state: Reclaiming, news: News) -> Step:
    ours = state.invoice.payment_hash if state.invoice else None
    match news:
        case RefundInvoiceMade(invoice) if ours is None:
            sent = SendRefundInvoice(state.offer.provider, invoice)
            return Step(evolve(state, invoice=invoice, asked_at=view.now), (sent,))
        case RefundInvoiceImpossible() if ours is None:
            return Step(_dispute(state))
        case ReclaimAsked() if state.invoice is not None:
            return Step(state, (SendRefundInvoice(state.offer.provider, state.invoice),))
        case RefundArrived(payment_hash) if payment_hash == ours:
            return Step(
                Refunded(
                    state.offer, state.preimage, state.fee, state.reason, state.amount, payment_hash
                )
            )
        case RefundInvoiceClosed(payment_hash) if payment_hash == ours:
            if state.attempt >= MAX_REFUND_INVOICES:
                return Step(_dispute(state))
            return _reclaim(state, state.reason, state.amount)
        case TimePassed() if ours and view.is_due(state):
            return Step(evolve(state, asked_at=view.now), (CheckRefund(ours),))
        case _:
            return Step(state)


def _dispute(state: Reclaiming) -> Disputed:
    return Disputed(
        state.offer,
        state.preimage,
        state.fee,
        state.reason,
        state.amount,
        attempt=state.attempt,
    )
