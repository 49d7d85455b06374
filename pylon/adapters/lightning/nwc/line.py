"""One relay on the way to a wallet: connected, connected again, pinged."""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from attrs import define, field

from pylon.core.backoff import Backoff
from pylon.errors import PeerFault, RelayLost
from pylon.model.ids import RelayUrl
from pylon.ports.channels import Hint
from pylon.ports.relay import Dial, Wire
from pylon.wire import frames
from pylon.wire.frames import RelayFrame

log = logging.getLogger(__name__)

RECONNECT = Backoff(first=1.0, ceiling=30.0)
HEALTHY_SECONDS = 30.0  # a connection that stood so long was worth having
DIAL_SECONDS = 15.0
SEND_SECONDS = 15.0
PING_SECONDS = 30.0
PONG_SECONDS = 15.0


class Desk(Protocol):
    """Who is told what happens on a line."""

    def opened(self, line: "Line") -> None: ...
    def closed(self) -> None: ...
    def came(self, line: "Line", frame: RelayFrame) -> None: ...


@define(eq=False)
class Line:
    """Frames to and from one relay. What is sent while it is down is gone: `opened` begins anew."""

    url: RelayUrl
    _dial: Dial
    _desk: Desk
    _fraction: Callable[[], float]
    up: bool = field(default=False, init=False)
    trouble: str = field(default="not connected yet", init=False)
    _outbox: list[str] = field(factory=list, init=False)
    _to_send: Hint = field(factory=Hint, init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def send(self, *texts: str) -> None:
        """Send frames in order; never waits."""
        if self.up:
            self._outbox.extend(texts)
            self._to_send.poke()

    def hang_up(self, why: str) -> None:
        """End this connection, and try another later."""
        self.trouble = self.trouble or why
        self._scope.cancel(why)

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            began = trio.current_time()
            await self._connect()
            healthy = trio.current_time() - began >= HEALTHY_SECONDS
            failures = 1 if healthy else failures + 1
            delay = RECONNECT.after(failures, self._fraction())
            log.info("%s: %s; connecting again in %.1f s", self.url, self.trouble, delay)
            await trio.sleep(delay)

    async def _connect(self) -> None:
        """Be connected once."""
        self.trouble = f"no connection within {DIAL_SECONDS:.0f} s"
        try:
            with trio.move_on_after(DIAL_SECONDS) as dialling:
                async with self._dial(self.url) as wire:
                    dialling.deadline = float("inf")
                    await self._converse(wire)
        except RelayLost as lost:
            self.trouble = lost.why
        self._desk.closed()

    async def _converse(self, wire: Wire) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                self.up, self.trouble = True, ""
                self._desk.opened(self)
                for task in (self._read, self._write, self._ping):
                    nursery.start_soon(self._until_lost, task, wire)
        finally:
            self.up = False
            self._outbox.clear()

    async def _until_lost(self, task: Callable[[Wire], Awaitable[None]], wire: Wire) -> None:
        try:
            await task(wire)
        except (RelayLost, trio.TooSlowError) as lost:
            self.hang_up(lost.why if isinstance(lost, RelayLost) else "does not respond")

    async def _read(self, wire: Wire) -> None:
        while True:
            for text in await wire.receive():
                try:
                    frame = frames.decode_relay(text)
                except PeerFault as fault:
                    log.debug("%s: %s", self.url, fault)
                else:
                    self._desk.came(self, frame)
            await trio.lowlevel.checkpoint()

    async def _write(self, wire: Wire) -> None:
        while True:
            texts, self._outbox = self._outbox, []
            if texts:
                with trio.fail_after(SEND_SECONDS):
                    await wire.send(texts)
            await self._to_send.wait()

    async def _ping(self, wire: Wire) -> None:
        while True:
            await trio.sleep(PING_SECONDS)
            with trio.fail_after(PONG_SECONDS):
                await wire.ping()
