"""Event storage in SQLite: one writer that commits in groups, one reader beside it."""

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from heapq import merge
from itertools import groupby, islice
from pathlib import Path
from typing import TypeAlias, cast

import apsw
import trio
from attrs import frozen

from pylon.adapters.sqlite.connection import migrate
from pylon.adapters.sqlite.event_query import Statement, counting, selections
from pylon.adapters.sqlite.writer import Writer, open_writer
from pylon.core.relay_rules import Added
from pylon.model.event import Event
from pylon.model.filter import Filter
from pylon.model.ids import PublicKey
from pylon.wire import address, deletion, expiration
from pylon.wire import event as codec
from pylon.wire.address import Address
from pylon.wire.deletion import Deletion

Row: TypeAlias = tuple[int, bytes, str]  # created_at, id, body

_ALWAYS = (1 << 63) - 1
_GIFT_WRAP = 1059

# Ids and keys are blobs: half the size of hex, in the indexes that cost most.
_SCHEMA = """
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    id         BLOB    NOT NULL UNIQUE,
    pubkey     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    address    TEXT    UNIQUE,  -- of a replaceable or addressable event
    expires_at INTEGER,
    body       TEXT    NOT NULL
) STRICT;
CREATE INDEX events_by_time ON events (created_at DESC);
CREATE INDEX events_by_kind ON events (kind, created_at DESC);
CREATE INDEX events_by_author ON events (pubkey, kind, created_at DESC);
CREATE INDEX events_by_expiry ON events (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE tags (  -- those of a single letter, with a value
    name       TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    event      INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    PRIMARY KEY (name, value, created_at DESC, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_event ON tags (event);

CREATE TABLE deletions (  -- kept for good, even where the event that asked for it expires
    target TEXT    NOT NULL,  -- an id, or an address
    author TEXT    NOT NULL,
    until  INTEGER NOT NULL,  -- the created_at up to which it holds
    PRIMARY KEY (target, author)
) STRICT, WITHOUT ROWID;
"""


@frozen(eq=False)
class SqliteEventStore:
    """An `EventStore` in one file; made by `open_event_store`."""

    _writer: Writer
    _reader: "apsw.AsyncConnection"  # exists only in the stubs

    async def add(self, events: Sequence[Event]) -> list[Added]:
        def write(db: apsw.Connection) -> list[Added]:
            return [_add(db, event) for event in events]

        return await self._writer.run(write)

    async def query(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> list[Event]:
        plan = [(list(selections(f, keys=keys, now=now)), f.limit) for f in filters]

        def read(db: apsw.Connection) -> list[Row]:
            found = {row[1]: row for arms, limit in plan for row in _select(db, arms, limit)}
            return sorted(found.values(), key=_order)

        rows: list[Row] = await self._reader.async_run(read, self._reader)
        return [codec.parse(body) for _, _, body in rows]

    async def count(
        self, filters: Sequence[Filter], *, keys: Collection[PublicKey], now: float
    ) -> int:
        statement = counting(filters, keys=keys, now=now)

        def read(db: apsw.Connection) -> int:
            found: int = db.execute(statement.sql, statement.bindings).get
            return found

        counted: int = await self._reader.async_run(read, self._reader)
        return counted

    async def drop_expired(self, now: float) -> int:
        def write(db: apsw.Connection) -> int:
            db.execute("DELETE FROM events WHERE expires_at <= ?", (int(now),))
            return db.changes()

        return await self._writer.run(write)


@asynccontextmanager
async def open_event_store(path: Path) -> AsyncGenerator[SqliteEventStore, None]:
    """Open the store at `path`, creating it if need be.

    Raises:
        Misconfigured: The file is no database of ours, is damaged, or cannot be opened.
        StoreBusy: Another program holds it.
    """
    async with (
        open_writer(path, prepare=lambda db: migrate(db, path, (_SCHEMA,))) as writer,
        _open_reader(path) as reader,
    ):
        yield SqliteEventStore(writer, reader)


@asynccontextmanager
async def _open_reader(path: Path) -> AsyncGenerator["apsw.AsyncConnection", None]:
    # Cancelled half-way, an open or a close would leave its thread running, and with it the process.
    with trio.CancelScope(shield=True):
        reader = await apsw.Connection.as_async(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        yield reader
    finally:
        with trio.CancelScope(shield=True):
            await reader.aclose()


def _add(db: apsw.Connection, event: Event) -> Added:
    event_id = bytes.fromhex(event.id)
    if db.execute("SELECT 1 FROM events WHERE id = ?", (event_id,)).get:
        return Added.DUPLICATE
    place = address.of(event)
    if _is_deleted(db, event, place):
        return Added.DELETED
    if place is not None and not _make_room(db, event, place):
        return Added.OUTDATED
    _insert(db, event, place)
    if event.kind == deletion.KIND:
        _delete(db, event)
    return Added.STORED


def _make_room(db: apsw.Connection, event: Event, place: Address) -> bool:
    """Remove the version that `event` supersedes; False if the one that is held stays."""
    held: str | None = db.execute("SELECT body FROM events WHERE address = ?", (str(place),)).get
    if held is None:
        return True
    if address.supersedes(codec.parse(held), event):
        return False
    db.execute("DELETE FROM events WHERE address = ?", (str(place),))
    return True


def _insert(db: apsw.Connection, event: Event, place: Address | None) -> None:
    row = (
        bytes.fromhex(event.id),
        bytes.fromhex(event.pubkey),
        event.created_at,
        event.kind,
        None if place is None else str(place),
        expiration.expires_at(event),
        codec.encode(event),
    )
    db.execute(
        "INSERT INTO events (id, pubkey, created_at, kind, address, expires_at, body)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    seq = db.last_insert_rowid()
    tags = {(tag[0], tag[1]) for tag in event.tags if len(tag) > 1 and len(tag[0]) == 1}
    db.executemany(
        "INSERT INTO tags (name, value, created_at, event) VALUES (?, ?, ?, ?)",
        [(name, value, event.created_at, seq) for name, value in tags],
    )


def _delete(db: apsw.Connection, event: Event) -> None:
    wanted = deletion.read(event)
    targets = [(str(target), _ALWAYS) for target in wanted.ids]
    targets += [(str(place), wanted.created_at) for place in wanted.addresses]
    db.executemany(
        "INSERT INTO deletions (target, author, until) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
        [(target, wanted.author, until) for target, until in targets],
    )
    for held in list(_held(db, wanted)):
        if deletion.covers(wanted, held):
            db.execute("DELETE FROM events WHERE id = ?", (bytes.fromhex(held.id),))


def _held(db: apsw.Connection, wanted: Deletion) -> Iterator[Event]:
    """Yield what is held of the things named in a deletion, whoever wrote them."""
    for target in wanted.ids:
        for (body,) in db.execute("SELECT body FROM events WHERE id = ?", (bytes.fromhex(target),)):
            yield codec.parse(body)
    for place in wanted.addresses:
        for (body,) in db.execute("SELECT body FROM events WHERE address = ?", (str(place),)):
            yield codec.parse(body)


def _is_deleted(db: apsw.Connection, event: Event, place: Address | None) -> bool:
    """Say `deletion.covers` of all deletions ever seen at once."""
    if event.kind == deletion.KIND:
        return False
    owner = event.tag("p") if event.kind == _GIFT_WRAP else None
    return bool(
        db.execute(
            "SELECT 1 FROM deletions WHERE target IN (?, ?) AND author IN (?, ?) AND until >= ?",
            (event.id, str(place), event.pubkey, owner, event.created_at),
        ).get
    )


def _select(db: apsw.Connection, arms: Iterable[Statement], limit: int | None) -> Iterator[Row]:
    """Merge what the arms found, newest first, each once, and cut it to the filter's limit."""
    found = [cast("list[Row]", db.execute(arm.sql, arm.bindings).fetchall()) for arm in arms]
    each_once = (next(same) for _, same in groupby(merge(*found, key=_order), key=_order))
    return islice(each_once, limit)


def _order(row: Row) -> tuple[int, bytes]:
    return -row[0], row[1]
