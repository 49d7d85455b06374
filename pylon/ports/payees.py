"""What services ask of the memory of who was paid: the Lightning node behind each provider."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from pylon.model.ids import NodeKey, PublicKey


class Payees(Protocol):
    """The node key each provider was last paid at: trusted on first use, and watched from then on."""

    async def known(self, providers: Sequence[PublicKey]) -> Mapping[PublicKey, NodeKey]:
        """Return the node keys of those of these providers that were ever paid."""
        ...

    async def pin(self, provider: PublicKey, node_key: NodeKey, *, now: int) -> None:
        """Remember where a payment has gone: in the place of what was known of that provider."""
        ...
