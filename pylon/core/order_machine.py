"""Decide what happens to a bought job next; do none of it.

`advance` is pure, like its sister in `job_machine`. It pays at most one payment hash at a time, the
chosen provider's, and looks at another offer only after the wallet has said for certain that the
first was not paid (market.md).

    Draft ► Published(offers) ► Chosen ► Reserving ► Paying ► Paid ► Done
                                  │          │         └ Unknown ─ wallet says ► Paid | next offer
                                  └ Declined ┘         Paid, no answer by the deadline ► Disputed
"""

from collections.abc import Mapping
from typing import TypeAlias

from attrs import evolve, frozen

from pylon.model.ids import PaymentHash, Preimage, PublicKey
from pylon.model.money import Msat
from pylon.model.order import (
    Answer,
    Cause,
    Chosen,
    Declined,
    Disputed,
    Done,
    Draft,
    NotServed,
    Offer,
    Order,
    OrderState,
    Paid,
    Paying,
    Published,
    Reserving,
    Unknown,
    Withdrawn,
)

EXPIRY_MARGIN_SECONDS = 10  # an invoice with less time left is not worth starting to pay
LOOKUP_SECONDS = 2  # how often an unknown payment is asked about, at first
MAX_OFFERS = 64  # offers kept for one order; more are a flood

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
    """A provider says that it will not answer."""

    provider: PublicKey
    reason: str


@frozen
class ResultHeard:
    """A provider has published a result that is addressed to us and readable."""

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
    """The wallet is certain that nothing was paid."""

    payment_hash: PaymentHash
    reason: str


@frozen
class PaymentUncertain:
    """The wallet does not know, or did not answer."""

    payment_hash: PaymentHash


@frozen
class CancelAsked:
    """The buyer wants the order called off."""


@frozen
class TimePassed:
    """It is now this late. `failures` counts what providers owe us from earlier orders."""

    failures: Mapping[PublicKey, int]


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


Act: TypeAlias = PublishRequest | PublishCancel | Reserve | Release | Spend | Pay | LookUp


@frozen
class Step:
    """The outcome of one piece of news."""

    state: OrderState
    acts: tuple[Act, ...] = ()


def begin() -> Step:
    """Open an order's life."""
    return Step(Draft(), (PublishRequest(),))


def advance(order: Order, state: OrderState, news: News, now: int) -> Step:
    """Apply `news`, heard at `now` (unix seconds), to `state`. Total: it never raises."""
    match state:
        case Draft() | Published():
            return _open(order, state, news, now)
        case Chosen():
            return _chosen(order, state, news, now)
        case Reserving():
            return _reserving(order, state, news, now)
        case Paying() | Unknown():
            return _paying(order, state, news, now)
        case Paid() | Disputed():
            return _paid(order, state, news, now)
        case _:
            return Step(state)


def due(order: Order, state: OrderState) -> int | None:
    """Return when time itself becomes news for this state (unix seconds)."""
    match state:
        case Published(window_ends=int(ends)):
            return min(ends, order.deadline)
        case Draft() | Published() | Chosen() | Paid():
            return order.deadline
        case Unknown(since=since):
            return since + LOOKUP_SECONDS
        case _:
            return None


def is_final(state: OrderState) -> bool:
    """Say whether the order has ended (a disputed one may still be answered late)."""
    return isinstance(state, Done | Declined | NotServed | Disputed | Withdrawn)


def best(offers: tuple[Offer, ...], failures: Mapping[PublicKey, int]) -> Offer:
    """Pick by price times (1 + own failure history); ties go to the offer heard first."""
    return min(offers, key=lambda offer: offer.amount * (1 + failures.get(offer.provider, 0)))


def _open(order: Order, state: Draft | Published, news: News, now: int) -> Step:
    match news:
        case RequestPublished() if isinstance(state, Draft):
            return Step(Published())
        case RequestRefused(reason) if isinstance(state, Draft):
            return Step(NotServed(f"no relay takes the request: {reason}", Cause.RELAYS))
        case OfferHeard(offer) if _is_acceptable(order, offer, now):
            return _collect(order, state, offer, now)
        case ErrorHeard(provider, reason):
            return _lose_provider(order, state, provider, reason)
        case ResultHeard(answer) if order.provider in (None, answer.provider):
            return Step(Done(answer))
        case CancelAsked():
            return Step(Withdrawn(), (PublishCancel(),))
        case TimePassed(failures):
            return _open_at(order, state, failures, now)
        case _:
            return Step(state)


def _open_at(
    order: Order, state: Draft | Published, failures: Mapping[PublicKey, int], now: int
) -> Step:
    match state:
        case Draft() if now >= order.deadline:
            return Step(NotServed("no relay took the request in time", Cause.RELAYS))
        case Published() if now >= order.deadline:
            return Step(NotServed("no provider answered in time", Cause.TIME), (PublishCancel(),))
        case Published(offers=offers, window_ends=int(ends)) if now >= ends:
            return _choose(order, offers, failures, now)
        case _:
            return Step(state)


def _is_acceptable(order: Order, offer: Offer, now: int) -> bool:
    """Repeat the checks that time and arithmetic decide, whoever read the offer."""
    return (
        order.provider in (None, offer.provider)
        and 0 < offer.amount <= order.max_price
        and now + EXPIRY_MARGIN_SECONDS <= offer.expires_at
        and now < order.deadline
    )


def _collect(order: Order, state: Draft | Published, offer: Offer, now: int) -> Step:
    """Keep a provider's first offer; a targeted order needs no window.

    A payment hash offered before is somebody else's invoice, copied.
    """
    if order.provider is not None:
        return _pick(order, offer, ())
    if isinstance(state, Draft):
        return Step(Published((offer,), now + order.offer_seconds))
    offers = state.offers
    taken = any(
        offer.provider == known.provider or offer.payment_hash == known.payment_hash
        for known in offers
    )
    if taken or len(offers) >= MAX_OFFERS:
        return Step(state)
    return Step(Published((*offers, offer), state.window_ends or now + order.offer_seconds))


def _lose_provider(
    order: Order, state: Draft | Published, provider: PublicKey, reason: str
) -> Step:
    if provider == order.provider:
        return Step(NotServed(f"the provider refused: {reason}", Cause.PROVIDER))
    if isinstance(state, Published):
        offers = tuple(offer for offer in state.offers if offer.provider != provider)
        return Step(evolve(state, offers=offers, window_ends=state.window_ends if offers else None))
    return Step(state)


def _choose(
    order: Order, offers: tuple[Offer, ...], failures: Mapping[PublicKey, int], now: int
) -> Step:
    live = tuple(offer for offer in offers if _is_acceptable(order, offer, now))
    if not live:
        return Step(Published())
    offer = best(live, failures)
    return _pick(order, offer, tuple(other for other in live if other != offer))


def _pick(order: Order, offer: Offer, others: tuple[Offer, ...]) -> Step:
    if not order.auto_pay:
        return Step(Chosen(offer, others))
    return _reserve(order, offer, others)


def _reserve(order: Order, offer: Offer, others: tuple[Offer, ...]) -> Step:
    reserve = Reserve(offer.payment_hash, offer.amount, order.max_fee)
    return Step(Reserving(offer, others), (reserve,))


def _chosen(order: Order, state: Chosen, news: News, now: int) -> Step:
    offer = state.offer
    match news:
        case Approved(payment_hash) if payment_hash == offer.payment_hash:
            if not _is_acceptable(order, offer, now):
                reason = "the offer expired before it was approved"
                return Step(NotServed(reason, Cause.TIME), (PublishCancel(),))
            return _reserve(order, offer, state.others)
        case Denied(payment_hash) if payment_hash == offer.payment_hash:
            return Step(Declined("not approved", Cause.PERSON), (PublishCancel(),))
        case ErrorHeard(provider, reason) if provider == offer.provider:
            return _next_offer(order, state.others, reason, Cause.PROVIDER, now)
        case ResultHeard(answer) if answer.provider == offer.provider:
            return Step(Done(answer))
        case CancelAsked():
            return Step(Withdrawn(), (PublishCancel(),))
        case TimePassed() if now >= order.deadline:
            return Step(
                Declined("nobody approved the offer in time", Cause.PERSON), (PublishCancel(),)
            )
        case _:
            return Step(state)


def _reserving(order: Order, state: Reserving, news: News, now: int) -> Step:
    offer = state.offer
    release = Release(offer.payment_hash)
    match news:
        case BudgetReserved(payment_hash) if payment_hash == offer.payment_hash:
            if not _is_acceptable(order, offer, now):
                step = _next_offer(order, state.others, "the offer expired", Cause.TIME, now)
                return evolve(step, acts=(release, *step.acts))
            pay = Pay(offer.bolt11, payment_hash, order.max_fee)
            return Step(Paying(offer, state.others), (pay,))
        case BudgetExceeded(payment_hash, reason) if payment_hash == offer.payment_hash:
            return Step(Declined(reason, Cause.BUDGET), (PublishCancel(),))
        case ErrorHeard(provider, reason) if provider == offer.provider:
            step = _next_offer(order, state.others, reason, Cause.PROVIDER, now)
            return evolve(step, acts=(release, *step.acts))
        case ResultHeard(answer) if answer.provider == offer.provider:
            return Step(Done(answer), (release,))
        case CancelAsked():
            return Step(Withdrawn(), (release, PublishCancel()))
        case _:
            return Step(state)


def _paying(order: Order, state: Paying | Unknown, news: News, now: int) -> Step:
    offer = state.offer
    match news:
        case PaymentSucceeded(payment_hash, preimage, fee) if payment_hash == offer.payment_hash:
            spend = Spend(payment_hash, offer.amount, fee)
            if state.answer is not None:
                return Step(Done(state.answer, offer, preimage, fee), (spend,))
            return Step(Paid(offer, preimage, fee), (spend,))
        case PaymentRefused(payment_hash) if payment_hash == offer.payment_hash and state.answer:
            return Step(Done(state.answer), (Release(payment_hash),))
        case PaymentRefused(payment_hash, reason) if payment_hash == offer.payment_hash:
            others = state.others if isinstance(state, Paying) else ()
            step = _next_offer(order, others, f"payment failed: {reason}", Cause.PAYMENT, now)
            return evolve(step, acts=(Release(payment_hash), *step.acts))
        case PaymentUncertain(payment_hash) if payment_hash == offer.payment_hash:
            return Step(Unknown(offer, now, state.answer), ())
        case ResultHeard(answer) if answer.provider == offer.provider:
            return Step(evolve(state, answer=state.answer or answer))
        case TimePassed() if isinstance(state, Unknown) and now >= state.since + LOOKUP_SECONDS:
            return Step(evolve(state, since=now), (LookUp(offer.payment_hash),))
        case _:
            return Step(state)


def _next_offer(
    order: Order, others: tuple[Offer, ...], reason: str, cause: Cause, now: int
) -> Step:
    """Turn to the next best offer; only ever after the last one is certainly unpaid."""
    live = tuple(offer for offer in others if _is_acceptable(order, offer, now))
    if not live:
        return Step(NotServed(reason, cause), (PublishCancel(),))
    offer = best(live, {})
    return _pick(order, offer, tuple(other for other in live if other != offer))


def _paid(order: Order, state: Paid | Disputed, news: News, now: int) -> Step:
    offer, preimage, fee = state.offer, state.preimage, state.fee
    match news:
        case ResultHeard(answer) if answer.provider == offer.provider:
            return Step(Done(answer, offer, preimage, fee))
        case ErrorHeard(provider, reason) if isinstance(state, Paid) and provider == offer.provider:
            return Step(Disputed(offer, preimage, fee, f"paid, then refused: {reason}"))
        case TimePassed() if isinstance(state, Paid) and now >= order.deadline:
            return Step(Disputed(offer, preimage, fee, "paid, and not answered in time"))
        case _:
            return Step(state)
