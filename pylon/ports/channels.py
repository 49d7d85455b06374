"""How services meet beyond plain must-deliver channels, and how those are read.

A must-deliver channel is a `trio.open_memory_channel` whose sender waits; an inbox reads it without
losing anything. A hint says "look at the store" and may be lost when one is already waiting, and a
cell holds the latest word on something that changes by itself.
"""

from typing import Generic, TypeVar

import trio
from attrs import define, field

from pylon.ports.clock import Clock

T = TypeVar("T")


@define
class Hint:
    """Wake one waiting service; hints that come while one is pending are the same hint."""

    _in: trio.MemorySendChannel[None] = field(init=False)
    _out: trio.MemoryReceiveChannel[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._in, self._out = trio.open_memory_channel[None](1)

    def poke(self) -> None:
        """Say that there may be something to do; never waits."""
        try:
            self._in.send_nowait(None)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return

    async def wait(self) -> None:
        """Wait for the next poke, or return at once if one is pending."""
        await self._out.receive()

    async def wait_until(self, when: float | None, clock: Clock) -> None:
        """Wait for the next poke, but not past `when` (unix seconds); None: however long it takes."""
        async with trio.open_nursery() as nursery:
            if when is not None:
                nursery.start_soon(_alarm, when, clock, nursery.cancel_scope)
            await self.wait()
            nursery.cancel_scope.cancel("poked")


async def _alarm(when: float, clock: Clock, waiting: trio.CancelScope) -> None:
    await clock.sleep_until(when)
    waiting.cancel("it is time")


@define
class Cell(Generic[T]):
    """The latest value of something, for readers that need no history."""

    value: T


@define
class Inbox(Generic[T]):
    """Mail in batches. A batch stays in hand until it is `done`.

    A service that fails in the midst of a batch, and is run again, meets the same batch first.
    """

    _mail: trio.MemoryReceiveChannel[T]
    _limit: int = 256
    _batch: list[T] = field(factory=list, init=False)

    async def take(self) -> list[T]:
        """Return the batch in hand, or wait for the next; empty once every sender has closed."""
        if not self._batch:
            try:
                first = await self._mail.receive()
            except trio.EndOfChannel:
                return []
            self._batch = drain(self._mail, first, limit=self._limit)
        return self._batch

    def done(self) -> None:
        """Let go of the batch in hand: all that it brought is stored."""
        self._batch = []


async def put(channel: trio.MemorySendChannel[T], item: T) -> None:
    """Send to a must-deliver channel; others run meanwhile only where it is full.

    `send` gives way every time, so that whoever receives meets one item at a time. What comes in
    batches is passed on with this, and whoever receives drains: half the cost of a job is task
    switches otherwise.
    """
    try:
        channel.send_nowait(item)
    except (trio.WouldBlock, trio.BrokenResourceError):
        await channel.send(item)  # whose receiver may be gone because we are cancelled, with it


def drain(channel: trio.MemoryReceiveChannel[T], first: T, *, limit: int) -> list[T]:
    """Return `first` and whatever else waits in `channel`, up to `limit` in all."""
    batch = [first]
    try:
        while len(batch) < limit:
            batch.append(channel.receive_nowait())
    except (trio.WouldBlock, trio.EndOfChannel):
        pass
    return batch
