"""Payees that are remembered as long as the process lives."""

from collections.abc import Mapping, Sequence

import trio
from attrs import define, field

from pylon.model.ids import NodeKey, PublicKey


@define
class MemoryPayees:
    """`Payees` in a dict."""

    _keys: dict[PublicKey, NodeKey] = field(factory=dict, init=False)

    async def known(self, providers: Sequence[PublicKey]) -> Mapping[PublicKey, NodeKey]:
        await trio.lowlevel.checkpoint()
        return {provider: self._keys[provider] for provider in providers if provider in self._keys}

    async def pin(self, provider: PublicKey, node_key: NodeKey, *, now: int) -> None:  # noqa: ARG002 - nobody asks when
        await trio.lowlevel.checkpoint()
        self._keys[provider] = node_key
