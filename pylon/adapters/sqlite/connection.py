"""How every database of ours is opened, and what its errors mean to the rest of the program."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from pylon.errors import Misconfigured, PylonError, StoreBusy, StoreFull

BUSY_SECONDS = 5.0
_RETRY_SECONDS = 0.0003

# WAL lets readers work beside the writer; FULL makes a commit survive a power cut.
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",  # savepoints keep what they may undo out of temporary files
)


def connect(path: Path, *, busy_seconds: float = BUSY_SECONDS) -> apsw.Connection:
    """Open the database at `path` in WAL mode, creating it for this user alone (0600 in 0700).

    A lock held elsewhere is waited for, `busy_seconds` at most. The call may block that long.

    Raises:
        StoreBusy: Another program holds the database.
        Misconfigured: The file is no database, is damaged, or cannot be opened.
    """
    try:
        _make_private(path)
        db = apsw.Connection(str(path))
    except (OSError, apsw.CantOpenError) as error:
        why = getattr(error, "strerror", None) or error
        raise Misconfigured(f"{path}: cannot open the database: {why}") from error
    try:
        db.set_busy_handler(_patience(busy_seconds))
        _use_wal(db, busy_seconds)
        for pragma in _PRAGMAS:
            db.execute(pragma)
    except apsw.Error as error:
        db.close()
        raise known_error(error, path) or error from error
    return db


def migrate(db: apsw.Connection, path: Path, steps: Sequence[str]) -> None:
    """Bring the schema up to date: `steps[n]` leads from user_version n to n + 1.

    Each step is one transaction together with its version, so a crash leaves a whole version. Two
    programs may do this at once.

    Raises:
        Misconfigured: The database is newer than this program, or damaged.
        StoreBusy: Another program holds it.
    """
    try:
        while (version := _version(db, path, len(steps))) < len(steps):
            _step(db, version, steps[version])
    except apsw.Error as error:
        raise known_error(error, path) or error from error


def known_error(error: BaseException, path: Path | str) -> PylonError | None:
    """Say an APSW error in the program's words; None if it can only be a bug."""
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusy(f"{path}: another program holds the database")
        case apsw.FullError():
            return StoreFull(f"{path}: the disk is full")
        case apsw.NotADBError() | apsw.CorruptError():
            return Misconfigured(f"{path}: not a database, or a damaged one; it was left as it is")
        case apsw.ReadOnlyError() | apsw.CantOpenError() | apsw.PermissionsError():
            return Misconfigured(f"{path}: this user may not write the database")
        case _:
            return None


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database itself.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _patience(seconds: float) -> Callable[[int], bool]:
    """Ask again soon: SQLite's own handler sleeps up to 100 ms, and loses its turn to who did not."""
    give_up = 0.0

    def again(attempts: int) -> bool:
        nonlocal give_up
        now = time.monotonic()
        if attempts == 0:
            give_up = now + seconds
        time.sleep(_RETRY_SECONDS)
        return now < give_up

    return again


def _use_wal(db: apsw.Connection, busy_seconds: float) -> None:
    # SQLite does not call the busy handler when two programs turn a new file to WAL at once.
    give_up = time.monotonic() + busy_seconds
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except apsw.BusyError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _version(db: apsw.Connection, path: Path, known: int) -> int:
    version: int = db.pragma("user_version")
    if version > known:
        raise Misconfigured(
            f"{path}: written by a newer Pylon (schema {version}, this one knows {known}): upgrade",
        )
    return version


def _step(db: apsw.Connection, version: int, script: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        if db.pragma("user_version") == version:  # else another program was quicker
            db.execute(script)
            db.pragma("user_version", version + 1)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
