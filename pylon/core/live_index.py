"""Who is to hear of an event, found without asking everybody."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from attrs import define, field

from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.wire.filters import Test, matcher

T = TypeVar("T")

Key: TypeAlias = tuple[str, str | int]

_ANY: Key = ("", "")


@define(eq=False)
class LiveIndex(Generic[T]):
    """Listeners by one telling condition of each of their filters.

    An event has few keys (its id, author, kind and tags), so finding its listeners costs what they
    are, not what all listeners are.
    """

    _by_key: dict[Key, dict[T, Test]] = field(factory=dict, init=False)
    _keys: dict[T, frozenset[Key]] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, listener: T, filters: Sequence[Filter]) -> None:
        """Let a listener, not yet in the index, hear what matches any of its filters."""
        match = matcher(filters)
        self._keys[listener] = keys = frozenset(key for f in filters for key in _keys(f))
        for key in keys:
            self._by_key.setdefault(key, {})[listener] = match

    def discard(self, listener: T) -> None:
        """Forget a listener; no harm if it is unknown."""
        for key in self._keys.pop(listener, ()):
            bucket = self._by_key[key]
            del bucket[listener]
            if not bucket:
                del self._by_key[key]

    def matching(self, event: Event) -> list[T]:
        """Return every listener with a filter that matches, each once."""
        heard: dict[T, bool] = {}
        for key in _keys_of(event):
            for listener, match in self._by_key.get(key, {}).items():
                if listener not in heard:
                    heard[listener] = match(event)
        return [listener for listener, wanted in heard.items() if wanted]


def _keys(conditions: Filter) -> Iterator[Key]:
    """Choose the condition that fewest events meet; an empty list, met by none, gives no key."""
    if conditions.ids is not None:
        yield from (("id", value) for value in conditions.ids)
    elif conditions.tags:
        name, values = min(conditions.tags.items(), key=lambda tag: len(tag[1]))
        yield from ((f"#{name}", value) for value in values)
    elif conditions.authors is not None:
        yield from (("author", value) for value in conditions.authors)
    elif conditions.kinds is not None:
        yield from (("kind", value) for value in conditions.kinds)
    else:
        yield _ANY


def _keys_of(event: Event) -> Iterator[Key]:
    yield ("id", event.id)
    yield ("author", event.pubkey)
    yield ("kind", event.kind)
    yield _ANY
    yield from ((f"#{tag[0]}", tag[1]) for tag in event.tags if len(tag) > 1)
