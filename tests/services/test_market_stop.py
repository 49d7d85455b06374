"""A provider shows what it sells, and ends without losing what it has in hand."""

from typing import Any

import trio
from attrs import evolve
from trio.testing import MockClock

from pylon.config import Config, ProviderConfig
from pylon.errors import StoreBusy
from pylon.model.ids import PaymentHash
from pylon.model.job import Settled
from pylon.model.order import (
    Done,
    NotServed,
    Paid,
)
from tests.market.backend import ScriptedBackend
from tests.market.nodes import (
    SELLER,
    funded,
    is_one_paid_job,
    node,
    one_of_each,
    selling,
    shopping,
)
from tests.market.trouble import Trouble
from tests.market.world import open_world


class Slow(Trouble):
    """A wallet that takes its time to look an invoice up."""

    async def lookup(self, payment_hash: PaymentHash) -> Any:
        await trio.sleep(5)
        return await self._port.lookup(payment_hash)


async def test_a_provider_that_stops_finishes_what_is_in_hand(autojump_clock: MockClock) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        seller.stop.set()
        await seller.stopped.wait()
        assert isinstance(await seller.home.job(order), Settled)
        assert await world.published(kinds=(31990,)) == []
        late = shopper.home.order("too late", provider=seller.home.key)
        assert isinstance(await shopper.buy(late), NotServed)
        assert await seller.home.job(late) is None


async def test_a_provider_that_stops_leaves_long_work_to_its_next_start(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        order = shopper.home.order(provider=home.key)
        async with selling(home, ScriptedBackend(("never",), seconds=1_000)) as seller:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Paid)
            began = trio.current_time()
            seller.stop.set()
            await seller.stopped.wait()
            assert trio.current_time() - began == home.config.node.grace_seconds
        async with selling(home):
            assert isinstance(await shopper.ends(order), Done)
            await is_one_paid_job(world, home, shopper.home, order)


async def test_what_is_sold_is_announced(autojump_clock: MockClock) -> None:
    async with one_of_each() as (world, seller, _):
        (announced,) = await world.published(kinds=(31990,))
        assert announced.pubkey == seller.home.key
        assert announced.tag_values("k") == ("5050", "5935")


async def test_a_node_that_announces_nothing_still_sells(autojump_clock: MockClock) -> None:
    quiet = Config(provider=ProviderConfig(announce=False))
    async with one_of_each(seller=quiet) as (world, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        seller.stop.set()
        await seller.stopped.wait()
        assert await world.published(kinds=(31990, 5)) == []


async def test_a_provider_that_stops_has_counted_what_it_earned(autojump_clock: MockClock) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        home.wallet = Slow(home.wallet)
        async with selling(home) as seller:
            order = shopper.home.order(provider=home.key)
            await shopper.buy(order)
            assert (await home.store.earnings.total()).jobs == 0
            seller.stop.set()
            await seller.stopped.wait()
            assert (await home.store.earnings.total()).jobs == 1


async def test_a_store_that_is_busy_at_the_end_does_not_keep_a_provider_from_ending(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, shopping(await funded(world)) as shopper:
        home = node(world, SELLER)
        store = Trouble(home.store.jobs)
        home.store = evolve(home.store, jobs=store)
        async with selling(home, ScriptedBackend(("never",), seconds=1_000)) as seller:
            order = shopper.home.order(provider=home.key)
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Paid)
            store.fail("open_in", StoreBusy("not now"))
            seller.stop.set()
            await seller.stopped.wait()
        async with selling(home):
            assert isinstance(await shopper.ends(order), Done)
