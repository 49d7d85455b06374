"""Requests to delete one's own events (NIP-09); for a job request, its cancellation (NIP-90)."""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from pylon.errors import Malformed
from pylon.model.event import Draft, Event
from pylon.model.ids import EventId, PublicKey
from pylon.wire import address, hexes
from pylon.wire.address import Address

KIND: Final = 5
_GIFT_WRAP: Final = 1059


@frozen
class Deletion:
    """What an author wants gone: events by id, and all versions up to `created_at` by address."""

    author: PublicKey
    ids: frozenset[EventId]
    addresses: frozenset[Address]
    created_at: int


def draft(targets: Sequence[Event], *, now: int, reason: str = "") -> Draft:
    """Ask for events of our own to be deleted, an addressable one with all its older versions."""
    ids = (("e", event.id) for event in targets)
    named = (("a", str(place)) for event in targets if (place := address.of(event)))
    kinds = (("k", str(kind)) for kind in sorted({event.kind for event in targets}))
    return Draft(KIND, now, (*ids, *named, *kinds), reason)


def read(event: Event) -> Deletion:
    """Read a kind 5 event; a target that cannot be read, or is another author's, is left out.

    Raises:
        Malformed: if it is of another kind.
    """
    if event.kind != KIND:
        raise Malformed(f"kind {event.kind} is no deletion")
    return Deletion(
        author=event.pubkey,
        ids=frozenset(EventId(value) for value in event.tag_values("e") if hexes.is_hex(value, 32)),
        addresses=frozenset(
            place
            for value in event.tag_values("a")
            if (place := _address(value)) and place.pubkey == event.pubkey
        ),
        created_at=event.created_at,
    )


def covers(deletion: Deletion, event: Event) -> bool:
    """Say whether a deletion takes an event away.

    Only the author's own events, and no deletion; a gift wrap belongs to its recipient (NIP-59).
    """
    if event.kind == KIND:
        return False
    if event.id in deletion.ids:
        return deletion.author == event.pubkey or (
            event.kind == _GIFT_WRAP and event.tag("p") == deletion.author
        )
    return address.of(event) in deletion.addresses and event.created_at <= deletion.created_at


def _address(text: str) -> Address | None:
    try:
        return address.parse(text)
    except Malformed:
        return None
