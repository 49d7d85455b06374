"""How services meet: the three kinds of channel beyond plain must-deliver ones.

A must-deliver channel is a `trio.open_memory_channel` whose sender waits. These are the others: a hint
says "look at the store" and may be lost when one is already waiting, and a cell holds the latest
word on something that changes by itself.
"""

from typing import Generic, TypeVar

import trio
from attrs import define, field

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


@define
class Cell(Generic[T]):
    """The latest value of something, for readers that need no history."""

    value: T


def drain(channel: trio.MemoryReceiveChannel[T], first: T, *, limit: int) -> list[T]:
    """Return `first` and whatever else waits in `channel`, up to `limit` in all."""
    batch = [first]
    try:
        while len(batch) < limit:
            batch.append(channel.receive_nowait())
    except (trio.WouldBlock, trio.EndOfChannel):
        pass
    return batch
