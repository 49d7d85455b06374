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

    `mine` limits it to some machines: a process that drives one order leaves the others alone.
    """

    _records: Records[Any, Any]
    _desk: str
    _mine: Container[JobId] | None = None
    _after: int = field(default=0, init=False)
    _seen: set[int] = field(factory=set, init=False)

    def rewind(self) -> None:
        """Look from the start again, if some rows were passed over: `mine` may have grown."""
        if self._mine is not None:
            self._after = 0

    async def take(self) -> list[Row]:
        """Return the rows that have come since the last call, oldest first."""
        taken: list[Row] = []
        while rows := await self._records.outbox(self._desk, after=self._after, limit=PAGE):
            self._after = rows[-1].seq
            taken += [row for row in rows if self._is_new(row)]
            if len(rows) < PAGE:
                break
        return taken

    def _is_new(self, row: Row) -> bool:
        if self._mine is None:
            return True
        if row.subject not in self._mine or row.seq in self._seen:
            return False
        self._seen.add(row.seq)
        return True
