"""Accounts and the movements between them: double entry, in millisatoshi.

Like all that works on the tables, these functions run inside the caller's transaction.
"""

from collections.abc import Mapping
from itertools import chain

import apsw

from pylon.adapters.lightning.ledger.schema import FAUCET
from pylon.errors import Misconfigured
from pylon.model.ids import NodeKey, PaymentHash
from pylon.model.money import Msat, from_sats, show_sats

_ENTRY = "INSERT INTO entry VALUES (?, ?, ?)"
_AND_ONE_MORE = ", (?, ?, ?)"

FAUCET_LIMIT = from_sats(10_000_000)  # what one wallet is given, all in all


def open_account(node_key: NodeKey, label: str, db: apsw.Connection) -> int:
    """Return the number of this node's account, which is opened if need be."""
    sql = """INSERT INTO account (name, label, balance) VALUES (?, ?, 0)
             ON CONFLICT (name) DO UPDATE SET label = iif(excluded.label = '', label, excluded.label)
             RETURNING id"""
    account: int = db.execute(sql, (node_key, label)).get
    return account


def balance(db: apsw.Connection, account: int) -> Msat:
    """Return what an account holds."""
    return Msat(db.execute("SELECT balance FROM account WHERE id = ?", (account,)).get)


def post(
    db: apsw.Connection,
    kind: str,
    moves: Mapping[int, int],
    *,
    payment_hash: PaymentHash | None,
    at: float,
) -> None:
    """Move money: what each account gains, or loses where it is negative; balances follow."""
    if sum(moves.values()):
        raise ValueError(f"money out of nothing: {moves}")
    sql = "INSERT INTO transfer (kind, payment_hash, at) VALUES (?, ?, ?)"
    db.execute(sql, (kind, payment_hash, at))
    transfer = db.last_insert_rowid()
    entries = [(transfer, account, amount) for account, amount in moves.items() if amount]
    db.execute(_ENTRY + _AND_ONE_MORE * (len(entries) - 1), tuple(chain(*entries)))


def fund(account: int, amount: Msat, now: float, db: apsw.Connection) -> Msat:
    """Take play money from the faucet and return the new balance.

    Raises:
        Misconfigured: The amount is not positive, or the faucet has given this wallet its share.
    """
    sql = """SELECT coalesce(sum(amount), 0) FROM entry JOIN transfer ON transfer.id = transfer
             WHERE account = ? AND kind = 'fund'"""
    given = db.execute(sql, (account,)).get
    if amount <= 0:
        raise Misconfigured("the amount must be more than nothing")
    if given + amount > FAUCET_LIMIT:
        left = show_sats(Msat(FAUCET_LIMIT - given))
        raise Misconfigured(f"the faucet has only {left} left for this wallet")
    post(db, "fund", {FAUCET: -amount, account: amount}, payment_hash=None, at=now)
    return balance(db, account)
