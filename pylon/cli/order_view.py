"""How an order looks: one schema for programs, one line or a receipt for people."""

from typing import TYPE_CHECKING, Any

from pylon.cli.exit_codes import ExitCode
from pylon.errors import PeerFault

if TYPE_CHECKING:
    from pylon.model.ids import PaymentHash, PublicKey
    from pylon.model.money import Msat
    from pylon.model.order import Offer, Order, OrderState, Paying, Unknown

SHORT = 8  # characters of an id that are shown; commands take them for the whole
LATE_SECONDS = 5  # how long after its deadline an order that is watched may take to end


def as_json(order: "Order", state: "OrderState", answer: str | None = None) -> dict[str, Any]:
    """Lay an order out for programs; every key is always there, null where nothing is known."""
    offer: Offer | None = getattr(state, "offer", None)
    return {
        "id": order.id,
        "state": name(state),
        "reason": getattr(state, "reason", None),
        "kind": order.request.kind,
        "opened_at": order.opened_at,
        "deadline": order.deadline,
        "network": str(order.network),
        "max_price_msat": order.max_price,
        "provider": provider(order, state),
        "price_msat": offer.amount if offer else None,
        "fee_msat": getattr(state, "fee", None),
        "payment_hash": offer.payment_hash if offer else None,
        "preimage": getattr(state, "preimage", None),
        "invoice": offer.bolt11 if offer else None,
        "mode": str(offer.mode) if offer else None,
        "refund_msat": _refund(state),
        "refund_payment_hash": _refund_hash(state),
        "result": _result(state),
        "answer": answer,
    }


def receipt(order: "Order", state: "OrderState", words: str) -> list[tuple[str, str]]:
    """Lay an order out for people: what is known of it, with what proves it."""
    from pylon.cli.output import when
    from pylon.model.money import show_sats
    from pylon.wire import entities

    offer: Offer | None = getattr(state, "offer", None)
    who, fee = provider(order, state), getattr(state, "fee", None)
    refund = _refund(state)
    known = {
        "job": order.id,
        "asked": question(order),
        "when": when(order.opened_at),
        "state": f"{name(state)}: {words}",
        "provider": entities.npub(who) if who else None,
        "price": show_sats(offer.amount) if offer else None,
        "fee": show_sats(fee) if offer and fee is not None else None,
        "paid by": str(offer.mode) if offer else None,
        "payment hash": offer.payment_hash if offer else None,
        "preimage": getattr(state, "preimage", None),
        "refund": None if refund is None else show_sats(refund),
        "result": _result(state),
    }
    return [(label, value) for label, value in known.items() if value is not None]


def _refund(state: "OrderState") -> "Msat | None":
    """Say what has been given back, or is to be; None where nothing was promised."""
    from pylon.model import order as orders

    match state:
        case orders.Reclaiming(amount=amount) | orders.Refunded(amount=amount):
            return amount
        case orders.Disputed(refund=refund):
            return refund or None
        case _:
            return None


def _refund_hash(state: "OrderState") -> "PaymentHash | None":
    from pylon.model import order as orders

    match state:
        case orders.Reclaiming(invoice=invoice):
            return None if invoice is None else invoice.payment_hash
        case orders.Refunded(invoice=payment_hash):
            return payment_hash
        case _:
            return None


def _result(state: "OrderState") -> str | None:
    from pylon.model import order as orders

    return state.answer.result if isinstance(state, orders.Done | orders.Cheated) else None


def question(order: "Order") -> str:
    """Say what was asked, as far as anybody may read it."""
    from pylon.core import chat
    from pylon.wire import jobs

    if order.encrypted:
        return "(encrypted)"
    try:
        inputs = jobs.read_request(order.request).inputs
        if inputs:
            return inputs[0].data
        return chat.read_chat(order.request.content).prompt.messages[-1].content
    except PeerFault:
        return "(not readable)"


def provider(order: "Order", state: "OrderState") -> "PublicKey | None":
    """Name who answered, who was chosen, or who was asked, whichever is known."""
    from pylon.model.order import Done

    if isinstance(state, Done):
        return state.answer.provider
    offer: Offer | None = getattr(state, "offer", None)
    return offer.provider if offer else order.provider


def name(state: "OrderState") -> str:
    """Name a state as the documentation does: published, not-served, done."""
    return named(type(state).__name__)


def named(letters: str) -> str:
    """Write the name of a class of states as commands do: NotServed is not-served."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in letters).lstrip("-")


def in_words(
    order: "Order", state: "OrderState", *, pylon: str = "pylon", now: float | None = None
) -> str:
    """Say where an order stands, what it means for the money, and what to do.

    `pylon` is how a command for this home is called. With `now` (unix seconds) an order that
    nobody has looked after since its deadline is told from one that is under way.
    """
    from pylon.core.order_machine import is_final, is_owed
    from pylon.model.order import Disputed

    words = _in_words(state)
    if is_owed(state):
        return f"{words}: {pylon} job refund {order.id[:SHORT]} --wait"
    if is_final(state) and not isinstance(state, Disputed):
        return words
    left = now is not None and now > order.deadline + LATE_SECONDS and not is_final(state)
    over = "; its time is over, and this settles it" if left else ""
    return f"{words}{over}: {pylon} job results {order.id[:SHORT]} --wait"


def _in_words(state: "OrderState") -> str:
    from pylon.model import order as orders

    offer: Offer | None = getattr(state, "offer", None)
    if offer is not None:
        return _with_offer(state, offer)
    match state:
        case orders.Draft():
            return "not yet on a relay"
        case orders.Published(offers=offers):
            return f"waiting for offers ({len(offers)} so far)"
        case orders.Done():
            return "answered, for nothing"
        case orders.Declined(reason=reason) | orders.NotServed(reason=reason):
            return f"{reason}; nothing was paid"
        case _:
            return "called off; nothing was paid"


def _with_offer(state: "OrderState", offer: "Offer") -> str:
    from pylon.model import order as orders
    from pylon.model.money import show_sats

    price = show_sats(offer.amount)
    match state:
        case orders.Chosen():
            return f"{price} asked; waiting for a yes"
        case orders.Reserving():
            return f"paying {price}"
        case orders.Paying() | orders.Unknown():
            return _under_way(state, offer, price)
        case orders.Paid(answer=None):
            return f"{price} paid; waiting for the answer"
        case orders.Paid():
            return f"{price} paid; opening the answer"
        case orders.Done(fee=fee):
            return f"answered; {price} paid, {show_sats(fee)} in fees"
        case _:
            return _gone_wrong(state, price)


def _under_way(state: "Paying | Unknown", offer: "Offer", price: str) -> str:
    from pylon.core.order_machine import HELD_FIRST
    from pylon.model.order import Unknown

    if isinstance(state, Unknown) and state.returned is not None:
        return f"{price} came back; the provider may say why"
    held = "may be held" if isinstance(state, Unknown) else "are held"  # the wallet may not know
    if state.cancelled:
        return f"called off; {price} {held} until the provider lets go of them"
    if offer.mode in HELD_FIRST:
        return f"{price} {held} until the answer is there, and come back if it never is"
    if isinstance(state, Unknown):
        return f"{price} may or may not be paid, and will not be paid twice; asking the wallet"
    return f"paying {price}"


def _gone_wrong(state: "OrderState", price: str) -> str:
    from pylon.model import order as orders
    from pylon.model.money import show_sats

    match state:
        case orders.Reclaiming(reason=reason, amount=amount):
            return f"{reason}; {show_sats(amount)} are asked back"
        case orders.Refunded(reason=reason, amount=amount):
            return f"{reason}; {show_sats(amount)} came back"
        case orders.Disputed(reason=reason, refund=refund) if refund:
            return f"{reason}; {show_sats(refund)} were promised back and have not come"
        case orders.Disputed(reason=reason):
            return f"{reason}; {price} are with the provider, and a late answer still counts"
        case orders.Cheated(reason=reason):
            return (
                f"{price} paid for an answer that is not what was sold: {reason}; "
                "the proof is kept, and this provider is not paid any more"
            )
        case _:
            return price


def advice(state: "OrderState", *, pylon: str = "pylon") -> str | None:
    """Say what may help an order of the same kind next time; None where nothing is known to."""
    from pylon.model.order import Cause, Declined, NotServed

    helps = {
        Cause.RELAYS: "`pylon run` and `pylon relay` serve a relay on this machine",
        Cause.TIME: "is a provider running? --timeout gives it longer",
        Cause.PAYMENT: f"see {pylon} wallet balance, and {pylon} wallet fund",
        Cause.BUDGET: f"see {pylon} budget show",
    }
    return helps.get(state.cause) if isinstance(state, Declined | NotServed) else None


def exit_code(state: "OrderState") -> ExitCode:
    """Choose the exit status for how an order stands when a command stops watching it."""
    from pylon.model import order as orders
    from pylon.model.order import Cause

    causes = {
        Cause.RELAYS: ExitCode.NETWORK,
        Cause.TIME: ExitCode.TIMEOUT,
        Cause.PROVIDER: ExitCode.PROVIDER_FAILURE,
        Cause.PAYMENT: ExitCode.FUNDS,
        Cause.BUDGET: ExitCode.OVER_BUDGET,
        Cause.PERSON: ExitCode.FAILURE,
    }
    match state:
        case orders.Done():
            return ExitCode.OK
        case orders.NotServed(cause=cause) | orders.Declined(cause=cause):
            return causes[cause]
        case orders.Disputed() | orders.Reclaiming() | orders.Refunded() | orders.Cheated():
            return ExitCode.PROVIDER_FAILURE
        case orders.Paying() | orders.Unknown():
            return ExitCode.PAYMENT_UNKNOWN
        case orders.Withdrawn():
            return ExitCode.FAILURE
        case _:
            return ExitCode.TIMEOUT
