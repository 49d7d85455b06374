"""What a provider owes comes back: in the process that was told, in another, and days later."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from pylon.adapters.home import Home
from pylon.app import ordering
from pylon.app.ordering import Desk
from pylon.errors import GenerationFailed
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat, PayMode
from pylon.model.order import (
    Disputed,
    Done,
    Order,
    Paid,
    Published,
    Reclaiming,
    Refunded,
    Unknown,
    Withdrawn,
)
from tests.market.backend import ScriptedBackend
from tests.market.liar import PRICE, Liar
from tests.market.nodes import (
    FUNDS,
    SELLER,
    NodeHome,
    Shopper,
    funded,
    node,
    one_of_each,
    order_becomes,
    selling,
    settles,
    shopping,
)
from tests.market.world import World, open_world

HOUR = 3_600


def desk(shopper: Shopper, folder: Path) -> Desk:
    home = Home(folder, folder, folder)
    return Desk(home, shopper.buyer, shopper.home.store, shopper.home.world.clock)


async def paid_for_nothing(world: World, seller: NodeHome, home: NodeHome) -> Order:
    """Pay a provider that fails, and be gone when it says so; it has nothing to give back yet."""
    order = home.order(provider=seller.key)
    broken = ScriptedBackend((GenerationFailed("no memory"),))
    async with selling(seller, broken), shopping(home) as shopper:
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Reclaiming)
        await home.no_rows()
    return order


async def test_what_was_owed_when_we_left_is_asked_for_again_and_comes(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_world() as world:
        seller, home = node(world, SELLER), await funded(world)
        order = await paid_for_nothing(world, seller, home)
        assert [record.id for record in await ordering.owed(home.store)] == [order.id]
        await seller.ledger.fund(Msat(5_000))
        async with selling(seller), shopping(home) as shopper:
            (record,) = await ordering.ask_back(desk(shopper, tmp_path), [order.id], seconds=600)
            assert isinstance(record.state, Refunded)
        assert await ordering.owed(home.store) == []


async def test_an_invoice_that_has_expired_is_followed_by_another(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylon.core.order_machine.REFUND_EXPIRY_SECONDS", HOUR)
    async with open_world() as world, shopping(await funded(world)) as shopper:
        liar = Liar(world)
        order = shopper.home.order(provider=liar.key)
        await shopper.buyer.submit(order)
        await shopper.reaches(order, Published)
        await world.publish(liar.offer(order, await liar.invoice(), PayMode.PREPAY))
        await shopper.reaches(order, Paid)
        await world.publish(liar.error(order, refund=PRICE))
        await shopper.reaches(order, Reclaiming)
        hashes = set[PaymentHash]()
        for _ in range(3):
            await trio.sleep(10)
            state = await order_becomes(shopper.home, order, Reclaiming)
            assert isinstance(state, Reclaiming)
            assert state.invoice is not None
            hashes.add(state.invoice.payment_hash)
            await trio.sleep(HOUR + 600)
        assert len(hashes) == 3
        asked = [e for e in await world.published(kinds=(7000,)) if e.tag("status") == "refund"]
        assert len(asked) == 1, "the request goes with its invoice"


async def test_a_promise_that_came_too_late_is_heard_by_whoever_asks(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_world() as world:
        liar, home = Liar(world), await funded(world)
        order = home.order(provider=liar.key)
        async with shopping(home) as shopper:
            await shopper.buyer.submit(order)
            await shopper.reaches(order, Published)
            await world.publish(liar.offer(order, await liar.invoice(), PayMode.PREPAY))
            assert isinstance(await shopper.ends(order), Disputed)
        await world.publish(liar.error(order, refund=PRICE))
        assert await ordering.owed(home.store) == []
        async with shopping(home, since=order.opened_at) as shopper:
            (record,) = await ordering.ask_back(desk(shopper, tmp_path), [order.id], seconds=20)
            assert isinstance(record.state, Reclaiming)
            assert record.state.amount == PRICE


async def test_what_another_process_asks_back_is_left_to_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with open_world() as world:
        seller, home = node(world, SELLER), await funded(world)
        order = await paid_for_nothing(world, seller, home)
        async with shopping(home) as shopper:
            here = desk(shopper, tmp_path)
            with here.lock(order.id):
                (record,) = await ordering.ask_back(here, [order.id], seconds=1)
            assert isinstance(record.state, Reclaiming)
            assert order.id not in shopper.buyer.mine


async def test_a_driving_process_heeds_what_another_asks(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with one_of_each(ScriptedBackend(seconds=50)) as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key, modes=(PayMode.HOLD_LOCKED,))
        await shopper.buyer.submit(order)
        async with trio.open_nursery() as nursery:
            await shopper.reaches(order, Unknown)
            nursery.start_soon(ordering.heed, desk(shopper, tmp_path), order.id)
            clock = shopper.home.world.clock
            state = await ordering.cancel_elsewhere(shopper.home.store, clock, order.id)
            assert isinstance(state, Withdrawn | Unknown)
            assert isinstance(await shopper.ends(order), Withdrawn)
            nursery.cancel_scope.cancel()
        await settles(lambda: _is_free(shopper))
        assert await shopper.home.store.orders.outbox("order desk") == []


async def _is_free(shopper: Shopper) -> bool:
    balance = await shopper.home.ledger.balance()
    return balance == FUNDS and await shopper.home.store.budget.committed() == 0


async def test_what_is_done_is_not_called_off_by_another(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ordering.heed, desk(shopper, tmp_path), order.id)
            clock = shopper.home.world.clock
            state = await ordering.cancel_elsewhere(shopper.home.store, clock, order.id)
            assert isinstance(state, Done)
            await shopper.home.no_rows()
            nursery.cancel_scope.cancel()
