"""Payments as rows: one for a payer and a payment hash, whatever the number of attempts."""

import apsw
from attrs import astuple, evolve, field, frozen

from pylon.model.ids import PaymentHash
from pylon.model.money import ZERO, Msat
from pylon.model.wallet import PaymentFailed, PaymentInFlight, PaymentResult, PaymentSettled


@frozen
class StoredPayment:
    """One row, in the order of its columns: pending, settled or failed."""

    payer: int
    payment_hash: PaymentHash
    state: str
    amount: Msat
    fee: Msat = ZERO
    description: str = ""
    reason: str = ""
    arrived: bool = field(
        default=False, converter=bool
    )  # the money is at the payee, held or settled; pending without: stuck
    at: float = 0.0  # unix seconds


def find(db: apsw.Connection, payer: int, payment_hash: PaymentHash) -> StoredPayment | None:
    """Return what a payer's latest attempt came to."""
    sql = "SELECT * FROM payment WHERE payer = ? AND payment_hash = ?"
    return next((StoredPayment(*row) for row in db.execute(sql, (payer, payment_hash))), None)


def held(db: apsw.Connection, payment_hash: PaymentHash) -> StoredPayment:
    """Return the payment that an accepted hold invoice holds."""
    sql = """SELECT * FROM payment WHERE payment_hash = ? AND arrived"""
    return next(StoredPayment(*row) for row in db.execute(sql, (payment_hash,)))


def stuck(db: apsw.Connection, payer: int) -> list[StoredPayment]:
    """Return the payments of a payer that are on their way."""
    sql = """SELECT * FROM payment
             WHERE payer = ? AND state = 'pending' AND NOT arrived ORDER BY at"""
    return [StoredPayment(*row) for row in db.execute(sql, (payer,))]


def record(db: apsw.Connection, payment: StoredPayment) -> None:
    """Store an attempt in the place of the one before it."""
    # Not INSERT OR REPLACE, which would make room for a second payment by deleting the first.
    sql = """INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (payer, payment_hash) DO UPDATE SET
             state = excluded.state, amount = excluded.amount, fee = excluded.fee,
             description = excluded.description, reason = excluded.reason,
             arrived = excluded.arrived, at = excluded.at"""
    db.execute(sql, astuple(payment, recurse=False))


def fail(db: apsw.Connection, payment: StoredPayment, reason: str, now: float) -> PaymentFailed:
    """Record that an attempt came to nothing."""
    failed = evolve(payment, state="failed", fee=ZERO, reason=reason, arrived=False, at=now)
    record(db, failed)
    return PaymentFailed(payment.payment_hash, reason)


def outcome(db: apsw.Connection, payer: int, payment_hash: PaymentHash) -> PaymentResult | None:
    """Say what became of a payer's payment; None if there was none."""
    payment = find(db, payer, payment_hash)
    if payment is None:
        return None
    if payment.state == "pending":
        return PaymentInFlight(payment_hash)
    if payment.state == "failed":
        return PaymentFailed(payment_hash, payment.reason)
    sql = "SELECT preimage FROM invoice WHERE payment_hash = ?"
    preimage = db.execute(sql, (payment_hash,)).get
    return PaymentSettled(payment_hash, preimage, payment.amount, payment.fee)
