"""A wallet's past, put together from invoices, payments and the faucet."""

import apsw

from pylon.model.money import Msat
from pylon.model.wallet import Direction, HistoryEntry

_SQL = """
SELECT 'outgoing', payment.state, payment.amount, fee, payment_hash, payment.description, at,
       bolt11, iif(payment.state = 'settled', preimage, NULL), expires_at,
       iif(payment.state = 'settled', at, NULL)
FROM payment LEFT JOIN invoice USING (payment_hash)
WHERE payer = :account
UNION ALL
SELECT 'incoming', iif(state = 'open' AND expires_at < :now, 'expired', state), amount, 0,
       payment_hash, description, created_at,
       bolt11, iif(state = 'settled', preimage, NULL), expires_at,
       (SELECT at FROM payment
        WHERE payment.payment_hash = invoice.payment_hash AND arrived AND invoice.state = 'settled')
FROM invoice
WHERE payee = :account
UNION ALL
SELECT 'funding', 'settled', amount, 0, NULL, 'faucet', at, '', NULL, NULL, at
FROM entry JOIN transfer ON transfer.id = transfer
WHERE account = :account AND kind = 'fund'
ORDER BY at DESC LIMIT :limit
"""


def history(db: apsw.Connection, account: int, now: float, limit: int) -> list[HistoryEntry]:
    """List what happened to an account, newest first."""
    rows = db.execute(_SQL, {"account": account, "now": now, "limit": limit})
    return [
        HistoryEntry(
            Direction(direction),
            state,
            Msat(amount),
            Msat(fee),
            payment_hash,
            text,
            int(at),
            bolt11 or "",
            preimage,
            expires_at,
            None if settled_at is None else int(settled_at),
        )
        for direction, state, amount, fee, payment_hash, text, at, bolt11, preimage, expires_at, settled_at in rows
    ]
