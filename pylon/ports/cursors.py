"""What the relay pool asks of the store: how far each relay has been heard."""

from typing import Protocol

from pylon.model.ids import RelayUrl


class Cursors(Protocol):
    """Remembers, for each relay and durable subscription, up to which moment nothing is missing."""

    async def load(self, relay: RelayUrl, subscription: str) -> int | None:
        """Return the newest `created_at` (unix seconds) handed on, or None before the first."""
        ...

    async def save(self, relay: RelayUrl, subscription: str, cursor: int) -> None:
        """Remember a cursor, replacing the one before; durable when this returns."""
        ...
