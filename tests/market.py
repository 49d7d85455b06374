"""A whole market in one process, under the test's own clock: relays, ledger, providers, buyers.

Relay pool, relay server, provider and buyer are the real ones; what lies between them and the world
is in memory, and survives whoever uses it.
"""

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
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
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.adapters.memory.earnings import MemoryEarnings
from pylon.adapters.memory.events import MemoryEventStore
from pylon.adapters.memory.records import MemoryRecords
from pylon.adapters.memory.wallet import MemoryMarket
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
from pylon.core.relay_rules import RelayRules
from pylon.errors import PeerFault, RelayLost
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, JobId, PublicKey, RelayUrl
from pylon.model.inference import BackendHealth, Completion, Prompt, Usage
from pylon.model.job import Job, JobState, Settled
from pylon.model.money import Msat, Network
from pylon.model.order import Done, Order, OrderState
from pylon.ports.relay import Wire
from pylon.ports.wallet import Wallet
from pylon.services.relay_server import RelayServer
from pylon.wire.frames import Ok, Submit, decode_relay, encode
from pylon.wire.relay_info import RelayInfo
from pylon.wire.relay_url import normalise
from tests.nostr import NOW, keys

T = TypeVar("T")

BUYER, SELLER, RIVAL, STRANGER = 1, 2, 3, 4  # whose key is whose
FUNDS = Msat(1_000_000)


@define(eq=False)
class MemoryWire:
    """One end of a connection."""

    _outward: trio.MemorySendChannel[list[str]]
    _inward: trio.MemoryReceiveChannel[list[str]]

    async def send(self, texts: Sequence[str]) -> None:
        try:
            await self._outward.send(list(texts))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise RelayLost("memory") from None

    async def receive(self) -> list[str]:
        try:
            return await self._inward.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise RelayLost("memory") from None

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._outward.close()
        self._inward.close()


@define(eq=False)
class LocalRelay:
    """Our relay server with a store of its own, and a switch."""

    url: RelayUrl
    clock: MemoryClock
    store: MemoryEventStore = field(factory=MemoryEventStore)
    down: bool = False
    _server: RelayServer = field(init=False)
    _lines: list[MemoryWire] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        rules = RelayRules(urls=frozenset({self.url}))
        self._server = RelayServer(self.store, rules, self.clock, lambda: "c0ffee")

    async def serve(self, line: MemoryWire) -> None:
        self._lines.append(line)
        try:
            await self._server.serve(line)
        except PeerFault:
            line.close()

    def cut(self) -> None:
        """Lose every connection."""
        for line in self._lines:
            line.close()
        self._lines.clear()


@define(eq=False)
class World:
    """Relays and a ledger: what is outside of every node."""

    nursery: trio.Nursery
    clock: MemoryClock
    relays: dict[RelayUrl, LocalRelay]
    ledger: MemoryMarket

    @asynccontextmanager
    async def dial(self, url: str) -> AsyncGenerator[MemoryWire, None]:
        relay = self.relays[RelayUrl(url)]
        await trio.lowlevel.checkpoint()
        if relay.down:
            raise RelayLost(url, "refused")
        there_in, there_out = trio.open_memory_channel[list[str]](64)
        back_in, back_out = trio.open_memory_channel[list[str]](64)
        self.nursery.start_soon(relay.serve, MemoryWire(back_in, there_out))
        ours = MemoryWire(there_in, back_out)
        try:
            yield ours
        finally:
            ours.close()

    async def publish(self, *events: Event, relay: int = 0) -> None:
        """Hand events to one relay, as a stranger would; each must be taken."""
        async with self.dial(list(self.relays)[relay]) as wire:
            for event in events:
                await wire.send([encode(Submit(event))])
                assert (await _verdict(wire, event)).accepted

    async def published(self, *, relay: int = 0, **conditions: Any) -> list[Event]:
        """Return what a relay has, the oldest first."""
        store = list(self.relays.values())[relay].store
        found = await store.query([Filter(**conditions)], keys=(), now=self.clock.now())
        return found[::-1]

    def home(self, number: int, config: Config | None = None) -> "NodeHome":
        """Make what a node has and keeps."""
        wallet = self.ledger.wallet(keys(number))
        return NodeHome(self, number, config or Config(), wallet)

    async def buyer(self, number: int = BUYER, config: Config | None = None) -> "NodeHome":
        """Make a home with money in its wallet."""
        home = self.home(number, config)
        await self.ledger.wallet(keys(number)).fund(FUNDS)
        return home

    def now(self) -> int:
        return int(self.clock.now())

    async def ledger_audit(self) -> list[str]:
        """Return what is wrong with anybody's money."""
        return await self.ledger.wallet(keys(STRANGER)).audit()


async def _verdict(wire: Wire, event: Event) -> Ok:
    while True:
        for text in await wire.receive():
            match decode_relay(text):
                case Ok(event_id=event_id) as verdict if event_id == event.id:
                    return verdict


@asynccontextmanager
async def open_world(relays: int = 1, *, seconds: float = 100_000) -> AsyncGenerator[World, None]:
    """Open an empty market; whoever hangs in it fails."""
    clock = MemoryClock(NOW - trio.current_time())
    urls = [normalise(f"ws://relay{number}") for number in range(relays)]
    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            local = {url: LocalRelay(url, clock) for url in urls}
            yield World(nursery, clock, local, MemoryMarket(clock))
            nursery.cancel_scope.cancel()


def new_store() -> Store:
    jobs: MemoryRecords[Job, JobState] = MemoryRecords()
    return Store(
        jobs=jobs,
        orders=MemoryRecords(),
        budget=MemoryBudget(),
        earnings=MemoryEarnings(jobs),
        cursors=MemoryCursors(),
    )


@define(eq=False)
class NodeHome:
    """All of a node that outlives it: keys, configuration, store, wallet."""

    world: World
    number: int
    config: Config
    wallet: Wallet
    store: Store = field(factory=new_store)

    @property
    def key(self) -> PublicKey:
        return keys(self.number).public_key

    @property
    def ledger(self) -> LedgerWallet:
        """The wallet itself, whatever stands before it."""
        return self.world.ledger.wallet(keys(self.number))

    def order(self, wish: Wish | str = "What is 2+2?", **changes: Any) -> Order:
        """Make and sign an order, by default one that pays by itself."""
        if isinstance(wish, str):
            wish = Wish(wish, auto_pay=True)
        signer = LocalSigner(keys(self.number))
        identity = Identity(signer, keys(self.number), Network.REGTEST)
        opened = Opened(Home(*[Path("nowhere")] * 3), self.config, identity, {}, self.world.clock)
        return evolve(prepare(opened, evolve(wish, **changes)))

    def pool(self) -> Any:
        return open_pool(
            self.world.relays,
            signer=LocalSigner(keys(self.number)),
            cursors=self.store.cursors,
            clock=self.world.clock,
            dial=self.world.dial,
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
class ScriptedBackend:
    """Answers with the pieces given, each after `seconds`; an exception among them is raised."""

    pieces: Sequence[str | Exception] = ("fo", "ur")
    then: Sequence[str | Exception] | None = None  # what it answers from the second time on
    seconds: float = 0.0
    slots: int = 4
    name: str = "llamacpp"
    available: bool = True
    prompts: list[Prompt] = field(factory=list)
    cut_off: int = 0
    at_work: int = 0
    most_at_work: int = 0

    async def health(self) -> BackendHealth:
        await trio.lowlevel.checkpoint()
        return BackendHealth(self.name, self.available, models=("qwen",), slots=self.slots)

    @asynccontextmanager
    async def generate(self, prompt: Prompt) -> AsyncGenerator["ScriptedGeneration", None]:
        self.prompts.append(prompt)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            again = self.then is not None and len(self.prompts) > 1
            pieces = self.then if again and self.then else self.pieces
            yield ScriptedGeneration(self, prompt, iter(pieces))
        except trio.Cancelled:
            self.cut_off += 1
            raise
        finally:
            self.at_work -= 1


@define(eq=False)
class ScriptedGeneration:
    """One answer of a scripted backend."""

    _backend: ScriptedBackend
    _prompt: Prompt
    _pieces: Iterator[str | Exception]
    _said: list[str] = field(factory=list)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        await trio.sleep(self._backend.seconds)
        if isinstance(piece, Exception):
            raise piece
        self._said.append(piece)
        return piece

    async def completion(self) -> Completion:
        async for _ in self:
            pass
        text = "".join(self._said)
        return Completion(text, "stop", Usage(1, 1), self._prompt.model or "", self._backend.name)


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
async def shopping(home: NodeHome, *, since: int = NOW) -> AsyncGenerator[Shopper, None]:
    """Run a buyer until the block ends; then cut it off, as a crash would."""
    with trio.CancelScope() as life:
        async with home.pool() as pool:
            signer = LocalSigner(keys(home.number))
            parts = BuyerParts(home.config, signer, home.store, home.wallet, pool, home.world.clock)
            async with open_buyer(parts, since=since) as buyer, trio.open_nursery() as nursery:
                shopper = Shopper(home, buyer)
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
        sold = await stack.enter_async_context(selling(world.home(SELLER, seller), backend))
        home = await world.buyer(BUYER, buyer)
        bought = await stack.enter_async_context(shopping(home))
        yield world, sold, bought


class Trouble:
    """Stands before a port; the calls named in `failures` fail, each so many times as errors wait."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.failures: dict[str, list[Exception]] = {}
        self.calls: list[str] = []

    def fail(self, method: str, *errors: Exception) -> None:
        self.failures.setdefault(method, []).extend(errors)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if waiting := self.failures.get(name):
                await trio.lowlevel.checkpoint()
                raise waiting.pop(0)
            return await method(*args, **kwargs)

        return call


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
    home: NodeHome, order: Order | str, kind: type[Any], *, within: float = 3_600
) -> JobState:
    """Wait until a provider's job is in a state of this class."""
    id_ = JobId(EventId(order if isinstance(order, str) else order.id))

    async def is_there() -> bool:
        record = (await home.store.jobs.load([id_])).get(id_)
        return record is not None and isinstance(record.state, kind)

    await settles(is_there, within=within)
    return (await home.store.jobs.load([id_]))[id_].state


async def is_one_paid_job(world: World, seller: NodeHome, buyer: NodeHome, order: Order) -> None:
    """Assert that an order was answered and paid, once, and that nothing is left to do for it."""
    await seller.no_rows()
    await buyer.no_rows()
    end = await buyer.order_state(order)
    assert isinstance(end, Done)
    assert end.offer is not None
    assert isinstance(await seller.job(order), Settled)
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
