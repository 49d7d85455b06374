"""Model relays behind the `Dial` port, with lines that can be cut, and a pool that talks to them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
from attrs import define, field

from pylon.adapters.keys import LocalSigner
from pylon.adapters.memory.clock import MemoryClock
from pylon.adapters.memory.cursors import MemoryCursors
from pylon.app.relays import Pool, open_pool
from pylon.errors import RelayLost
from pylon.model.event import Event
from pylon.model.ids import RelayUrl
from pylon.model.relays import CaughtUp, Heard
from pylon.ports.channels import drain
from pylon.ports.cursors import Cursors
from pylon.wire.relay_info import RelayInfo
from tests.model_relay import ModelRelay
from tests.nostr import NOW, keys

ENDLESS = 1_000_000
PATIENCE = 10_000.0


@define(eq=False)
class Line:
    """Our end of a connection, a `Wire`; what is sent is worked by the relay on the spot."""

    _site: "Site"
    _in: trio.MemorySendChannel[str] = field(init=False)
    _out: trio.MemoryReceiveChannel[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._in, self._out = trio.open_memory_channel[str](ENDLESS)

    async def send(self, texts: Sequence[str]) -> None:
        if self._site.clogged:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        self._check()
        if not self._site.half_open:
            for text in texts:
                self._site.relay.hear(text)
            self.bring()

    async def receive(self) -> list[str]:
        try:
            return drain(self._out, await self._out.receive(), limit=ENDLESS)
        except trio.EndOfChannel:
            raise RelayLost(self._site.url, "cut") from None

    async def ping(self) -> None:
        self._check()
        self._site.pings.append(trio.current_time())
        if self._site.relay.silent or self._site.half_open:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        while self.waiting():  # noqa: ASYNC110 - the pong comes behind what has not been read
            await trio.sleep(0.1)

    def bring(self) -> None:
        """Bring over what the relay has said."""
        for text in self._site.relay.take():
            self._in.send_nowait(text)

    def cut(self) -> None:
        self._in.close()

    def waiting(self) -> int:
        """Count the messages that nobody has received yet."""
        return self._out.statistics().current_buffer_used

    def _check(self) -> None:
        if self._site.line is not self:
            raise RelayLost(self._site.url, "cut")


@define(eq=False)
class Site:
    """Where a relay can be reached, and how."""

    url: RelayUrl
    relay: ModelRelay = field(factory=ModelRelay)
    down: bool = False  # refuses connections
    hangs: bool = False  # neither refuses nor accepts them
    clogged: bool = False  # until the next connection: takes nothing
    half_open: bool = False  # until the next connection: takes everything, to nowhere
    info: RelayInfo | None = None
    line: Line | None = None
    dials: list[float] = field(factory=list)
    pings: list[float] = field(factory=list)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[Line, None]:
        self.dials.append(trio.current_time())
        if self.hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        if self.down:
            raise RelayLost(self.url, "refused")
        self.line = Line(self)
        self.clogged = self.half_open = False
        self.relay.connect()
        self.line.bring()
        try:
            yield self.line
        finally:
            self.cut()

    def cut(self) -> None:
        """Lose the connection, as both ends notice."""
        if self.line is not None:
            self.line.cut()
        self.line = None
        self.relay.subscriptions.clear()

    def store(self, *events: Event) -> None:
        """Let somebody else publish."""
        for event in events:
            self.relay.store(event)
        self.bring()

    def bring(self) -> None:
        if self.line is not None and not self.half_open:
            self.line.bring()


@define(eq=False)
class Net:
    """Some relays, the way to them, and what a node brings along."""

    sites: list[Site]
    clock: MemoryClock = field(factory=lambda: MemoryClock(NOW - trio.current_time()))
    cursors: Cursors = field(factory=MemoryCursors)

    def dial(self, url: str) -> AbstractAsyncContextManager[Line]:
        return self._site(url).connect()

    async def fetch_info(self, url: RelayUrl) -> RelayInfo | None:
        await trio.lowlevel.checkpoint()
        return self._site(url).info

    @asynccontextmanager
    async def open_pool(self) -> AsyncGenerator[Pool, None]:
        """Open a pool over these relays; a test that hangs fails after a few virtual hours."""
        with trio.fail_after(PATIENCE):
            async with open_pool(
                [site.url for site in self.sites],
                signer=LocalSigner(keys()),
                cursors=self.cursors,
                clock=self.clock,
                dial=self.dial,
                fetch_info=self.fetch_info,
                fraction=lambda: 0.0,
            ) as pool:
                yield pool

    def _site(self, url: str) -> Site:
        return next(site for site in self.sites if site.url == url)


def a_net(relays: int = 1) -> Net:
    return Net([Site(RelayUrl(f"ws://relay{number}")) for number in range(relays)])


async def hear(pool: Pool, count: int = 1) -> list[Heard]:
    """Return the next events heard, whatever else is said between them."""
    heard: list[Heard] = []
    while len(heard) < count:
        if isinstance(item := await pool.heard.receive(), Heard):
            heard.append(item)
    return heard


async def catch_up(pool: Pool) -> list[Heard]:
    """Return what is heard before the next `CaughtUp`."""
    heard: list[Heard] = []
    while isinstance(item := await pool.heard.receive(), Heard):
        heard.append(item)
    assert isinstance(item, CaughtUp)
    return heard


def nothing_more(pool: Pool) -> bool:
    """Say whether nothing waits to be heard."""
    try:
        pool.heard.receive_nowait()
    except trio.WouldBlock:
        return True
    return False
