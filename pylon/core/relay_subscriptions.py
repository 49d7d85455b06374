"""What is asked of one relay, and how far it has been heard.

A subscription is one REQ a filter, each under a short id of its own that is never used twice on a
connection: so a late answer to a question that has been replaced is told from an answer to the new
one, and each filter can be paged alone.

    waiting ─ a place is free ► open ─ EOSE ► stored (a page is closed here, and asks for the next)
       ▲                         │ CLOSED error, rate-limited: after a while
       └─────────────────────────┤ CLOSED auth-required ► locked ─ authenticated ► waiting
                                 └ CLOSED otherwise ► given up, on this connection

A relay sends stored events newest first and cuts the list where it likes. What a durable
subscription is owed since its cursor is therefore paged backwards until a page brings nothing, and
the cursor moves only then (NIP-01). `until` includes its second, so a page begins with the last
second of the one before, in the midst of which the relay may have cut.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import TypeAlias

from attrs import evolve, field, frozen

from pylon.core.backoff import Backoff
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import RelayUrl
from pylon.model.relays import CursorMoved, StoredSent, Subscribe, SubscriptionRefused
from pylon.wire.filters import Test, matcher
from pylon.wire.frames import Close, Closed, Prefix, Req, encode, prefix
from pylon.wire.relay_info import Limitation

OVERLAP_SECONDS = 600
PAGE_EVENTS = 5_000  # asked for at once, where all is owed; a relay cuts to what it likes
PATIENCE_SECONDS = 30.0  # how long a relay without an EOSE holds up those that wait for it
MOST_TRIES = 8
RETRY = Backoff(first=2.0, ceiling=300.0)

_AGAIN = frozenset({Prefix.ERROR, Prefix.RATE_LIMITED, Prefix.AUTH_REQUIRED})

Reports: TypeAlias = tuple[StoredSent | CursorMoved | SubscriptionRefused, ...]


class Stage(Enum):
    """How far a query has come."""

    WAITING = auto()
    OPEN = auto()
    STORED = auto()
    LOCKED = auto()


@frozen
class Query:
    """One REQ: one filter, or one page of it."""

    subscription: str
    conditions: Filter
    match: Test = field(eq=False, repr=False)
    live: bool = True
    stage: Stage = Stage.WAITING
    not_before: float = 0.0
    tries: int = 0
    oldest: int | None = None  # `created_at` of the stored events that have come


@frozen
class Wanted:
    """A subscription and what is known of it. `complete` while nothing is owed from the past."""

    want: Subscribe
    cursor: int | None = None
    newest: int | None = None  # `created_at` of the newest event heard, not from the future
    asked_at: float = 0.0
    complete: bool = False
    told: bool = False
    refused: bool = False


@frozen
class Subscriptions:
    """All that is asked of one relay. `queries` are of this connection, by their id on the wire.

    `overlap` is how many seconds an event may come late, by its own `created_at`, after others.
    """

    relay: RelayUrl
    overlap: int = OVERLAP_SECONDS
    wanted: Mapping[str, Wanted] = field(factory=dict)
    queries: Mapping[str, Query] = field(factory=dict)
    asked: int = 0  # ids used up


def subscribe(
    state: Subscriptions, want: Subscribe, *, cursor: int | None
) -> tuple[Subscriptions, tuple[str, ...]]:
    """Want a subscription in place of one of its name; returns the frames that close the old one."""
    state, frames = unsubscribe(state, want.name)
    wanted = {**state.wanted, want.name: Wanted(want, cursor)}
    return evolve(state, wanted=wanted), frames


def unsubscribe(state: Subscriptions, name: str) -> tuple[Subscriptions, tuple[str, ...]]:
    """Forget a subscription; returns the frames that close it."""
    mine = {key: query for key, query in state.queries.items() if query.subscription == name}
    frames = tuple(encode(Close(key)) for key, query in mine.items() if _is_open(query))
    queries = {key: query for key, query in state.queries.items() if key not in mine}
    wanted = {key: value for key, value in state.wanted.items() if key != name}
    return evolve(state, wanted=wanted, queries=queries), frames


def ask(state: Subscriptions, name: str, now: float) -> tuple[Subscriptions, Reports]:
    """Plan the queries of a subscription on a connection that has none of them yet."""
    item = state.wanted[name]
    item = evolve(item, asked_at=now, complete=False, told=False, refused=False)
    state = evolve(state, wanted={**state.wanted, name: item})
    for conditions in item.want.filters:
        state = _plan(state, name, _resumed(state, item, conditions))
    return _settle(state, name)


def ask_all(state: Subscriptions, now: float) -> tuple[Subscriptions, Reports]:
    """Plan everything that is wanted anew: the connection is fresh."""
    state = evolve(state, queries={}, asked=0)
    reports: Reports = ()
    for name in state.wanted:
        state, new = ask(state, name, now)
        reports += new
    return state, reports


def start(
    state: Subscriptions, now: float, limits: Limitation
) -> tuple[Subscriptions, tuple[str, ...], Reports]:
    """Send the queries that are due, as far as the relay's limits leave room."""
    due = [k for k, q in state.queries.items() if q.stage is Stage.WAITING and q.not_before <= now]
    frames: list[str] = []
    reports: Reports = ()
    for key in due[: _room(state, limits)]:
        query = state.queries[key]
        text = encode(Req(key, (_limited(state, query, limits),)))
        longest = limits.max_message_length
        if longest and len(text.encode()) > longest:
            state, new = _give_up(state, key, f"invalid: longer than {longest} bytes")
            reports += new
        else:
            state = _put(state, key, evolve(query, stage=Stage.OPEN))
            frames.append(text)
    return state, tuple(frames), reports


def found(state: Subscriptions, key: str, event: Event, wall: float) -> tuple[Subscriptions, str]:
    """Take note of an event; returns the subscription it is for, or "" if it was not asked for.

    The event need not be verified: a relay that lies about time harms its own cursor only.
    """
    query = state.queries.get(key)
    if query is None or not _is_open(query) or not query.match(event):
        return state, ""
    if query.stage is Stage.OPEN and (query.oldest is None or event.created_at < query.oldest):
        state = _put(state, key, evolve(query, oldest=event.created_at))
    item = state.wanted[query.subscription]
    if event.created_at <= wall and (item.newest is None or event.created_at > item.newest):
        item = evolve(item, newest=event.created_at)
        state = evolve(state, wanted={**state.wanted, query.subscription: item})
    return state, query.subscription


def end_of_stored(state: Subscriptions, key: str) -> tuple[Subscriptions, tuple[str, ...], Reports]:
    """Page on, or note that all is told; returns the frame that closes a page."""
    query = state.queries.get(key)
    if query is None or query.stage is not Stage.OPEN:
        return state, (), ()
    frames: tuple[str, ...] = ()
    if query.live:
        state = _put(state, key, evolve(query, stage=Stage.STORED, tries=0))
    else:
        state, frames = _drop(state, key), (encode(Close(key)),)
    if query.oldest is not None and _is_owed(state, query):
        state = _plan_page(state, query)
    state, reports = _settle(state, query.subscription)
    return state, frames, reports


def closed(
    state: Subscriptions, answer: Closed, *, now: float, fraction: float, can_auth: bool
) -> tuple[Subscriptions, Reports]:
    """Draw the consequence of a CLOSED. `can_auth`: authentication is still to come."""
    key, said = answer.subscription, prefix(answer.message)
    query = state.queries.get(key)
    if query is None:
        return state, ()
    tries = query.tries + 1
    patient = said is Prefix.RATE_LIMITED or tries < MOST_TRIES
    if said not in _AGAIN or not patient:
        return _give_up(state, key, answer.message)
    if said is Prefix.AUTH_REQUIRED and can_auth:
        again = evolve(query, stage=Stage.LOCKED, tries=tries)
    else:
        due = now + RETRY.after(tries, fraction)
        again = evolve(query, stage=Stage.WAITING, tries=tries, not_before=due)
    return _ask_again(state, key, again), ()


def tick(state: Subscriptions, now: float) -> tuple[Subscriptions, Reports]:
    """Move the cursors, and stop waiting for a relay that has not answered."""
    reports: Reports = ()
    for name, item in state.wanted.items():
        if not item.told and item.asked_at + PATIENCE_SECONDS <= now:
            state = evolve(state, wanted={**state.wanted, name: evolve(item, told=True)})
            reports += (StoredSent(state.relay, item.want),)
        state, new = _move_cursor(state, name)
        reports += new
    return state, reports


def disconnected(state: Subscriptions) -> Subscriptions:
    """Forget the connection's queries; what is wanted stays wanted."""
    return evolve(state, queries={})


def has_locked(state: Subscriptions) -> bool:
    """Say whether any query waits for authentication."""
    return any(query.stage is Stage.LOCKED for query in state.queries.values())


def unlock(state: Subscriptions) -> Subscriptions:
    """Ask again what waited for authentication: it has come."""
    for key, query in state.queries.items():
        if query.stage is Stage.LOCKED:
            state = _ask_again(state, key, evolve(query, stage=Stage.WAITING))
    return state


def fail_locked(state: Subscriptions, reason: str) -> tuple[Subscriptions, Reports]:
    """Give up what waited for authentication: it will not come."""
    reports: Reports = ()
    for key, query in state.queries.items():
        if query.stage is Stage.LOCKED:
            state, new = _give_up(state, key, reason)
            reports += new
    return state, reports


def _is_open(query: Query) -> bool:
    return query.stage in (Stage.OPEN, Stage.STORED)


def _put(state: Subscriptions, key: str, query: Query) -> Subscriptions:
    return evolve(state, queries={**state.queries, key: query})


def _drop(state: Subscriptions, key: str) -> Subscriptions:
    return evolve(state, queries={k: q for k, q in state.queries.items() if k != key})


def _add(state: Subscriptions, query: Query) -> Subscriptions:
    return _put(evolve(state, asked=state.asked + 1), str(state.asked + 1), query)


def _ask_again(state: Subscriptions, key: str, query: Query) -> Subscriptions:
    """Let a query begin anew, under a new id; until it has ended, something is owed again."""
    item = evolve(state.wanted[query.subscription], complete=False)
    state = evolve(_drop(state, key), wanted={**state.wanted, query.subscription: item})
    return _add(state, evolve(query, oldest=None))


def _plan(state: Subscriptions, name: str, conditions: Filter) -> Subscriptions:
    return _add(state, Query(name, conditions, matcher((conditions,))))


def _resumed(state: Subscriptions, item: Wanted, conditions: Filter) -> Filter:
    if not item.want.durable or item.cursor is None:
        return conditions
    return evolve(conditions, since=max(item.cursor - state.overlap, 0))


def _limited(state: Subscriptions, query: Query, limits: Limitation) -> Filter:
    limit = PAGE_EVENTS if _is_owed(state, query) else query.conditions.limit
    if limit is not None and limits.max_limit:
        limit = min(limit, limits.max_limit)
    return evolve(query.conditions, limit=limit)


def _room(state: Subscriptions, limits: Limitation) -> int:
    if not limits.max_subscriptions:
        return len(state.queries)
    return max(limits.max_subscriptions - sum(map(_is_open, state.queries.values())), 0)


def _is_owed(state: Subscriptions, query: Query) -> bool:
    """Say whether everything since a moment is owed, however much a relay sends at once."""
    asked = query.conditions
    durable = state.wanted[query.subscription].want.durable
    return durable and asked.since is not None and asked.limit is None


def _plan_page(state: Subscriptions, query: Query) -> Subscriptions:
    """Ask for what is older; a page that was all one second is followed by the second before it."""
    asked, oldest = query.conditions, query.oldest or 0
    until = oldest if asked.until is None or oldest < asked.until else oldest - 1
    if until < (asked.since or 0):
        return state
    conditions = evolve(asked, until=until)
    return _add(state, Query(query.subscription, conditions, matcher((conditions,)), live=False))


def _give_up(state: Subscriptions, key: str, reason: str) -> tuple[Subscriptions, Reports]:
    name = state.queries[key].subscription
    item = evolve(state.wanted[name], refused=True)
    state = evolve(_drop(state, key), wanted={**state.wanted, name: item})
    state, reports = _settle(state, name)
    return state, (SubscriptionRefused(state.relay, name, reason), *reports)


def _settle(state: Subscriptions, name: str) -> tuple[Subscriptions, Reports]:
    """Tell, once, that nothing is owed from the past any more."""
    item = state.wanted[name]
    mine = (query for query in state.queries.values() if query.subscription == name)
    if item.complete or any(query.stage is not Stage.STORED for query in mine):
        return state, ()
    reports: Reports = () if item.told else (StoredSent(state.relay, item.want),)
    item = evolve(item, complete=True, told=True)
    state, moved = _move_cursor(evolve(state, wanted={**state.wanted, name: item}), name)
    return state, (*reports, *moved)


def _move_cursor(state: Subscriptions, name: str) -> tuple[Subscriptions, Reports]:
    item = state.wanted[name]
    ahead = item.newest is not None and (item.cursor is None or item.newest > item.cursor)
    if not (ahead and item.complete and item.want.durable) or item.refused or not item.newest:
        return state, ()
    state = evolve(state, wanted={**state.wanted, name: evolve(item, cursor=item.newest)})
    return state, (CursorMoved(state.relay, name, item.newest),)
