"""Event storage that forgets: for demos and tests, bounded by the number of events."""

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import TypeAlias

import trio
from attrs import define, field

from pylon.core.relay_rules import Added, visible
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, PublicKey
from pylon.wire import address, deletion, expiration
from pylon.wire.address import Address
from pylon.wire.filters import matcher

CAPACITY = 100_000

Key: TypeAlias = tuple[str, str | int]
Bucket: TypeAlias = dict[EventId, Event]

_NOTHING: Bucket = {}


@define(eq=False)
class MemoryEventStore:
    """An `EventStore` in dicts; over `capacity`, what came first goes first."""

    _capacity: int = CAPACITY
    # An ordered dict: finding the oldest key of a plain one walks over the graves before it.
    _events: OrderedDict[EventId, Event] = field(factory=OrderedDict, init=False)
    _newest: dict[Address, Event] = field(factory=dict, init=False)
    _buckets: dict[Key, Bucket] = field(factory=lambda: defaultdict(dict), init=False)

    async def add(self, events: Sequence[Event]) -> list[Added]:
        await trio.lowlevel.checkpoint()
        return [self._add(event) for event in events]

    async def query(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> list[Event]:
        await trio.lowlevel.checkpoint()
        found: Bucket = {}
        for conditions in filters:
            matching = self._matching(conditions, keys, now)
            limit = len(self._events) if conditions.limit is None else conditions.limit
            found.update((event.id, event) for event in nsmallest(limit, matching, key=_order))
        return sorted(found.values(), key=_order)

    async def count(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> int:
        await trio.lowlevel.checkpoint()
        return len({e.id for conditions in filters for e in self._matching(conditions, keys, now)})

    async def drop_expired(self, now: float) -> int:
        await trio.lowlevel.checkpoint()
        gone = [event for event in self._events.values() if expiration.is_expired(event, now)]
        for event in gone:
            self._remove(event)
        return len(gone)

    def _add(self, event: Event) -> Added:
        if event.id in self._events:
            return Added.DUPLICATE
        place = address.of(event)
        if self._is_deleted(event, place):
            return Added.DELETED
        if place is not None and (held := self._newest.get(place)):
            if address.supersedes(held, event):
                return Added.OUTDATED
            self._remove(held)
        self._insert(event, place)
        if event.kind == deletion.KIND:
            self._delete(event)
        return Added.STORED

    def _insert(self, event: Event, place: Address | None) -> None:
        while len(self._events) >= self._capacity:
            self._remove(next(iter(self._events.values())))
        self._events[event.id] = event
        for key in _keys(event):
            self._buckets[key][event.id] = event
        if place is not None:
            self._newest[place] = event

    def _remove(self, event: Event) -> None:
        del self._events[event.id]
        for key in set(_keys(event)):
            bucket = self._buckets[key]
            del bucket[event.id]
            if not bucket:
                del self._buckets[key]
        if (place := address.of(event)) is not None:
            del self._newest[place]

    def _delete(self, event: Event) -> None:
        wanted = deletion.read(event)
        named = [held for target in wanted.ids if (held := self._events.get(target))]
        named += [held for place in wanted.addresses if (held := self._newest.get(place))]
        for held in dict.fromkeys(named):
            if deletion.covers(wanted, held):
                self._remove(held)

    def _is_deleted(self, event: Event, place: Address | None) -> bool:
        """Look among the deletions that name the event; they are kept like any event."""
        requests = [*self._bucket(("deleted", event.id)), *self._bucket(("deleted", str(place)))]
        return any(deletion.covers(deletion.read(request), event) for request in requests)

    def _bucket(self, key: Key) -> Collection[Event]:
        return self._buckets.get(key, _NOTHING).values()

    def _matching(
        self, conditions: Filter, keys: Collection[PublicKey], now: float
    ) -> Iterator[Event]:
        match = matcher((conditions,))
        for event in self._candidates(conditions):
            if match(event) and visible(event, keys) and not expiration.is_expired(event, now):
                yield event

    def _candidates(self, conditions: Filter) -> Collection[Event]:
        """Return what meets the condition that fewest events meet."""
        choices = [
            {e.id: e for value in values for e in self._bucket((name, value))}
            for name, values in _listed(conditions).items()
        ]
        return min(choices, key=len, default=self._events).values()


def _listed(conditions: Filter) -> Mapping[str, Sequence[str | int]]:
    """Return every condition that is a list of values, by the name it is indexed under."""
    plain = {"id": conditions.ids, "author": conditions.authors, "kind": conditions.kinds}
    tags = {f"#{name}": values for name, values in conditions.tags.items()}
    return {name: values for name, values in plain.items() if values is not None} | tags


def _keys(event: Event) -> Iterator[Key]:
    yield ("id", event.id)
    yield ("author", event.pubkey)
    yield ("kind", event.kind)
    for tag in event.tags:
        if len(tag) > 1 and len(tag[0]) == 1:
            yield (f"#{tag[0]}", tag[1])
    if event.kind == deletion.KIND:
        wanted = deletion.read(event)
        yield from (("deleted", str(target)) for target in (*wanted.ids, *wanted.addresses))


def _order(event: Event) -> tuple[int, str]:
    return -event.created_at, event.id
