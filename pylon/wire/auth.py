"""Authentication of a client to a relay (NIP-42)."""

from collections.abc import Collection
from typing import Final

from pylon.errors import Malformed
from pylon.model.event import Draft, Event
from pylon.model.ids import PublicKey, RelayUrl
from pylon.wire import event as events
from pylon.wire import relay_url

KIND: Final = 22242
WINDOW: Final = 600  # seconds the two clocks may differ


def draft(url: RelayUrl, challenge: str, *, now: int) -> Draft:
    """Answer a challenge. `url` is the one we dialled, never one the peer named.

    A relay that could name it would have us sign in to another relay in its place.
    """
    return Draft(KIND, now, (("relay", url), ("challenge", challenge)))


def check(
    event: Event, *, urls: Collection[RelayUrl], challenge: str, now: int, window: int = WINDOW
) -> PublicKey:
    """Return the key that a client has proved to hold.

    `urls` are the relay's own, normalised; `challenge` is the newest sent on this connection.

    Raises:
        Malformed: if the event answers another challenge or relay, at another time.
        BadSignature: if it is not signed by its author.
    """
    if event.kind != KIND:
        raise Malformed(f"kind {event.kind} does not authenticate")
    if abs(event.created_at - now) > window:
        raise Malformed(f"signed more than {window} seconds away from now")
    if event.tag("challenge") != challenge:
        raise Malformed("signed another challenge")
    if relay_url.normalise(event.tag("relay") or "") not in urls:
        raise Malformed("signed for another relay")
    events.check(event)
    return event.pubkey
