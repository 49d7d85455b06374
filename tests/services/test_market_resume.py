"""An order goes on in another process, after a restart, days later."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.home import Home
from pylon.app import buyer, ordering
from pylon.app.ordering import Desk
from pylon.core.order_mail import OrderChanged
from pylon.core.ordering import Wish
from pylon.errors import Misconfigured
from pylon.model.job import Cancelled, Settled
from pylon.model.order import Chosen, Disputed, Done, NotServed, Order, Paid, Published, Withdrawn
from pylon.ports.records import Change
from tests.adapters.stores import samples
from tests.market.backend import ScriptedBackend
from tests.market.nodes import (
    SELLER,
    NodeHome,
    Shopper,
    funded,
    is_one_paid_job,
    job_becomes,
    new_store,
    node,
    one_of_each,
    selling,
    shopping,
)
from tests.market.world import World, open_world

DAYS = 200_000


async def paid_and_left(world: World, seller: NodeHome, home: NodeHome) -> Order:
    """Pay for a job, and be gone before it is answered."""
    order = home.order(provider=seller.key)
    async with selling(seller, ScriptedBackend(seconds=5)):
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Paid)
        await seller.no_rows()
        await trio.sleep(20)
    await trio.sleep(DAYS)
    assert isinstance(await home.order_state(order), Paid)
    return order


async def test_an_answer_that_waited_for_days_is_found_before_it_is_missed(
    autojump_clock: MockClock,
) -> None:
    async with open_world(seconds=2 * DAYS) as world:
        seller, home = node(world, SELLER), await funded(world)
        order = await paid_and_left(world, seller, home)
        async with shopping(home) as shopper:
            await shopper.buyer.resume(order.id)
            assert isinstance(await shopper.ends(order), Done)
            assert shopper.states(order) == ["Done"], "it was never in dispute"
            assert await home.result_text(order) == "four"
        await is_one_paid_job(world, seller, home, order)


async def test_without_relays_time_is_news_all_the_same(autojump_clock: MockClock) -> None:
    async with open_world(seconds=2 * DAYS) as world:
        home = await funded(world)
        order = await paid_and_left(world, node(world, SELLER), home)
        for relay in world.relays.values():
            relay.down = True
        async with shopping(home) as shopper:
            began = trio.current_time()
            await shopper.buyer.resume(order.id)
            end = await shopper.ends(order)
            assert isinstance(end, Disputed)
            assert end.reason == "paid, and not answered in time"
            assert trio.current_time() - began <= ordering.LATE_SECONDS
        for relay in world.relays.values():
            relay.down = False
        async with shopping(home) as shopper:
            await shopper.buyer.resume(order.id)
            assert isinstance(await shopper.reaches(order, Done), Done), "a late answer counts"


async def test_what_was_heard_before_an_order_was_resumed_is_heard_again(
    autojump_clock: MockClock,
) -> None:
    async with open_world(seconds=3 * DAYS) as world:
        seller, home = node(world, SELLER), await funded(world)
        orders = [await paid_and_left(world, seller, home) for _ in range(2)]
        async with shopping(home) as shopper:
            await trio.sleep(60)  # everything stored has come and was nobody's
            for order in orders:
                await shopper.buyer.resume(order.id)
            for order in orders:
                assert isinstance(await shopper.ends(order), Done)
                assert shopper.states(order) == ["Done"]


async def test_an_order_that_nobody_answered_ends_when_it_is_resumed(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        home = await funded(world)
        order = home.order()
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Published)
        await trio.sleep(1_000)
        async with shopping(home) as shopper:
            await shopper.buyer.resume(order.id)
            assert isinstance(await shopper.ends(order), NotServed)


async def test_an_order_that_others_left_behind_keeps_nobody_from_buying(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        left = home.order("left behind", provider=seller.home.key)
        async with shopping(home) as shopper:
            await shopper.buyer.submit(left)
            await shopper.reaches(left, Published)
        await trio.sleep(1_000)
        async with shopping(home) as shopper:
            assert isinstance(await shopper.buy(home.order()), Done)
        assert not isinstance(await home.order_state(left), NotServed)


def desk(shopper: Shopper) -> Desk:
    nowhere = Path("nowhere")
    home = Home(nowhere, nowhere, nowhere)
    return Desk(home, shopper.buyer, shopper.home.store, shopper.home.world.clock)


async def test_an_order_is_called_off_from_another_process(autojump_clock: MockClock) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        order = home.order(Wish("2+2?", provider=seller.home.key))
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Chosen)
        async with shopping(home, listens=False) as shopper:
            assert await ordering.cancelled(desk(shopper), order.id) == Withdrawn()
        assert isinstance(await job_becomes(seller.home, order, Cancelled), Cancelled)


async def test_an_order_that_is_over_is_not_called_off(autojump_clock: MockClock) -> None:
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        order = home.order(provider=seller.home.key)
        async with shopping(home) as shopper:
            await shopper.buy(order)
        async with shopping(home, listens=False) as shopper:
            assert isinstance(await ordering.cancelled(desk(shopper), order.id), Done)


async def test_an_order_that_another_process_drives_is_waited_for(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each(ScriptedBackend(seconds=30)) as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Paid)
        async with shopping(shopper.home) as other:
            state = await ordering.wait_for_other(desk(other), order.id)
            assert isinstance(state, Done)
            assert other.of(OrderChanged) == []


async def test_a_process_that_died_is_not_waited_for_beyond_the_deadline(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        home = await funded(world)
        order = home.order()
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Published)
        async with shopping(home) as shopper:
            state = await ordering.wait_for_other(desk(shopper), order.id)
            assert isinstance(state, Published)
            late = home.world.clock.now() - order.deadline
            assert late == pytest.approx(ordering.LATE_SECONDS, abs=0.2)


async def test_an_order_is_placed_under_its_own_key_or_found_under_anothers(
    autojump_clock: MockClock,
) -> None:
    async with open_world() as world:
        home = await funded(world)
        first, second, third = home.order("1"), home.order("2"), home.order("3")
        async with shopping(home) as shopper:
            assert await ordering.place(desk(shopper), first, None) == first.id
            assert await ordering.place(desk(shopper), second, "key") == second.id
            assert await ordering.place(desk(shopper), third, "key") == second.id
            await shopper.reaches(first, Published)
        assert await home.order_state(third) is None


async def test_an_order_is_found_by_the_beginning_of_its_id(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        home = await funded(world)
        order = home.order()
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Published)
        for text in (order.id, order.id[:4], f" {order.id[:8].upper()} "):
            assert (await ordering.find_order(home.store, text)).id == order.id
        for text in (order.id[:3], "", "ffff0000" * 8, f"{order.id}0"):
            with pytest.raises(Misconfigured, match="no job"):
                await ordering.find_order(home.store, text)


async def test_a_beginning_that_several_orders_share_is_refused() -> None:
    store = new_store()
    for number in (1, 2):
        order = samples.order(number)
        await store.orders.save([Change(order.id, Published(), samples.NOW, facts=order)])
    with pytest.raises(Misconfigured, match="begins the ids of 2 jobs"):
        await ordering.find_order(store, "0000")
    assert (await ordering.find_order(store, samples.job_id(2))).id == samples.job_id(2)


async def test_a_watcher_that_does_not_keep_up_keeps_nobody_from_buying(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buyer, "PROGRESS_SIZE", 1)
    async with open_world() as world, selling(node(world, SELLER)) as seller:
        home = await funded(world)
        order = home.order(provider=seller.home.key)
        async with shopping(home, listens=False) as shopper:
            await shopper.buyer.submit(order)
            await job_becomes(seller.home, order, Settled)
            await is_one_paid_job(world, seller.home, home, order)
            assert isinstance(await shopper.buyer.progress.receive(), OrderChanged)


async def test_an_order_that_was_never_begun_has_no_answer_and_cannot_be_called_off(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each(ScriptedBackend(seconds=5)) as (_, seller, shopper):
        never = shopper.home.order("never")
        await shopper.buyer.cancel(never.id)
        order = shopper.home.order(provider=seller.home.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        assert await shopper.home.result_text(order) is None
        assert isinstance(await shopper.ends(order), Done)
        assert await shopper.home.order_state(never) is None
