"""What services ask of a relay connection."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from pylon.model.ids import RelayUrl
from pylon.wire.relay_info import RelayInfo


class Wire(Protocol):
    """A connected text channel to one relay.

    Both ways carry several messages at once, because a scheduler pass costs more than a message.
    """

    async def send(self, texts: Sequence[str]) -> None:
        """Send messages in order; raise `RelayLost` if the connection is gone."""
        ...

    async def receive(self) -> list[str]:
        """Wait for at least one message and return all that have come; raise `RelayLost`."""
        ...

    async def ping(self) -> None:
        """Send a ping and wait for its pong; raise `RelayLost` if the connection is gone."""
        ...


class Dial(Protocol):
    """Opens connections: a websocket in earnest, a pair of channels in tests."""

    def __call__(self, url: str) -> AbstractAsyncContextManager[Wire]:
        """Connect to `url`; raise `RelayLost` when that fails. The caller sets the timeout."""
        ...


class FetchInfo(Protocol):
    """Asks a relay about itself (NIP-11)."""

    async def __call__(self, url: RelayUrl) -> RelayInfo | None:
        """Return what the relay says; None where it says nothing, or nothing readable, in time."""
        ...
