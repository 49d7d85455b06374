"""Whatever is reserved, spent, given back, paused and waited for, in whatever order: no cap is passed.

The model keeps every payment in a list and adds up all of it each time. The budget in SQLite is
asked through two programs' connections in turn, and through both at once.
"""

import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import trio
from attrs import define, frozen
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pylon.adapters.memory.budget import MemoryBudget
from pylon.app.store import open_store
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PublicKey
from pylon.model.money import Msat
from pylon.ports.budget import Budget, Caps, Span, Usage, Used
from tests.adapters.stores.budgets import MIDNIGHT
from tests.adapters.stores.samples import job_id, payment_hash

T = TypeVar("T")

ALICE, BOB, RUN = Scope("agent:alice"), Scope("agent:bob"), Scope("run:7")
SCOPES = (NODE, ALICE, BOB, RUN)
PATHS = ((NODE,), (NODE, ALICE), (NODE, BOB), (NODE, ALICE, RUN))
HOUR, DAY = 3_600, 86_400

hashes = st.integers(0, 7)
purposes = st.builds(
    Purpose,
    order=st.none() | st.integers(0, 2).map(job_id),
    provider=st.none() | st.integers(0, 2).map(lambda n: PublicKey(f"{n:064x}")),
    scopes=st.sampled_from(PATHS),
)
asks = st.tuples(hashes, purposes, st.integers(1, 6), st.integers(0, 2))
# Few caps at a time, or the tightest would hide the others.
caps = st.lists(
    st.tuples(
        st.sampled_from(["per_job", "per_provider", "per_hour", "per_day", "total"]),
        st.integers(0, 25).map(Msat),
    ),
    max_size=2,
).map(lambda chosen: Caps(**dict(chosen)))

Ask = tuple[int, Purpose, int, int]  # payment, what for, amount, fee


@define
class Payment:
    """What the model knows of one payment hash."""

    purpose: Purpose
    amount: int
    fee: int
    standing: str = "reserved"
    at: int = 0  # when it was spent

    def counts(self, span: Span, key: str, now: int) -> bool:
        """Say whether a payment counts in a span, and there as `key`."""
        length = {Span.HOUR: HOUR, Span.DAY: DAY}.get(span)
        if span is Span.JOB:
            return self.purpose.order == key
        if span is Span.PROVIDER:
            return self.purpose.provider == key
        if length is not None and self.standing == "spent":
            return self.at // length == now // length
        return True


@frozen
class Line:
    """A running Trio with an open budget, spoken with from the thread of the test."""

    _token: trio.lowlevel.TrioToken
    _stop: trio.Event
    _thread: threading.Thread
    budgets: tuple[Budget, ...]

    def ask(self, call: Callable[[], Awaitable[T]]) -> T:
        return trio.from_thread.run(call, trio_token=self._token)

    def close(self) -> None:
        self._token.run_sync_soon(self._stop.set)
        self._thread.join()


async def with_memory(ready: Callable[..., None], stop: trio.Event) -> None:
    ready(MemoryBudget())
    await stop.wait()


async def with_two_programs(ready: Callable[..., None], stop: trio.Event) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pylon.db")
        async with open_store(path) as store, open_store(path) as other:
            ready(store.budget, other.budget)
            await stop.wait()


def connect(serve: Callable[[Callable[..., None], trio.Event], Awaitable[None]]) -> Line:
    opened: SimpleQueue[tuple[Any, ...]] = SimpleQueue()

    async def main() -> None:
        stop, token = trio.Event(), trio.lowlevel.current_trio_token()
        await serve(lambda *budgets: opened.put((token, stop, budgets)), stop)

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    token, stop, budgets = opened.get(timeout=30)
    return Line(token, stop, thread, budgets)


class BudgetMachine(RuleBasedStateMachine):
    """Rules are what payers do; the model is a list of payments."""

    serve = staticmethod(with_memory)

    @initialize(limits=st.fixed_dictionaries(dict.fromkeys(SCOPES, caps)))
    def open(self, limits: dict[Scope, Caps]) -> None:
        self.line = connect(self.serve)
        self.limits = limits
        self.now = MIDNIGHT - 2
        self.payments: dict[int, Payment] = {}
        self.paused: set[Scope] = set()
        self.turn = 0

    def budget(self) -> Budget:
        """Take the programs in turn."""
        self.turn += 1
        return self.line.budgets[self.turn % len(self.line.budgets)]

    async def reserve(self, ask: Ask, budget: Budget) -> str | None:
        n, purpose, amount, fee = ask
        return await budget.reserve(
            payment_hash(n),
            purpose,
            amount=Msat(amount),
            fee=Msat(fee),
            limits=self.limits,
            now=self.now,
        )

    def committed(self, scope: Scope, span: Span, key: str = "", *standings: str) -> int:
        return sum(
            payment.amount + payment.fee
            for payment in self.payments.values()
            if payment.standing in (standings or ("reserved", "spent"))
            and scope in payment.purpose.scopes
            and payment.counts(span, key, self.now)
        )

    def keys(self, span: Span) -> Iterator[str]:
        """Name all the jobs, or all the providers, that anything was ever for."""
        for payment in self.payments.values():
            key = payment.purpose.order if span is Span.JOB else payment.purpose.provider
            if key is not None:
                yield key

    def allows(self, ask: Ask) -> bool:
        n, purpose, amount, fee = ask
        known = self.payments.get(n)
        if known is not None:
            if known.standing == "spent" or known.purpose.order != purpose.order:
                return False
            if known.standing == "reserved":
                return (known.amount, known.fee) == (amount, fee)
        return not self.paused.intersection(purpose.scopes) and all(
            limit is None or self.committed(scope, span, key) + amount + fee <= limit
            for scope in purpose.scopes
            for span, limit in self.limits[scope].by_span().items()
            for key in self.own_keys(span, purpose)
        )

    def own_keys(self, span: Span, purpose: Purpose) -> list[str]:
        if span not in (Span.JOB, Span.PROVIDER):
            return [""]
        key = purpose.order if span is Span.JOB else purpose.provider
        return [] if key is None else [key]

    def granted(self, ask: Ask) -> None:
        n, purpose, amount, fee = ask
        known = self.payments.get(n)
        if known is None or known.standing == "released":
            self.payments[n] = Payment(purpose, amount, fee)

    @rule(ask=asks)
    def reserve_one(self, ask: Ask) -> None:
        refusal = self.line.ask(lambda: self.reserve(ask, self.budget()))
        assert (refusal is None) == self.allows(ask), refusal
        if refusal is None:
            self.granted(ask)

    @rule(all_asks=st.lists(asks, min_size=2, max_size=5, unique_by=lambda ask: ask[0]))
    def reserve_at_once(self, all_asks: list[Ask]) -> None:
        """Which of them are granted is for the budget to say; the invariants say whether all may be."""
        refusals: dict[int, str | None] = {}

        async def reserve_one(ask: Ask, budget: Budget) -> None:
            refusals[ask[0]] = await self.reserve(ask, budget)

        async def reserve_all() -> None:
            async with trio.open_nursery() as nursery:
                for ask in all_asks:
                    nursery.start_soon(reserve_one, ask, self.budget())

        possible = [ask for ask in all_asks if self.allows(ask)]
        self.line.ask(reserve_all)
        granted = [ask for ask in all_asks if refusals[ask[0]] is None]
        assert all(ask in possible for ask in granted)
        for ask in granted:
            self.granted(ask)
        assert not any(self.allows(ask) for ask in possible if ask not in granted)

    @rule(n=hashes)
    def dispatch(self, n: int) -> None:
        veto = self.line.ask(lambda: self.budget().veto(payment_hash(n)))
        known = self.payments.get(n)
        if known is None or known.standing == "released":
            assert veto is not None
        else:
            assert (veto is not None) == bool(self.paused.intersection(known.purpose.scopes))

    @rule(n=hashes, less=st.integers(0, 2))
    def succeed(self, n: int, less: int) -> None:
        """A payment costs what was set aside, or less in fees; told twice, it is booked once."""
        known = self.payments.get(n)
        if known is None or known.standing == "released":
            return
        amount, fee, now = Msat(known.amount), Msat(max(0, known.fee - less)), self.now
        self.line.ask(lambda: self.budget().spend(payment_hash(n), amount=amount, fee=fee, now=now))
        if known.standing == "reserved":
            known.standing, known.fee, known.at = "spent", fee, now

    @rule(n=hashes)
    def fail(self, n: int) -> None:
        self.line.ask(lambda: self.budget().release(payment_hash(n)))
        known = self.payments.get(n)
        if known is not None and known.standing == "reserved":
            known.standing = "released"

    @rule(scope=st.sampled_from(SCOPES))
    def pause(self, scope: Scope) -> None:
        self.line.ask(lambda: self.budget().pause(now=self.now, scope=scope))
        self.paused.add(scope)

    @rule(scope=st.sampled_from(SCOPES))
    def resume(self, scope: Scope) -> None:
        self.line.ask(lambda: self.budget().resume(scope=scope))
        self.paused.discard(scope)

    @rule(seconds=st.sampled_from([1, 2, HOUR - 1, HOUR, DAY - HOUR, DAY]))
    def wait(self, seconds: int) -> None:
        """Time passes, and what is unknown stays set aside."""
        self.now += seconds

    @invariant()
    def no_cap_is_passed(self) -> None:
        for scope, scope_caps in self.limits.items():
            for span, limit in scope_caps.by_span().items():
                keys = self.keys(span) if span in (Span.JOB, Span.PROVIDER) else [""]
                for key in keys:
                    assert limit is None or self.committed(scope, span, key) <= limit

    @invariant()
    def the_books_are_what_happened(self) -> None:
        budget = self.budget()
        purposes = {payment.purpose for payment in self.payments.values()}
        purposes |= {Purpose(scopes=(scope,)) for scope in SCOPES}

        async def look() -> list[tuple[Purpose, dict[Scope, Usage]]]:
            return [(each, await budget.usage(each, now=self.now)) for each in purposes]

        for purpose, usage in self.line.ask(look):
            for scope in purpose.scopes:
                assert usage[scope] == {
                    span: Used(
                        Msat(self.committed(scope, span, key, "spent")),
                        Msat(self.committed(scope, span, key, "reserved")),
                    )
                    for span in Span
                    for key in self.own_keys(span, purpose)
                }
        held = {payment_hash(n) for n, p in self.payments.items() if p.standing == "reserved"}
        assert set(self.line.ask(budget.reserved)) == held

    def teardown(self) -> None:
        if hasattr(self, "line"):
            self.line.close()


class SqliteBudgetMachine(BudgetMachine):
    """The same in pylon.db."""

    serve = staticmethod(with_two_programs)


TestMemoryBudget = BudgetMachine.TestCase
TestMemoryBudget.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestSqliteBudget = SqliteBudgetMachine.TestCase
TestSqliteBudget.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
