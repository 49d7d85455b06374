"""How an order looks: one schema for programs, one line or a few for people."""

from typing import TYPE_CHECKING, Any

from pylon.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from pylon.model.order import Offer, Order, OrderState


def as_json(order: "Order", state: "OrderState", answer: str | None = None) -> dict[str, Any]:
    """Lay an order out for programs; every key is always there, null where nothing is known."""
    from pylon.model import order as orders

    offer: Offer | None = getattr(state, "offer", None)
    provider = offer.provider if offer else order.provider
    if isinstance(state, orders.Done):
        provider = state.answer.provider
    return {
        "id": order.id,
        "state": name(state),
        "reason": getattr(state, "reason", None),
        "kind": order.request.kind,
        "opened_at": order.opened_at,
        "deadline": order.deadline,
        "network": str(order.network),
        "max_price_msat": order.max_price,
        "provider": provider,
        "price_msat": offer.amount if offer else None,
        "fee_msat": getattr(state, "fee", None),
        "payment_hash": offer.payment_hash if offer else None,
        "preimage": getattr(state, "preimage", None),
        "invoice": offer.bolt11 if offer else None,
        "result": state.answer.result if isinstance(state, orders.Done) else None,
        "answer": answer,
    }


def name(state: "OrderState") -> str:
    """Name a state as the documentation does: published, not-served, done."""
    letters = type(state).__name__
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in letters).lstrip("-")


def in_words(order: "Order", state: "OrderState") -> str:
    """Say where an order stands, what it means for the money, and what to do."""
    from pylon.model import order as orders

    offer: Offer | None = getattr(state, "offer", None)
    if offer is not None:
        return _with_offer(order, state, offer)
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


def _with_offer(order: "Order", state: "OrderState", offer: "Offer") -> str:
    from pylon.model import order as orders
    from pylon.model.money import show_sats

    price = show_sats(offer.amount)
    pick_up = f"pylon job results {order.id[:12]} --wait"
    match state:
        case orders.Chosen():
            return f"{price} asked; waiting for a yes"
        case orders.Unknown():
            return (
                f"{price} may or may not be paid; the wallet is being asked, and it will not be "
                f"paid twice: {pick_up}"
            )
        case orders.Paid():
            return f"{price} paid; waiting for the answer"
        case orders.Done(fee=fee):
            return f"answered; {price} paid, {show_sats(fee)} in fees"
        case orders.Disputed(reason=reason):
            return (
                f"{reason}; {price} are with the provider, and an answer that comes late still "
                f"counts: {pick_up}"
            )
        case _:
            return f"paying {price}"


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
        case orders.Disputed():
            return ExitCode.PROVIDER_FAILURE
        case orders.Paying() | orders.Unknown():
            return ExitCode.PAYMENT_UNKNOWN
        case orders.Withdrawn():
            return ExitCode.FAILURE
        case _:
            return ExitCode.TIMEOUT
