"""Those who take part: sellers and buyers that live, are killed, and live again."""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, cast

import trio
from attrs import define, field

from pylon.core.admission import CHAT_KIND
from pylon.core.ordering import Wish
from pylon.core.outbox import PUBLISHER, TREASURER
from pylon.errors import Transient
from pylon.model.ids import PublicKey
from pylon.model.money import PayMode
from pylon.model.order import Chosen, Order
from tests.market.nodes import NodeHome, Shopper, selling, shopping
from tests.market.trouble import guarded
from tests.nostr import NOW
from tests.simulation.hazard import Dangers, Hazard
from tests.simulation.model import Oracle
from tests.simulation.plan import Errand
from tests.simulation.record import Chronicle

LOOK_SECONDS = 2.0  # how often a person looks at the orders
DOWN_SECONDS = 6.0
LONG_LIFE = 150.0  # mean seconds between two kills in the midst of whatever a node does


@define(eq=False)
class Fate:
    """What one node lives through."""

    name: str
    dangers: Dangers
    chance: Random
    chronicle: Chronicle
    is_calm: Callable[[], bool]
    watch: Callable[[NodeHome, str], None]
    lives: int = 0
    _now: Hazard | None = None

    async def live(self, home: NodeHome, life: Callable[[NodeHome], Awaitable[None]]) -> None:
        """Run a node, again and again, until cancelled."""
        while True:
            self.lives += 1
            self._now = hazard = Hazard(
                self.name,
                self.dangers,
                self.chance,
                self.chronicle,
                self.is_calm,
                partial(self.watch, home),
            )
            async with trio.open_nursery() as nursery:
                try:
                    with hazard.life:
                        if self.dangers.kill and not self.is_calm():
                            nursery.start_soon(self._end, hazard)
                        await life(guarded(home, hazard))
                except* Transient:  # nobody hears the last words of what is killed
                    if not hazard.dead:
                        raise
                nursery.cancel_scope.cancel()
            await trio.sleep(0 if self.is_calm() else self.chance.uniform(0.2, DOWN_SECONDS))

    async def _end(self, hazard: Hazard) -> None:
        await trio.sleep(self.chance.expovariate(1 / LONG_LIFE))
        if not self.is_calm():
            hazard.kill("at any moment")

    def restart(self) -> None:
        """End this life, whatever the weather."""
        if self._now is not None:
            self._now.kill("restart")


@define(eq=False)
class Vendor:
    """A seller."""

    home: NodeHome
    fate: Fate
    oracle: Oracle

    async def run(self) -> None:
        await self.fate.live(self.home, self._life)

    async def _life(self, home: NodeHome) -> None:
        async with selling(home, cast("Any", self.oracle)):
            await trio.sleep_forever()


@define(eq=False)
class Trip:
    """An errand being done."""

    errand: Errand
    order: Order | None = None
    submitted: bool = False
    cancelled: bool = False


@define(eq=False)
class Customer:
    """A buyer, and the person behind it."""

    home: NodeHome
    fate: Fate
    trips: list[Trip]
    providers: list[PublicKey]
    _started: float = field(factory=trio.current_time)

    async def run(self) -> None:
        await self.fate.live(self.home, self._life)

    async def is_known(self, trip: Trip) -> bool:
        """Say whether an order has been stored."""
        return trip.order is not None and await self.home.order_state(trip.order) is not None

    async def _life(self, home: NodeHome) -> None:
        async with shopping(home, since=NOW, listens=False) as shopper, trio.open_nursery() as here:
            await self._go_on(shopper)
            for trip in self.trips:
                if not await self.is_known(trip):
                    here.start_soon(self._go, trip, shopper)
            await self._watch(shopper)

    async def _go_on(self, shopper: Shopper) -> None:
        """Take up what another life has left, as the program does when it is started."""
        orders = self.home.store.orders
        rows = [
            r for desk in (TREASURER, PUBLISHER) for r in await orders.outbox(desk, limit=1_000)
        ]
        left = {*await orders.unfinished(), *(row.subject for row in rows)}
        left |= {record.id for record in await orders.in_phases(("Disputed",))}
        for id_ in sorted(left):
            await shopper.buyer.resume(id_)
        for record in await orders.in_phases(("Reclaiming",)):
            await shopper.buyer.reclaim(record.id)

    async def _go(self, trip: Trip, shopper: Shopper) -> None:
        await trio.sleep_until(self._started + trip.errand.at)
        if trip.order is None:
            trip.order = self._order(trip.errand)
        await shopper.buyer.submit(trip.order, key=trip.errand.question)

    def _order(self, errand: Errand) -> Order:
        wish = Wish(
            errand.question,
            kind=CHAT_KIND if errand.chat else 5050,
            provider=None if errand.provider is None else self.providers[errand.provider],
            timeout_seconds=errand.timeout_seconds,
            auto_pay=errand.answers == "pays",
            encrypted=errand.encrypted,
            streaming=errand.streaming,
        )
        return self.home.order(wish, modes=tuple(map(PayMode, errand.modes)))

    async def _watch(self, shopper: Shopper) -> None:
        """Be the person: say yes or no to offers, and call orders off."""
        while True:
            for trip in self.trips:
                if trip.order is not None and not trip.cancelled:
                    await self._look(trip, trip.order, shopper)
            await trio.sleep(LOOK_SECONDS)

    async def _look(self, trip: Trip, order: Order, shopper: Shopper) -> None:
        state, errand = await self.home.order_state(order), trip.errand
        if isinstance(state, Chosen) and errand.answers in ("yes", "no"):
            says = shopper.buyer.approve if errand.answers == "yes" else shopper.buyer.deny
            await says(order.id, state.offer)
        after = errand.cancel_after
        if after is not None and trio.current_time() >= self._started + errand.at + after:
            trip.cancelled = True
            await shopper.buyer.cancel(order.id)
