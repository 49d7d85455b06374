"""Invoices as rows, and the record of their changes that watchers read."""

from collections.abc import Iterable
from typing import Any

import apsw
from attrs import astuple, evolve, field, frozen

from pylon.errors import Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import InvoiceState, InvoiceStatus

_PAID = (InvoiceState.ACCEPTED, InvoiceState.SETTLED)


@frozen
class StoredInvoice:
    """One row, in the order of its columns.

    `state` is as stored: an open one may have expired, an accepted one be overdue.
    """

    payment_hash: PaymentHash
    payee: int
    amount: Msat
    bolt11: str
    description: str
    preimage: Preimage | None
    hold: bool = field(converter=bool)
    state: InvoiceState = field(converter=InvoiceState)
    created_at: int
    expires_at: int
    deadline: int | None = None
    cursor: int = 0
    idempotency_key: str | None = None

    def state_at(self, now: float) -> InvoiceState:
        """Say where it stands at a time."""
        if self.state is InvoiceState.OPEN and now > self.expires_at:
            return InvoiceState.EXPIRED
        return self.state

    def status(self, now: float) -> InvoiceStatus:
        """Say so in the words of the port."""
        state = self.state_at(now)
        paid = self.amount if state in _PAID else ZERO
        deadline = self.deadline if state is InvoiceState.ACCEPTED else None
        return InvoiceStatus(self.payment_hash, state, paid, deadline, self.cursor)


def find(db: apsw.Connection, payment_hash: PaymentHash) -> StoredInvoice | None:
    """Return an invoice of anybody's."""
    sql = "SELECT * FROM invoice WHERE payment_hash = ?"
    return _one(db.execute(sql, (payment_hash,)))


def issue(invoice: StoredInvoice, db: apsw.Connection) -> StoredInvoice:
    """Store a new invoice; the same idempotency key or payment hash again returns the first.

    Raises:
        Misconfigured: The payment hash belongs to another invoice.
    """
    sql = "SELECT * FROM invoice WHERE payee = ? AND idempotency_key = ?"
    key = invoice.idempotency_key
    if key is not None and (known := _one(db.execute(sql, (invoice.payee, key)))):
        return known
    if known := find(db, invoice.payment_hash):
        if (known.payee, known.amount, known.hold) != (invoice.payee, invoice.amount, invoice.hold):
            raise Misconfigured(f"another invoice has the payment hash {invoice.payment_hash}")
        return known
    sql = "INSERT INTO invoice VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    db.execute(sql, astuple(invoice, recurse=False))
    return invoice


def change(
    db: apsw.Connection,
    invoice: StoredInvoice,
    state: InvoiceState,
    *,
    preimage: Preimage | None = None,
    deadline: int | None = None,
) -> StoredInvoice:
    """Move an invoice on, and record it for those who watch."""
    paid = invoice.amount if state in _PAID else ZERO
    sql = """INSERT INTO change (payee, payment_hash, state, paid, deadline)
             VALUES (?, ?, ?, ?, ?)"""
    db.execute(sql, (invoice.payee, invoice.payment_hash, state, paid, deadline))
    moved = evolve(
        invoice,
        state=state,
        preimage=preimage or invoice.preimage,
        deadline=deadline,
        cursor=db.last_insert_rowid(),
    )
    sql = """UPDATE invoice SET state = ?, preimage = ?, deadline = ?, cursor = ?
             WHERE payment_hash = ?"""
    db.execute(sql, (state, moved.preimage, deadline, moved.cursor, moved.payment_hash))
    return moved


def changes(db: apsw.Connection, payee: int, after: int, limit: int) -> list[InvoiceStatus]:
    """Return what happened to this payee's invoices after a cursor, oldest first."""
    sql = """SELECT payment_hash, state, paid, deadline, cursor FROM change
             WHERE payee = ? AND cursor > ? ORDER BY cursor LIMIT ?"""
    return [
        InvoiceStatus(payment_hash, InvoiceState(state), Msat(paid), deadline, cursor)
        for payment_hash, state, paid, deadline, cursor in db.execute(sql, (payee, after, limit))
    ]


def overdue(db: apsw.Connection, now: float) -> list[StoredInvoice]:
    """Return the holds whose deadline has come."""
    sql = "SELECT * FROM invoice WHERE state = 'accepted' AND deadline <= ?"
    return [StoredInvoice(*row) for row in db.execute(sql, (now,))]


def next_deadline(db: apsw.Connection) -> int | None:
    """Return when the next hold falls due."""
    sql = "SELECT min(deadline) FROM invoice WHERE state = 'accepted'"
    deadline: int | None = db.execute(sql).get
    return deadline


def _one(rows: Iterable[tuple[Any, ...]]) -> StoredInvoice | None:
    return next((StoredInvoice(*row) for row in rows), None)
