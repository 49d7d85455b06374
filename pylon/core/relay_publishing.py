"""Events on their way to one relay: few in flight, the rest behind them, the put-off set aside.

    queue ─ room in the window ► sent ─ OK ► gone, with a verdict
                                  │ error, no answer ► parked ─ its time comes ► queue
                                  │ auth-required ► locked ─ authenticated ► queue
                                  └ rate-limited, connection lost ► front of the queue

Nothing leaves without a verdict: an event put off too often is refused in the end (NIP-01, NIP-42).
"""

from collections.abc import Mapping
from itertools import islice
from typing import TypeAlias

from attrs import evolve, field, frozen

from pylon.core.backoff import Backoff
from pylon.model.ids import EventId, RelayUrl
from pylon.model.relays import PublishOutcome, Verdict
from pylon.wire.frames import Ok, Prefix, prefix

WINDOW = 256  # events in flight
CAPACITY = 16_384  # events taken on and not yet answered
ANSWER_SECONDS = 30.0  # a relay that says nothing for so long is asked again
MOST_TRIES = 8
RETRY = Backoff(first=2.0, ceiling=300.0)
SLOW_DOWN = Backoff(first=2.0, ceiling=60.0)

_FOR_GOOD = frozenset(
    {
        Prefix.INVALID,
        Prefix.BLOCKED,
        Prefix.RESTRICTED,
        Prefix.POW,
        Prefix.UNSUPPORTED,
        Prefix.MUTE,  # an ephemeral event that nobody listened to is gone
    }
)


@frozen
class Outgoing:
    """One event as the frame that carries it. `moment` is when it was sent, or is due again."""

    text: str
    tries: int = 0  # answers so far that were no verdict
    moment: float = 0.0


Batch: TypeAlias = Mapping[EventId, Outgoing]
Outcomes: TypeAlias = tuple[PublishOutcome, ...]


@frozen
class Publishing:
    """All events that one relay has not yet answered for good; each is in one of four places."""

    relay: RelayUrl
    queue: Batch = field(factory=dict)
    sent: Batch = field(factory=dict)
    parked: Batch = field(factory=dict)
    locked: Batch = field(factory=dict)
    window: int = WINDOW
    slowdowns: int = 0  # in a row
    hold_until: float = 0.0

    def __contains__(self, event_id: EventId) -> bool:
        return any(event_id in place for place in self._places())

    def __len__(self) -> int:
        return sum(map(len, self._places()))

    def _places(self) -> tuple[Batch, ...]:
        return self.sent, self.queue, self.parked, self.locked


def enqueue(state: Publishing, event_id: EventId, text: str) -> tuple[Publishing, Outcomes]:
    """Take an event on; one that is here already stays as it is."""
    if event_id in state:
        return state, ()
    if len(state) >= CAPACITY:
        why = "too many events wait for this relay: publish it again later"
        return state, (_outcome(state, event_id, Verdict.DEFERRED, why),)
    return evolve(state, queue={**state.queue, event_id: Outgoing(text)}), ()


def fill(
    state: Publishing, now: float, longest: int | None
) -> tuple[Publishing, tuple[str, ...], Outcomes]:
    """Send from the queue while the window has room; refuse frames of more than `longest` bytes.

    The window is topped up when half of it is free: the cost of a top-up grows with the queue.
    """
    if not state.queue or now < state.hold_until or len(state.sent) > state.window // 2:
        return state, (), ()
    room = state.window - len(state.sent)
    chosen = dict(islice(state.queue.items(), room))
    rest = dict(islice(state.queue.items(), room, None))
    too_long = {
        event_id: f"invalid: longer than the {longest} bytes this relay takes"
        for event_id, item in chosen.items()
        if longest is not None and len(item.text.encode()) > longest
    }
    going = {
        event_id: evolve(item, moment=now)
        for event_id, item in chosen.items()
        if event_id not in too_long
    }
    state = evolve(state, queue=rest, sent={**state.sent, **going})
    refused = tuple(_outcome(state, key, Verdict.REFUSED, why) for key, why in too_long.items())
    return state, tuple(item.text for item in going.values()), refused


def answered(
    state: Publishing, answer: Ok, *, now: float, fraction: float, can_auth: bool
) -> tuple[Publishing, Outcomes]:
    """Draw the consequence of an OK. `can_auth`: authentication is still to come."""
    said = prefix(answer.message)
    event_id = answer.event_id
    if event_id not in state:
        return state, ()
    if answer.accepted or said is Prefix.DUPLICATE:
        return _accepted(state, answer)
    if said in _FOR_GOOD:
        refusal = _outcome(state, event_id, Verdict.REFUSED, answer.message)
        return _without(state, event_id), (refusal,)
    if event_id not in state.sent:
        return state, ()  # it is put off already
    if said is Prefix.RATE_LIMITED:
        return _slowed(state, answer, now, fraction)
    if said is Prefix.AUTH_REQUIRED and can_auth:
        locked = {**state.locked, event_id: state.sent[event_id]}
        deferral = _outcome(state, event_id, Verdict.DEFERRED, answer.message)
        return evolve(_without(state, event_id), locked=locked), (deferral,)
    return _put_off(state, event_id, answer.message, now, fraction)


def tick(state: Publishing, now: float, fraction: float) -> tuple[Publishing, Outcomes]:
    """Queue again what was parked until now, and put off what was never answered."""
    due = {key: item for key, item in state.parked.items() if item.moment <= now}
    if due:
        parked = {key: item for key, item in state.parked.items() if key not in due}
        state = evolve(state, parked=parked, queue={**state.queue, **due})
    outcomes: Outcomes = ()
    for key in [k for k, item in state.sent.items() if item.moment + ANSWER_SECONDS <= now]:
        state, new = _put_off(state, key, "error: no answer", now, fraction)
        outcomes += new
    return state, outcomes


def disconnected(state: Publishing) -> Publishing:
    """Queue again, in front, what was in flight or waited for authentication."""
    queue = {**state.sent, **state.locked, **state.queue}
    return evolve(state, queue=queue, sent={}, locked={})


def unlock(state: Publishing) -> Publishing:
    """Queue again, in front, what waited for authentication: it has come."""
    return evolve(state, queue={**state.locked, **state.queue}, locked={})


def fail_locked(state: Publishing, reason: str) -> tuple[Publishing, Outcomes]:
    """Refuse what waited for authentication: it will not come."""
    refused = tuple(_outcome(state, key, Verdict.REFUSED, reason) for key in state.locked)
    return evolve(state, locked={}), refused


def _outcome(state: Publishing, event_id: EventId, verdict: Verdict, why: str) -> PublishOutcome:
    return PublishOutcome(event_id, state.relay, verdict, why)


def _without(state: Publishing, event_id: EventId) -> Publishing:
    """Take an event out of the one place it is in."""
    return evolve(
        state,
        sent=_less(state.sent, event_id),
        queue=_less(state.queue, event_id),
        parked=_less(state.parked, event_id),
        locked=_less(state.locked, event_id),
    )


def _less(batch: Batch, event_id: EventId) -> Batch:
    if event_id not in batch:
        return batch
    rest = dict(batch)  # copied whole and then cut: ten times faster than choosing what stays
    del rest[event_id]
    return rest


def _accepted(state: Publishing, answer: Ok) -> tuple[Publishing, Outcomes]:
    window = min(state.window + 1, WINDOW)
    done = evolve(_without(state, answer.event_id), window=window, slowdowns=0)
    return done, (_outcome(state, answer.event_id, Verdict.ACCEPTED, answer.message),)


def _slowed(
    state: Publishing, answer: Ok, now: float, fraction: float
) -> tuple[Publishing, Outcomes]:
    """Halve the window and hold everything: the limit is on us, not on this event.

    What else was in flight meets the same limit, and that counts as one slowdown.
    """
    event_id = answer.event_id
    queue = {event_id: state.sent[event_id], **state.queue}
    deferral = _outcome(state, event_id, Verdict.DEFERRED, answer.message)
    state = evolve(_without(state, event_id), queue=queue)
    if now < state.hold_until:
        return state, (deferral,)
    slowdowns = state.slowdowns + 1
    state = evolve(
        state,
        slowdowns=slowdowns,
        window=max(state.window // 2, 1),
        hold_until=now + SLOW_DOWN.after(slowdowns, fraction),
    )
    return state, (deferral,)


def _put_off(
    state: Publishing, event_id: EventId, why: str, now: float, fraction: float
) -> tuple[Publishing, Outcomes]:
    tries = state.sent[event_id].tries + 1
    item = evolve(state.sent[event_id], tries=tries, moment=now + RETRY.after(tries, fraction))
    state = _without(state, event_id)
    if tries >= MOST_TRIES:
        final = f"{why} (after {tries} tries)"
        return state, (_outcome(state, event_id, Verdict.REFUSED, final),)
    parked = {**state.parked, event_id: item}
    return evolve(state, parked=parked), (_outcome(state, event_id, Verdict.DEFERRED, why),)
