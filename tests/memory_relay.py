"""Our own relay behind the `Dial` port: real connections, but for the sockets."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
from attrs import define, field

from pylon.adapters.memory.events import MemoryEventStore
from pylon.core.relay_rules import DEFAULT_RULES, RelayRules
from pylon.errors import RelayLost
from pylon.ports.channels import drain
from pylon.ports.clock import Clock
from pylon.ports.relay import Wire
from pylon.services.relay_server import RelayServer

ENDLESS = 1_000_000


@define(eq=False)
class MemoryWire:
    """One end of a line."""

    _url: str
    _sender: trio.MemorySendChannel[str]
    _receiver: trio.MemoryReceiveChannel[str]
    keeps: Callable[[str], bool] = lambda _text: True  # of what comes in

    async def send(self, texts: Sequence[str]) -> None:
        await trio.lowlevel.checkpoint()
        try:
            for text in texts:
                self._sender.send_nowait(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise RelayLost(self._url, "cut") from None

    async def receive(self) -> list[str]:
        kept = list[str]()
        while not kept:
            try:
                texts = drain(self._receiver, await self._receiver.receive(), limit=ENDLESS)
            except (trio.EndOfChannel, trio.ClosedResourceError):
                raise RelayLost(self._url, "cut") from None
            kept = [text for text in texts if self.keeps(text)]
        return kept

    async def ping(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()


@define(eq=False)
class MemoryRelay:
    """A relay that anybody may dial while it is up. `keeps` is what reaches a new client."""

    _clock: Clock
    _nursery: trio.Nursery
    _rules: RelayRules = DEFAULT_RULES
    up: bool = True
    _server: RelayServer = field(init=False)
    _lines: list[MemoryWire] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._server = RelayServer(
            MemoryEventStore(), self._rules, self._clock, lambda: "a challenge of the test's"
        )

    def dial(self, url: str) -> AbstractAsyncContextManager[MemoryWire]:
        return self.connect(url, lambda _text: True)

    @asynccontextmanager
    async def connect(
        self, url: str, keeps: Callable[[str], bool]
    ) -> AsyncGenerator[MemoryWire, None]:
        """Dial, and hear only what `keeps` lets through."""
        await trio.lowlevel.checkpoint()
        if not self.up:
            raise RelayLost(url, "refused")
        to_relay, from_client = trio.open_memory_channel[str](ENDLESS)
        to_client, from_relay = trio.open_memory_channel[str](ENDLESS)
        ours = MemoryWire(url, to_relay, from_relay, keeps)
        theirs = MemoryWire(url, to_client, from_client)
        self._lines += (ours, theirs)
        self._nursery.start_soon(self._serve, theirs)
        try:
            yield ours
        finally:
            ours.close()

    async def _serve(self, wire: Wire) -> None:
        await self._server.serve(wire)

    def cut(self) -> None:
        """Lose every connection."""
        for line in self._lines:
            line.close()
        self._lines.clear()
