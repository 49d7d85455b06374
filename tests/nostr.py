"""Signed events for tests, made in one line."""

from functools import cache

from pylon.model.event import Draft, Event
from pylon.wire.event import sign
from pylon.wire.secp import KeyPair

NOW = 1_700_000_000


@cache
def keys(number: int = 1) -> KeyPair:
    """Return the key pair of one of the test's people."""
    return KeyPair(number.to_bytes(32, "big"))


def note(
    content: str = "",
    *tags: tuple[str, ...],
    kind: int = 1,
    at: int = NOW,
    by: int = 1,
) -> Event:
    """Sign an event."""
    return sign(Draft(kind, at, tags, content), keys(by))
