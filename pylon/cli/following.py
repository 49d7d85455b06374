"""Watching an order: what happens to it, told as it happens, until it ends."""

import sys
from typing import TYPE_CHECKING

from attrs import define, field

from pylon.cli.output import confirm, is_interactive, say, stream
from pylon.errors import Misconfigured

if TYPE_CHECKING:
    from pylon.app.ordering import Desk
    from pylon.core.order_mail import Progress
    from pylon.model.ids import JobId
    from pylon.model.order import Chosen, Order, OrderState

LATE_SECONDS = 5.0  # how long after its deadline an order may take to end by itself


@define
class Follower:
    """Tells the progress of one order on stderr, and pieces of its answer where they are wanted."""

    order: "Order"
    show_pieces: bool
    quiet: bool
    pieces: str = field(default="", init=False)
    _said: set[str] = field(factory=set, init=False)

    def tell(self, item: "Progress") -> None:
        """Show one thing that happened."""
        from pylon.core import order_mail as mail

        match item:
            case mail.OrderChanged(state=state):
                self._tell_state(state)
            case mail.PartialHeard(text=text) if self.show_pieces:
                self.pieces += text
                stream(text)
            case mail.StatusHeard(status=status, text=text) if status != "success":
                self._say(f"{status}{': ' if text else ''}{text}")
            case mail.OfferRefused(provider=provider, reason=reason):
                self._say(f"not accepted from {provider[:8]}: {reason}")
            case _:
                return

    def _tell_state(self, state: "OrderState") -> None:
        from pylon.model import order as orders
        from pylon.model.money import show_sats

        match state:
            case orders.Published(offers=()):
                self._say("request published")
            case orders.Published(offers=offers):
                for offer in offers:
                    self._say(f"offer: {show_sats(offer.amount)} from {offer.provider[:8]}")
            case orders.Reserving(offer=offer):
                self._say(f"offer: {show_sats(offer.amount)} from {offer.provider[:8]}")
            case orders.Paid(offer=orders.Offer() as offer, fee=fee):
                self._say(f"paid {show_sats(offer.amount)} and {show_sats(fee)} in fees")
            case orders.Done(offer=orders.Offer() as offer, fee=fee):
                self._say(f"paid {show_sats(offer.amount)} and {show_sats(fee)} in fees")
            case orders.Unknown():
                self._say("the payment's outcome is not known; it is being looked up")
            case _:
                return

    def _say(self, line: str) -> None:
        if not self.quiet and line not in self._said:
            self._said.add(line)
            say(f"  {line}", style="dim")


async def follow(desk: "Desk", follower: Follower) -> "OrderState":
    """Tell what happens until the order ends, or its deadline is well past; return its state.

    One that is disputed to begin with is given the time to be answered late.
    """
    import trio

    from pylon.core.order_machine import is_final
    from pylon.core.order_mail import OrderChanged
    from pylon.model.order import Chosen as ChosenState
    from pylon.model.order import Disputed

    order = follower.order
    state: OrderState | None = await latest(desk, order.id)
    disputed = state if isinstance(state, Disputed) else None
    seconds = max(0.0, order.deadline - desk.now()) + LATE_SECONDS
    with trio.move_on_after(seconds):
        while state is None or state is disputed or not is_final(state):
            item = await desk.buyer.progress.receive()
            if item.order_id != order.id:
                continue
            follower.tell(item)
            if isinstance(item, OrderChanged):
                state = item.state
                if isinstance(state, ChosenState):
                    await _decide(desk, order, state)
    state = await latest(desk, order.id)
    if state is None:
        raise Misconfigured("the order was not stored: another one has its idempotency key")
    return state


async def latest(desk: "Desk", order: "JobId") -> "OrderState | None":
    """Read an order's state from the store."""
    found = (await desk.store.orders.load([order])).get(order)
    return None if found is None else found.state


async def _decide(desk: "Desk", order: "Order", state: "Chosen") -> None:
    """Show price, provider and budget, and ask."""
    import trio

    from pylon.model.money import show_sats

    if not is_interactive():
        raise Misconfigured(
            "somebody must say yes to the price: give --auto-pay, or use a terminal"
        )
    offer = state.offer
    spent = await desk.store.budget.committed(since=0)
    say(f"  {show_sats(offer.amount)} to {offer.provider}")
    say(f"  fees of {show_sats(order.max_fee)} at most; {show_sats(spent)} spent so far in all")
    if await trio.to_thread.run_sync(confirm, "Pay?", abandon_on_cancel=True):
        await desk.buyer.approve(order.id, offer)
    else:
        await desk.buyer.deny(order.id, offer)


def wants_pieces(json: bool) -> bool:
    """Say whether pieces of an answer are worth showing: on a terminal, to a person."""
    return not json and sys.stdout.isatty()
