"""A real process killed by SIGKILL: what it was told is stored is there, the rest whole or absent."""

from pathlib import Path

import pytest

from pylon.adapters.sqlite.connection import connect
from pylon.adapters.sqlite.schema import MIGRATIONS
from pylon.app.store import Store, open_store
from pylon.model.ids import JobId
from tests.adapters.stores.processes import run
from tests.adapters.stores.samples import begin, event, job, job_id

SELLER = """
import itertools, sys, trio
from attrs import evolve
from pathlib import Path
from pylon.app.store import open_store
from pylon.ports.records import Change
from tests.adapters.stores.samples import NOW, act, begin, event, job_id, settled

BATCH = 5

async def one(store, first):
    ids = range(first, first + BATCH)
    rows = tuple(act("worker") for _ in range(3))
    await store.jobs.save([evolve(begin(n, acts=rows, key=f"key {n}"), evidence=(event(n),)) for n in ids])
    print("begun", first, flush=True)
    done = {id_: [] for id_ in map(job_id, ids)}
    for id_ in done:
        done[id_] = [row.seq for row in await store.jobs.outbox("worker", subject=id_)]
    await store.jobs.save(
        [Change(job_id(n), settled(n), NOW, final=True, done=tuple(done[job_id(n)])) for n in ids]
    )
    print("ended", first, flush=True)

async def many(store, first):
    for n in itertools.count(first, BATCH):
        await one(store, n)

async def main(path):
    async with open_store(path) as store, trio.open_nursery() as nursery:
        for n in range(4):
            nursery.start_soon(many, store, n * 1_000_000)

trio.run(main, Path(sys.argv[1]))
"""

BATCH = 5


async def whole(store: Store, first: int) -> str:
    """Return how far a batch has come; fail if only a part of it has come there."""
    ids = [job_id(n) for n in range(first, first + BATCH)]
    records = await store.jobs.load(ids)
    if not records:
        assert await store.jobs.find([f"key {n}" for n in range(first, first + BATCH)]) == {}
        return "absent"
    assert len(records) == BATCH
    (phase,) = {type(record.state).__name__ for record in records.values()}
    for id_ in ids:
        rows = await store.jobs.outbox("worker", subject=id_)
        assert len(rows) == (3 if phase == "Working" else 0)
        assert [kept.id for kept in await store.jobs.evidence(id_)] == [id_]
    return phase


@pytest.mark.parametrize("lines", [1, 7, 40, 150])
async def test_what_was_acknowledged_before_a_kill_is_there_and_whole(
    tmp_path: Path, lines: int
) -> None:
    path = tmp_path / "pylon.db"
    with run(SELLER, path) as seller:
        heard = [seller.hear() for _ in range(lines)]
        seller.kill()
        heard += seller.hear_all()

    words = [line.split() for line in heard]
    acknowledged = {int(first): word for word, first in words}  # the last word on each
    async with open_store(path) as store:
        for first, word in acknowledged.items():
            allowed = ["Settled"] if word == "ended" else ["Working", "Settled"]
            assert await whole(store, first) in allowed
        for task in range(4):  # the batch after the last one each task spoke of
            last = max((n for n in acknowledged if n // 1_000_000 == task), default=None)
            await whole(store, task * 1_000_000 if last is None else last + BATCH)


HALF_WAY = """
import sys, time, trio
from pathlib import Path
from pylon.adapters.sqlite import changes
from pylon.adapters.sqlite.codec import JOBS
from pylon.adapters.sqlite.database import open_database
from pylon.adapters.sqlite.records import SqliteRecords
from pylon.adapters.sqlite.statements import Statements
from tests.adapters.stores.samples import act, begin

def stop():
    print("half way", flush=True)
    time.sleep(60)

def before_the_end(db):
    changes.save(db, Statements().on("jobs"), [changes.write(begin(2, acts=(act("worker"),)))])
    stop()

async def main(path, where):
    async with open_database(path) as database:
        jobs = SqliteRecords(database, JOBS)
        await jobs.save([begin(1)])
        if where == "work":
            await database.write(before_the_end)
        else:
            await database.write(lambda db: db.set_commit_hook(stop))
            await jobs.save([begin(2, acts=(act("worker"),))])

trio.run(main, Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("where", ["work", "commit"])
async def test_a_kill_inside_a_transaction_leaves_nothing_of_it(tmp_path: Path, where: str) -> None:
    path = tmp_path / "pylon.db"
    with run(HALF_WAY, path, where) as child:
        assert child.hear() == "half way"
        child.kill()

    async with open_store(path) as store:
        assert await store.jobs.unfinished() == [job_id(1)]
        assert await store.jobs.outbox("worker") == []
        await store.jobs.save([begin(2)])
        assert await store.jobs.unfinished() == [job_id(1), job_id(2)]


MIGRATION = """
import sys, time
from pathlib import Path
from pylon.adapters.sqlite.connection import connect, migrate
from pylon.adapters.sqlite.schema import MIGRATIONS

def stop():
    print("half way", flush=True)
    time.sleep(60)

path = Path(sys.argv[1])
db = connect(path)
db.create_scalar_function("stop", stop)
step = "ALTER TABLE jobs DROP COLUMN due; DELETE FROM jobs_facts; CREATE TABLE x (n); SELECT stop()"
migrate(db, path, (*MIGRATIONS, "DROP INDEX jobs_due;" + step))
"""


async def test_a_kill_inside_a_migration_leaves_the_version_before_it(tmp_path: Path) -> None:
    path = tmp_path / "pylon.db"
    async with open_store(path) as store:
        await store.jobs.save([begin(1, due=5)])
    with run(MIGRATION, path) as child:
        assert child.hear() == "half way"
        child.kill()

    async with open_store(path) as store:
        (record,) = (await store.jobs.load([JobId(event(1).id)])).values()
        assert record.facts == job(1)
        assert await store.jobs.due(5) == [job_id(1)]
    db = connect(path)
    assert db.pragma("user_version") == len(MIGRATIONS)
    assert not db.table_exists("main", "x")
    db.close()
