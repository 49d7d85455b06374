"""What every `Budget` promises, asked of each, one at a time and all at once."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.app.store import Store, open_store
from pylon.core.budget import SECONDS_PER_DAY
from pylon.model.money import Msat
from pylon.ports.budget import Budget, Caps
from tests.adapters.stores.conftest import memory_store
from tests.adapters.stores.processes import run
from tests.adapters.stores.samples import NOW, job_id, payment_hash

NO_CAPS = Caps()
MIDNIGHT = NOW - NOW % SECONDS_PER_DAY


async def reserve(
    budget: Budget,
    n: int,
    *,
    order: int = 1,
    amount: int = 10,
    fee: int = 1,
    caps: Caps = NO_CAPS,
    now: int = NOW,
) -> str | None:
    return await budget.reserve(
        payment_hash(n), job_id(order), amount=Msat(amount), fee=Msat(fee), caps=caps, now=now
    )


async def spend(budget: Budget, n: int, *, amount: int = 10, fee: int = 0, now: int = NOW) -> None:
    await budget.spend(payment_hash(n), amount=Msat(amount), fee=Msat(fee), now=now)


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
        (Caps(per_day=Msat(21_000)), "for one day"),
        (Caps(total=Msat(21_000)), "in total"),
    ],
)
async def test_a_cap_is_reached_and_not_passed(store: Store, caps: Caps, span: str) -> None:
    assert await reserve(store.budget, 1, amount=10_000, fee=1000, caps=caps) is None
    await spend(store.budget, 1, amount=10_000, fee=1000)

    refusal = await reserve(store.budget, 2, amount=10_000, fee=1, caps=caps)
    assert refusal == (
        f"10.001 sat with fees is over the limit of 21 sat {span}, "
        "of which 11 sat are spent or set aside"
    )
    assert await reserve(store.budget, 2, amount=10_000, fee=0, caps=caps) is None


async def test_the_cap_of_a_job_is_each_jobs_own(store: Store) -> None:
    caps = Caps(per_job=Msat(11))

    assert await reserve(store.budget, 1, order=1, caps=caps) is None
    assert await reserve(store.budget, 2, order=2, caps=caps) is None
    assert await reserve(store.budget, 3, order=2, caps=caps) is not None


async def test_yesterdays_spending_leaves_todays_cap_and_yesterdays_reservation_does_not(
    store: Store,
) -> None:
    caps = Caps(per_day=Msat(11))
    yesterday = MIDNIGHT - 1
    assert await reserve(store.budget, 1, now=yesterday, caps=caps) is None

    assert await reserve(store.budget, 2, now=MIDNIGHT, caps=caps) is not None
    assert await store.budget.committed(since=MIDNIGHT) == 11

    await spend(store.budget, 1, now=yesterday)
    assert await store.budget.committed(since=MIDNIGHT) == 0
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
CAPS = st.builds(Caps, per_job=CAP, per_day=CAP, total=CAP)


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
                for since in (0, MIDNIGHT, MIDNIGHT + SECONDS_PER_DAY):
                    in_memory = await memory.committed(since=since)
                    assert await store.budget.committed(since=since) == in_memory

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
from pylon.ports.budget import Caps

async def main(path, first):
    granted = 0
    async with open_store(path) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(first, first + 40):
            refusal = await store.budget.reserve(
                f"{n:064x}", f"{n:064x}", amount=10, fee=1, caps=Caps(total=33 * 11), now=0
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
