"""What waits to be sent to one client, bounded."""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

import trio
from attrs import define, field

CAPACITY = 4 * 1024 * 1024  # characters
_PIECE = 256 * 1024  # characters taken at once: the progress that a client must show


@define(eq=False)
class Outbox:
    """Texts in order. Putting never waits, so that no client holds up what others are told.

    Once `capacity` is exceeded the client is too slow to be served: `overflow` is called, and
    nothing more is kept.
    """

    _overflow: Callable[[], None]
    _capacity: int = CAPACITY
    _texts: list[str] = field(factory=list, init=False)
    _size: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)
    _filled: trio.Event = field(factory=trio.Event, init=False)
    _taken: trio.Event = field(factory=trio.Event, init=False)

    @property
    def crowded(self) -> bool:
        """Whether `room` would wait."""
        return self._size > self._capacity // 2

    def put(self, text: str) -> None:
        """Add a text; after `close` it goes nowhere."""
        if self._closed:
            return
        self._texts.append(text)
        self._size += len(text)
        self._filled.set()
        if self._size > self._capacity:
            self.discard()
            self._overflow()

    def close(self) -> None:
        """Take no more; what waits can still be taken."""
        self._closed = True
        self._filled.set()

    def discard(self) -> None:
        """Take no more, and forget what waits: nobody will read it."""
        self.close()
        self._texts.clear()
        self._size = 0
        self._taken.set()

    async def take(self) -> list[str]:
        """Wait for texts and return what can be sent at once; [] after the last."""
        if not (self._texts or self._closed):
            self._filled = trio.Event()
            await self._filled.wait()
        taken = self._texts
        if self._size > _PIECE:
            taken = taken[: self._fitting()]
        self._texts = self._texts[len(taken) :]
        self._size -= sum(map(len, taken))
        self._taken.set()
        return taken

    async def room(self) -> None:
        """Wait until half of the capacity is free: for whoever can make its own client wait."""
        await trio.lowlevel.checkpoint()
        while self.crowded:
            self._taken = trio.Event()
            await self._taken.wait()

    def _fitting(self) -> int:
        ends = list(accumulate(map(len, self._texts)))
        return max(1, bisect_right(ends, _PIECE))
