"""Nostr events as values (NIP-01)."""

from typing import TypeAlias

from attrs import frozen

from pylon.model.ids import EventId, PublicKey

Tag: TypeAlias = tuple[str, ...]
Tags: TypeAlias = tuple[Tag, ...]


@frozen
class Draft:
    """An event before it has an author: what `wire.event.sign` turns into an `Event`."""

    kind: int
    created_at: int  # unix seconds
    tags: Tags = ()
    content: str = ""


@frozen
class Event:
    """A signed event. The type promises shapes only; `wire.event.check` promises the rest."""

    id: EventId
    pubkey: PublicKey
    created_at: int
    kind: int
    tags: Tags
    content: str
    sig: str

    def tag(self, name: str) -> str | None:
        """Return the first value of the first tag called `name` that has one."""
        for tag in self.tags:
            if len(tag) > 1 and tag[0] == name:
                return tag[1]
        return None

    def tag_values(self, name: str) -> tuple[str, ...]:
        """Return the first value of every tag called `name` that has one."""
        return tuple([tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name])
