"""What passes between the relay pool and whoever listens or publishes through it."""

from enum import StrEnum
from typing import TypeAlias

from attrs import frozen

from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, RelayUrl


@frozen
class Subscribe:
    """Ask every relay for events; the same name again replaces what was asked before.

    A `durable` subscription resumes from the stored cursor of each relay (less an overlap) after a
    reconnect or a restart; any other asks from its filters' own `since`.
    """

    name: str
    filters: tuple[Filter, ...]
    durable: bool = False


@frozen
class Unsubscribe:
    """Stop listening."""

    name: str


@frozen
class Publish:
    """Hand an event to every relay until each has answered for good."""

    event: Event


@frozen
class Heard:
    """A verified event that matched a subscription, passed on once however many relays sent it."""

    subscription: str
    event: Event
    relay: RelayUrl


@frozen
class CaughtUp:
    """Every reachable relay has sent its stored events for this subscription."""

    subscription: str


class Verdict(StrEnum):
    """What one relay made of one event."""

    ACCEPTED = "accepted"  # OK true, and `duplicate:` either way
    REFUSED = "refused"  # for good: invalid, blocked, restricted, pow
    DEFERRED = "deferred"  # not yet: error, rate-limited, auth-required; it will be sent again


@frozen
class PublishOutcome:
    """One relay's answer to one event."""

    event_id: EventId
    relay: RelayUrl
    verdict: Verdict
    reason: str = ""


@frozen
class RelayHealth:
    """How one relay connection is doing, for status displays."""

    url: RelayUrl
    connected: bool
    detail: str = ""


# What one relay connection tells the pool.


@frozen
class StoredSent:
    """A relay has sent what it had stored for a subscription, or will not."""

    relay: RelayUrl
    want: Subscribe


@frozen
class CursorMoved:
    """Nothing that a relay has for a subscription up to `cursor` (`created_at`) is missing.

    True once all that the relay reported before this has been handed on.
    """

    relay: RelayUrl
    subscription: str
    cursor: int


@frozen
class SubscriptionRefused:
    """A relay will not serve a subscription on this connection."""

    relay: RelayUrl
    subscription: str
    reason: str


RelayCommand: TypeAlias = Subscribe | Unsubscribe | Publish
RelayReport: TypeAlias = (
    Heard | PublishOutcome | StoredSent | CursorMoved | SubscriptionRefused | RelayHealth
)
