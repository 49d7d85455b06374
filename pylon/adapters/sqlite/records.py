"""Jobs and orders in SQLite."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import apsw
from attrs import field, frozen

from pylon.adapters.sqlite import changes
from pylon.adapters.sqlite.codec import Codec, read_event, to_json
from pylon.adapters.sqlite.database import Database
from pylon.adapters.sqlite.statements import Statements
from pylon.model.event import Event
from pylon.model.ids import JobId
from pylon.ports.records import Change, Moment, NewRow, Record, Row

F = TypeVar("F")
S = TypeVar("S")


@frozen(eq=False)
class SqliteRecords(Generic[F, S]):
    """A `Records` over one sort's tables in pylon.db."""

    _database: Database
    _codec: Codec[F, S]
    _sql: Statements = field(init=False)

    @_sql.default
    def _on_own_tables(self) -> Statements:
        return Statements().on(self._codec.table)

    async def load(self, ids: Sequence[JobId]) -> dict[JobId, Record[F, S]]:
        rows = await self._database.read(self._sql.load, (to_json(ids),))
        return {row[0]: self._record(*row) for row in rows}

    async def save(self, changes_: Sequence[Change[F, S]]) -> None:
        batch = [changes.write(change) for change in changes_]
        await self._database.write(partial(changes.save, sql=self._sql, batch=batch))

    async def find(self, names: Sequence[str]) -> dict[str, JobId]:
        return dict(await self._database.read(self._sql.find, (to_json(names),)))

    async def due(self, now: int) -> list[JobId]:
        return _column(await self._database.read(self._sql.due, (now,)))

    async def next_due(self) -> int | None:
        ((when,),) = await self._database.read(self._sql.next_due)
        return when  # type: ignore[no-any-return]  # the schema says INTEGER

    async def outbox(
        self, desk: str, *, after: int = 0, limit: int = 256, subject: JobId | None = None
    ) -> list[Row]:
        if subject is None:
            rows = await self._database.read(self._sql.outbox, (desk, after, limit))
        else:
            rows = await self._database.read(self._sql.outbox_of, (desk, after, subject, limit))
        return [Row(*row) for row in rows]

    async def ask(self, id_: JobId, act: NewRow) -> None:
        def insert(db: apsw.Connection) -> None:
            db.execute(self._sql.ask, (act.desk, act.kind, act.body, id_))

        await self._database.write(insert)

    async def drop(self, seqs: Sequence[int]) -> None:
        def delete(db: apsw.Connection) -> None:
            db.executemany(self._sql.drop, [(seq,) for seq in seqs])

        await self._database.write(delete)

    async def unfinished(self, *, peer: str | None = None) -> list[JobId]:
        if peer is None:
            return _column(await self._database.read(self._sql.unfinished))
        return _column(await self._database.read(self._sql.unfinished_of, (peer,)))

    async def recent(self, *, limit: int) -> list[Record[F, S]]:
        rows = await self._database.read(self._sql.recent, (limit,))
        return [self._record(*row) for row in rows]

    async def in_phases(self, phases: Sequence[str], *, since: int = 0) -> list[Record[F, S]]:
        rows = await self._database.read(self._sql.in_phases, (since, to_json(phases)))
        return [self._record(*row) for row in rows]

    async def count(self, phase: str) -> dict[str, int]:
        return dict(await self._database.read(self._sql.count, (phase,)))

    async def open_in(self, phases: Sequence[str]) -> int:
        ((count,),) = await self._database.read(self._sql.open_in, (to_json(phases),))
        return int(count)

    async def evidence(self, id_: JobId) -> list[Event]:
        events = await self._database.read(self._sql.evidence, (id_,))
        return [read_event(event) for (event,) in events]

    async def history(self, id_: JobId) -> list[Moment]:
        moments = await self._database.read(self._sql.history, (id_,))
        return [Moment(*moment) for moment in moments]

    async def version(self) -> int:
        ((version,),) = await self._database.read("PRAGMA data_version")
        return version  # type: ignore[no-any-return]  # SQLite says integer

    def _record(
        self, id_: JobId, facts: str, phase: str, state: str, updated_at: int
    ) -> Record[F, S]:
        return Record(id_, self._codec.facts(facts), self._codec.state(phase, state), updated_at)


def _column(rows: list[tuple[Any, ...]]) -> list[JobId]:
    return [id_ for (id_,) in rows]
