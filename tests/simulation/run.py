"""A whole market, from one seed: it trades through trouble, recovers, and is looked at."""

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from random import Random

import trio
from trio.testing import MockClock

from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.model.ids import RelayUrl
from tests.market.nodes import NodeHome, node
from tests.market.world import World, open_world
from tests.simulation import invariants
from tests.simulation.chance import one_seed, stream
from tests.simulation.crooks import crook
from tests.simulation.market import Market
from tests.simulation.model import Oracle
from tests.simulation.people import Customer, Fate, Trip, Vendor
from tests.simulation.plan import FUNDS, Plan
from tests.simulation.record import Chronicle, LogKeeper
from tests.simulation.sky import Sky

SELLERS, BUYERS, CROOKS = 1_000, 2_000, 3_000  # where the numbers of their keys begin
LOOK_SECONDS = 10.0
TERMS = Terms(hold_seconds=800)  # what the slowest seller needs, and a little
AFTERMATH_SECONDS = 2_000.0  # longer than any payment may be held, or a refund takes
REPLAY_SECONDS = 20.0
OUTAGE_SECONDS = (20.0, 60.0)


async def trade(plan: Plan, market_out: list[Market]) -> None:
    """Run a plan to its end and leave the market, as it is then, in `market_out`."""
    chronicle = Chronicle()
    with logs_kept(chronicle):
        async with open_world(len(plan.relays), seconds=1_000_000, terms=TERMS) as world:
            market = _people_enter(plan, world, chronicle)
            market_out.append(market)
            for home in market.homes:
                await home.ledger.fund(FUNDS)
            async with trio.open_nursery() as nursery:
                for person in market.people:
                    nursery.start_soon(person.run)
                for liar in market.crooks:
                    nursery.start_soon(liar.run)
                for mischief in _mischief(market):
                    nursery.start_soon(mischief)
                await trio.sleep(plan.seconds)
                await _calm_down(market)
                await _comes_to_rest(market)
                market.ended_at = world.clock.now()
                await invariants.check(market)
                await _all_is_heard_again(market)
                nursery.cancel_scope.cancel()


def run(plan: Plan) -> Market:
    """Run a plan under a clock that jumps, and assert every invariant.

    Raises:
        AssertionError: One does not hold; a note says how to have the same run again.
    """
    found: list[Market] = []
    try:
        with one_seed(plan.seed):
            trio.run(partial(trade, plan, found), clock=MockClock(autojump_threshold=0))
    except BaseException as error:
        error.add_note(f"again: just sim {plan.seed} {len(plan.errands)}")
        raise
    return found[0]


def _people_enter(plan: Plan, world: World, chronicle: Chronicle) -> Market:
    odds = dict(zip(world.relays, plan.relays, strict=True))
    sky = Sky(world, odds, stream(plan.seed, "sky"), chronicle)
    market = Market(plan, world, sky, chronicle)

    def fate(name: str) -> Fate:
        chance = stream(plan.seed, name)
        return Fate(name, plan.dangers, chance, chronicle, market.is_calm, invariants.watch)

    for number, config in enumerate(plan.sellers):
        home = node(world, SELLERS + number, config)
        home.dial = sky.dial_from(f"seller {number}")
        oracle = Oracle(
            stream(plan.seed, f"oracle {number}"), chronicle, market.is_calm, plan.model_trouble
        )
        market.vendors.append(Vendor(home, fate(f"seller {number}"), oracle))
    for number in range(plan.crooks):
        market.crooks.append(crook(world, CROOKS + number, plan.seed, chronicle))
    providers = [vendor.home.key for vendor in market.vendors]
    providers += [crook.voice.key for crook in market.crooks]
    for number, config in enumerate(plan.buyers):
        home = node(world, BUYERS + number, config)
        home.dial = sky.dial_from(f"buyer {number}")
        trips = [Trip(errand) for errand in plan.errands if errand.buyer == number]
        market.customers.append(Customer(home, fate(f"buyer {number}"), trips, providers))
    return market


def _mischief(market: Market) -> list[Callable[[], Awaitable[None]]]:
    plan = market.plan
    found: list[Callable[[], Awaitable[None]]] = []
    if "outages" in plan.troubles:
        found += [
            partial(_outages, market, url, stream(plan.seed, f"outages {url}"))
            for url in market.world.relays
        ]
    if "payments" in plan.troubles:
        found += [
            partial(_bad_routes, market, customer.home, stream(plan.seed, f"routes {number}"))
            for number, customer in enumerate(market.customers)
        ]
    if "people" in plan.troubles:
        found += [
            partial(_second_thoughts, market, customer.home, stream(plan.seed, f"purse {number}"))
            for number, customer in enumerate(market.customers)
        ]
    return found


async def _outages(market: Market, url: RelayUrl, chance: Random) -> None:
    relay = market.world.relays[url]
    while True:
        await trio.sleep(chance.expovariate(1 / 120))
        if market.calm:
            return
        market.chronicle.count("relay: outage")
        relay.down = True
        market.sky.cut(url)
        await trio.sleep(chance.uniform(*OUTAGE_SECONDS))
        relay.down = False


async def _bad_routes(market: Market, home: NodeHome, chance: Random) -> None:
    while True:
        await trio.sleep(chance.expovariate(1 / 20))
        if market.calm:
            return
        kind = chance.choice([*FaultKind])
        value = chance.choice((0, 5_000)) if kind is not FaultKind.LATENCY else 45_000
        await home.ledger.inject(Fault(kind, value, times=chance.randint(1, 3)))
        market.chronicle.count(f"payment: {kind}")
        await trio.sleep(chance.uniform(5, 40))
        await home.ledger.clear_faults(deliver=chance.random() < 0.5)


async def _second_thoughts(market: Market, home: NodeHome, chance: Random) -> None:
    """Stop all spending for a while, now and then."""
    while True:
        await trio.sleep(chance.expovariate(1 / 60))
        if market.calm:
            return
        market.chronicle.count("people: spending paused")
        await home.store.budget.pause(now=market.world.now())
        await trio.sleep(chance.uniform(5, 30))
        await home.store.budget.resume()


async def _calm_down(market: Market) -> None:
    market.calm = True
    market.chronicle.note("calm")
    market.sky.clear_up()
    for home in market.homes:
        await home.ledger.clear_faults()
        await home.store.budget.resume()


async def _comes_to_rest(market: Market) -> None:
    with trio.move_on_after(AFTERMATH_SECONDS):
        while not await market.is_over():  # noqa: ASYNC110 - nobody would tell
            await trio.sleep(LOOK_SECONDS)


async def _all_is_heard_again(market: Market) -> None:
    """Let every node forget what it has heard, and hear all that relays and wallets have to tell."""
    before = invariants.snapshot(market)
    for person in market.people:
        person.home.store.cursors.saved.clear()  # type: ignore[attr-defined]
        person.fate.restart()
    await trio.sleep(REPLAY_SECONDS)
    await _comes_to_rest(market)
    invariants.hearing_twice_changes_nothing(before, invariants.snapshot(market))


@contextmanager
def logs_kept(chronicle: Chronicle) -> Generator[None, None, None]:
    """Keep every log line of a run, however detailed."""
    root, keeper = logging.getLogger("pylon"), LogKeeper(chronicle)
    level = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(keeper)
