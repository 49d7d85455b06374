"""The buying half of a node: which actors there are, and which channels join them.

    pool.heard ─► order_intake ─┐                  hints ┌─► treasurer ─┐
    caller ─────────────────────┼─► order_desk ──────────┼─► payer ─────┤
                     deadlines ─┘      ▲   │             ├─► publisher ─┼─► pool.commands
                                       │   │             ├─► opener ────┤
                                       │   │             └─► collector ─┤
                                       │   └─► progress (telemetry)     │
                                       └────────────── mail ────────────┘

As with the provider, mail is must-deliver and the desks hear hints only: no cycle.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from attrs import define, field, frozen

from pylon.app.actors import Actors
from pylon.app.budget import caps_of
from pylon.app.relays import Pool
from pylon.app.store import Store
from pylon.config import Config
from pylon.core import outbox
from pylon.core.order_machine import (
    Approved,
    CancelAsked,
    Denied,
    News,
    ReclaimAsked,
    RequestPublished,
    RequestRefused,
    TimePassed,
    due,
)
from pylon.core.order_mail import AboutOrder, NewOrder, OrderMail, Progress
from pylon.core.policy import Policy
from pylon.model.filter import Filter
from pylon.model.ids import JobId
from pylon.model.order import Offer, Order
from pylon.model.relays import RelayHealth, Subscribe, Unsubscribe
from pylon.ports.budget import NODE, Caps
from pylon.ports.channels import Hint
from pylon.ports.clock import Clock
from pylon.ports.keys import Signer
from pylon.ports.wallet import Wallet
from pylon.services.collector import Collector
from pylon.services.deadlines import Deadlines, Some
from pylon.services.opener import Opener
from pylon.services.order_desk import OrderDesk
from pylon.services.order_intake import OrderIntake
from pylon.services.payer import Payer
from pylon.services.publisher import Publisher
from pylon.services.treasurer import Treasurer
from pylon.wire.jobs import FEEDBACK_KIND, result_kind

MAIL_SIZE = 256
PROGRESS_SIZE = 1024
CATCH_UP_SECONDS = 4.0  # how long relays may take to say what they have kept
CLOCK_SLACK_SECONDS = 900  # a provider's clock may be behind ours by so much


@frozen
class BuyerParts:
    """The opened resources a buyer works with; they outlive its actors."""

    config: Config
    signer: Signer
    store: Store
    wallet: Wallet
    pool: Pool
    clock: Clock


@define
class Buyer:
    """Drives orders. `progress` tells what happens to them; it may miss some if it is not read."""

    progress: trio.MemoryReceiveChannel[Progress]
    _parts: BuyerParts
    _mail: trio.MemorySendChannel[OrderMail]
    _hints: dict[str, Hint]
    _tasks: trio.Nursery
    _answers: Callable[[str], Subscribe]  # by the name it is to have
    mine: set[JobId] = field(factory=set, init=False)  # the orders we drive
    timed: set[JobId] = field(factory=set, init=False)  # those of them for which time is news
    changed: Hint = field(factory=Hint, init=False)
    _listens: int = field(default=0, init=False)
    _caught_up: trio.Event = field(factory=trio.Event, init=False)

    @property
    def caps(self) -> Caps:
        """The caps on spending that are in force."""
        return caps_of(self._parts.config)

    def relays(self) -> tuple[RelayHealth, ...]:
        """Say how each relay is doing now."""
        return self._parts.pool.health()

    async def submit(self, order: Order, *, key: str | None = None) -> None:
        """Begin an order, and drive it until the block ends."""
        self.mine.add(order.id)
        self.timed.add(order.id)
        await self._mail.send(NewOrder(order, key))

    async def resume(self, order: JobId) -> None:
        """Go on with an order that another process has begun and no longer drives.

        Its deadline, which may have passed, is news only when we have heard what came before it.
        """
        self.mine.add(order)
        await self.listen()
        self._tasks.start_soon(self._time, order)
        for hint in self._hints.values():
            hint.poke()

    async def reclaim(self, order: JobId) -> None:
        """Go on getting back what its provider has promised; of that only the wallet has news."""
        self.mine.add(order)
        self.timed.add(order)
        await self._tell(order, ReclaimAsked())
        self.changed.poke()
        for hint in self._hints.values():
            hint.poke()

    async def listen(self) -> None:
        """Ask relays for all they have kept for us, also for what we have heard and passed over."""
        if self._listens:
            await self._parts.pool.commands.send(Unsubscribe(_name(self._listens)))
        self._listens += 1
        if self._caught_up.is_set():
            self._caught_up = trio.Event()
        await self._parts.pool.commands.send(self._answers(_name(self._listens)))

    def note_caught_up(self, subscription: str) -> None:
        """Take note that all stored events of a subscription have been passed on."""
        if subscription == _name(self._listens):
            self._caught_up.set()

    async def _time(self, order: JobId) -> None:
        with trio.move_on_after(CATCH_UP_SECONDS):
            await self._caught_up.wait()
        self.timed.add(order)
        self.changed.poke()

    async def approve(self, order: JobId, offer: Offer) -> None:
        """Say yes to the offer chosen."""
        await self._tell(order, Approved(offer.payment_hash))

    async def deny(self, order: JobId, offer: Offer) -> None:
        """Say no to the offer chosen."""
        await self._tell(order, Denied(offer.payment_hash))

    async def cancel(self, order: JobId, *, done: tuple[int, ...] = ()) -> None:
        """Call an order off; one that is paid goes on. `done` are the outbox rows that asked for it."""
        await self._tell(order, CancelAsked(), done=done)

    async def _tell(self, order: JobId, news: News, *, done: tuple[int, ...] = ()) -> None:
        await self._mail.send(AboutOrder(order, news, done))


@asynccontextmanager
async def open_buyer(
    parts: BuyerParts, *, since: int, kinds: tuple[int, ...] = (5050, 5935)
) -> AsyncGenerator[Buyer, None]:
    """Start the actors of a buyer, for as long as the block lasts.

    `since` (unix seconds) is when the oldest order to be driven was opened: what providers have
    published from then on is asked for again.
    """
    mail_in, mail_out = trio.open_memory_channel[OrderMail](MAIL_SIZE)
    progress_in, progress_out = trio.open_memory_channel[Progress](PROGRESS_SIZE)
    desks = (outbox.TREASURER, outbox.PAYER, outbox.OPENER, outbox.COLLECTOR, outbox.PUBLISHER)
    hints = {desk: Hint() for desk in desks}
    p, orders = parts, parts.store.orders
    limits = {NODE: caps_of(parts.config)}
    policy = Policy(refuse_key_change=parts.config.buyer.node_key_change == "refuse")
    async with trio.open_nursery() as nursery:
        actors = Actors(nursery)
        answers = partial(_answers, p.signer, kinds, since)
        buyer = Buyer(progress_out, p, mail_in, hints, nursery, answers)
        mine, changed = buyer.mine, buyer.changed
        desk = OrderDesk(
            orders,
            mail_out,
            p.signer,
            p.clock,
            p.store.payees,
            policy,
            mine,
            hints,
            changed,
            progress_in,
        )
        await actors.start("order desk", desk.run, owns=(mail_out, progress_in))
        deadlines: Deadlines[OrderMail] = Deadlines(
            orders,
            p.clock,
            changed,
            mail_in.clone(),
            lambda id_: AboutOrder(id_, TimePassed()),
            Some(buyer.timed, lambda record: due(record.facts, record.state)),
        )
        await actors.start("deadlines", deadlines.run, owns=(deadlines.mail,))
        treasurer = Treasurer(
            orders,
            mine,
            p.store.budget,
            limits,
            p.store.payees,
            p.clock,
            hints[outbox.TREASURER],
            mail_in.clone(),
        )
        await actors.start("treasurer", treasurer.run, owns=(treasurer.mail,))
        payer = Payer(orders, mine, p.wallet, p.store.budget, hints[outbox.PAYER], mail_in.clone())
        await actors.start("payer", payer.run, owns=(payer.mail,))
        opener = Opener(orders, mine, p.signer, hints[outbox.OPENER], mail_in.clone())
        await actors.start("opener", opener.run, owns=(opener.mail,))
        collector = Collector(orders, mine, p.wallet, hints[outbox.COLLECTOR], mail_in.clone())
        await actors.start("collector", collector.run, owns=(collector.mail,))
        publisher: Publisher[OrderMail] = Publisher(
            orders,
            len(p.pool.health()),
            p.config.relay.publish_acks,
            hints[outbox.PUBLISHER],
            p.pool.commands.clone(),
            p.pool.outcomes,
            mail_in.clone(),
            lambda id_, _, seq: AboutOrder(id_, RequestPublished(), (seq,)),
            lambda id_, _, why, seq: AboutOrder(id_, RequestRefused(why), (seq,)),
            mine,
        )
        await actors.start("publisher", publisher.run, owns=(publisher.mail, publisher.commands))
        intake = OrderIntake(p.pool.heard, mail_in.clone(), buyer.note_caught_up)
        await actors.start("order intake", intake.run, owns=(intake.mail,))
        await buyer.listen()
        with mail_in, progress_out:
            yield buyer
            nursery.cancel_scope.cancel("nobody buys any more")


def _name(number: int) -> str:
    return f"answers {number}"


def _answers(signer: Signer, kinds: tuple[int, ...], since: int, name: str) -> Subscribe:
    """Ask for everything providers address to us: one subscription, however many orders."""
    wanted = (FEEDBACK_KIND, *map(result_kind, kinds))
    about_us = {"p": (signer.public_key,)}
    return Subscribe(
        name, (Filter(kinds=wanted, tags=about_us, since=since - CLOCK_SLACK_SECONDS),)
    )
