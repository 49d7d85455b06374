"""One contract, every event store."""

import tempfile
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.adapters.memory.events import MemoryEventStore
from pylon.adapters.sqlite.event_query import selections
from pylon.adapters.sqlite.events import _SCHEMA, open_event_store
from pylon.core.relay_rules import Added, visible
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import PublicKey
from pylon.ports.events import EventStore
from pylon.wire.expiration import is_expired
from pylon.wire.filters import from_json, matches
from tests import vectors
from tests.nostr import NOW, keys, note

ALICE, BOB = keys(1).public_key, keys(2).public_key
STORED, DUPLICATE, OUTDATED, DELETED = Added


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[EventStore, None]:
    if request.param == "memory":
        yield MemoryEventStore()
    else:
        async with open_event_store(tmp_path / "relay.db") as opened:
            yield opened


async def find(
    store: EventStore, *filters: Filter, by: Sequence[PublicKey] = (), now: float = NOW
) -> list[Event]:
    found = await store.query(filters, keys=by, now=now)
    assert await store.count(filters, keys=by, now=now) == len(found)
    return found


async def test_an_event_comes_back_as_it_went_in(store: EventStore) -> None:
    event = note('\x00 ü 🜚 \u2028 \\ "', ("t", "a\x00b"), ("x",), ("",), ("long", "v", "w"))
    assert await store.add([event]) == [STORED]
    assert await find(store, Filter()) == [event]


async def test_the_same_event_again_is_a_duplicate_also_within_one_call(store: EventStore) -> None:
    assert await store.add([note(), note()]) == [STORED, DUPLICATE]
    assert await store.add([note()]) == [DUPLICATE]
    assert await find(store, Filter()) == [note()]


async def test_an_id_is_found_only_where_the_other_conditions_hold(store: EventStore) -> None:
    event = note("", ("t", "a"), ("p", BOB))
    await store.add([event])
    assert await find(store, Filter(ids=(event.id,), tags={"t": ("a", "b")})) == [event]
    assert await find(store, Filter(ids=(event.id,), tags={"t": ("b",)})) == []
    assert await find(store, Filter(ids=(event.id,), kinds=(2,))) == []


async def test_the_newest_come_first_and_those_of_one_second_by_id(store: EventStore) -> None:
    events = [note(str(n), at=NOW - n // 3) for n in range(9)]
    await store.add(events)
    assert await find(store, Filter()) == sorted(events, key=lambda e: (-e.created_at, e.id))


async def test_each_filter_has_its_own_limit_and_an_event_comes_once(store: EventStore) -> None:
    ones = [note(kind=1, at=NOW - n) for n in range(4)]
    twos = [note(kind=2, at=NOW - n) for n in range(4)]
    await store.add([*ones, *twos])
    filters = (Filter(kinds=(1,), limit=2), Filter(kinds=(2,), limit=1), Filter(ids=(ones[0].id,)))
    found = await store.query(filters, keys=(), now=NOW)
    assert sorted(e.id for e in found) == sorted(e.id for e in (*ones[:2], twos[0]))


async def test_an_event_under_two_of_the_values_fills_one_place_of_the_limit(
    store: EventStore,
) -> None:
    both, old = note("", ("t", "a"), ("t", "b")), note("", ("t", "a"), at=NOW - 1)
    await store.add([both, old])
    found = await store.query([Filter(tags={"t": ("a", "b")}, limit=2)], keys=(), now=NOW)
    assert found == [both, old]


async def test_a_limit_of_none_left_finds_nothing(store: EventStore) -> None:
    await store.add([note()])
    assert await store.query([Filter(limit=0)], keys=(), now=NOW) == []


async def test_a_count_heeds_no_limit_and_counts_each_event_once(store: EventStore) -> None:
    await store.add([note(str(n)) for n in range(5)])
    assert await store.count([Filter(limit=2), Filter(kinds=(1,))], keys=(), now=NOW) == 5


@pytest.mark.parametrize(
    "empty", [Filter(ids=()), Filter(authors=()), Filter(kinds=()), Filter(tags={"t": ()})]
)
async def test_an_empty_list_finds_nothing(store: EventStore, empty: Filter) -> None:
    await store.add([note("", ("t", ""))])
    assert await find(store, empty) == []


async def test_more_values_than_are_worth_a_walk_each(store: EventStore) -> None:
    events = [note(str(n), ("t", str(n)), kind=1000 + n, at=NOW - n) for n in range(50)]
    await store.add(events)
    names, kinds = tuple(map(str, range(50))), tuple(range(1000, 1050))
    assert await find(store, Filter(tags={"t": names}, kinds=kinds)) == events
    assert await find(store, Filter(kinds=kinds)) == events
    assert await store.query([Filter(tags={"t": names}, limit=3)], keys=(), now=NOW) == events[:3]


# What is replaced


def versions() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = vectors.load("nip01_replacement.json")["cases"]
    return [case for case in cases if not str(case["name"]).startswith("ephemeral")]


@pytest.mark.parametrize("case", versions(), ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("turned", [False, True], ids=["as-given", "turned"])
async def test_replacement_keeps_what_it_should(
    store: EventStore, case: dict[str, Any], turned: bool
) -> None:
    raw: list[dict[str, Any]] = case["events"]
    events = [_event(value) for value in raw]
    await store.add(events[::-1] if turned else events)
    wanted = case["keep_all"] if "keep_all" in case else [case["keep"]]
    assert sorted(e.id for e in await find(store, Filter())) == sorted(wanted)


def _event(value: dict[str, Any]) -> Event:
    tags = tuple(tuple(tag) for tag in value["tags"])
    return Event(**{**value, "tags": tags})


async def test_a_version_that_lost_is_outdated(store: EventStore) -> None:
    new, old = note(kind=10_002), note(kind=10_002, at=NOW - 1)
    assert await store.add([new, old]) == [STORED, OUTDATED]
    assert await find(store, Filter()) == [new]


async def test_addresses_differ_by_author_kind_and_identifier(store: EventStore) -> None:
    events = [
        note("", ("d", "a"), kind=30_000),
        note("", ("d", "a"), kind=30_000, by=2),
        note("", ("d", "b"), kind=30_000),
        note("", ("d", "a"), kind=30_001),
        note(kind=30_000),
    ]
    assert await store.add(events) == [STORED] * 5


# What is deleted


async def test_a_deletion_takes_its_authors_event_away_and_keeps_it_away(
    store: EventStore,
) -> None:
    gone, stays = note("gone"), note("stays")
    request = note("", ("e", gone.id), kind=5)
    assert await store.add([gone, stays, request, gone]) == [STORED, STORED, STORED, DELETED]
    assert set(await find(store, Filter())) == {stays, request}


async def test_a_deletion_that_comes_first_counts(store: EventStore) -> None:
    event = note()
    assert await store.add([note("", ("e", event.id), kind=5), event]) == [STORED, DELETED]


async def test_nobody_deletes_what_another_wrote(store: EventStore) -> None:
    event = note()
    late = note("late")
    theirs = note("", ("e", event.id), ("e", late.id), kind=5, by=2)
    assert await store.add([event, theirs, late]) == [STORED] * 3


async def test_a_deletion_cannot_be_deleted(store: EventStore) -> None:
    first = note(kind=5)
    assert await store.add([first, note("", ("e", first.id), kind=5)]) == [STORED, STORED]
    assert first in await find(store, Filter())
    other = note("other", kind=5)
    assert await store.add([note("", ("e", other.id), kind=5), other]) == [STORED, STORED]


async def test_a_deletion_by_address_takes_the_versions_up_to_its_time(store: EventStore) -> None:
    def version(at: int, by: int = 1) -> Event:
        return note("", ("d", "x"), kind=30_000, at=at, by=by)

    place = f"30000:{ALICE}:x"
    request = note("", ("a", place), kind=5, at=NOW - 10)
    theirs = version(NOW - 20, by=2)
    await store.add([version(NOW - 20), theirs])
    assert await store.add([request, version(NOW - 15), version(NOW - 10)]) == [
        STORED,
        DELETED,
        DELETED,
    ]
    assert set(await find(store, Filter(kinds=(30_000,)))) == {theirs}
    assert await store.add([version(NOW - 9)]) == [STORED]


async def test_a_newer_version_outlives_a_deletion_by_address(store: EventStore) -> None:
    event = note(kind=10_002, at=NOW)
    await store.add([event, note("", ("a", f"10002:{ALICE}:"), kind=5, at=NOW - 1)])
    assert event in await find(store, Filter())


async def test_another_authors_address_is_not_ours_to_delete(store: EventStore) -> None:
    event = note(kind=10_002)
    await store.add([event, note("", ("a", f"10002:{ALICE}:"), kind=5, by=2)])
    assert event in await find(store, Filter())


async def test_a_gift_wrap_is_deleted_by_whom_it_was_sent_to(store: EventStore) -> None:
    wrap = note("", ("p", BOB), kind=1059)
    request = note("", ("e", wrap.id), kind=5, by=2)
    assert await store.add([wrap, request, wrap]) == [STORED, STORED, DELETED]
    other = note("", ("p", BOB), kind=1)
    stranger = note("", ("e", other.id), kind=5, by=2)
    assert await store.add([other, stranger]) == [STORED, STORED]
    assert other in await find(store, Filter())


async def test_a_slot_freed_by_deletion_can_be_filled_again(store: EventStore) -> None:
    first = note("1", kind=0, at=NOW - 2)
    await store.add([first, note("", ("e", first.id), kind=5)])
    second = note("2", kind=0, at=NOW - 1)
    assert await store.add([second]) == [STORED]
    assert await find(store, Filter(kinds=(0,))) == [second]


# What expires


async def test_what_has_expired_is_not_found_and_goes_when_swept(store: EventStore) -> None:
    event = note("", ("expiration", str(NOW + 10)), ("t", "x"))
    await store.add([event, note("stays")])
    assert event in await find(store, Filter(), now=NOW + 9.9)
    assert event not in await find(store, Filter(), now=NOW + 10)
    assert await store.drop_expired(NOW + 9) == 0
    assert await store.drop_expired(NOW + 10) == 1
    assert await find(store, Filter(), now=NOW) == [note("stays")]
    assert await find(store, Filter(tags={"t": ("x",)}), now=NOW) == []


# What is private


async def test_private_messages_are_found_by_those_they_concern_alone(store: EventStore) -> None:
    letter = note("", ("p", BOB), kind=4)
    await store.add([letter, note("public")])
    for everything in (Filter(), Filter(kinds=(1, 4)), Filter(tags={"p": (BOB,)}), Filter(limit=1)):
        assert letter not in await store.query([everything], keys=(), now=NOW)
    assert await find(store, Filter(kinds=(4,)), by=[keys(3).public_key]) == []
    assert await find(store, Filter(kinds=(4,)), by=[ALICE]) == [letter]
    assert await find(store, Filter(kinds=(4,)), by=[keys(3).public_key, BOB]) == [letter]


# Everything at once, against the plain definition

some_events = st.lists(
    st.builds(
        note,
        st.sampled_from(["", "x"]),
        st.tuples(st.sampled_from(["t", "p", "d"]), st.sampled_from([ALICE, BOB])),
        st.tuples(st.sampled_from(["t", "expiration"]), st.sampled_from(["1", str(NOW), BOB])),
        kind=st.sampled_from([1, 4, 5050]),
        at=st.integers(NOW - 3, NOW),
        by=st.integers(1, 2),
    ),
    max_size=8,
    unique_by=lambda e: e.id,
)
optional = st.none() | st.integers(NOW - 3, NOW)
some_filters = st.lists(
    st.builds(
        Filter,
        authors=st.sampled_from([None, (ALICE,), (ALICE, BOB), (ALICE, ALICE)]),
        kinds=st.sampled_from([None, (1,), (4, 1), (5050, 1, 4)]),
        tags=st.dictionaries(
            st.sampled_from(["t", "p"]),
            st.sampled_from([(ALICE,), (BOB, ALICE), (BOB, BOB), ("1",)]),
            max_size=2,
        ),
        since=optional,
        until=optional,
        limit=st.sampled_from([None, 0, 1, 3]),
    ),
    min_size=1,
    max_size=2,
)
readers = st.sampled_from([(), (ALICE,), (ALICE, BOB)])


def expected(
    events: Sequence[Event], filters: Sequence[Filter], by: Sequence[PublicKey]
) -> tuple[list[Event], int]:
    """What NIP-01 says, in so many words."""

    def order(event: Event) -> tuple[int, str]:
        return -event.created_at, event.id

    seen = [e for e in sorted(events, key=order) if visible(e, by) and not is_expired(e, NOW)]
    found = {e for f in filters for e in [e for e in seen if matches(f, e)][: f.limit]}
    counted = {e for f in filters for e in seen if matches(f, e)}
    return sorted(found, key=order), len(counted)


@settings(max_examples=60, deadline=None)
@given(some_events, some_filters, readers)
def test_both_stores_find_what_the_definition_says(
    events: list[Event], filters: list[Filter], by: tuple[PublicKey, ...]
) -> None:
    async def check(store: EventStore) -> None:
        await store.add(events)
        found = await store.query(filters, keys=by, now=NOW)
        counted = await store.count(filters, keys=by, now=NOW)
        assert (found, counted) == expected(events, filters, by)

    async def both() -> None:
        await check(MemoryEventStore())
        with tempfile.TemporaryDirectory() as folder:
            async with open_event_store(Path(folder) / "relay.db") as store:
                await check(store)

    trio.run(both)


@pytest.mark.parametrize(
    "case", vectors.load("nip01_filters.json")["cases"], ids=lambda case: str(case["name"])
)
async def test_stores_agree_with_the_shared_filter_cases(
    store: EventStore, case: dict[str, Any]
) -> None:
    try:
        filters = [evolve(from_json(f), limit=None) for f in case["filters"]]
    except Malformed:
        assert not case["expect"]
        return
    event = _event({"sig": "0" * 128, **case["event"]})
    await store.add([event])
    found = await store.query(filters, keys=(), now=0)
    assert (found == [event]) is bool(case["expect"])


# What is each store's own


async def test_the_memory_store_forgets_what_came_first() -> None:
    store = MemoryEventStore(capacity=3)
    events = [note(str(n), ("t", "x"), at=NOW - n) for n in range(5)]
    await store.add(events)
    assert await find(store, Filter()) == events[2:]
    assert await find(store, Filter(tags={"t": ("x",)})) == events[2:]


async def test_the_file_remembers_events_and_deletions(tmp_path: Path) -> None:
    path, event = tmp_path / "relay.db", note("gone")
    async with open_event_store(path) as store:
        await store.add([event, note("stays"), note("", ("e", event.id), kind=5)])
    async with open_event_store(path) as store:
        assert await store.add([event]) == [DELETED]
        assert await store.count([Filter(kinds=(1,))], keys=(), now=NOW) == 1


async def test_an_endless_query_ends_when_its_caller_gives_up(tmp_path: Path) -> None:
    async with open_event_store(tmp_path / "relay.db") as store:
        await store.add([note(str(n), ("t", "x")) for n in range(20_000)])
        slow = [Filter(tags={"t": ("x",)}, kinds=tuple(range(2, 500)))] * 60
        began = trio.current_time()
        with trio.move_on_after(0.05) as scope:
            await store.count(slow, keys=(), now=NOW)
        assert scope.cancelled_caught
        assert trio.current_time() - began < 0.5
        assert await store.count([Filter(ids=(note("1", ("t", "x")).id,))], keys=(), now=NOW) == 1


async def test_no_thread_outlives_a_cancelled_store(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_event_store(tmp_path / "relay.db"):
            pass
    assert set(threading.enumerate()) == before


def test_every_walk_goes_down_an_index(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "plan.db"))
    db.execute(_SCHEMA)
    ids = ("0" * 64,)
    for conditions in (
        Filter(ids=ids),
        Filter(authors=ids),
        Filter(kinds=(1, 2)),
        Filter(authors=ids, kinds=(1, 2), since=3),
        Filter(tags={"p": ids}, kinds=(5050,), until=9),
        Filter(tags={"p": ids, "t": ("a", "b")}),
        Filter(),
    ):
        for statement in selections(conditions, keys=(), now=0):
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.bindings).fetchall()
            details = [str(row[3]) for row in plan]
            assert any("INDEX" in d or "PRIMARY KEY" in d for d in details), details
            assert not any(d.startswith("SCAN e") and "INDEX" not in d for d in details), details


def test_a_walk_by_one_value_needs_no_sort(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "plan.db"))
    db.execute(_SCHEMA)
    for conditions in (
        Filter(kinds=(1, 2)),
        Filter(authors=("0" * 64,), kinds=(1,)),
        Filter(tags={"p": ("0" * 64,)}, kinds=(1, 2), since=3, until=9),
        Filter(),
    ):
        for statement in selections(conditions, keys=(), now=0):
            plan = db.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.bindings).fetchall()
            assert "USE TEMP B-TREE FOR ORDER BY" not in [row[3] for row in plan], plan
