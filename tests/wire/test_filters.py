"""Filters against the vectors of NIP-01 and against nostr-sdk's matching."""

import json as stdlib_json
from collections.abc import Callable
from typing import Any

import msgspec
import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.errors import Malformed, PeerFault
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.wire import event as events
from pylon.wire import filters
from tests.vectors import load
from tests.wire.strategies import ALICE, BOB, event, hex32, json_values

CASES: list[dict[str, Any]] = load("nip01_filters.json")["cases"]
FULL = "a" * 64

some = st.lists
few_values = st.sampled_from(["x", "y", "X", "", "wss://x"])
tag_lists = st.lists(st.tuples(st.sampled_from("tTd"), few_values), max_size=3)
small_filters = st.builds(
    Filter,
    ids=st.none(),
    authors=st.none()
    | some(st.sampled_from([ALICE.public_key, BOB.public_key]), min_size=1, max_size=2).map(tuple),
    kinds=st.none() | some(st.integers(1, 3), min_size=1, max_size=2).map(tuple),
    tags=st.dictionaries(
        st.sampled_from("tTd"), some(few_values, min_size=1, max_size=2).map(tuple), max_size=2
    ),
    since=st.none() | st.integers(0, 9),
    until=st.none() | st.integers(0, 9),
    limit=st.none() | st.integers(0, 9),
)
small_events = st.builds(
    lambda kind, tags, at, keys: event(kind, *tags, at=at, keys=keys),
    st.integers(1, 3),
    tag_lists,
    st.integers(0, 9),
    st.sampled_from([ALICE, BOB]),
)


def read_case(case: dict[str, Any]) -> tuple[Callable[[Event], bool], Event]:
    raw = case["event"] | {"sig": ""}
    return filters.matcher(map(loose, case["filters"])), msgspec.convert(raw, Event)


def loose(raw: dict[str, Any]) -> Filter:
    """Read a filter of the vectors, some of which hold short ids that the wire would refuse."""
    tags = {key[1]: tuple(values) for key, values in raw.items() if key.startswith("#")}
    plain: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k[0] != "#"
    }
    return Filter(**plain, tags=tags)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["expect"] is not None], ids=lambda case: case["name"]
)
def test_an_event_matches_as_published(case: dict[str, Any]) -> None:
    match, candidate = read_case(case)
    assert match(candidate) is case["expect"]


def test_an_empty_list_matches_nothing() -> None:
    assert not filters.matches(Filter(kinds=()), event())
    assert not filters.matches(Filter(tags={"t": ()}), event(1, ("t", "x")))


def test_no_filter_matches_nothing() -> None:
    assert not filters.matcher(())(event())


@pytest.mark.parametrize(
    "raw", [{"search": "x"}, {"#-": [""]}, {"#ab": ["x"]}, {"#": []}, {"#é": []}]
)
def test_a_key_we_do_not_serve_is_unsupported(raw: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match=r"^unsupported: filter key"):
        filters.from_json(raw)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        None,
        {"ids": ["aaaa"]},
        {"ids": [FULL.upper()]},
        {"ids": [FULL + "\n"]},
        {"authors": "a"},
        {"#p": ["not hex"]},
        {"#t": [1]},
        {"kinds": [True]},
        {"kinds": [1.0]},
        {"kinds": [70000]},
        {"kinds": None},
        {"since": -1},
        {"since": "1"},
        {"limit": 1 << 53},
    ],
)
def test_a_wrong_value_is_invalid(raw: Any) -> None:
    with pytest.raises(Malformed, match=r"^invalid: "):
        filters.from_json(raw)


full_filters = st.builds(
    Filter,
    ids=st.none() | st.lists(hex32, max_size=2).map(tuple),
    authors=st.none() | st.lists(hex32, max_size=2).map(tuple),
    kinds=st.none() | st.lists(st.integers(0, 0xFFFF), max_size=2).map(tuple),
    tags=st.fixed_dictionaries(
        {},
        optional={
            "e": st.lists(hex32, max_size=2).map(tuple),
            "t": st.lists(st.text(max_size=9), max_size=2).map(tuple),
        },
    ),
    since=st.none() | st.integers(0, (1 << 53) - 1),
    until=st.none() | st.integers(0, (1 << 53) - 1),
    limit=st.none() | st.integers(0, 5000),
)


@given(full_filters)
def test_what_is_written_is_read_back(original: Filter) -> None:
    assert filters.from_json(filters.to_json(original)) == original


@given(st.dictionaries(st.sampled_from(["ids", "kinds", "since", "#e", "#t", "x"]), json_values))
def test_any_object_is_read_or_refused(raw: dict[str, Any]) -> None:
    try:
        read = filters.from_json(raw)
    except PeerFault:
        return
    assert {key: raw[key] for key in raw} == stdlib_json.loads(
        msgspec.json.encode(filters.to_json(read))
    )


@settings(max_examples=150)
@given(small_filters, small_events)
def test_nostr_sdk_finds_the_same_matches(conditions: Filter, candidate: Event) -> None:
    theirs = nostr_sdk.Filter.from_json(msgspec.json.encode(filters.to_json(conditions)).decode())
    expected = theirs.match_event(nostr_sdk.Event.from_json(events.encode(candidate)))
    assert filters.matches(conditions, candidate) is expected


@given(st.lists(small_filters, max_size=4), small_events)
def test_several_filters_match_what_any_of_them_does(
    several: list[Filter], candidate: Event
) -> None:
    expected = any(filters.matches(one, candidate) for one in several)
    assert filters.matcher(several)(candidate) is expected
