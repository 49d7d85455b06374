"""What every `Budget` promises, asked of each, one at a time and all at once."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.app.store import Store, open_store
from pylon.core.budget import SECONDS_PER_DAY, SECONDS_PER_HOUR
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.money import Msat
from pylon.ports.budget import Budget, Caps, Entry, Span, Used
from tests.adapters.stores.budgets import MIDNIGHT, in_one_day, purpose, reserve, spend, used
from tests.adapters.stores.conftest import memory_store
from tests.adapters.stores.processes import run
from tests.adapters.stores.samples import NOW, job_id, payment_hash

AGENT, RUN = Scope("agent:alice"), Scope("run:7")
PATH = (NODE, AGENT, RUN)


async def test_what_is_reserved_is_amount_and_fee(store: Store) -> None:
    assert await reserve(store.budget, 1) is None
    assert await store.budget.committed() == 11


async def test_the_same_reservation_is_made_once(store: Store) -> None:
    caps = Caps(total=Msat(11))
    assert await reserve(store.budget, 1, caps=caps) is None
    assert await reserve(store.budget, 1, caps=caps) is None
    assert await store.budget.committed() == 11


async def test_a_reservation_does_not_grow(store: Store) -> None:
    assert await reserve(store.budget, 1) is None
    assert await reserve(store.budget, 1, amount=1000) is not None
    assert await reserve(store.budget, 1, fee=1000) is not None
    assert await store.budget.committed() == 11


async def test_another_orders_payment_hash_is_refused_even_when_given_back(store: Store) -> None:
    assert await reserve(store.budget, 1, order=1) is None
    refusal = await reserve(store.budget, 1, order=2)
    await store.budget.release(payment_hash(1))

    assert refusal is not None
    assert "another order" in refusal
    assert await reserve(store.budget, 1, order=2) == refusal
    assert await store.budget.committed() == 0


async def test_a_hash_that_was_paid_is_never_reserved_again(store: Store) -> None:
    assert await reserve(store.budget, 1) is None
    await spend(store.budget, 1)
    await store.budget.release(payment_hash(1))

    refusal = await reserve(store.budget, 1)
    assert refusal is not None
    assert "paid before" in refusal
    assert await store.budget.committed() == 10


async def test_a_released_reservation_may_be_made_again_by_its_order(store: Store) -> None:
    caps = Caps(total=Msat(21))
    assert await reserve(store.budget, 1, caps=caps) is None
    await store.budget.release(payment_hash(1))
    await store.budget.release(payment_hash(1))
    assert await store.budget.committed() == 0

    assert await reserve(store.budget, 1, amount=20, caps=caps) is None
    assert await store.budget.committed() == 21


async def test_spending_counts_once_and_the_first_report_stands(store: Store) -> None:
    assert await reserve(store.budget, 1) is None
    await spend(store.budget, 1, amount=10, fee=1)
    await spend(store.budget, 1, amount=99, fee=9, now=NOW + 5)

    assert await store.budget.committed() == 11


async def test_money_that_went_without_a_reservation_counts(store: Store) -> None:
    assert await reserve(store.budget, 1) is None
    await store.budget.release(payment_hash(1))
    await spend(store.budget, 1, amount=10)
    await spend(store.budget, 2, amount=5)

    assert await store.budget.committed() == 15
    assert await reserve(store.budget, 2, order=1) is not None


@pytest.mark.parametrize(
    ("caps", "span"),
    [
        (Caps(per_job=Msat(21_000)), "for one job"),
        (Caps(per_provider=Msat(21_000)), "for one provider"),
        (Caps(per_hour=Msat(21_000)), "for one hour"),
        (Caps(per_day=Msat(21_000)), "for one day"),
        (Caps(total=Msat(21_000)), "in total"),
    ],
)
async def test_a_cap_is_reached_and_not_passed(store: Store, caps: Caps, span: str) -> None:
    costs: Any = {"provider": 1, "amount": 10_000, "caps": caps}
    assert await reserve(store.budget, 1, **costs, fee=1000) is None
    await spend(store.budget, 1, amount=10_000, fee=1000)

    refusal = await reserve(store.budget, 2, **costs, fee=1)
    assert refusal == (
        f"10.001 sat with fees is over the limit of 21 sat {span}, "
        "of which 11 sat are spent or set aside"
    )
    assert await reserve(store.budget, 2, **costs, fee=0) is None


async def test_the_cap_of_a_job_is_each_jobs_own(store: Store) -> None:
    caps = Caps(per_job=Msat(11))

    assert await reserve(store.budget, 1, order=1, caps=caps) is None
    assert await reserve(store.budget, 2, order=2, caps=caps) is None
    assert await reserve(store.budget, 3, order=2, caps=caps) is not None


async def test_the_cap_of_a_provider_is_each_providers_own_over_all_jobs(store: Store) -> None:
    caps = Caps(per_provider=Msat(22))

    for n in (1, 2):
        assert await reserve(store.budget, n, order=n, provider=1, caps=caps) is None
    assert await reserve(store.budget, 3, order=3, provider=1, caps=caps) is not None
    assert await reserve(store.budget, 3, order=3, provider=2, caps=caps) is None


async def test_the_cap_of_an_hour_is_free_again_with_the_next(store: Store) -> None:
    caps, next_hour = Caps(per_hour=Msat(11)), MIDNIGHT + SECONDS_PER_HOUR
    assert await reserve(store.budget, 1, now=MIDNIGHT, caps=caps) is None
    assert await reserve(store.budget, 2, now=next_hour, caps=caps) is not None

    await spend(store.budget, 1, now=next_hour - 1)
    assert await reserve(store.budget, 2, now=next_hour - 1, caps=caps) is not None
    assert await reserve(store.budget, 2, now=next_hour, caps=caps) is None


@pytest.mark.parametrize("capped", PATH)
async def test_the_caps_of_every_scope_hold(store: Store, capped: Scope) -> None:
    limits = {capped: Caps(total=Msat(21))}
    costs: Any = {"scopes": PATH, "limits": limits}

    assert await reserve(store.budget, 1, **costs) is None
    assert await reserve(store.budget, 2, **costs) is not None
    assert {scope: (await used(store.budget, scope=scope))[Span.TOTAL] for scope in PATH} == (
        dict.fromkeys(PATH, Used(reserved=Msat(11)))
    )
    assert await reserve(store.budget, 2, **costs, amount=9) is None


async def test_what_one_agent_spends_leaves_anothers_budget_and_not_the_nodes(
    store: Store,
) -> None:
    bob = Scope("agent:bob")
    limits = {
        NODE: Caps(per_day=Msat(22)),
        AGENT: Caps(per_day=Msat(11)),
        bob: Caps(per_day=Msat(11)),
    }
    alices: Any = {"scopes": (NODE, AGENT), "limits": limits}
    bobs: Any = {"scopes": (NODE, bob), "limits": limits}

    assert await reserve(store.budget, 1, **alices) is None
    await spend(store.budget, 1, amount=10, fee=1)
    assert "agent:alice" in (await reserve(store.budget, 2, **alices) or "")
    assert await reserve(store.budget, 3, **bobs) is None
    assert await reserve(store.budget, 4, order=4, caps=limits[NODE]) is not None


async def test_a_reservation_given_back_is_given_back_in_every_scope(store: Store) -> None:
    assert await reserve(store.budget, 1, provider=1, scopes=PATH) is None
    await store.budget.release(payment_hash(1))

    usage = await store.budget.usage(purpose(1, 1, PATH), now=NOW)
    assert usage == dict.fromkeys(PATH, dict.fromkeys(Span, Used()))


async def test_usage_tells_what_is_spent_from_what_is_reserved_over_each_span(
    store: Store,
) -> None:
    assert await reserve(store.budget, 1, provider=1) is None
    assert await reserve(store.budget, 2, provider=1) is None
    await spend(store.budget, 1, amount=10, fee=0, now=MIDNIGHT)

    usage = (await store.budget.usage(purpose(1, 1), now=MIDNIGHT + SECONDS_PER_HOUR))[NODE]
    both, reserved = Used(Msat(10), Msat(11)), Used(Msat(0), Msat(11))
    assert usage == {
        Span.JOB: both,
        Span.PROVIDER: both,
        Span.HOUR: reserved,
        Span.DAY: both,
        Span.TOTAL: both,
    }


async def test_a_payment_for_no_job_is_limited_by_time_and_in_total_alone(store: Store) -> None:
    async def pay(n: int, caps: Caps) -> str | None:
        return await store.budget.reserve(
            payment_hash(n),
            Purpose(),
            amount=Msat(10),
            fee=Msat(1),
            limits={NODE: caps},
            now=NOW,
        )

    assert await pay(1, Caps(per_job=Msat(1), per_provider=Msat(1))) is None
    assert await pay(1, Caps()) is None
    assert await reserve(store.budget, 1) is not None, "it is no order's"
    for caps in (Caps(per_hour=Msat(21)), Caps(per_day=Msat(21)), Caps(total=Msat(21))):
        assert await pay(2, caps) is not None


async def test_the_job_and_the_provider_that_cost_most_are_known(store: Store) -> None:
    assert await store.budget.most(Span.JOB) is None
    assert await reserve(store.budget, 1, order=1, provider=1, amount=50) is None
    assert await reserve(store.budget, 2, order=2, provider=2, amount=30) is None
    assert await reserve(store.budget, 3, order=3, provider=2, amount=30) is None
    await spend(store.budget, 3, amount=30)

    assert await store.budget.most(Span.JOB) == (job_id(1), Used(reserved=Msat(51)))
    most = await store.budget.most(Span.PROVIDER)
    assert most == (f"{2:064x}", Used(Msat(30), Msat(31)))
    assert await store.budget.most(Span.PROVIDER, scope=AGENT) is None


async def test_what_is_still_reserved_is_told_the_oldest_first(store: Store) -> None:
    for n, now in ((1, NOW + 1), (2, NOW), (3, NOW), (4, NOW)):
        assert await reserve(store.budget, n, order=n, provider=n, scopes=PATH, now=now) is None
    await spend(store.budget, 3)
    await store.budget.release(payment_hash(4))

    reserved = await store.budget.reserved()

    assert list(reserved) == [payment_hash(2), payment_hash(1)]
    entry = reserved[payment_hash(1)]
    assert entry == Entry(purpose(1, 1, PATH), entry.standing, Msat(10), Msat(1), NOW + 1)


async def test_yesterdays_spending_leaves_todays_cap_and_yesterdays_reservation_does_not(
    store: Store,
) -> None:
    caps = Caps(per_day=Msat(11))
    yesterday = MIDNIGHT - 1
    assert await reserve(store.budget, 1, now=yesterday, caps=caps) is None

    assert await reserve(store.budget, 2, now=MIDNIGHT, caps=caps) is not None
    assert await in_one_day(store.budget, now=MIDNIGHT) == 11

    await spend(store.budget, 1, now=yesterday)
    assert await in_one_day(store.budget, now=MIDNIGHT) == 0
    assert await reserve(store.budget, 2, now=MIDNIGHT, caps=caps) is None


@frozen
class Ask:
    """A call of `reserve`, `spend` (what was reserved, or less) or `release`."""

    verb: str
    hash: int
    order: int
    amount: int
    fee: int
    day: int

    async def of(self, budget: Budget, caps: Caps) -> str | None:
        now = MIDNIGHT + self.day * SECONDS_PER_DAY
        if self.verb == "reserve":
            return await reserve(
                budget,
                self.hash,
                order=self.order,
                amount=self.amount,
                fee=self.fee,
                caps=caps,
                now=now,
            )
        if self.verb == "spend":  # never more than the least that can have been reserved
            await spend(budget, self.hash, amount=1, fee=0, now=now)
        else:
            await budget.release(payment_hash(self.hash))
        return None


ASKS = st.builds(
    Ask,
    verb=st.sampled_from(["reserve", "reserve", "spend", "release"]),
    hash=st.integers(0, 5),
    order=st.integers(0, 2),
    amount=st.integers(1, 6),
    fee=st.integers(0, 2),
    day=st.just(0),
)
CAP = st.none() | st.integers(0, 20).map(Msat)
CAPS = st.builds(Caps, per_job=CAP, per_provider=CAP, per_hour=CAP, per_day=CAP, total=CAP)


@given(
    asks=st.lists(ASKS, max_size=25),
    days=st.lists(st.integers(0, 2), min_size=25, max_size=25),
    caps=CAPS,
)
@settings(max_examples=60, deadline=None)
def test_both_budgets_answer_alike(asks: list[Ask], days: list[int], caps: Caps) -> None:
    async def compare(path: Path) -> None:
        memory = memory_store().budget
        async with open_store(path) as store:
            for ask, day in zip(asks, sorted(days), strict=False):
                dated = evolve(ask, day=day)
                assert await dated.of(store.budget, caps) == await dated.of(memory, caps)
                for now in (MIDNIGHT, MIDNIGHT + SECONDS_PER_DAY):
                    asked = purpose(ask.order)
                    in_memory = await memory.usage(asked, now=now)
                    assert await store.budget.usage(asked, now=now) == in_memory
                assert await store.budget.reserved() == await memory.reserved()

    with tempfile.TemporaryDirectory() as folder:
        trio.run(compare, Path(folder, "pylon.db"))


async def trade(rounds: list[list[Ask]], cap: Msat, budgets: Sequence[Budget]) -> None:
    """In each round reserve everything at once, then settle some of what was granted."""
    caps = Caps(per_day=cap, total=cap)
    granted: set[int] = set()

    async def ask_for(ask: Ask, budget: Budget) -> None:
        if await evolve(ask, verb="reserve").of(budget, caps) is None:
            granted.add(ask.hash)

    for asks in rounds:
        async with trio.open_nursery() as nursery:
            for n, ask in enumerate(asks):
                nursery.start_soon(ask_for, ask, budgets[n % len(budgets)])
        assert await budgets[0].committed() <= cap
        for ask in asks:
            if ask.verb != "reserve" and ask.hash in granted:
                granted.remove(ask.hash)
                await ask.of(budgets[-1], caps)
        assert await budgets[0].committed() <= cap


@given(rounds=st.lists(st.lists(ASKS, min_size=2, max_size=6), max_size=6), cap=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_no_interleaving_commits_more_than_a_cap(rounds: list[list[Ask]], cap: int) -> None:
    async def with_two_programs(path: Path) -> None:
        async with open_store(path) as store, open_store(path) as other:
            await trade(rounds, Msat(cap), [store.budget, other.budget])

    trio.run(trade, rounds, Msat(cap), [memory_store().budget])
    with tempfile.TemporaryDirectory() as folder:
        trio.run(with_two_programs, Path(folder, "pylon.db"))


async def test_tasks_that_ask_at_once_get_exactly_what_there_is(store: Store) -> None:
    answers: list[str | None] = []

    async def ask(n: int) -> None:
        answers.append(await reserve(store.budget, n, order=n, caps=Caps(total=Msat(7 * 11 + 10))))

    async with trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(ask, n)

    assert answers.count(None) == 7
    assert await store.budget.committed() == 77


BUYER = """
import sys, trio
from pathlib import Path
from pylon.app.store import open_store
from pylon.ports.budget import NODE, Caps, Purpose

async def main(path, first):
    granted = 0
    async with open_store(path) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(first, first + 40):
            refusal = await store.budget.reserve(
                f"{n:064x}", Purpose(f"{n:064x}"), amount=10, fee=1,
                limits={NODE: Caps(total=33 * 11)}, now=0,
            )
            granted += refusal is None
    print(granted)

trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
"""


async def test_processes_that_buy_at_once_share_one_cap(tmp_path: Path) -> None:
    path = tmp_path / "pylon.db"
    with ExitStack() as running:
        buyers = [running.enter_context(run(BUYER, path, n * 40)) for n in range(3)]
        assert [buyer.hear() for buyer in buyers] == ["ready"] * 3
        for buyer in buyers:
            buyer.say("go")
        granted = [int(buyer.hear()) for buyer in buyers]

    assert sum(granted) == 33
    async with open_store(path) as store:
        assert await store.budget.committed() == 33 * 11
