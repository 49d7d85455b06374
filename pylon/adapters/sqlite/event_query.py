"""Filters as SQL. Pure: text and parameters out.

A filter becomes one walk down one index where that is possible, so that `LIMIT` ends it early: a
list of a few values becomes a statement for each ("arm"), for SQLite walks an index in order of time
under one value only. The arms' results are merged by the caller.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from typing import Final, TypeAlias

from attrs import evolve, frozen

from pylon.core.relay_rules import PRIVATE_KINDS
from pylon.model.filter import Filter
from pylon.model.ids import PublicKey

Binding: TypeAlias = str | int | bytes
Condition: TypeAlias = tuple[str, tuple[Binding, ...]]

_MOST_ARMS: Final = 32
_PLAIN: Final = "events e"
_TAGGED: Final = "tags t CROSS JOIN events e ON e.seq = t.event"  # CROSS: in this order
_PRIVATE: Final = ", ".join(map(str, sorted(PRIVATE_KINDS)))


@frozen
class Statement:
    """SQL that selects (created_at, id, body), newest first, and its parameters."""

    sql: str
    bindings: tuple[Binding, ...]


def selections(
    conditions: Filter, *, keys: Collection[PublicKey], now: float
) -> Iterator[Statement]:
    """Yield the statements whose results together, cut to `limit`, are what matches a filter."""
    for arm in _arms(conditions):
        source, tests = _conditions(arm, keys=keys, now=now)
        where, bindings = _join(tests)
        limit = -1 if arm.limit is None else arm.limit
        wanted = f"SELECT e.created_at, e.id, e.body FROM {source} WHERE {where}"  # noqa: S608 - values are bound
        # Ordered by the column of the index that is walked, or SQLite sorts in vain.
        walked = "t" if source is _TAGGED else "e"
        order = f"ORDER BY {walked}.created_at DESC, e.id LIMIT ?"
        yield Statement(f"{wanted} {order}", (*bindings, limit))


def counting(filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float) -> Statement:
    """Return the statement that counts what matches any filter."""
    selects: list[str] = []
    bindings: list[Binding] = []
    for conditions in filters:
        source, tests = _conditions(conditions, keys=keys, now=now)
        where, bound = _join(tests)
        selects.append(f"SELECT e.seq FROM {source} WHERE {where}")  # noqa: S608 - values are bound
        bindings += bound
    together = " UNION ".join(selects)
    return Statement(f"SELECT count(*) FROM ({together})", tuple(bindings))  # noqa: S608 - as above


def _arms(conditions: Filter) -> Iterator[Filter]:
    """Split the list that an index is walked by into its values, if they are few."""
    if conditions.ids is not None:
        arms = [conditions]
    elif conditions.tags:
        name, values = _leading_tag(conditions)
        arms = [evolve(conditions, tags={**conditions.tags, name: (v,)}) for v in set(values)]
    else:
        authors = [None] if conditions.authors is None else [(v,) for v in set(conditions.authors)]
        kinds = [None] if conditions.kinds is None else [(v,) for v in set(conditions.kinds)]
        arms = [evolve(conditions, authors=a, kinds=k) for a, k in product(authors, kinds)]
    return iter(arms if len(arms) <= _MOST_ARMS else [conditions])


def _leading_tag(conditions: Filter) -> tuple[str, tuple[str, ...]]:
    return min(conditions.tags.items(), key=lambda tag: len(tag[1]))


def _conditions(
    conditions: Filter, *, keys: Collection[PublicKey], now: float
) -> tuple[str, list[Condition]]:
    """Return what to read from, and the tests that every row has to pass."""
    tags = dict(conditions.tags)
    source, tests = _PLAIN, []
    if tags and conditions.ids is None:
        name, values = _leading_tag(conditions)
        del tags[name]
        if len(values) == 1:  # the tag's index is walked, in order of time
            source = _TAGGED
            tests = [("t.name = ? AND t.value = ?", (name, values[0])), *_period(conditions, "t")]
        else:
            tests = [_among_tagged(name, values)]
    tests += _own_columns(conditions)
    tests += [_has_tag(name, values) for name, values in tags.items()]
    tests.append(("(e.expires_at IS NULL OR e.expires_at > ?)", (int(now),)))
    if not conditions.kinds or PRIVATE_KINDS.intersection(conditions.kinds):
        tests.append(_readable(keys))
    return source, tests


def _own_columns(conditions: Filter) -> Iterator[Condition]:
    if conditions.ids is not None:
        yield _one_of("e.id", [bytes.fromhex(value) for value in conditions.ids])
    if conditions.authors is not None:
        yield _one_of("e.pubkey", [bytes.fromhex(value) for value in conditions.authors])
    if conditions.kinds is not None:
        yield _one_of("e.kind", conditions.kinds)
    yield from _period(conditions, "e")


def _period(conditions: Filter, table: str) -> Iterator[Condition]:
    if conditions.since is not None:
        yield f"{table}.created_at >= ?", (conditions.since,)
    if conditions.until is not None:
        yield f"{table}.created_at <= ?", (conditions.until,)


def _one_of(column: str, values: Sequence[Binding]) -> Condition:
    """Test for one value with `=`: only then is the rest of the index still in order."""
    if len(values) == 1:
        return f"{column} = ?", (values[0],)
    return f"{column} IN ({', '.join('?' * len(values))})", tuple(values)


def _among_tagged(name: str, values: Sequence[str]) -> Condition:
    listed, _ = _one_of("value", values)
    tagged = f"SELECT event FROM tags WHERE name = ? AND {listed}"  # noqa: S608 - values are bound
    return f"e.seq IN ({tagged})", (name, *values)


def _has_tag(name: str, values: Sequence[str]) -> Condition:
    listed, _ = _one_of("x.value", values)
    at = "x.created_at = e.created_at AND x.event = e.seq"
    tagged = f"SELECT 1 FROM tags x WHERE x.name = ? AND {listed} AND {at}"  # noqa: S608 - values are bound
    return f"EXISTS ({tagged})", (name, *values)


def _readable(keys: Collection[PublicKey]) -> Condition:
    """Say `core.relay_rules.visible` in SQL."""
    mine, authors = _one_of("e.pubkey", [bytes.fromhex(key) for key in keys])
    addressed, names = _has_tag("p", tuple(keys))
    return f"(e.kind NOT IN ({_PRIVATE}) OR {mine} OR {addressed})", (*authors, *names)


def _join(tests: Sequence[Condition]) -> Condition:
    return (
        " AND ".join(sql for sql, _ in tests),
        tuple(value for _, bound in tests for value in bound),
    )
