"""Opening a database: privacy, durability, versions, and files that are none of ours."""

import threading
from pathlib import Path

import apsw
import pytest

from pylon.adapters.sqlite.connection import connect, known_error, migrate
from pylon.errors import Misconfigured, StoreBusy, StoreFull

STEPS = ("CREATE TABLE a (n) ", "CREATE TABLE b (n); INSERT INTO b VALUES (1)")


def test_a_new_database_is_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.db"
    db = connect(path)
    db.execute("CREATE TABLE t (n)")

    assert path.parent.stat().st_mode & 0o777 == 0o700
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert len(list(path.parent.iterdir())) == 3  # with its -wal and -shm
    db.close()


def test_a_commit_survives_a_power_cut_and_readers_do_not_wait(tmp_path: Path) -> None:
    db = connect(tmp_path / "x.db")

    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 2  # FULL
    assert db.pragma("foreign_keys") == 1
    db.close()


@pytest.mark.parametrize(
    "junk", [b"this is no database\n" * 60, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(junk)

    with pytest.raises(Misconfigured, match=r"x\.db") as raised:
        connect(path)

    assert "\n" not in str(raised.value)
    assert path.read_bytes() == junk


def test_a_folder_in_the_place_of_the_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot open"):
        connect(tmp_path)


def test_migrations_run_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    db = connect(path)
    migrate(db, path, STEPS[:1])
    assert db.pragma("user_version") == 1

    migrate(db, path, STEPS)
    migrate(db, path, STEPS)

    assert db.pragma("user_version") == 2
    assert db.execute("SELECT count(*) FROM b").get == 1
    db.close()


def test_a_crash_in_a_migration_leaves_the_version_before_it(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    db = connect(path)

    with pytest.raises(apsw.SQLError):
        migrate(db, path, (STEPS[0], "CREATE TABLE b (n); nonsense"))

    assert db.pragma("user_version") == 1
    assert not db.table_exists("main", "b")
    db.close()


def test_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    db = connect(path)
    db.pragma("user_version", 3)

    with pytest.raises(Misconfigured, match="newer"):
        migrate(db, path, STEPS)

    assert db.pragma("user_version") == 3
    assert not db.table_exists("main", "a")
    db.close()


def test_many_programs_may_create_one_database_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    start, failures = threading.Barrier(8), list[BaseException]()

    def create() -> None:
        start.wait()
        try:
            db = connect(path)
            migrate(db, path, STEPS)
            db.close()
        except BaseException as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    db = connect(path)
    assert db.execute("SELECT count(*) FROM b").get == 1
    db.close()


def test_migrating_a_locked_database_is_store_busy(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    holder = connect(path)
    holder.execute("BEGIN IMMEDIATE")
    db = connect(path, busy_seconds=0.01)

    with pytest.raises(StoreBusy):
        migrate(db, path, STEPS)

    holder.close()
    db.close()


def test_errors_that_are_nobodys_fault_have_names_and_bugs_have_none() -> None:
    assert isinstance(known_error(apsw.FullError(), "x"), StoreFull)
    assert isinstance(known_error(apsw.ReadOnlyError(), "x"), Misconfigured)
    assert known_error(apsw.ConstraintError(), "x") is None
