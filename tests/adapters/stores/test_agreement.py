"""Whatever is done to both stores, they answer alike."""

import tempfile
from pathlib import Path
from typing import TypeAlias

import trio
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon.app.store import Store, open_store
from pylon.model.job import Failed, JobState, Received
from pylon.ports.records import NewRow
from tests.adapters.stores.conftest import memory_store
from tests.adapters.stores.samples import (
    NOW,
    WORKING,
    JobChange,
    begin,
    earning,
    event,
    job_id,
    settled,
)

IDS = st.integers(0, 3)
PEERS = st.sampled_from(["", "alice", "bob"])
NAMES = st.none() | st.sampled_from(["x", "y", "z"])
STATES: st.SearchStrategy[JobState] = st.sampled_from(
    [Received(), WORKING, settled(1), Failed("no")]
)
ACTS = st.builds(NewRow, st.sampled_from(["worker", "publisher"]), st.just("Run"), st.just("{}"))
SEQS = st.lists(st.integers(1, 12), max_size=2).map(tuple)


@frozen
class Drop:
    """A call of `drop`."""

    seqs: tuple[int, ...]


@frozen
class Credit:
    """A call of `credit`."""

    job: int
    done: tuple[int, ...]


Ask: TypeAlias = list[JobChange] | Drop | Credit


@st.composite
def changes(draw: st.DrawFn) -> JobChange:
    n = draw(IDS)
    change = begin(n, state=draw(STATES), peer=draw(PEERS), key=draw(NAMES))
    if not draw(st.booleans()):
        change = evolve(change, facts=None, key=None)
    return evolve(
        change,
        now=NOW + draw(st.integers(0, 2)),
        final=draw(st.booleans()),
        due=draw(st.none() | st.integers(NOW, NOW + 2)),
        acts=tuple(draw(st.lists(ACTS, max_size=3))),
        done=draw(SEQS),
        evidence=tuple(event(e) for e in draw(st.lists(IDS, max_size=2))),
        alias=draw(NAMES),
    )


ASKS: st.SearchStrategy[Ask] = st.one_of(
    st.lists(changes(), max_size=4), st.builds(Drop, SEQS), st.builds(Credit, IDS, SEQS)
)


async def carry_out(ask: Ask, store: Store) -> None:
    match ask:
        case Drop(seqs):
            await store.jobs.drop(seqs)
        case Credit(n, done):
            await store.earnings.credit(earning(n), done=done)
        case _:
            await store.jobs.save(ask)


async def everything(store: Store) -> list[object]:
    """Ask a store all there is to ask."""
    jobs = store.jobs
    ids = [job_id(n) for n in range(4)]
    return [
        await jobs.load(ids),
        await jobs.find(["x", "y", "z"]),
        [await jobs.due(NOW + n) for n in range(3)],
        await jobs.next_due(),
        [await jobs.outbox(desk) for desk in ("worker", "publisher", "nobody")],
        [await jobs.outbox("worker", after=n, limit=2) for n in range(4)],
        [await jobs.outbox("worker", subject=id_, after=1) for id_ in ids],
        [await jobs.unfinished(peer=peer) for peer in (None, "", "alice", "bob")],
        [await jobs.recent(limit=n) for n in (0, 2, 9)],
        await jobs.open_in(("Working", "Settled", "Unheard")),
        [await jobs.in_phases(("Working", "Settled"), since=NOW + n) for n in range(3)],
        [await jobs.count(phase) for phase in ("Working", "Settled", "Unheard")],
        [await jobs.evidence(id_) for id_ in ids],
        await store.earnings.total(),
        await store.earnings.recent(limit=3),
    ]


@given(st.lists(ASKS, max_size=12))
@settings(max_examples=80, deadline=None)
def test_both_stores_answer_alike(asks: list[Ask]) -> None:
    async def compare(path: Path) -> None:
        memory = memory_store()
        async with open_store(path) as store:
            for ask in asks:
                await carry_out(ask, memory)
                await carry_out(ask, store)
                assert await everything(store) == await everything(memory)

    with tempfile.TemporaryDirectory() as folder:
        trio.run(compare, Path(folder, "pylon.db"))
