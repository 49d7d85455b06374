"""Trouble on order, for tests and drills; kept in the ledger, so that another program can order it."""

from enum import StrEnum

import apsw
from attrs import frozen


class FaultKind(StrEnum):
    """What goes wrong for the wallet whose fault it is."""

    FAIL = "fail"  # its payments fail, with `reason`
    NO_ROUTE = "no-route"  # its payments above `value` msat fail
    LATENCY = "latency"  # the answer to a payment takes `value` ms; the money has moved before
    LOSE_PAYMENT = "lose-payment"  # it pays, and never hears that it did
    LOSE_INVOICE = "lose-invoice"  # it makes an invoice, and never hears that it did
    STUCK = "stuck"  # its payments stay on their way until the fault is cleared
    DUPLICATE = "duplicate"  # it is told of each change twice


@frozen
class Fault:
    """A fault, for the next `times` occasions; None: until cleared."""

    kind: FaultKind
    value: int = 0
    reason: str = ""
    times: int | None = None


class Faults:
    """The faults of one account, as they stand in a transaction."""

    def __init__(self, db: apsw.Connection, account: int) -> None:
        self._db = db
        self._account = account
        sql = "SELECT kind, value, reason, remaining FROM fault WHERE account = ?"
        self._known = {
            kind: Fault(FaultKind(kind), value, reason, times)
            for kind, value, reason, times in db.execute(sql, (account,))
        }

    def look(self, kind: FaultKind) -> Fault | None:
        """Return a fault that is in force."""
        return self._known.get(kind)

    def take(self, kind: FaultKind) -> Fault | None:
        """Return a fault that is in force, and count this occasion."""
        fault = self._known.get(kind)
        if fault is not None and fault.times is not None:
            sql = "UPDATE fault SET remaining = remaining - 1 WHERE account = ? AND kind = ?"
            if fault.times == 1:
                sql = "DELETE FROM fault WHERE account = ? AND kind = ?"
            self._db.execute(sql, (self._account, kind))
        return fault


def inject(account: int, fault: Fault, db: apsw.Connection) -> None:
    """Put a fault in force, in the place of one of its kind."""
    sql = "INSERT OR REPLACE INTO fault VALUES (?, ?, ?, ?, ?)"
    db.execute(sql, (account, fault.kind, fault.value, fault.reason, fault.times))


def clear(account: int, db: apsw.Connection) -> None:
    """End all faults of an account."""
    db.execute("DELETE FROM fault WHERE account = ?", (account,))
