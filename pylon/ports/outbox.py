"""Reading a desk's outbox: every open act once in a process's life, in order."""

from collections.abc import Container
from typing import Any

from attrs import define, field

from pylon.core import outbox
from pylon.model.ids import JobId
from pylon.ports.records import NewRow, Records, Row

PAGE = 256


def new_row(entry: outbox.Entry) -> NewRow:
    """Make an act ready for `Change.acts`."""
    kind, body = outbox.write(entry)
    return NewRow(outbox.desk_of(entry), kind, body)


def entry_of(row: Row) -> outbox.Entry:
    """Read a row's act."""
    return outbox.read(row.kind, row.body)


@define
class OutboxReader:
    """Hands out each open row of one desk once; what is not done is handed out again after a restart.

    `mine` limits it to some machines, which may come to be more: a process that drives one order
    leaves the others alone.
    """

    _records: Records[Any, Any]
    _desk: str
    _mine: Container[JobId] | None = None
    _after: int = field(default=0, init=False)
    _taken: set[int] = field(factory=set, init=False)

    async def take(self) -> list[Row]:
        """Return the rows that have come since the last call, oldest first."""
        if self._mine is None:
            return await self._read()
        self._after = 0  # a row passed over may be ours by now
        rows = [row for row in await self._read() if row.subject in self._mine]
        taken, self._taken = self._taken, {row.seq for row in rows}
        return [row for row in rows if row.seq not in taken]

    async def _read(self) -> list[Row]:
        found: list[Row] = []
        while rows := await self._records.outbox(self._desk, after=self._after, limit=PAGE):
            self._after = rows[-1].seq
            found += rows
            if len(rows) < PAGE:
                break
        return found
