"""The budget in SQLite: each decision is made inside the transaction that records it."""

import apsw
from attrs import frozen

from pylon.adapters.sqlite.database import Database, query
from pylon.core import budget as core
from pylon.core.budget import Caps, Committed, Entry, Standing
from pylon.model.ids import JobId, PaymentHash
from pylon.model.money import ZERO, Msat

_FIND = "SELECT order_id, standing, amount, fee, at FROM budget WHERE payment_hash = ?"
_RESERVE = """
    INSERT INTO budget (payment_hash, order_id, standing, amount, fee, at)
    VALUES (?, ?, 'reserved', ?, ?, ?)
    ON CONFLICT (payment_hash) DO UPDATE SET
        standing = excluded.standing, amount = excluded.amount, fee = excluded.fee,
        at = excluded.at"""
_SPEND = """
    INSERT INTO budget (payment_hash, standing, amount, fee, at) VALUES (?, 'spent', ?, ?, ?)
    ON CONFLICT (payment_hash) DO UPDATE SET
        standing = excluded.standing, amount = excluded.amount, fee = excluded.fee,
        at = excluded.at
    WHERE standing <> 'spent'"""
_RELEASE = (
    "UPDATE budget SET standing = 'released' WHERE payment_hash = ? AND standing = 'reserved'"
)
_COMMITTED = """
    SELECT (SELECT ifnull(sum(amount + fee), 0) FROM budget WHERE standing = 'reserved')
         + (SELECT ifnull(sum(amount + fee), 0) FROM budget WHERE standing = 'spent' AND at >= ?)"""
_COMMITTED_OF_ORDER = """
    SELECT ifnull(sum(amount + fee), 0) FROM budget WHERE order_id = ? AND standing <> 'released'"""


@frozen(eq=False)
class SqliteBudget:
    """A `Budget` in pylon.db, shared by every process that opens it."""

    _database: Database

    async def reserve(
        self,
        payment_hash: PaymentHash,
        order: JobId,
        *,
        amount: Msat,
        fee: Msat,
        caps: Caps,
        now: int,
    ) -> str | None:
        def work(db: apsw.Connection) -> str | None:
            entry = _find(db, payment_hash)
            if entry is not None:
                refusal = core.objection(entry, order, amount=amount, fee=fee)
                if refusal is not None or entry.standing is Standing.RESERVED:
                    return refusal
            committed = _committed(db, order, caps, now)
            refusal = core.excess(caps, committed, Msat(amount + fee))
            if refusal is None:
                db.execute(_RESERVE, (payment_hash, order, amount, fee, now))
            return refusal

        return await self._database.write(work)

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        def work(db: apsw.Connection) -> None:
            db.execute(_SPEND, (payment_hash, amount, fee, now))

        await self._database.write(work)

    async def release(self, payment_hash: PaymentHash) -> None:
        def work(db: apsw.Connection) -> None:
            db.execute(_RELEASE, (payment_hash,))

        await self._database.write(work)

    async def committed(self, *, since: int = 0) -> Msat:
        ((committed,),) = await self._database.read(_COMMITTED, (since,))
        return Msat(committed)


def _find(db: apsw.Connection, payment_hash: PaymentHash) -> Entry | None:
    for order, standing, amount, fee, at in query(db, _FIND, (payment_hash,)):
        return Entry(order, Standing(standing), Msat(amount), Msat(fee), at)
    return None


def _committed(db: apsw.Connection, order: JobId, caps: Caps, now: int) -> Committed:
    """Add up what the caps ask about; what has no cap is not worth adding up."""

    def total(sql: str, binding: str | int) -> Msat:
        return Msat(db.execute(sql, (binding,)).get)

    return Committed(
        job=ZERO if caps.per_job is None else total(_COMMITTED_OF_ORDER, order),
        day=ZERO if caps.per_day is None else total(_COMMITTED, core.day_start(now)),
        total=ZERO if caps.total is None else total(_COMMITTED, 0),
    )
