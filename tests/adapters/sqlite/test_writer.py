"""The writer thread: groups, savepoints, cancellation, the end."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from pylon.adapters.sqlite.connection import connect
from pylon.adapters.sqlite.writer import Writer, open_writer
from pylon.errors import Misconfigured, StoreBusy, StoreFull

TABLE = "CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB) STRICT"


def prepare(db: apsw.Connection) -> None:
    db.execute(TABLE)


def insert(n: int, db: apsw.Connection) -> int:
    db.execute("INSERT INTO t VALUES (?, NULL)", (n,))
    return n


def stored(path: Path) -> list[int]:
    """Read as another program would: through a connection of its own."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [n for (n,) in db.execute("SELECT n FROM t ORDER BY n")]
    finally:
        db.close()


class Gate:
    """Work that holds the writer thread, so that what comes after it must form one group."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: apsw.Connection) -> None:
        self.reached.set()
        assert self.open.wait(timeout=10)


async def hold(writer: Writer, nursery: trio.Nursery) -> Gate:
    gate = Gate()
    nursery.start_soon(writer.run, gate)
    await trio.to_thread.run_sync(gate.reached.wait)
    return gate


async def wait_all_blocked() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_change_is_on_disk_when_run_returns(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with open_writer(path, prepare=prepare) as writer:
        assert await writer.run(partial(insert, 7)) == 7
        assert stored(path) == [7]


async def test_what_waits_together_is_committed_together(tmp_path: Path) -> None:
    commits: list[bool] = []

    def counted() -> bool:
        commits.append(True)
        return False  # let it commit

    def counting(db: apsw.Connection) -> None:
        prepare(db)
        db.set_commit_hook(counted)

    async with open_writer(tmp_path / "x.db", prepare=counting) as writer:
        async with trio.open_nursery() as nursery:
            gate = await hold(writer, nursery)
            for n in range(50):
                nursery.start_soon(writer.run, partial(insert, n))
            await wait_all_blocked()
            gate.open.set()

        assert stored(tmp_path / "x.db") == list(range(50))
    assert len(commits) == 2  # the gate's own, and one for all fifty


async def test_a_change_that_fails_takes_only_its_own_rows_with_it(tmp_path: Path) -> None:
    caught: list[Exception] = []

    def fail(db: apsw.Connection) -> None:
        insert(100, db)
        raise LookupError("no")

    async def failing(writer: Writer) -> None:
        with pytest.raises(LookupError) as raised:
            await writer.run(fail)
        caught.append(raised.value)

    async with (
        open_writer(tmp_path / "x.db", prepare=prepare) as writer,
        trio.open_nursery() as nursery,
    ):
        gate = await hold(writer, nursery)
        nursery.start_soon(writer.run, partial(insert, 1))
        nursery.start_soon(failing, writer)
        nursery.start_soon(writer.run, partial(insert, 2))
        await wait_all_blocked()
        gate.open.set()

    assert stored(tmp_path / "x.db") == [1, 2]
    assert len(caught) == 1


async def test_a_cancelled_change_may_still_be_made(tmp_path: Path) -> None:
    async with open_writer(tmp_path / "x.db", prepare=prepare) as writer:
        async with trio.open_nursery() as nursery:
            gate = await hold(writer, nursery)
            with trio.CancelScope() as scope:
                nursery.start_soon(_cancel_when_blocked, scope)
                await writer.run(partial(insert, 1))
            gate.open.set()
        assert scope.cancelled_caught

        await writer.run(partial(insert, 2))
    assert stored(tmp_path / "x.db") == [1, 2]


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_blocked()
    scope.cancel()


async def test_a_task_cancelled_beforehand_asks_for_nothing(tmp_path: Path) -> None:
    async with open_writer(tmp_path / "x.db", prepare=prepare) as writer:
        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.run(partial(insert, 1))
    assert stored(tmp_path / "x.db") == []


async def test_another_programs_lock_is_store_busy_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with open_writer(path, prepare=prepare, busy_seconds=0.02) as writer:
        other = connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match=r"x\.db"):
            await writer.run(partial(insert, 1))
        other.execute("ROLLBACK")
        other.close()

        await writer.run(partial(insert, 2))
    assert stored(path) == [2]


async def test_a_full_disk_is_store_full_for_the_group_and_passes(tmp_path: Path) -> None:
    def small(db: apsw.Connection) -> None:
        prepare(db)
        db.pragma("max_page_count", 8)

    def big(db: apsw.Connection) -> None:
        db.execute("INSERT INTO t VALUES (9, zeroblob(1000000))")

    async with open_writer(tmp_path / "x.db", prepare=small) as writer:
        with pytest.raises(StoreFull, match="full"):
            await writer.run(big)
        await writer.run(partial(insert, 1))
    assert stored(tmp_path / "x.db") == [1]


async def test_work_that_ends_the_shared_transaction_fails_its_group(tmp_path: Path) -> None:
    async with open_writer(tmp_path / "x.db", prepare=prepare) as writer:
        with pytest.raises(apsw.SQLError, match="no such savepoint"):
            await writer.run(lambda db: db.execute("COMMIT").get)
        await writer.run(partial(insert, 1))
    assert stored(tmp_path / "x.db") == [1]


async def test_what_was_handed_over_is_written_before_the_end(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with (
            open_writer(tmp_path / "x.db", prepare=prepare) as writer,
            trio.open_nursery() as nursery,
        ):
            gate = await hold(writer, nursery)
            for n in range(600):  # more than one group
                nursery.start_soon(writer.run, partial(insert, n))
            await wait_all_blocked()
            scope.cancel()
            gate.open.set()

    assert stored(tmp_path / "x.db") == list(range(600))
    assert not any(t.name.startswith("writer") for t in threading.enumerate())


async def test_no_thread_outlives_a_cancelled_opening(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_writer(tmp_path / "x.db", prepare=prepare):
            await trio.lowlevel.checkpoint()

    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("broken", ["prepare", "connect"])
async def test_an_error_while_opening_is_raised_and_leaves_no_thread(
    broken: str,
    tmp_path: Path,
) -> None:
    before = set(threading.enumerate())

    def refuse(_: apsw.Connection) -> None:
        raise Misconfigured("no")

    if broken == "connect":
        (tmp_path / "x.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(Misconfigured):
        async with open_writer(tmp_path / "x.db", prepare=refuse):
            raise AssertionError("never opened")

    assert set(threading.enumerate()) == before


async def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    async with open_writer(tmp_path / "x.db", prepare=prepare) as writer:
        pass
    with pytest.raises(trio.ClosedResourceError):
        await writer.run(partial(insert, 1))


async def test_many_tasks_and_failures_leave_exactly_the_changes_that_returned(
    tmp_path: Path,
) -> None:
    returned: list[int] = []

    def maybe(n: int) -> Callable[[apsw.Connection], int]:
        def work(db: apsw.Connection) -> int:
            insert(n, db)
            if n % 3 == 0:
                raise LookupError
            return n

        return work

    async def one(writer: Writer, start: int) -> None:
        for n in range(start, start + 20):
            try:
                returned.append(await writer.run(maybe(n)))
            except LookupError:
                continue

    async with open_writer(tmp_path / "x.db", prepare=prepare) as writer, trio.open_nursery() as ns:
        for start in range(0, 400, 20):
            ns.start_soon(one, writer, start)

    assert stored(tmp_path / "x.db") == sorted(returned)
    assert sorted(returned) == [n for n in range(400) if n % 3]
