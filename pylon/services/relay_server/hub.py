"""Where the connections of a relay meet: what one stores, others hear."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import trio
from attrs import define, field

from pylon.core.live_index import LiveIndex
from pylon.core.relay_rules import Added, visible
from pylon.errors import StoreBusy
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, PublicKey
from pylon.ports.events import EventStore
from pylon.services.relay_server.outbox import Outbox
from pylon.wire import event as codec
from pylon.wire import json

_STORE_SECONDS = 30.0


@define(eq=False)
class Listener:
    """One subscription of one client. It hears from the moment it is in the hub."""

    _name: str
    _outbox: Outbox
    _keys: Callable[[], Collection[PublicKey]]
    _head: str = field(init=False)
    # While the stored events are looked up: what was heard meanwhile. Afterwards: nothing.
    _heard: set[EventId] | None = field(factory=set, init=False)
    # Found in the store before the hub came to tell of them.
    _told: set[EventId] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._head = f'["EVENT",{json.encode(self._name)},'

    def may_hear(self, event: Event) -> bool:
        """Say whether the client may read an event that its filters match."""
        return visible(event, self._keys())

    def hear(self, event: Event, body: str) -> None:
        """Send a new event on, unless it was sent with the stored ones."""
        if event.id in self._told:
            self._told.discard(event.id)
            return
        if self._heard is not None:
            self._heard.add(event.id)
        self._send(body)

    def unheard(self, found: Sequence[Event], in_flight: Collection[EventId]) -> list[Event]:
        """Return the stored events not heard yet; those `in_flight` will not be heard again."""
        heard, self._heard = self._heard or set(), None
        unheard = [event for event in found if event.id not in heard]
        self._told = {event.id for event in unheard if event.id in in_flight}
        return unheard

    def send(self, event: Event) -> None:
        """Send a stored event."""
        self._send(codec.encode(event))

    def _send(self, body: str) -> None:
        self._outbox.put(f"{self._head}{body}]")


@define(eq=False)
class Hub:
    """The store and everybody who listens."""

    store: EventStore
    _live: LiveIndex[Listener] = field(factory=LiveIndex, init=False)
    # Counted: two clients may bring the same event at once.
    _in_flight: Counter[EventId] = field(factory=Counter, init=False)

    @property
    def in_flight(self) -> Collection[EventId]:
        """What may be in the store without having been told of."""
        return self._in_flight

    def listen(self, listener: Listener, filters: Sequence[Filter]) -> None:
        """Let a listener hear from now on."""
        self._live.add(listener, filters)

    def forget(self, listener: Listener) -> None:
        """Let it hear no more."""
        self._live.discard(listener)

    async def keep(self, events: Sequence[Event]) -> list[Added]:
        """Store events, and tell of those that are new once they are durable.

        Raises:
            StoreBusy, StoreFull: none was stored, or nobody knows.
        """
        ids = [event.id for event in events]
        self._in_flight.update(ids)
        try:
            added = await self._add(events)
            for event, outcome in zip(events, added, strict=True):
                if outcome is Added.STORED:
                    self.tell(event)
        finally:
            self._in_flight -= Counter(ids)
        return added

    def tell(self, event: Event) -> int:
        """Pass an event on to everybody it concerns, and return how many they are."""
        listeners = [
            listener for listener in self._live.matching(event) if listener.may_hear(event)
        ]
        if listeners:
            body = codec.encode(event)
            for listener in listeners:
                listener.hear(event, body)
        return len(listeners)

    async def _add(self, events: Sequence[Event]) -> list[Added]:
        # A cancelled write may still commit, and then somebody waits to hear of it.
        with trio.move_on_after(_STORE_SECONDS, shield=True):
            return await self.store.add(events)
        raise StoreBusy("the event store does not answer")
