"""What must be true of every ledger at every moment, checked from the rows alone."""

from hashlib import sha256

import apsw

# Each statement with the rows that contradict it.
_STATEMENTS = {
    "the entries of a transfer sum to zero": """
        SELECT 'transfer ' || transfer FROM entry GROUP BY transfer HAVING sum(amount) <> 0""",
    "a transfer has entries": """
        SELECT 'transfer ' || id FROM transfer
        WHERE NOT EXISTS (SELECT 1 FROM entry WHERE transfer = transfer.id)""",
    "a balance is the sum of its entries": """
        SELECT 'account ' || name FROM account
        LEFT JOIN (SELECT account, sum(amount) AS total FROM entry GROUP BY account) ON account = id
        WHERE balance <> coalesce(total, 0)""",
    "all balances sum to zero": """
        SELECT 'the sum' FROM (SELECT sum(balance) AS total FROM account) WHERE total <> 0""",
    "only the faucet owes": """
        SELECT 'account ' || name FROM account WHERE balance < 0 AND name <> 'faucet'""",
    "the escrow holds what is pending, and nothing else": """
        SELECT 'the escrow' FROM account WHERE name = 'escrow' AND balance <>
        (SELECT coalesce(sum(amount + fee), 0) FROM payment WHERE state = 'pending')""",
    "a settled invoice has one settled payment, of its amount": """
        SELECT payment_hash FROM invoice WHERE state = 'settled' AND 1 <> (
            SELECT count(*) FROM payment
            WHERE payment_hash = invoice.payment_hash AND arrived AND state = 'settled'
            AND amount = invoice.amount)""",
    "a settled payment has a settled invoice": """
        SELECT payment_hash FROM payment WHERE state = 'settled' AND NOT EXISTS (
            SELECT 1 FROM invoice
            WHERE payment_hash = payment.payment_hash AND state = 'settled')""",
    "an accepted invoice holds one payment, of its amount": """
        SELECT payment_hash FROM invoice WHERE state = 'accepted' AND 1 <> (
            SELECT count(*) FROM payment
            WHERE payment_hash = invoice.payment_hash AND arrived AND state = 'pending'
            AND amount = invoice.amount)""",
    "a payment that has arrived and is not settled is held": """
        SELECT payment_hash FROM payment WHERE state = 'pending' AND arrived AND NOT EXISTS (
            SELECT 1 FROM invoice
            WHERE payment_hash = payment.payment_hash AND state = 'accepted')""",
    "a settled invoice was settled by one transfer, and no other invoice by any": """
        SELECT payment_hash FROM invoice
        LEFT JOIN (
            SELECT payment_hash, count(*) AS times FROM transfer
            WHERE kind = 'settle' GROUP BY payment_hash) USING (payment_hash)
        WHERE coalesce(times, 0) <> (state = 'settled')""",
    "a settlement brings the payee the amount and the fees the fee": """
        SELECT transfer.payment_hash FROM transfer
        JOIN payment ON payment.payment_hash = transfer.payment_hash AND arrived
        JOIN invoice ON invoice.payment_hash = transfer.payment_hash
        WHERE kind = 'settle' AND (
            invoice.amount IS NOT (
                SELECT amount FROM entry WHERE transfer = transfer.id AND account = payee)
            OR fee <> (
                SELECT coalesce(sum(amount), 0) FROM entry
                WHERE transfer = transfer.id
                AND account = (SELECT id FROM account WHERE name = 'fees'))
            OR (SELECT count(*) FROM entry WHERE transfer = transfer.id) <> 2 + (fee > 0))""",
    "what is in escrow for a payment is what is pending": """
        SELECT payment_hash FROM (
            SELECT payment_hash, sum(amount) AS locked FROM entry
            JOIN transfer ON transfer.id = transfer
            WHERE account = (SELECT id FROM account WHERE name = 'escrow') GROUP BY payment_hash)
        LEFT JOIN (
            SELECT payment_hash, sum(amount + fee) AS pending FROM payment
            WHERE state = 'pending' GROUP BY payment_hash) USING (payment_hash)
        WHERE locked <> coalesce(pending, 0)""",
    "the last change of an invoice is its state": """
        SELECT payment_hash FROM invoice WHERE state <> coalesce(
            (SELECT state FROM change WHERE change.cursor = invoice.cursor), 'open')""",
    "every reference leads somewhere": 'SELECT "table" FROM pragma_foreign_key_check',
    "the file is whole": "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
}


def audit(db: apsw.Connection) -> list[str]:
    """Return every statement that does not hold, each with a case; none in a sound ledger."""
    violated = [
        f"{statement}: not so for {case}"
        for statement, sql in _STATEMENTS.items()
        for (case,) in db.execute(sql)
    ]
    rows = db.execute("SELECT payment_hash, preimage FROM invoice WHERE preimage IS NOT NULL")
    return violated + [
        f"a preimage hashes to its payment hash: not so for {payment_hash}"
        for payment_hash, preimage in rows
        if sha256(bytes.fromhex(preimage)).hexdigest() != payment_hash
    ]
