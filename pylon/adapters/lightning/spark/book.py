"""What was asked for and what was begun to be paid, in a database: the SDK keeps neither.

Every change of an invoice is kept too, numbered, for those who watch.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
from attrs import astuple, field, frozen

from pylon.adapters.sqlite.connection import connect, migrate
from pylon.adapters.sqlite.writer import Writer, open_writer
from pylon.errors import Misconfigured, StoreBusy, StoreFull, WalletUnavailable
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import (
    InvoiceState,
    InvoiceStatus,
    IssuedInvoice,
    PaymentFailed,
    PaymentInFlight,
    PaymentResult,
    PaymentSettled,
)

T = TypeVar("T")

_STEPS: Final = (
    """
CREATE TABLE invoice (
    payment_hash    TEXT PRIMARY KEY,
    bolt11          TEXT NOT NULL,
    amount          INTEGER NOT NULL CHECK (amount > 0),  -- msat
    description     TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    hold            INTEGER NOT NULL CHECK (hold IN (0, 1)),
    idempotency_key TEXT UNIQUE,
    state           TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'settled', 'cancelled')),
    paid            INTEGER NOT NULL,
    deadline        INTEGER,
    cursor          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX unsettled ON invoice (created_at) WHERE state IN ('open', 'accepted');
CREATE INDEX invoice_in_time ON invoice (created_at);

CREATE TABLE change (
    cursor       INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_hash TEXT NOT NULL REFERENCES invoice,
    state        TEXT NOT NULL,
    paid         INTEGER NOT NULL,
    deadline     INTEGER
) STRICT;

CREATE TABLE payment (
    payment_hash TEXT PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'settled', 'failed')),
    amount       INTEGER NOT NULL,
    fee          INTEGER NOT NULL,
    description  TEXT NOT NULL,
    at           INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,  -- of the invoice
    preimage     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    dead         TEXT NOT NULL,  -- the SDK's ids of what failed for this hash, spaces between
    CHECK (state <> 'settled' OR preimage <> '')
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_in_time ON payment (at);
""",
)


@frozen
class Asked:
    """An invoice of ours, in the order of its columns."""

    payment_hash: PaymentHash
    bolt11: str
    amount: Msat
    description: str
    created_at: int
    expires_at: int
    hold: bool = field(converter=bool)
    idempotency_key: str | None
    state: InvoiceState = field(converter=InvoiceState, default=InvoiceState.OPEN)
    paid: Msat = ZERO
    deadline: int | None = None
    cursor: int = 0

    def state_at(self, now: float) -> InvoiceState:
        """Say where it stands at a time."""
        late = self.state is InvoiceState.OPEN and now > self.expires_at
        return InvoiceState.EXPIRED if late else self.state

    def status(self, now: float) -> InvoiceStatus:
        """Say so in the words of the port."""
        state = self.state_at(now)
        return InvoiceStatus(self.payment_hash, state, self.paid, self.deadline, self.cursor)

    @property
    def issued(self) -> IssuedInvoice:
        """The invoice as it was given out."""
        return IssuedInvoice(
            self.bolt11, self.payment_hash, self.amount, self.created_at, self.expires_at
        )


@frozen
class Attempt:
    """A payment of ours, in the order of its columns."""

    payment_hash: PaymentHash
    state: str  # pending, settled, failed
    amount: Msat
    fee: Msat
    description: str
    at: int
    expires_at: int
    preimage: str = ""
    reason: str = ""
    dead: str = ""  # the SDK's ids of what failed for this hash, spaces between

    @property
    def key(self) -> str:
        """The name of this attempt: the hash, and after a definite failure a number with it."""
        failures = len(self.dead.split())
        return f"{self.payment_hash}/{failures}" if failures else self.payment_hash

    @property
    def result(self) -> PaymentResult:
        """What is known of it, in the words of the port."""
        match self.state:
            case "settled":
                preimage = Preimage(self.preimage)
                return PaymentSettled(self.payment_hash, preimage, self.amount, self.fee)
            case "failed":
                return PaymentFailed(self.payment_hash, self.reason)
            case _:
                return PaymentInFlight(self.payment_hash)


@frozen
class Seen:
    """How an invoice stands according to the SDK."""

    payment_hash: PaymentHash
    state: InvoiceState
    paid: Msat
    deadline: int | None = None


@frozen
class Book:
    """The database of one wallet."""

    _writer: Writer
    _reader: apsw.Connection

    async def add(self, asked: Asked) -> Asked:
        """Store a new invoice; the same idempotency key or payment hash again returns the first.

        Raises `Misconfigured` if the payment hash belongs to another invoice.
        """
        return await self._write(partial(_add, asked))

    async def note(self, seen: Iterable[Seen]) -> None:
        """Bring invoices up to what the SDK says of them."""
        news = [one for one in seen if self._is_news(one)]
        if news:
            await self._write(partial(_note, news))

    async def begin(self, attempt: Attempt) -> Attempt | None:
        """Store an attempt to pay, unless one is under way or done: then return that."""
        return await self._write(partial(_begin, attempt))

    async def end(self, attempt: Attempt) -> None:
        """Store how a payment ended that was begun."""
        await self._write(partial(_put, attempt))

    def invoice(self, payment_hash: PaymentHash) -> Asked | None:
        """Return an invoice of ours."""
        sql = "SELECT * FROM invoice WHERE payment_hash = ?"
        return _one(Asked, self._reader.execute(sql, (payment_hash,)))

    def invoice_of(self, idempotency_key: str) -> Asked | None:
        """Return the invoice made for a key."""
        sql = "SELECT * FROM invoice WHERE idempotency_key = ?"
        return _one(Asked, self._reader.execute(sql, (idempotency_key,)))

    def payment(self, payment_hash: PaymentHash) -> Attempt | None:
        """Return a payment of ours."""
        return _payment(self._reader, payment_hash)

    def unsettled_since(self, expired_after: float) -> int | None:
        """Return when the oldest invoice was made that may yet change."""
        sql = """SELECT min(created_at) FROM invoice
                 WHERE state = 'accepted' OR (state = 'open' AND expires_at > ?)"""
        oldest: int | None = self._reader.execute(sql, (expired_after,)).get
        return oldest

    def changes(self, after: int, limit: int) -> list[InvoiceStatus]:
        """Return what became of invoices after a cursor, oldest first."""
        sql = """SELECT payment_hash, state, paid, deadline, cursor FROM change
                 WHERE cursor > ? ORDER BY cursor LIMIT ?"""
        return [
            InvoiceStatus(PaymentHash(hash_), InvoiceState(state), Msat(paid), deadline, cursor)
            for hash_, state, paid, deadline, cursor in self._reader.execute(sql, (after, limit))
        ]

    def invoices(self, limit: int) -> list[Asked]:
        """Return the newest invoices."""
        sql = "SELECT * FROM invoice ORDER BY created_at DESC LIMIT ?"
        return [Asked(*row) for row in self._reader.execute(sql, (limit,))]

    def payments(self, limit: int) -> list[Attempt]:
        """Return the newest payments."""
        sql = "SELECT * FROM payment ORDER BY at DESC LIMIT ?"
        return [Attempt(*row) for row in self._reader.execute(sql, (limit,))]

    def _is_news(self, seen: Seen) -> bool:
        known = self.invoice(seen.payment_hash)
        return known is not None and _moves(known, seen)

    async def _write(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            return await self._writer.run(work)
        except (StoreBusy, StoreFull) as error:
            raise WalletUnavailable(str(error)) from error


@asynccontextmanager
async def open_book(path: Path) -> AsyncGenerator[Book, None]:
    """Open the database at `path`, creating it if need be."""
    prepare = partial(migrate, path=path, steps=_STEPS)
    async with open_writer(path, prepare=prepare) as writer:
        reader = connect(path)
        try:
            yield Book(writer, reader)
        finally:
            reader.close()


def _add(asked: Asked, db: apsw.Connection) -> Asked:
    sql = "SELECT * FROM invoice WHERE payment_hash = ? OR idempotency_key = ?"
    known = _one(Asked, db.execute(sql, (asked.payment_hash, asked.idempotency_key)))
    if known is None:
        sql = "INSERT INTO invoice VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        db.execute(sql, astuple(asked, recurse=False))
        return asked
    if (known.amount, known.hold) != (asked.amount, asked.hold):
        raise Misconfigured(f"another invoice has the payment hash {asked.payment_hash}")
    return known


def _note(news: list[Seen], db: apsw.Connection) -> None:
    for seen in news:
        sql = "SELECT * FROM invoice WHERE payment_hash = ?"
        known = _one(Asked, db.execute(sql, (seen.payment_hash,)))
        if known is None or not _moves(known, seen):
            continue
        sql = "INSERT INTO change (payment_hash, state, paid, deadline) VALUES (?, ?, ?, ?)"
        db.execute(sql, (seen.payment_hash, seen.state, seen.paid, seen.deadline))
        sql = """UPDATE invoice SET state = ?, paid = ?, deadline = ?, cursor = ?
                 WHERE payment_hash = ?"""
        row = (seen.state, seen.paid, seen.deadline, db.last_insert_rowid(), seen.payment_hash)
        db.execute(sql, row)


def _moves(known: Asked, seen: Seen) -> bool:
    """Say whether this is news; an end stays the end, whatever is said later."""
    may_change = known.state in (InvoiceState.OPEN, InvoiceState.ACCEPTED)
    return may_change and seen.state is not known.state


def _begin(attempt: Attempt, db: apsw.Connection) -> Attempt | None:
    earlier = _payment(db, attempt.payment_hash)
    if earlier is not None and earlier.state != "failed":
        return earlier
    _put(attempt, db)
    return None


def _put(attempt: Attempt, db: apsw.Connection) -> None:
    sql = "INSERT OR REPLACE INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    db.execute(sql, astuple(attempt, recurse=False))


def _payment(db: apsw.Connection, payment_hash: PaymentHash) -> Attempt | None:
    sql = "SELECT * FROM payment WHERE payment_hash = ?"
    return _one(Attempt, db.execute(sql, (payment_hash,)))


def _one(kind: Callable[..., T], rows: Iterable[tuple[Any, ...]]) -> T | None:
    return next((kind(*row) for row in rows), None)
