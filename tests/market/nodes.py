"""Providers and buyers, whole, in one process: all they have in memory survives whoever uses it."""

from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
)
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
from attrs import define, evolve, field

from pylon.adapters.home import Home
from pylon.adapters.keys import LocalSigner
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.budget import MemoryBudget
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.adapters.memory.earnings import MemoryEarnings
from pylon.adapters.memory.payees import MemoryPayees
from pylon.adapters.memory.records import MemoryRecords
from pylon.app.buyer import Buyer, BuyerParts, open_buyer
from pylon.app.identity import Identity
from pylon.app.node import Opened
from pylon.app.ordering import answer_text, prepare
from pylon.app.provider import ProviderParts, serve_provider
from pylon.app.relays import Pool, open_pool
from pylon.app.store import Store
from pylon.config import Config
from pylon.core import outbox
from pylon.core.order_machine import is_final
from pylon.core.order_mail import OrderChanged, Progress
from pylon.core.ordering import Wish
from pylon.model.ids import EventId, JobId, PublicKey, RelayUrl
from pylon.model.job import Job, JobState, Settled
from pylon.model.money import Msat, Network, PayMode
from pylon.model.order import Done, Order, OrderState
from pylon.ports.relay import Dial
from pylon.ports.wallet import Wallet
from pylon.wire.relay_info import RelayInfo
from tests.market.backend import ScriptedBackend
from tests.market.world import World, open_world
from tests.nostr import NOW, keys

T = TypeVar("T")

BUYER, SELLER, RIVAL = 1, 2, 3  # whose key is whose
FUNDS = Msat(1_000_000)


def new_store() -> Store:
    jobs: MemoryRecords[Job, JobState] = MemoryRecords()
    return Store(
        jobs=jobs,
        orders=MemoryRecords(),
        budget=MemoryBudget(),
        earnings=MemoryEarnings(jobs),
        cursors=MemoryCursors(),
        payees=MemoryPayees(),
    )


@define(eq=False)
class NodeHome:
    """All of a node that outlives it: keys, configuration, store, wallet."""

    world: World
    number: int
    config: Config
    wallet: Wallet
    dial: Dial
    store: Store = field(factory=new_store)

    @property
    def key(self) -> PublicKey:
        return keys(self.number).public_key

    @property
    def ledger(self) -> LedgerWallet:
        """The wallet itself, whatever stands before it."""
        return self.world.ledger.wallet(keys(self.number))

    def order(self, wish: Wish | str = "What is 2+2?", **changes: Any) -> Order:
        """Make and sign an order, by default one that pays by itself, before the work."""
        if isinstance(wish, str):
            wish = Wish(wish, auto_pay=True)
        changes = {"modes": (PayMode.PREPAY,)} | changes
        signer = LocalSigner(keys(self.number))
        identity = Identity(signer, keys(self.number), Network.REGTEST)
        home = Home(Path("nowhere"), Path("nowhere"), Path("nowhere"))
        opened = Opened(home, self.config, identity, {}, self.world.clock)
        return evolve(prepare(opened, evolve(wish, **changes)))

    def pool(self) -> Any:
        return open_pool(
            self.world.relays,
            signer=LocalSigner(keys(self.number)),
            cursors=self.store.cursors,
            clock=self.world.clock,
            dial=self.dial,
            fetch_info=no_info,
            fraction=lambda: 0.5,
        )

    async def job(self, order: Order) -> JobState | None:
        """Return what this provider has of an order."""
        record = (await self.store.jobs.load([order.id])).get(order.id)
        return None if record is None else record.state

    async def no_rows(self) -> None:
        """Wait until every act is carried out."""
        await settles(lambda: _is_empty(open_rows(self)))

    async def order_state(self, order: Order) -> OrderState | None:
        record = (await self.store.orders.load([order.id])).get(order.id)
        return None if record is None else record.state

    async def result_text(self, order: Order) -> str | None:
        """Read the answer that the order ended with."""
        record = (await self.store.orders.load([order.id]))[order.id]
        return await answer_text(self.store, LocalSigner(keys(self.number)), record)


async def no_info(url: RelayUrl) -> RelayInfo | None:
    await trio.lowlevel.checkpoint()
    return None


@define(eq=False)
class Seller:
    """A provider at work."""

    home: NodeHome
    backend: ScriptedBackend
    stop: trio.Event
    pool: Pool
    stopped: trio.Event = field(factory=trio.Event)

    async def work(self, parts: ProviderParts, *, task_status: trio.TaskStatus[None]) -> None:
        await serve_provider(parts, stop=self.stop, task_status=task_status)
        self.stopped.set()


@asynccontextmanager
async def selling(
    home: NodeHome, backend: ScriptedBackend | None = None
) -> AsyncGenerator[Seller, None]:
    """Run a provider until the block ends; then cut it off, as a crash would."""
    backend = backend or ScriptedBackend()
    with trio.CancelScope() as life:
        async with home.pool() as pool, trio.open_nursery() as nursery:
            stop = trio.Event()
            signer = LocalSigner(keys(home.number))
            parts = ProviderParts(
                home.config, signer, home.store, home.wallet, (backend,), pool, home.world.clock
            )
            seller = Seller(home, backend, stop, pool)
            await nursery.start(seller.work, parts)
            yield seller
            life.cancel()


@define(eq=False)
class Shopper:
    """A buyer at work, and everything it was told."""

    home: NodeHome
    buyer: Buyer
    told: list[Progress] = field(factory=list)
    _more: trio.Event = field(factory=trio.Event)

    async def listen(self) -> None:
        async for item in self.buyer.progress:
            self.told.append(item)
            self._more.set()
            self._more = trio.Event()

    async def hears(self, wanted: Callable[[Progress], bool]) -> Progress:
        """Wait until something is told that is wanted, also if it was told before."""
        while True:
            for item in self.told:
                if wanted(item):
                    return item
            await self._more.wait()

    async def reaches(self, order: Order, *states: type[Any]) -> OrderState:
        """Wait until an order has been in one of these states."""
        item = await self.hears(
            lambda item: (
                isinstance(item, OrderChanged)
                and item.order_id == order.id
                and isinstance(item.state, states)
            )
        )
        assert isinstance(item, OrderChanged)
        return item.state

    async def buy(self, order: Order, **how: Any) -> OrderState:
        """Submit an order and wait for its end."""
        await self.buyer.submit(order, **how)
        return await self.ends(order)

    async def ends(self, order: Order) -> OrderState:
        item = await self.hears(
            lambda item: (
                isinstance(item, OrderChanged)
                and item.order_id == order.id
                and is_final(item.state)
            )
        )
        assert isinstance(item, OrderChanged)
        return item.state

    def of(self, kind: type[T]) -> list[T]:
        return [item for item in self.told if isinstance(item, kind)]

    def last(self, order: Order, state: type[T]) -> T:
        """Return an order's latest state of one class."""
        found = [
            item.state
            for item in self.of(OrderChanged)
            if item.order_id == order.id and isinstance(item.state, state)
        ]
        return found[-1]

    def states(self, order: Order) -> list[str]:
        """Name the states an order has passed through."""
        return [
            type(item.state).__name__ for item in self.of(OrderChanged) if item.order_id == order.id
        ]


@asynccontextmanager
async def shopping(
    home: NodeHome, *, since: int = NOW, listens: bool = True
) -> AsyncGenerator[Shopper, None]:
    """Run a buyer until the block ends; then cut it off, as a crash would."""
    with trio.CancelScope() as life:
        async with home.pool() as pool:
            signer = LocalSigner(keys(home.number))
            parts = BuyerParts(home.config, signer, home.store, home.wallet, pool, home.world.clock)
            async with open_buyer(parts, since=since) as buyer, trio.open_nursery() as nursery:
                shopper = Shopper(home, buyer)
                if listens:
                    nursery.start_soon(shopper.listen)
                yield shopper
                life.cancel()


@asynccontextmanager
async def one_of_each(
    backend: ScriptedBackend | None = None,
    *,
    relays: int = 1,
    seller: Config | None = None,
    buyer: Config | None = None,
) -> AsyncGenerator[tuple[World, Seller, Shopper], None]:
    """Open a market with one provider and one buyer in it."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(open_world(relays))
        sold = await stack.enter_async_context(selling(node(world, SELLER, seller), backend))
        home = await funded(world, buyer)
        bought = await stack.enter_async_context(shopping(home))
        yield world, sold, bought


async def funded(world: World, config: Config | None = None, *, number: int = BUYER) -> NodeHome:
    """Make what a buyer has and keeps, with money in its wallet."""
    await world.ledger.wallet(keys(number)).fund(FUNDS)
    return node(world, number, config)


def node(world: World, number: int, config: Config | None = None) -> NodeHome:
    """Make what a node has and keeps."""
    wallet = world.ledger.wallet(keys(number))
    return NodeHome(world, number, config or Config(), wallet, world.dial)


async def open_rows(home: NodeHome) -> list[str]:
    """Name the acts of a node that are still to be carried out."""
    desks = sorted(set(outbox._DESKS.values()))
    rows = [r for d in desks for r in await home.store.jobs.outbox(d)]
    rows += [r for d in desks for r in await home.store.orders.outbox(d)]
    return [row.kind for row in rows]


async def settles(condition: Callable[[], Any], *, within: float = 60) -> None:
    """Wait until an (async) condition holds."""
    with trio.fail_after(within):
        while not await condition():  # noqa: ASYNC110 - a test asks what nothing tells of
            await trio.sleep(0.1)


async def _is_empty(rows: Awaitable[list[str]]) -> bool:
    return not await rows


async def job_becomes(
    home: NodeHome, order: Order | str, *kinds: type[Any], within: float = 3_600
) -> JobState:
    """Wait until a provider's job is in a state of one of these classes."""
    id_ = JobId(EventId(order if isinstance(order, str) else order.id))

    async def is_there() -> bool:
        record = (await home.store.jobs.load([id_])).get(id_)
        return record is not None and isinstance(record.state, kinds)

    await settles(is_there, within=within)
    return (await home.store.jobs.load([id_]))[id_].state


async def order_becomes(home: NodeHome, order: Order, *kinds: type[Any]) -> OrderState:
    """Wait until a buyer's order is in a state of one of these classes."""

    async def is_there() -> bool:
        return isinstance(await home.order_state(order), kinds)

    await settles(is_there, within=3_600)
    state = await home.order_state(order)
    assert state is not None
    return state


async def is_one_paid_job(world: World, seller: NodeHome, buyer: NodeHome, order: Order) -> None:
    """Assert that an order was answered and paid, once, and that nothing is left to do for it."""
    await job_becomes(seller, order, Settled)
    await seller.no_rows()
    await buyer.no_rows()
    end = await buyer.order_state(order)
    assert isinstance(end, Done)
    assert end.offer is not None
    (received,) = await seller.ledger.history(limit=9)
    assert (received.state, received.amount) == ("settled", end.offer.amount)
    spent = end.offer.amount + end.fee
    assert await buyer.ledger.balance() == FUNDS - spent
    assert await buyer.store.budget.committed() == spent
    total = await seller.store.earnings.total()
    assert (total.amount, total.jobs) == (end.offer.amount, 1)
    results = await world.published(kinds=(order.request.kind + 1000,), tags={"e": (order.id,)})
    assert {e.id for e in results if e.pubkey == seller.key} == {end.answer.result}
    assert await world.ledger_audit() == []
