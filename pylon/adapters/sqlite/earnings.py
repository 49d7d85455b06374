"""Earnings in SQLite."""

import apsw
from attrs import astuple, frozen

from pylon.adapters.sqlite.database import Database
from pylon.model.earning import Earning, EarningsTotal

_CREDIT = """
    INSERT INTO earnings (payment_hash, job, customer, kind, backend, amount, at)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (payment_hash) DO NOTHING"""
_DONE = "DELETE FROM jobs_outbox WHERE seq = ?"
_TOTAL = "SELECT ifnull(sum(amount), 0), count(*) FROM earnings WHERE at >= ?"
_RECENT = """
    SELECT payment_hash, job, customer, kind, backend, amount, at FROM earnings
    ORDER BY at DESC, n DESC LIMIT ?"""


@frozen(eq=False)
class SqliteEarnings:
    """An `Earnings` in pylon.db, beside the jobs' outbox."""

    _database: Database

    async def credit(self, earning: Earning, *, done: tuple[int, ...] = ()) -> None:
        def work(db: apsw.Connection) -> None:
            db.execute(_CREDIT, astuple(earning))
            db.executemany(_DONE, [(seq,) for seq in done])

        await self._database.write(work)

    async def total(self, *, since: int = 0) -> EarningsTotal:
        (row,) = await self._database.read(_TOTAL, (since,))
        return EarningsTotal(*row)

    async def recent(self, *, limit: int) -> list[Earning]:
        return [Earning(*row) for row in await self._database.read(_RECENT, (limit,))]
