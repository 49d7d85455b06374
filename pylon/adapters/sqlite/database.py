"""pylon.db as the stores see it: writes go to the writer thread, reads are done at once.

A read by index costs some 12 us, a thread hop ten times that; so reads run on the Trio thread, over
a connection of their own that sees only what is committed.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import trio
from attrs import frozen

from pylon.adapters.sqlite.connection import BUSY_SECONDS, connect, known_error, migrate
from pylon.adapters.sqlite.schema import APPLICATION_ID, MIGRATIONS
from pylon.adapters.sqlite.writer import Writer, open_writer
from pylon.errors import Misconfigured

T = TypeVar("T")

READ_BUSY_SECONDS = (
    0.1  # WAL readers wait for nobody but a recovery; the whole node waits with them
)


@frozen(eq=False)
class Database:
    """An open pylon.db; made by `open_database`."""

    _path: Path
    _writer: Writer
    _reader: apsw.Connection

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a transaction in the writer thread; return once that is on disk.

        Cancelled while it waits, the write may still be made.

        Raises:
            StoreBusy: Another program held the database for too long; nothing was written.
            StoreFull: The disk is full; nothing was written.
            Misconfigured: The file is damaged or may not be written.
        """
        try:
            return await self._writer.run(work)
        except apsw.Error as error:
            raise known_error(error, self._path) or error from error

    async def read(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of one query, a consistent view of what is committed.

        Raises: as `write`.
        """
        await trio.lowlevel.checkpoint()
        try:
            return query(self._reader, sql, bindings)
        except apsw.Error as error:
            raise known_error(error, self._path) or error from error


def query(db: apsw.Connection, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return all rows, read to the end: an open cursor would keep the WAL from being emptied."""
    return db.execute(sql, bindings).fetchall()


@asynccontextmanager
async def open_database(
    path: Path, *, busy_seconds: float = BUSY_SECONDS
) -> AsyncGenerator[Database, None]:
    """Open pylon.db at `path`, created and migrated if need be; several processes may do so.

    Raises:
        StoreBusy: Another program holds the database.
        Misconfigured: The file is damaged, no database, not ours, or newer than this program.
    """

    def prepare(db: apsw.Connection) -> None:
        _refuse_strangers(db, path)
        migrate(db, path, MIGRATIONS)

    async with open_writer(path, prepare=prepare, busy_seconds=busy_seconds) as writer:
        reader = connect(path, busy_seconds=READ_BUSY_SECONDS)
        try:
            reader.execute("PRAGMA query_only = ON")
            yield Database(path, writer, reader)
        finally:
            reader.close()


def _refuse_strangers(db: apsw.Connection, path: Path) -> None:
    """Raise unless the database is empty or ours; one query, as another program may create it now."""
    sql = "SELECT (SELECT application_id FROM pragma_application_id), count(*) FROM sqlite_schema"
    try:
        ((application, tables),) = db.execute(sql)
    except apsw.Error as error:
        raise known_error(error, path) or error from error
    if tables and application != APPLICATION_ID:
        raise Misconfigured(f"{path}: a database of another program; it was left as it is")
