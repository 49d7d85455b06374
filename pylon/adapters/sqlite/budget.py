"""The budget in SQLite: each decision is made inside the transaction that records it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec
from attrs import astuple, frozen

from pylon.adapters.sqlite.codec import to_json
from pylon.adapters.sqlite.database import Database, query
from pylon.core import budget as core
from pylon.core.budget import Entry, Limits, Span, Standing, Usage, Used
from pylon.model.budget import NODE, Purpose, Scope
from pylon.model.ids import PaymentHash
from pylon.model.money import Msat

_FIND = """
    SELECT order_id, provider, scopes, standing, amount, fee, at FROM budget
    WHERE payment_hash = ?"""
_FIND_WITH_PAUSES = """
    SELECT (SELECT json_group_array(scope) FROM budget_pauses),
           order_id, provider, scopes, standing, amount, fee, at FROM budget
    WHERE payment_hash = ?"""
_RESERVED = """
    SELECT payment_hash, order_id, provider, scopes, standing, amount, fee, at FROM budget
    WHERE standing = 'reserved' ORDER BY at, payment_hash"""
_PUT = """
    INSERT INTO budget (payment_hash, order_id, provider, scopes, standing, amount, fee, at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (payment_hash) DO UPDATE SET
        order_id = excluded.order_id, provider = excluded.provider, scopes = excluded.scopes,
        standing = excluded.standing, amount = excluded.amount, fee = excluded.fee,
        at = excluded.at"""
_POST = """
    INSERT INTO budget_totals (scope, span, key, spent, reserved)
    VALUES (?1, ?2, ?3, max(?4, 0), max(?5, 0))
    ON CONFLICT (scope, span, key) DO UPDATE SET
        spent = spent + ?4, reserved = reserved + ?5"""
_USED = """
    SELECT t.scope, t.span, t.spent, t.reserved FROM json_each(?) AS asked
    CROSS JOIN budget_totals AS t
    ON t.scope = asked.value ->> 0 AND t.span = asked.value ->> 1 AND t.key = asked.value ->> 2"""
_MOST = """
    SELECT key, spent, reserved FROM budget_totals WHERE scope = ? AND span = ?
    ORDER BY spent + reserved DESC, key LIMIT 1"""
_PAUSE = "INSERT INTO budget_pauses (scope, since) VALUES (?, ?) ON CONFLICT (scope) DO NOTHING"
_RESUME = "DELETE FROM budget_pauses WHERE scope = ?"
_PAUSED = "SELECT since FROM budget_pauses WHERE scope = ?"
_ALL_PAUSED = "SELECT scope FROM budget_pauses"

_scopes = msgspec.json.Decoder(tuple[Scope, ...])


@frozen(eq=False)
class SqliteBudget:
    """A `Budget` in pylon.db, shared by every process that opens it."""

    _database: Database

    async def reserve(
        self,
        payment_hash: PaymentHash,
        purpose: Purpose,
        *,
        amount: Msat,
        fee: Msat,
        limits: Limits,
        now: int,
    ) -> str | None:
        new = Entry(purpose, Standing.RESERVED, amount, fee, now)

        def work(db: apsw.Connection) -> str | None:
            known = _find(db, payment_hash)
            if known is not None:
                refusal = core.objection(known, new)
                if refusal is not None or known.standing is Standing.RESERVED:
                    return refusal
            used = _usage(query(db, _USED, (_asked(purpose, now),)), purpose, now)
            paused = [scope for (scope,) in query(db, _ALL_PAUSED)]
            refusal = core.refusal(new, used, limits, paused)
            if refusal is None:
                _put(db, payment_hash, known, new)
            return refusal

        return await self._database.write(work)

    async def veto(self, payment_hash: PaymentHash) -> str | None:
        for paused, *row in await self._database.read(_FIND_WITH_PAUSES, (payment_hash,)):
            return core.veto(_entry(row), _scopes.decode(paused))
        return core.veto(None, ())

    async def spend(self, payment_hash: PaymentHash, *, amount: Msat, fee: Msat, now: int) -> None:
        def work(db: apsw.Connection) -> None:
            known = _find(db, payment_hash)
            _put(db, payment_hash, known, core.spent(known, amount=amount, fee=fee, now=now))

        await self._database.write(work)

    async def release(self, payment_hash: PaymentHash) -> None:
        def work(db: apsw.Connection) -> None:
            known = _find(db, payment_hash)
            _put(db, payment_hash, known, core.released(known))

        await self._database.write(work)

    async def pause(self, *, now: int, scope: Scope = NODE) -> None:
        await self._database.write(lambda db: db.execute(_PAUSE, (scope, now)).fetchall())

    async def resume(self, *, scope: Scope = NODE) -> None:
        await self._database.write(lambda db: db.execute(_RESUME, (scope,)).fetchall())

    async def paused(self, scope: Scope = NODE) -> int | None:
        for (since,) in await self._database.read(_PAUSED, (scope,)):
            return int(since)
        return None

    async def usage(self, purpose: Purpose, *, now: int) -> dict[Scope, Usage]:
        rows = await self._database.read(_USED, (_asked(purpose, now),))
        return _usage(rows, purpose, now)

    async def most(self, span: Span, *, scope: Scope = NODE) -> tuple[str, Used] | None:
        for key, spent, reserved in await self._database.read(_MOST, (scope, span)):
            return key, Used(Msat(spent), Msat(reserved))
        return None

    async def reserved(self) -> dict[PaymentHash, Entry]:
        return {hash_: _entry(row) for hash_, *row in await self._database.read(_RESERVED)}

    async def committed(self) -> Msat:
        used = await self.usage(Purpose(), now=0)
        return used[NODE][Span.TOTAL].committed


def _find(db: apsw.Connection, payment_hash: PaymentHash) -> Entry | None:
    for row in query(db, _FIND, (payment_hash,)):
        return _entry(row)
    return None


def _entry(row: Sequence[Any]) -> Entry:
    order, provider, scopes, standing, amount, fee, at = row
    purpose = Purpose(order, provider, _scopes.decode(scopes))
    return Entry(purpose, Standing(standing), Msat(amount), Msat(fee), at)


def _put(
    db: apsw.Connection, payment_hash: PaymentHash, known: Entry | None, new: Entry | None
) -> None:
    """Write an entry over the one known, and the running totals with it."""
    if new is None:
        return
    purpose, standing = new.purpose, new.standing.value
    row = (purpose.order, purpose.provider, to_json(purpose.scopes), standing)
    db.execute(_PUT, (payment_hash, *row, new.amount, new.fee, new.at))
    db.executemany(_POST, [astuple(posting) for posting in core.postings(known, new)])


def _asked(purpose: Purpose, now: int) -> str:
    """Name the accounts of a purpose for `_USED`."""
    accounts = core.accounts(purpose, now).items()
    return to_json([(scope, span, key) for scope in purpose.scopes for span, key in accounts])


def _usage(rows: list[tuple[Any, ...]], purpose: Purpose, now: int) -> dict[Scope, Usage]:
    kept = defaultdict[Scope, dict[Span, Used]](
        lambda: dict.fromkeys(core.accounts(purpose, now), Used())
    )
    for scope, span, spent, reserved in rows:
        kept[scope][Span(span)] = Used(Msat(spent), Msat(reserved))
    return {scope: core.usage(kept[scope]) for scope in purpose.scopes}
