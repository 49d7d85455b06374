"""Cursors that live as long as the process."""

import trio
from attrs import define, field

from pylon.model.ids import RelayUrl


@define
class MemoryCursors:
    """`Cursors` in a dict."""

    saved: dict[tuple[RelayUrl, str], int] = field(factory=dict)

    async def load(self, relay: RelayUrl, subscription: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self.saved.get((relay, subscription))

    async def save(self, relay: RelayUrl, subscription: str, cursor: int) -> None:
        await trio.lowlevel.checkpoint()
        self.saved[relay, subscription] = cursor
