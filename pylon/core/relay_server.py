"""Decide what a relay does with what one client sends; do none of it.

`receive` is a pure function: the session and a message in, the next session and the orders that
follow out. The service carries the orders out in their turn. (NIP-01, 09, 40, 42, 45, 70)
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import evolve, frozen

from pylon.core.relay_rules import PRIVATE_KINDS, Added, RelayRules
from pylon.core.token_bucket import TokenBucket, draw
from pylon.errors import BadSignature, Malformed, PeerFault
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import PublicKey
from pylon.wire import auth, expiration
from pylon.wire import event as events
from pylon.wire.frames import (
    Authenticate,
    Challenge,
    ClientFrame,
    Close,
    Closed,
    Count,
    Notice,
    Ok,
    Refused,
    RelayFrame,
    Req,
    Submit,
    decode_client,
)
from pylon.wire.kinds import KindClass, kind_class

_REPOSTS: Final = (6, 16)
_PROTECTED: Final = ("-",)
_NONSENSE_COSTS: Final = 10.0  # tokens: text that is no frame is no use to anybody
_FAULT_SHOWN: Final = 200  # characters

_OUTCOMES: Final = {
    Added.STORED: (True, ""),
    Added.DUPLICATE: (True, "duplicate: already have this event"),
    Added.OUTDATED: (True, "duplicate: have a newer version"),
    Added.DELETED: (False, "blocked: its author has asked for its deletion"),
}

# Orders


@frozen
class Reply:
    """Send a frame."""

    frame: RelayFrame


@frozen
class Store:
    """Add a checked event to the store, answer with `stored`, tell the listeners if it is new."""

    event: Event


@frozen
class PassOn:
    """Tell the listeners of a checked event that is not kept, and answer with `passed_on`."""

    event: Event


@frozen
class Subscribe:
    """Listen for the filters under a name, which it replaces; then send what is stored, and EOSE."""

    name: str
    filters: tuple[Filter, ...]


@frozen
class Unsubscribe:
    """Stop listening under a name."""

    name: str


@frozen
class CountStored:
    """Answer how many stored events match any of the filters."""

    query: str
    filters: tuple[Filter, ...]


@frozen
class HangUp:
    """End the connection."""

    reason: str


Order: TypeAlias = Reply | Store | PassOn | Subscribe | Unsubscribe | CountStored | HangUp


@frozen
class Session:
    """What we know of one connection."""

    challenge: str  # unguessable, of this connection alone
    bucket: TokenBucket
    challenged: bool = False  # the challenge has been sent
    keys: frozenset[PublicKey] = frozenset()  # the client has proved to hold them
    subscriptions: frozenset[str] = frozenset()


@frozen
class Step:
    """The outcome of one message."""

    session: Session
    orders: tuple[Order, ...] = ()


def begin(challenge: str, *, now: float, rules: RelayRules) -> Step:
    """Open a connection's life; who must authenticate is told at once."""
    session = Session(challenge, TokenBucket(rules.burst, now))
    return _challenged(Step(session)) if rules.auth else Step(session)


def receive(session: Session, text: str, *, now: float, rules: RelayRules) -> Step:
    """Apply one message of the client's. Never raises: a fault of the peer's is answered."""
    try:
        frame: ClientFrame | PeerFault = decode_client(text, max_size=rules.message_bytes)
    except Malformed as fault:
        frame = fault
    bucket = draw(session.bucket, _cost(frame), now=now, rate=rules.rate, burst=rules.burst)
    session = evolve(session, bucket=bucket)
    if bucket.level < -rules.burst:
        return Step(session, (HangUp("rate-limited: far too many messages"),))
    if bucket.level < 0:
        return _refuse(session, frame, "rate-limited: slow down")
    return _serve(session, frame, now=now, rules=rules)


def close(session: Session, name: str, reason: str) -> Step:
    """End a subscription that cannot be served."""
    return _unsubscribe(session, name, Reply(Closed(name, reason)))


def stored(event: Event, added: Added) -> Ok:
    """Say what became of an event that was to be stored."""
    accepted, message = _OUTCOMES[added]
    return Ok(event.id, accepted, message)


def passed_on(event: Event, listeners: int) -> Ok:
    """Say what became of an event that is not kept."""
    if listeners:
        return Ok(event.id, accepted=True)
    return Ok(event.id, accepted=False, message="mute: no one is listening for this event")


def _cost(frame: ClientFrame | PeerFault) -> float:
    match frame:
        case Req() | Count():
            return float(len(frame.filters))
        case PeerFault():
            return _NONSENSE_COSTS
        case _:
            return 1.0


def _serve(
    session: Session, frame: ClientFrame | PeerFault, *, now: float, rules: RelayRules
) -> Step:
    match frame:
        case Submit(event=event):
            return _submit(session, event, now=now, rules=rules)
        case Req() | Count():
            return _query(session, frame, rules=rules)
        case Close(subscription=name):
            return _unsubscribe(session, name)
        case Authenticate(event=event):
            return _authenticate(session, event, now=now, rules=rules)
        case _:
            return _refuse(session, frame, str(frame)[:_FAULT_SHOWN])


def _refuse(session: Session, frame: ClientFrame | PeerFault, reason: str) -> Step:
    """Answer in the form that the client waits for: OK, CLOSED, or a NOTICE where neither fits."""
    match frame:
        case Submit(event=event) | Authenticate(event=event):
            step = Step(session, (Reply(Ok(event.id, accepted=False, message=reason)),))
        case Req(subscription=name) | Refused(subscription=name):
            step = _unsubscribe(session, name, Reply(Closed(name, reason)))
        case Count(query=name):
            step = Step(session, (Reply(Closed(name, reason)),))
        case _:
            step = Step(session, (Reply(Notice(f"invalid: {reason}")),))
    return _challenged(step) if reason.startswith("auth-required:") else step


def _challenged(step: Step) -> Step:
    """Send the challenge first, unless the client has it."""
    if step.session.challenged:
        return step
    session = evolve(step.session, challenged=True)
    return Step(session, (Reply(Challenge(session.challenge)), *step.orders))


def _unsubscribe(session: Session, name: str, *then: Order) -> Step:
    if name not in session.subscriptions:
        return Step(session, then)
    session = evolve(session, subscriptions=session.subscriptions - {name})
    return Step(session, (Unsubscribe(name), *then))


# Writing


def _submit(session: Session, event: Event, *, now: float, rules: RelayRules) -> Step:
    if reason := _objection(session, event, now=now, rules=rules):
        return _refuse(session, Submit(event), reason)
    if kind_class(event.kind) is KindClass.EPHEMERAL:
        return Step(session, (PassOn(event),))
    return Step(session, (Store(event),))


def _objection(session: Session, event: Event, *, now: float, rules: RelayRules) -> str | None:
    """Say why an event is not taken; the signature, which costs most, is looked at last."""
    if rules.auth and not session.keys:
        return "auth-required: authenticate to publish"
    if event.kind == auth.KIND:
        return "invalid: an answer to a challenge is not for publishing"
    if expiration.is_expired(event, now):
        return "invalid: it has expired"
    if event.created_at > now + rules.future_seconds:
        return f"invalid: created_at is over {rules.future_seconds} seconds in the future"
    if _PROTECTED in event.tags and event.pubkey not in session.keys:
        return (
            "restricted: a protected event is published by its author alone"
            if session.keys
            else "auth-required: a protected event is published by its author alone"
        )
    try:
        events.check(event, rules.event)
    except (Malformed, BadSignature) as fault:
        return f"invalid: {fault}"
    if event.kind in _REPOSTS and _reposts_protected(event):
        return "blocked: it embeds a protected event"
    return None


def _reposts_protected(event: Event) -> bool:
    try:
        return _PROTECTED in events.parse(event.content).tags
    except Malformed:
        return False


# Reading


def _query(session: Session, frame: Req | Count, *, rules: RelayRules) -> Step:
    if reason := next(_obstacles(session, frame, rules), None):
        return _refuse(session, frame, reason)
    if isinstance(frame, Count):
        return Step(session, (CountStored(frame.query, frame.filters),))
    name = frame.subscription
    session = evolve(session, subscriptions=session.subscriptions | {name})
    limited = tuple(evolve(f, limit=_limit(f, rules)) for f in frame.filters)
    return Step(session, (Subscribe(name, limited),))


def _obstacles(session: Session, frame: Req | Count, rules: RelayRules) -> Iterator[str]:
    """Yield why a query is not answered."""
    if rules.auth and not session.keys:
        yield "auth-required: authenticate to read"
    if not session.keys and any(PRIVATE_KINDS.intersection(f.kinds or ()) for f in frame.filters):
        yield "auth-required: private messages are for those they concern"
    if len(frame.filters) > rules.filters:
        yield f"restricted: at most {rules.filters} filters"
    if sum(map(_values, frame.filters)) > rules.filter_values:
        yield f"restricted: at most {rules.filter_values} values in all filters"
    held = session.subscriptions
    if isinstance(frame, Req) and len(held | {frame.subscription}) > rules.subscriptions:
        yield f"restricted: at most {rules.subscriptions} subscriptions"


def _values(conditions: Filter) -> int:
    plain = (conditions.ids, conditions.authors, conditions.kinds)
    return sum(len(values or ()) for values in (*plain, *conditions.tags.values()))


def _limit(conditions: Filter, rules: RelayRules) -> int:
    wanted = rules.default_limit if conditions.limit is None else conditions.limit
    return min(wanted, rules.limit)


# Proving


def _authenticate(session: Session, event: Event, *, now: float, rules: RelayRules) -> Step:
    if len(session.keys) >= rules.keys:
        return _refuse(session, Authenticate(event), f"restricted: at most {rules.keys} keys")
    try:
        key = auth.check(event, urls=rules.urls, challenge=session.challenge, now=int(now))
    except (Malformed, BadSignature) as fault:
        return _refuse(session, Authenticate(event), f"invalid: {fault}")
    session = evolve(session, keys=session.keys | {key})
    return Step(session, (Reply(Ok(event.id, accepted=True)),))
