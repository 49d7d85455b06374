"""The world outside of every node: relays and a ledger, in memory, under the test's own clock.

The relay server is the real one.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field

from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.events import MemoryEventStore
from pylon.adapters.memory.wallet import MemoryMarket
from pylon.core.relay_rules import RelayRules
from pylon.errors import PeerFault, RelayLost
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import RelayUrl
from pylon.ports.relay import Wire
from pylon.services.relay_server import RelayServer
from pylon.wire.frames import Ok, Submit, decode_relay, encode
from pylon.wire.relay_url import normalise
from tests.nostr import NOW, keys

STRANGER = 4  # whose key nobody here knows


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
        rules = RelayRules(urls=frozenset({self.url}), future_seconds=1_000_000)  # a lax one
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
async def open_world(
    relays: int = 1, *, seconds: float = 100_000, terms: Terms | None = None
) -> AsyncGenerator[World, None]:
    """Open an empty market; whoever hangs in it fails."""
    clock = MemoryClock(NOW - trio.current_time())
    urls = [normalise(f"ws://relay{number}") for number in range(relays)]
    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            local = {url: LocalRelay(url, clock) for url in urls}
            yield World(nursery, clock, local, MemoryMarket(clock, terms or Terms()))
            nursery.cancel_scope.cancel()
