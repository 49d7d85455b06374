"""Filters: JSON to value and back, and which events they match (NIP-01).

Refusals begin with the prefix a relay puts into CLOSED: `invalid:` or `unsupported:`.
"""

from collections.abc import Callable, Iterable, Iterator
from string import ascii_letters
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from attrs import asdict
from msgspec import Meta

from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.wire.event import MAX_KIND, MAX_TIME

Test: TypeAlias = Callable[[Event], bool]

_Hex: TypeAlias = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Kind: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_KIND)]
_Natural: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_TIME)]

_KEYS: Final[dict[str, Any]] = {
    "ids": tuple[_Hex, ...],
    "authors": tuple[_Hex, ...],
    "kinds": tuple[_Kind, ...],
    "since": _Natural,
    "until": _Natural,
    "limit": _Natural,
}
_TAG_KEYS: Final[dict[str, Any]] = {f"#{letter}": tuple[str, ...] for letter in ascii_letters} | {
    "#e": tuple[_Hex, ...],
    "#p": tuple[_Hex, ...],
}
_ALL_KEYS: Final = _KEYS | _TAG_KEYS


def from_json(value: Any) -> Filter:
    """Read one decoded JSON object as a filter. An empty list is kept: it matches nothing.

    Raises:
        Malformed: `unsupported: ...` for a key we do not know, `invalid: ...` for a wrong value.
    """
    if not isinstance(value, dict):
        raise Malformed("invalid: a filter is a JSON object")
    read = {key: _read(key, raw) for key, raw in value.items()}
    tags = {key[1]: read.pop(key) for key in value if key in _TAG_KEYS}
    return Filter(**read, tags=tags)


def to_json(conditions: Filter) -> dict[str, Any]:
    """Write a filter as the JSON object it is on the wire."""
    tags = {f"#{name}": values for name, values in conditions.tags.items()}
    plain = asdict(
        conditions, filter=lambda field, value: field.name in _KEYS and value is not None
    )
    return plain | tags


def matches(conditions: Filter, event: Event) -> bool:
    """Say whether an event meets every condition of one filter; `limit` is not a condition."""
    return matcher((conditions,))(event)


def matcher(filters: Iterable[Filter]) -> Test:
    """Prepare filters for many events: the result says whether an event matches any of them."""
    prepared = tuple(tuple(_tests(conditions)) for conditions in filters)

    def match(event: Event) -> bool:
        for tests in prepared:
            for test in tests:
                if not test(event):
                    break
            else:
                return True
        return False

    return match


def _read(key: str, raw: Any) -> Any:
    wanted = _ALL_KEYS.get(key)
    if wanted is None:
        raise Malformed(f"unsupported: filter key {key[:32]!r}")
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as fault:
        raise Malformed(f"invalid: {key}: {fault}") from None


def _tests(conditions: Filter) -> Iterator[Test]:
    """Turn each condition that is present into a test, those that say no most often first."""
    if conditions.kinds is not None:
        kinds = frozenset(conditions.kinds)
        yield lambda event: event.kind in kinds
    if conditions.authors is not None:
        authors = frozenset(conditions.authors)
        yield lambda event: event.pubkey in authors
    if conditions.ids is not None:
        ids = frozenset(conditions.ids)
        yield lambda event: event.id in ids
    if (since := conditions.since) is not None:
        yield lambda event: event.created_at >= since
    if (until := conditions.until) is not None:
        yield lambda event: event.created_at <= until
    for name, values in conditions.tags.items():
        yield _tag_test(name, frozenset(values))


def _tag_test(name: str, wanted: frozenset[str]) -> Test:
    def has_tag(event: Event) -> bool:
        for tag in event.tags:  # noqa: SIM110 - a generator would cost more than all the rest
            if len(tag) > 1 and tag[0] == name and tag[1] in wanted:
                return True
        return False

    return has_tag
