"""What a relay asks of its event storage."""

from collections.abc import Collection, Sequence
from typing import Protocol

from pylon.core.relay_rules import Added
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import PublicKey


class EventStore(Protocol):
    """Keeps checked events by the rules of NIP-01 (replacement), NIP-09 and NIP-40.

    What a reader may not see (`core.relay_rules.visible`) and what has expired at `now` is neither
    found nor counted.
    """

    async def add(self, events: Sequence[Event]) -> list[Added]:
        """Take events in order, and say what became of each once that is durable.

        A superseded version makes room for the new one; a deletion (kind 5) takes its targets away
        and keeps them away. The caller adds no ephemeral ones.

        Raises:
            StoreBusy, StoreFull: nothing was written.
        """
        ...

    async def query(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> list[Event]:
        """Return what matches any filter, once: newest first, of one second by id.

        `limit` holds for each filter; the holder of `keys` is reading.
        """
        ...

    async def count(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> int:
        """Return how many events match any filter; `limit` is ignored (NIP-45)."""
        ...

    async def drop_expired(self, now: float) -> int:
        """Remove what has expired and return how many."""
        ...
