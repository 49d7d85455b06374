"""Whom a buyer pays, and when it does not: the provider's node, pauses, and caps."""

from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.config import BudgetConfig, BuyerConfig, Config
from pylon.core.order_mail import OfferDoubted, OfferRefused
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import NodeKey
from pylon.model.order import Cause, Declined, Done, NotServed, Unknown
from pylon.ports.budget import Budget, Span
from tests.market.nodes import (
    FUNDS,
    RIVAL,
    SELLER,
    Shopper,
    funded,
    is_one_paid_job,
    node,
    one_of_each,
    selling,
    shopping,
)
from tests.market.world import open_world
from tests.nostr import keys

ELSEWHERE = NodeKey("02" * 33)
REFUSING = Config(buyer=BuyerConfig(node_key_change="refuse"))


async def test_a_providers_node_is_remembered_once_it_is_paid(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)
        await shopper.home.no_rows()

        known = await shopper.home.store.payees.known([seller.home.key])
        assert known == {seller.home.key: keys(SELLER).node_key}
        assert shopper.of(OfferDoubted) == []


async def test_a_payment_that_failed_makes_nobody_known(autojump_clock: MockClock) -> None:
    async with one_of_each() as (_, seller, shopper):
        await shopper.home.ledger.inject(Fault(FaultKind.FAIL, times=1))
        assert isinstance(
            await shopper.buy(shopper.home.order(provider=seller.home.key)), NotServed
        )
        await shopper.home.no_rows()

        assert await shopper.home.store.payees.known([seller.home.key]) == {}


async def test_another_node_is_told_of_and_paid_where_a_warning_will_do(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each() as (world, seller, shopper):
        payees = shopper.home.store.payees
        await payees.pin(seller.home.key, ELSEWHERE, now=1)
        order = shopper.home.order(provider=seller.home.key)
        assert isinstance(await shopper.buy(order), Done)

        (doubt,) = shopper.of(OfferDoubted)
        assert (doubt.order_id, doubt.provider) == (order.id, seller.home.key)
        assert ELSEWHERE in doubt.reason
        await is_one_paid_job(world, seller.home, shopper.home, order)
        assert await payees.known([seller.home.key]) == {seller.home.key: keys(SELLER).node_key}


async def test_another_node_is_not_paid_where_the_policy_refuses(autojump_clock: MockClock) -> None:
    async with one_of_each(buyer=REFUSING) as (_, seller, shopper):
        payees = shopper.home.store.payees
        await payees.pin(seller.home.key, ELSEWHERE, now=1)
        end = await shopper.buy(shopper.home.order(provider=seller.home.key))

        assert isinstance(end, NotServed)
        (refused,) = shopper.of(OfferRefused)
        assert ELSEWHERE in refused.reason
        assert await shopper.home.ledger.balance() == FUNDS
        assert await payees.known([seller.home.key]) == {seller.home.key: ELSEWHERE}


async def test_a_broadcast_is_answered_by_whoever_is_where_it_was(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_world() as world,
        selling(node(world, RIVAL)) as rival,
        selling(node(world, SELLER)),
        shopping(await funded(world, REFUSING)) as shopper,
    ):
        await shopper.home.store.payees.pin(keys(SELLER).public_key, ELSEWHERE, now=1)
        order = shopper.home.order()
        end = await shopper.buy(order)

        assert isinstance(end, Done)
        assert end.answer.provider == rival.home.key
        await is_one_paid_job(world, rival.home, shopper.home, order)


@pytest.mark.parametrize("scope", [NODE, Scope("agent:alice")])
async def test_no_order_is_paid_while_its_spending_is_paused(
    autojump_clock: MockClock, scope: Scope
) -> None:
    async with one_of_each() as (_, seller, shopper):
        budget = shopper.home.store.budget
        await budget.pause(now=1, scope=scope)
        order = evolve(
            shopper.home.order(provider=seller.home.key), scopes=(NODE, *{scope} - {NODE})
        )
        end = await shopper.buy(order)

        assert isinstance(end, Declined)
        assert end.cause is Cause.BUDGET
        assert "paused" in end.reason
        await is_as_if_nothing_had_been(shopper)


@frozen
class PausedAfter:
    """A budget that somebody pauses right after something was reserved."""

    _budget: Budget

    def __getattr__(self, name: str) -> Any:
        return getattr(self._budget, name)

    async def reserve(self, *args: Any, **kwargs: Any) -> str | None:
        refusal = await self._budget.reserve(*args, **kwargs)
        await self._budget.pause(now=1)
        return refusal


async def test_a_pause_between_reserving_and_paying_ends_the_order_and_is_never_unknown(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_world() as world,
        selling(node(world, SELLER)) as seller,
    ):
        home = await funded(world)
        paused: Any = PausedAfter(home.store.budget)
        home.store = evolve(home.store, budget=paused)
        async with shopping(home) as shopper:
            order = shopper.home.order(provider=seller.home.key)
            end = await shopper.buy(order)

            assert isinstance(end, NotServed)
            assert "paused" in end.reason
            assert {"Reserving", "Paying"} <= set(shopper.states(order))
            assert "Unknown" not in shopper.states(order)
            await is_as_if_nothing_had_been(shopper)


async def test_what_is_unknown_during_a_pause_stays_set_aside_and_is_settled(
    autojump_clock: MockClock,
) -> None:
    async with one_of_each() as (world, seller, shopper):
        budget, ledger = shopper.home.store.budget, shopper.home.ledger
        await ledger.inject(Fault(FaultKind.STUCK))
        order = shopper.home.order(provider=seller.home.key, timeout_seconds=900)
        await shopper.buyer.submit(order)
        unknown = await shopper.reaches(order, Unknown)
        assert isinstance(unknown, Unknown)
        await budget.pause(now=1)
        await trio.sleep(60)
        reserved = unknown.offer.amount + order.max_fee
        assert await budget.committed() == reserved

        await ledger.clear_faults(deliver=True)
        assert isinstance(await shopper.ends(order), Done)
        await is_one_paid_job(world, seller.home, shopper.home, order)


async def test_the_caps_for_one_provider_and_one_hour_are_in_force(
    autojump_clock: MockClock,
) -> None:
    for caps in (
        BudgetConfig(per_provider_sats=40),
        BudgetConfig(per_hour_sats=40),
    ):
        async with one_of_each(buyer=Config(budget=caps)) as (_, seller, shopper):
            ends = [
                await shopper.buy(shopper.home.order(f"job {n}", provider=seller.home.key))
                for n in range(4)
            ]
            declined = ends[-1]
            assert isinstance(ends[0], Done)
            assert isinstance(declined, Declined)
            assert declined.cause is Cause.BUDGET
            assert await shopper.home.store.budget.committed() <= 40_000


async def test_an_order_counts_in_the_budgets_it_names_and_with_its_provider(
    autojump_clock: MockClock,
) -> None:
    alice = Scope("agent:alice")
    async with one_of_each() as (_, seller, shopper):
        order = evolve(shopper.home.order(provider=seller.home.key), scopes=(NODE, alice))
        end = await shopper.buy(order)
        assert isinstance(end, Done)
        assert end.offer is not None
        await shopper.home.no_rows()

        purpose = Purpose(order.id, seller.home.key, (NODE, alice))
        usage = await shopper.home.store.budget.usage(purpose, now=shopper.home.world.now())
        spent = end.offer.amount + end.fee
        assert {scope: {used.spent for used in usage[scope].values()} for scope in usage} == {
            NODE: {spent},
            alice: {spent},
        }
        assert set(usage[alice]) == set(Span)


async def is_as_if_nothing_had_been(shopper: Shopper) -> None:
    """Assert that nothing was paid, nothing is set aside, and nothing is left to do."""
    await shopper.home.no_rows()
    assert await shopper.home.ledger.balance() == FUNDS
    assert await shopper.home.store.budget.committed() == 0
    assert await shopper.home.store.payees.known([keys(SELLER).public_key]) == {}
