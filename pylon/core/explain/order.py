"""A bought job explained: why it is unpaid, or where the money is."""

from collections.abc import Sequence

from pylon.core import order_machine
from pylon.core.explain.story import Explanation, Line, brief, in_order, told_by
from pylon.model.event import Event
from pylon.model.ids import PublicKey
from pylon.model.money import PayMode, show_sats
from pylon.model.order import (
    Answer,
    Cheated,
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
    Reclaiming,
    Refunded,
    Reserving,
    Unknown,
)

_WENT_THROUGH = {
    "Draft": "the order is stored",
    "Published": "a relay has the request; offers are collected",
    "Chosen": "an offer is chosen, and waits for a yes",
    "Reserving": "its price and fee are being set aside in the budget",
    "Paying": "the wallet is told to pay",
    "Unknown": "the wallet has not said yet whether the money has moved",
    "Paid": "the payment is settled, and its preimage is ours",
    "Done": "answered",
    "Declined": "declined",
    "NotServed": "not served",
    "Disputed": "paid, and not answered",
    "Cheated": "the locked result is not what was sold",
    "Reclaiming": "the provider owes the money back; an invoice for it is being made",
    "Refunded": "the money has come back",
    "Withdrawn": "called off",
}


def explain_order(
    order: Order,
    state: OrderState,
    *,
    history: Sequence[tuple[int, str, str]],
    events: Sequence[Event],
    now: int,
) -> Explanation:
    """Explain an order. `history` is (unix seconds, phase, words); `events` what was kept of it."""
    offer = _offer(state)
    chosen = offer.feedback if offer else None
    lines = [Line(at, _went_through(phase, words)) for at, phase, words in history]
    lines += [told_by(event, chosen=chosen) for event in (order.request, *events)]
    return Explanation(
        state=type(state).__name__,
        money=_money(state),
        next=_next(order, state, now),
        facts=_facts(order, state),
        timeline=in_order(lines),
    )


def _went_through(phase: str, words: str) -> str:
    sentence = _WENT_THROUGH.get(phase, phase)
    return f"{sentence}: {brief(words)}" if words else sentence


def _offer(state: OrderState) -> Offer | None:
    offer = getattr(state, "offer", None)
    return offer if isinstance(offer, Offer) else None


def _money(state: OrderState) -> str:
    """Say where the money is."""
    offer = _offer(state)
    if offer is None:
        return "Nothing was paid, and nothing is set aside."
    price = show_sats(offer.amount)
    match state:
        case Chosen():
            return f"{price} are asked for; nothing is set aside or paid."
        case Reserving():
            return f"{price} and the most the fee may be are being set aside; nothing is paid."
        case Paying() | Unknown() if offer.mode in order_machine.HELD_FIRST:
            are = "may be" if isinstance(state, Unknown) else "are"
            return (
                f"{price} {are} on their way and held: they move when the answer is out, and come "
                "back if it does not. They stay set aside until then."
            )
        case Paying():
            return f"{price} are being paid; they stay set aside until the wallet says more."
        case Unknown():
            return (
                f"{price} may or may not have been paid. They stay set aside, and are not paid "
                "twice, until the wallet knows."
            )
        case Done(fee=fee):
            return f"{price} were paid, and {show_sats(fee)} in fees."
        case Refunded(amount=amount):
            return f"{price} were paid, and {show_sats(amount)} have come back."
        case Reclaiming(amount=amount):
            return f"{price} were paid; the provider has promised {show_sats(amount)} back."
        case _:
            return f"{price} were paid, and are with the provider."


def _next(order: Order, state: OrderState, now: int) -> str:
    """Say what happens next, and by when."""
    late = now > order.deadline
    match state:
        case Draft():
            return "A relay takes the request, or the order ends at its deadline."
        case Published(offers=offers):
            return f"Offers are collected ({len(offers)} so far) until the best is chosen."
        case Chosen():
            return "Somebody says yes or no to the offer."
        case Paying(offer=offer) | Unknown(offer=offer) if offer.mode in order_machine.HELD_FIRST:
            return (
                "The provider answers and takes what is held, or lets go of it: "
                f"`pylon job results {order.id[:8]} --wait`."
            )
        case Reserving() | Paying():
            return "The payment goes out as soon as the order is looked after."
        case Unknown():
            return "The wallet is asked again and again, by payment hash, until it knows."
        case Paid(answer=Answer()):
            return "The preimage that was paid for opens the result."
        case Paid():
            wait = "its time is over" if late else "the provider has time until its deadline"
            return f"The answer is awaited; {wait}."
        case Disputed(refund=refund) if refund:
            return f"`pylon job refund {order.id[:8]}` asks for the {show_sats(refund)} again."
        case Disputed():
            return "A late answer still counts, and so does a promise to pay it back."
        case Cheated():
            return "The evidence is kept, and this provider is not dealt with again."
        case Reclaiming():
            return "The provider pays our invoice; `pylon job refund` looks after it."
        case _:
            return "Nothing: it has ended."


def _facts(order: Order, state: OrderState) -> tuple[tuple[str, str], ...]:
    """List what proves it, as far as there is anything."""
    offer, answer = _offer(state), getattr(state, "answer", None)
    reason = state.reason if isinstance(state, Declined | NotServed | Disputed | Cheated) else None
    known = {
        "request": order.id,
        "limit": f"{show_sats(order.max_price)}, and {show_sats(order.max_fee)} in fees",
        "why": None if reason is None else brief(reason),
        "provider": _provider(order, state),
        "offer": offer.feedback if offer else None,
        "mode": str(offer.mode) if offer else None,
        "price": show_sats(offer.amount) if offer else None,
        "payee": offer.node_key if offer else None,
        "payment hash": offer.payment_hash if offer else None,
        "preimage": getattr(state, "preimage", None),
        "result": answer.result if isinstance(answer, Answer) else None,
        "lock": _lock(offer),
    }
    return tuple((name, value) for name, value in known.items() if value)


def _provider(order: Order, state: OrderState) -> PublicKey | None:
    offer = _offer(state)
    if offer is not None:
        return offer.provider
    return state.answer.provider if isinstance(state, Done) else order.provider


def _lock(offer: Offer | None) -> str | None:
    if offer is None or offer.mode not in (PayMode.LOCKED, PayMode.HOLD_LOCKED):
        return None
    return "the payment's preimage opens the result"
