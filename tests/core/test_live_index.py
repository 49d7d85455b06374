"""An event finds its listeners as if every one had been asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pylon.core.live_index import LiveIndex
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import EventId, PublicKey
from pylon.wire.filters import from_json, matches
from tests import vectors


def event(
    event_id: str = "e1", author: str = "a1", kind: int = 1, tags: tuple[tuple[str, ...], ...] = ()
) -> Event:
    return Event(EventId(event_id), PublicKey(author), 100, kind, tags, "", "")


names = st.sampled_from(["e1", "e2", "a1", "a2"])
some = st.none() | st.lists(names, max_size=3).map(tuple)
some_filters = st.builds(
    Filter,
    ids=some,
    authors=some,
    kinds=st.none() | st.lists(st.integers(1, 3), max_size=2).map(tuple),
    tags=st.dictionaries(st.sampled_from("pt"), st.lists(names, max_size=2).map(tuple), max_size=2),
    since=st.none() | st.integers(99, 101),
)
some_events = st.builds(
    event,
    names,
    names,
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("pt"), names) | st.just(("p",)), max_size=3).map(tuple),
)


@given(st.lists(st.lists(some_filters, max_size=3), max_size=5), some_events)
def test_those_are_found_that_match_each_once(listeners: list[list[Filter]], news: Event) -> None:
    index = LiveIndex[int]()
    for number, filters in enumerate(listeners):
        index.add(number, filters)
    wanted = [
        number
        for number, filters in enumerate(listeners)
        if any(matches(conditions, news) for conditions in filters)
    ]
    assert sorted(index.matching(news)) == wanted


@given(st.lists(some_filters, max_size=3), st.lists(some_filters, max_size=3), some_events)
def test_who_has_left_is_not_found_and_leaves_nothing_behind(
    first: list[Filter], second: list[Filter], news: Event
) -> None:
    index = LiveIndex[str]()
    index.add("first", first)
    index.add("second", second)
    index.discard("first")
    assert "first" not in index.matching(news)
    index.discard("second")
    index.discard("nobody")
    assert len(index) == 0
    assert not index._by_key


@pytest.mark.parametrize(
    "case", vectors.load("nip01_filters.json")["cases"], ids=lambda case: str(case["name"])
)
def test_the_index_agrees_with_the_shared_filter_cases(case: dict[str, Any]) -> None:
    index = LiveIndex[str]()
    try:
        index.add("listener", [from_json(conditions) for conditions in case["filters"]])
    except Malformed:
        assert not case["expect"]
        return
    tags = tuple(tuple(tag) for tag in case["event"]["tags"])
    news = Event(**{"sig": "", **case["event"], "tags": tags})
    assert bool(index.matching(news)) is bool(case["expect"])
