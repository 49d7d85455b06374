"""A wallet's past, put together from invoices, payments and the faucet."""

import apsw

from pylon.model.money import Msat
from pylon.model.wallet import Direction, HistoryEntry

_SQL = """
SELECT 'outgoing', state, amount, fee, payment_hash, description, at FROM payment
WHERE payer = :account
UNION ALL
SELECT 'incoming', iif(state = 'open' AND expires_at < :now, 'expired', state), amount, 0,
       payment_hash, description, created_at FROM invoice
WHERE payee = :account
UNION ALL
SELECT 'funding', 'settled', amount, 0, NULL, 'faucet', at
FROM entry JOIN transfer ON transfer.id = transfer
WHERE account = :account AND kind = 'fund'
ORDER BY at DESC LIMIT :limit
"""


def history(db: apsw.Connection, account: int, now: float, limit: int) -> list[HistoryEntry]:
    """List what happened to an account, newest first."""
    rows = db.execute(_SQL, {"account": account, "now": now, "limit": limit})
    return [
        HistoryEntry(
            Direction(direction), state, Msat(amount), Msat(fee), payment_hash, text, int(at)
        )
        for direction, state, amount, fee, payment_hash, text, at in rows
    ]
