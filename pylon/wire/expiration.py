"""The time after which an event is void (NIP-40)."""

from typing import Final

from pylon.model.event import Event, Tag
from pylon.wire.kinds import KindClass, kind_class

_MAX_DIGITS: Final = 16


def tag(when: int) -> Tag:
    """Write the tag that makes an event void after unix second `when`."""
    return ("expiration", str(when))


def expires_at(event: Event) -> int | None:
    """Return the unix second an event expires at; None if it says none that can be read."""
    text = event.tag("expiration") or ""
    readable = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text) if readable else None


def is_expired(event: Event, now: float) -> bool:
    """Say whether a relay should drop an event. Ephemeral ones are not kept, so do not expire."""
    when = expires_at(event)
    return when is not None and when <= now and kind_class(event.kind) is not KindClass.EPHEMERAL
