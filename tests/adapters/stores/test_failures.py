"""pylon.db when the disk is full, the file is not what it should be, or somebody else has it."""

import threading
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from pylon.adapters.sqlite.codec import JOBS, ORDERS
from pylon.adapters.sqlite.database import open_database
from pylon.adapters.sqlite.records import SqliteRecords
from pylon.adapters.sqlite.schema import MIGRATIONS
from pylon.adapters.sqlite.statements import Statements
from pylon.app.store import open_store
from pylon.errors import Misconfigured, StoreBusy, StoreFull
from pylon.ports.records import NewRow
from tests.adapters.stores.samples import act, begin, end, job_id, settled


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "pylon.db"


async def fill(path: Path, jobs: int = 3) -> None:
    async with open_store(path) as store:
        await store.jobs.save([begin(n, acts=(act("worker"),)) for n in range(jobs)])


def content(path: Path) -> bytes:
    return path.read_bytes()


def change_behind_its_back(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(sql)
    db.close()


async def test_what_was_stored_is_there_when_the_store_is_opened_again(path: Path) -> None:
    await fill(path)

    async with open_store(path) as store:
        assert len(await store.jobs.load([job_id(n) for n in range(5)])) == 3
        assert len(await store.jobs.outbox("worker")) == 3


async def test_the_store_is_for_this_user_alone(path: Path) -> None:
    async with open_store(path) as store:
        await store.jobs.save([begin(1)])
        assert path.parent.stat().st_mode & 0o777 == 0o700
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600, file


async def test_two_programs_see_each_others_changes_at_once(path: Path) -> None:
    async with open_store(path) as node, open_store(path) as command:
        before = await command.orders.version()
        await node.jobs.save([begin(1, acts=(act("worker"),))])

        assert await command.orders.version() != before
        (row,) = await command.jobs.outbox("worker")
        await command.jobs.save([end(1, done=(row.seq,))])

        assert await node.jobs.outbox("worker") == []
        assert (await node.jobs.load([job_id(1)]))[job_id(1)].state == settled(1)


async def test_a_full_disk_refuses_the_change_whole_and_passes(path: Path) -> None:
    big = begin(2, acts=tuple(NewRow("worker", "Run", "x" * 4000) for _ in range(100)))
    async with open_database(path) as database:
        jobs = SqliteRecords(database, JOBS)
        await jobs.save([begin(1)])
        pages: int = await database.write(lambda db: db.pragma("page_count"))
        await database.write(lambda db: db.pragma("max_page_count", pages + 20))

        with pytest.raises(StoreFull, match=r"pylon\.db: the disk is full"):
            await jobs.save([begin(3), big])
        assert await jobs.unfinished() == [job_id(1)]
        assert await jobs.outbox("worker") == []
        await jobs.save([end(1)])

        await database.write(lambda db: db.pragma("max_page_count", 1_000_000))
        await jobs.save([begin(3), big])
        assert len(await jobs.outbox("worker")) == 100


async def test_another_program_that_holds_the_store_stops_writing_and_not_reading(
    path: Path,
) -> None:
    async with open_database(path, busy_seconds=0.02) as database:
        jobs = SqliteRecords(database, JOBS)
        await jobs.save([begin(1)])
        other = apsw.Connection(str(path))
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(StoreBusy, match="another program"):
            await jobs.save([begin(2)])
        assert await jobs.unfinished() == [job_id(1)]

        other.close()
        await jobs.save([begin(2)])
        assert await jobs.unfinished() == [job_id(1), job_id(2)]


async def test_a_store_that_another_program_is_making_is_busy(path: Path) -> None:
    path.parent.mkdir()
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", "wal")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusy, match="another program"):
        async with open_database(path, busy_seconds=0.02):
            raise AssertionError("never opened")
    other.close()


async def test_a_newer_store_is_refused_and_not_touched(path: Path) -> None:
    await fill(path)
    change_behind_its_back(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = content(path)

    with pytest.raises(Misconfigured, match="newer Pylon") as raised:
        async with open_store(path):
            raise AssertionError("never opened")

    assert "\n" not in str(raised.value)
    assert content(path) == before


async def test_another_programs_database_is_refused_and_not_filled(path: Path) -> None:
    path.parent.mkdir()
    change_behind_its_back(path, "CREATE TABLE recipes (n); PRAGMA user_version = 1")

    with pytest.raises(Misconfigured, match="another program"):
        async with open_store(path):
            raise AssertionError("never opened")

    db = apsw.Connection(str(path))
    assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("recipes",)]
    db.close()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with path.open("w") as file:
        file.write("my shopping list\n" * 100)

    with pytest.raises(Misconfigured, match="not a database"):
        async with open_store(path):
            raise AssertionError("never opened")

    assert content(path) == b"my shopping list\n" * 100


@pytest.mark.parametrize("verb", ["load", "save"])
async def test_damage_found_while_running_is_said_in_one_line(path: Path, verb: str) -> None:
    await fill(path, jobs=200)
    async with open_database(path) as database:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'jobs'"
        ((root,),) = await database.read(sql)
        ((size,),) = await database.read("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)

    async with open_store(path) as store:
        with pytest.raises(Misconfigured, match="damaged") as raised:
            await (store.jobs.recent(limit=5) if verb == "load" else store.jobs.save([begin(1000)]))
    assert "\n" not in str(raised.value)


async def test_a_phase_this_version_does_not_know_asks_for_an_upgrade(path: Path) -> None:
    await fill(path)
    change_behind_its_back(path, "UPDATE jobs SET phase = 'Escrowed' WHERE n = 1")

    async with open_store(path) as store:
        with pytest.raises(Misconfigured, match="'Escrowed' was written by a newer Pylon"):
            await store.jobs.recent(limit=5)


@pytest.mark.parametrize(
    "sql", ["UPDATE jobs SET state = '{}'", "UPDATE jobs_facts SET facts = 'x'"]
)
async def test_a_row_that_cannot_be_read_is_said_in_one_line(path: Path, sql: str) -> None:
    await fill(path)
    change_behind_its_back(path, sql)

    async with open_store(path) as store:
        with pytest.raises(Misconfigured, match="cannot be read") as raised:
            await store.jobs.load([job_id(1)])
    assert "\n" not in str(raised.value)


async def test_a_cancelled_save_is_made_all_the_same_and_may_be_repeated(path: Path) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold(_: apsw.Connection) -> None:
        reached.set()
        assert opened.wait(timeout=10)

    async def cancel_when_it_waits(scope: trio.CancelScope) -> None:
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()

    async with open_database(path) as database:
        jobs = SqliteRecords(database, JOBS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, hold)
            await trio.to_thread.run_sync(reached.wait)
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel_when_it_waits, scope)
                await jobs.save([begin(1, acts=(act("worker"),))])
            assert scope.cancelled_caught
            opened.set()

        await jobs.save([begin(1, acts=(act("worker"),))])
        assert await jobs.unfinished() == [job_id(1)]
        assert len(await jobs.outbox("worker")) == 1


async def test_a_bug_in_a_change_is_raised_as_it_is_and_undone(path: Path) -> None:
    def wrong(db: apsw.Connection) -> None:
        db.execute("INSERT INTO jobs_outbox (n, desk, kind, body) VALUES (99, 'd', 'k', '{}')")

    async with open_database(path) as database:
        with pytest.raises(apsw.ConstraintError, match="FOREIGN KEY"):
            await database.write(wrong)
        assert await database.read("SELECT * FROM jobs_outbox") == []


async def test_a_read_cannot_write(path: Path) -> None:
    await fill(path)

    async with open_database(path) as database:
        with pytest.raises(Misconfigured, match="may not write"):
            await database.read("DELETE FROM jobs_outbox")
        assert len(await database.read("SELECT * FROM jobs_outbox")) == 3


@pytest.mark.parametrize("codec", [JOBS, ORDERS], ids=["jobs", "orders"])
async def test_no_everyday_query_reads_through_a_whole_table(path: Path, codec: object) -> None:
    table = JOBS.table if codec is JOBS else ORDERS.table
    sql = Statements().on(table)
    everyday = [sql.load, sql.find, sql.due, sql.next_due, sql.outbox, sql.outbox_of]
    everyday += [sql.unfinished, sql.unfinished_of, sql.recent, sql.evidence]
    everyday += [sql.known, sql.taken, sql.step, sql.drop, sql.in_phases]
    async with open_database(path) as database:
        for query in everyday:
            plan = await database.read("EXPLAIN QUERY PLAN " + query, (None,) * query.count("?"))
            scans = [row[3] for row in plan if row[3].startswith("SCAN")]
            assert all("USING INDEX" in scan or "json_each" in scan for scan in scans), query
