"""Relays as they are: lines that lose, double, delay, mix up, forge, refuse and break."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from random import Random

import msgspec
import trio
from attrs import define, field, frozen

from pylon.errors import RelayLost
from pylon.model.event import Event
from pylon.model.ids import RelayUrl
from pylon.ports.relay import Wire
from pylon.wire.event import event_id
from tests.market.world import MemoryWire, World
from tests.simulation.record import Chronicle

EVENT, OK = '["EVENT"', '["OK"'
FOR_NOW = ("rate-limited: slow down", "error: try again")
FOR_GOOD = ("blocked: not you", "invalid: no", "restricted: members only")
LONGEST_DELAY = 8.0


@frozen
class Odds:
    """How likely each trouble is, for each message on a line."""

    lose: float = 0.0  # an event never arrives, at the relay or from it
    silence: float = 0.0  # an event arrives, and its OK does not
    double: float = 0.0
    delay: float = 0.0
    mix: float = 0.0  # what comes together comes in another order
    forge: float = 0.0  # a forged copy comes before an event
    refuse: float = 0.0  # an event is refused, with any of the reasons
    cut: float = 0.0
    dial: float = 0.0  # a connection is refused


@define(eq=False)
class Sky:
    """All lines between nodes and relays; once it has cleared up they carry everything."""

    world: World
    odds: dict[RelayUrl, Odds]
    chance: Random
    chronicle: Chronicle
    clear: bool = False
    _lines: list["Line"] = field(factory=list)

    def clear_up(self) -> None:
        """End all trouble. Every line is cut once more, so that what was lost is asked for again."""
        self.clear = True
        for url, relay in self.world.relays.items():
            relay.down = False
            self.cut(url)

    def cut(self, url: RelayUrl) -> None:
        """Break every line to a relay."""
        self.world.relays[url].cut()
        for line in [line for line in self._lines if line.url == url]:
            line.close()

    def is_last_resort(self, url: RelayUrl) -> bool:
        """Say whether this is the relay that refuses nothing for good: what all refuse is lost."""
        return url == next(iter(self.odds))

    def hits(self, url: RelayUrl, trouble: str) -> bool:
        """Draw whether a trouble happens now."""
        odds: float = 0.0 if self.clear else getattr(self.odds[url], trouble)
        if not odds or self.chance.random() >= odds:
            return False
        self.chronicle.count(f"relay: {trouble}")
        return True

    def dial_from(self, node: str) -> "Dialler":
        """Return how a node reaches its relays."""
        return Dialler(self, node)

    @asynccontextmanager
    async def line(self, node: str, url: RelayUrl) -> AsyncGenerator[Wire, None]:
        relay = self.world.relays[url]
        await trio.lowlevel.checkpoint()
        if relay.down or self.hits(url, "dial"):
            raise RelayLost(url, "refused")
        there_in, there_out = trio.open_memory_channel[list[str]](64)
        back_in, back_out = trio.open_memory_channel[list[str]](64)
        self.world.nursery.start_soon(relay.serve, MemoryWire(back_in.clone(), there_out))
        line = Line(self, node, url, MemoryWire(there_in, back_out), back_in)
        self._lines.append(line)
        try:
            yield line
        finally:
            self._lines.remove(line)
            line.close()


@frozen
class Dialler:
    """A `Dial` for one node."""

    sky: Sky
    node: str

    @asynccontextmanager
    async def __call__(self, url: str) -> AsyncGenerator[Wire, None]:
        async with self.sky.line(self.node, RelayUrl(url)) as line:
            yield line


@define(eq=False)
class Line:
    """One connection of a node, from its side."""

    sky: Sky
    node: str
    url: RelayUrl
    wire: MemoryWire
    back: trio.MemorySendChannel[list[str]]  # what the relay itself would say

    async def send(self, texts: Sequence[str]) -> None:
        going = []
        for text in texts:
            going += self._outward(text) if text.startswith(EVENT) else [text]
            self.sky.chronicle.note(self.node, ">", self.url, text)
        if self._hits("cut"):
            self.close()
        if going:
            await self.wire.send(going)

    async def receive(self) -> list[str]:
        while True:
            texts = await self.wire.receive()
            if self._hits("delay"):
                await trio.sleep(self.sky.chance.uniform(0, LONGEST_DELAY))
            coming = [t for text in texts for t in self._inward(text)]
            if len(coming) > 1 and self._hits("mix"):
                self.sky.chance.shuffle(coming)
            if self._hits("cut"):
                self.close()
                raise RelayLost(self.url, "cut")
            for text in coming:
                self.sky.chronicle.note(self.node, "<", self.url, text)
            if coming:
                return coming

    async def ping(self) -> None:
        await self.wire.ping()

    def close(self) -> None:
        self.wire.close()
        self.back.close()

    def _hits(self, trouble: str) -> bool:
        return self.sky.hits(self.url, trouble)

    def _outward(self, text: str) -> list[str]:
        if self._hits("refuse"):
            self._refuse(text)
            return []
        if self._hits("lose"):
            return []
        return [text, text] if self._hits("double") else [text]

    def _refuse(self, text: str) -> None:
        event = msgspec.json.decode(text)[1]
        reasons = FOR_NOW if self.sky.is_last_resort(self.url) else (*FOR_NOW, *FOR_GOOD)
        refusal = ["OK", event["id"], False, self.sky.chance.choice(reasons)]
        try:
            self.back.send_nowait([msgspec.json.encode(refusal).decode()])
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def _inward(self, text: str) -> list[str]:
        if text.startswith(OK):
            return [] if self._hits("silence") else [text]
        if not text.startswith(EVENT):
            return [text]
        if self._hits("lose"):
            return []
        forged = [forge(text, self.sky.chance)] if self._hits("forge") else []
        return [*forged, text, text] if self._hits("double") else [*forged, text]


def forge(text: str, chance: Random) -> str:
    """Change an event on its way: under its old id, under its new one, or only the signature."""
    label, name, fields = msgspec.json.decode(text)
    how = chance.choice(("content", "id", "signature"))
    if how == "signature":
        fields["sig"] = fields["sig"][::-1]
    else:
        fields["content"] = "forged"
        fields["tags"] = [["amount", "1"] if tag[0] == "amount" else tag for tag in fields["tags"]]
    if how == "id":
        fields["id"] = event_id(msgspec.convert(fields, Event))
    return msgspec.json.encode([label, name, fields]).decode()
