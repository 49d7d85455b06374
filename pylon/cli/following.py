"""Watching an order: what happens to it, told as it happens, until it ends."""

import sys
from typing import TYPE_CHECKING

from attrs import define, field

from pylon.cli.output import confirm, is_interactive, say, stream
from pylon.core.pieces import Pieces
from pylon.errors import Misconfigured, StoreBusy

if TYPE_CHECKING:
    from pylon.app.ordering import Desk
    from pylon.core.order_mail import Progress
    from pylon.model.ids import JobId, PublicKey
    from pylon.model.order import Chosen, Offer, Order, OrderState, Paying, Unknown

LATE_SECONDS = 8.0  # how long after its deadline an order may take to end by itself
SILENCE_SECONDS = 3.0  # after so long without a relay a person is told why
NPUB_SHORT = 12  # characters of a public key that are shown where many are


@define
class Follower:
    """Tells the progress of one order on stderr, and pieces of its answer where they are wanted."""

    order: "Order"
    show_pieces: bool
    quiet: bool
    pieces: Pieces = field(factory=Pieces, init=False)
    paying: bool = field(default=False, init=False)  # and too late to call it off
    _said: set[str] = field(factory=set, init=False)

    def tell(self, item: "Progress") -> None:
        """Show one thing that happened."""
        from pylon.core import order_mail as mail

        match item:
            case mail.OrderChanged(state=state):
                self._tell_state(state)
            case mail.PartialHeard(text=text, seq=seq) if self.show_pieces:
                stream(self.pieces.add(seq, text))
            case mail.StatusHeard(status=status, text=text, provider=who) if status != "success":
                self._say(f"{status}{': ' if text else ''}{text} ({short(who)})")
            case mail.OfferRefused(provider=who, reason=reason):
                self._say(f"offer not accepted: {reason} ({short(who)})")
            case mail.OfferDoubted(provider=who, reason=reason):
                self._warn(f"{reason} ({short(who)})")
            case _:
                return

    def tell_relays(self, desk: "Desk") -> None:
        """Say what keeps the request from the relays."""
        for relay in desk.buyer.relays():
            if not relay.connected:
                self._say(f"{relay.url} cannot be reached: {relay.detail}")
        self._say("still trying; `pylon run` and `pylon relay` serve a relay on this machine")

    def _tell_state(self, state: "OrderState") -> None:
        from pylon.model import order as orders
        from pylon.model.money import show_sats

        match state:
            case orders.Published(offers=()):
                seconds = self.order.deadline - self.order.opened_at
                self._say(f"request published; an answer may take {seconds} s at most")
            case orders.Published(offers=offers):
                for offer in offers:
                    self._say(f"offer: {show_sats(offer.amount)} ({short(offer.provider)})")
            case orders.Reserving(offer=offer) | orders.Chosen(offer=offer):
                self._say(f"offer: {show_sats(offer.amount)} ({short(offer.provider)})")
                if offer.answer is not None:
                    self._say("the answer is there, locked until it is paid")
            case orders.Paying(offer=offer) | orders.Unknown(offer=offer):
                self._tell_payment(state, offer)
            case orders.Paid(offer=offer, fee=fee, answer=answer):
                self.paying = True
                self._say(f"paid {show_sats(offer.amount)} and {show_sats(fee)} in fees")
                if answer is not None:
                    self._say("opening the answer with what was paid for")
            case _:
                return

    def _tell_payment(self, state: "Paying | Unknown", offer: "Offer") -> None:
        from pylon.core.order_machine import HELD_FIRST
        from pylon.model.money import show_sats
        from pylon.model.order import Unknown

        if offer.mode in HELD_FIRST:
            self._say(f"{show_sats(offer.amount)} held until the answer is there")
        else:
            self.paying = True
        if state.cancelled:
            self._say("called off; what is held comes back when the provider lets go of it")
        elif offer.mode not in HELD_FIRST and isinstance(state, Unknown):
            self._say("the payment's outcome is not known; it is being looked up")
        if state.answer is not None and state.answer.locked is not None:
            self._say("the answer is there, locked until it is paid")

    def _warn(self, line: str) -> None:
        """Warn once, also whoever wants to be told nothing else."""
        if line not in self._said:
            self._said.add(line)
            say(f"pylon: warning: {line}", style="yellow")

    def _say(self, line: str) -> None:
        """Say a line once, and none in the middle of an answer."""
        if not (self.quiet or self.pieces.text or line in self._said):
            self._said.add(line)
            say(f"  {line}", style="dim")


async def follow(desk: "Desk", follower: Follower) -> "OrderState":
    """Tell what happens until the order ends, or its deadline is well past; return its state.

    One that is disputed to begin with is given the time to be answered late.
    """
    import trio

    from pylon.app.ordering import heed

    order = follower.order
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_explain_silence, desk, follower)
        nursery.start_soon(heed, desk, order.id)
        with trio.move_on_after(max(0.0, order.deadline - desk.now()) + LATE_SECONDS):
            await _to_the_end(desk, follower)
        nursery.cancel_scope.cancel("the order has ended")
    state = await _latest(desk, order.id)
    if state is None:
        raise StoreBusy("the order could not be stored in time; nothing was sent or paid")
    return state


async def _latest(desk: "Desk", order: "JobId") -> "OrderState | None":
    """Read an order's state from the store; None before it is there."""
    found = (await desk.store.orders.load([order])).get(order)
    return None if found is None else found.state


def short(key: "PublicKey") -> str:
    """Show the beginning of a public key, as people see them."""
    from pylon.wire import entities

    return f"{entities.npub(key)[:NPUB_SHORT]}..."


async def _to_the_end(desk: "Desk", follower: Follower) -> None:
    from pylon.core.order_machine import is_final
    from pylon.core.order_mail import OrderChanged
    from pylon.model.order import Chosen, Disputed

    order = follower.order
    state = await _latest(desk, order.id)
    disputed = state if isinstance(state, Disputed) else None
    if isinstance(state, Chosen):  # it was left when its price was asked
        await _decide(desk, order, state)
    while state is None or state is disputed or not is_final(state):
        item = await desk.buyer.progress.receive()
        if item.order_id == order.id:
            follower.tell(item)
            if isinstance(item, OrderChanged):
                state = item.state
                if isinstance(state, Chosen):
                    await _decide(desk, order, state)


async def _explain_silence(desk: "Desk", follower: Follower) -> None:
    import trio

    from pylon.model.order import Draft

    await trio.sleep(SILENCE_SECONDS)
    if isinstance(await _latest(desk, follower.order.id), Draft):
        follower.tell_relays(desk)


async def _decide(desk: "Desk", order: "Order", state: "Chosen") -> None:
    """Show price, provider and budget, and ask."""
    import trio

    if not is_interactive():
        raise Misconfigured(
            "somebody must say yes to the price: give --auto-pay, or use a terminal"
        )
    offer = state.offer
    for label, value in await _terms(desk, order, state):
        say(f"  {label:<8}  {value}", hang=12)
    if await trio.to_thread.run_sync(confirm, "Pay?", abandon_on_cancel=True):
        await desk.buyer.approve(order.id, offer)
    else:
        await desk.buyer.deny(order.id, offer)


async def _terms(desk: "Desk", order: "Order", state: "Chosen") -> list[tuple[str, str]]:
    from pylon.core.budget import Span
    from pylon.model.budget import NODE, Purpose
    from pylon.model.money import show_sats
    from pylon.wire import entities

    offer, caps = state.offer, desk.buyer.caps
    used = await desk.store.budget.usage(Purpose(), now=int(desk.now()))
    today = show_sats(used[NODE][Span.DAY].committed)
    day = f" of {show_sats(caps.per_day)}" if caps.per_day is not None else ""
    job = f"; at most {show_sats(caps.per_job)} a job" if caps.per_job is not None else ""
    return [
        ("price", f"{show_sats(offer.amount)}, and {show_sats(order.max_fee)} in fees at most"),
        ("provider", entities.npub(offer.provider)),
        ("budget", f"{today}{day} spent or set aside today{job}"),
    ]


def wants_pieces(json: bool) -> bool:
    """Say whether pieces of an answer are worth showing: on a terminal, to a person."""
    return not json and sys.stdout.isatty()
