"""Telling a payee what becomes of its invoices."""

from collections import deque

import apsw
from attrs import define, field

from pylon.adapters.lightning.ledger import invoices
from pylon.adapters.lightning.ledger.book import Desk
from pylon.adapters.lightning.ledger.faults import FaultKind, Faults
from pylon.model.wallet import InvoiceStatus

_AT_ONCE = 100


@define
class Watch:
    """Every change after a cursor, in order, now and in future."""

    _desk: Desk
    _account: int
    _cursor: int
    _told: deque[InvoiceStatus] = field(factory=deque)

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> InvoiceStatus:
        while True:
            version = self._desk.version()
            if not self._told:
                self._told.extend(await self._desk.read(self._unread))
            if self._told:
                status = self._told.popleft()
                self._cursor = status.cursor
                return status
            await self._desk.news(version)

    def _unread(self, db: apsw.Connection) -> list[InvoiceStatus]:
        found = invoices.changes(db, self._account, self._cursor, _AT_ONCE)
        if Faults(db, self._account).look(FaultKind.DUPLICATE):
            return [status for status in found for _ in range(2)]
        return found
