"""The ledger's tables. What must never be is refused here, whichever program writes."""

from pathlib import Path

import apsw

from pylon.adapters.sqlite.connection import migrate
from pylon.errors import Misconfigured

FAUCET, ESCROW, FEES = 1, 2, 3  # accounts that belong to nobody

APPLICATION_ID = 0x50796C4C  # "PylL": 1350134860

_STEPS = (
    """
PRAGMA application_id = 1350134860;

CREATE TABLE account (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,  -- a node key, or one of ours
    label   TEXT NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0 OR name = 'faucet')  -- msat
) STRICT;
INSERT INTO account VALUES (1, 'faucet', '', 0), (2, 'escrow', '', 0), (3, 'fees', '', 0);

-- One movement of money: its entries sum to zero.
CREATE TABLE transfer (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('fund', 'settle', 'lock', 'release')),
    payment_hash TEXT CHECK ((payment_hash IS NULL) = (kind = 'fund')),
    at           REAL NOT NULL
) STRICT;
CREATE INDEX funding ON transfer (id) WHERE kind = 'fund';

CREATE TABLE entry (
    transfer INTEGER NOT NULL REFERENCES transfer,
    account  INTEGER NOT NULL REFERENCES account,
    amount   INTEGER NOT NULL CHECK (amount <> 0),  -- msat
    PRIMARY KEY (transfer, account)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER a_balance_follows AFTER INSERT ON entry
BEGIN UPDATE account SET balance = balance + new.amount WHERE id = new.account; END;

CREATE TABLE invoice (
    payment_hash    TEXT PRIMARY KEY,
    payee           INTEGER NOT NULL REFERENCES account,
    amount          INTEGER NOT NULL CHECK (amount > 0),  -- msat
    bolt11          TEXT NOT NULL,
    description     TEXT NOT NULL,
    preimage        TEXT,  -- of a hold invoice: once it is settled
    hold            INTEGER NOT NULL CHECK (hold IN (0, 1)),
    state           TEXT NOT NULL CHECK (state IN ('open', 'accepted', 'settled', 'cancelled')),
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    deadline        INTEGER,  -- by which an accepted hold must be settled
    cursor          INTEGER NOT NULL,
    idempotency_key TEXT,
    CHECK (hold OR preimage IS NOT NULL),
    CHECK (state <> 'settled' OR preimage IS NOT NULL),
    CHECK (state <> 'accepted' OR (hold AND deadline IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_of_a_key ON invoice (payee, idempotency_key)
WHERE idempotency_key IS NOT NULL;
CREATE INDEX invoice_of_payee ON invoice (payee, created_at);
CREATE INDEX held ON invoice (deadline) WHERE state = 'accepted';
CREATE TRIGGER an_end_is_final BEFORE UPDATE OF state ON invoice
WHEN old.state IN ('settled', 'cancelled')
BEGIN SELECT RAISE (ABORT, 'this invoice has come to its end'); END;

CREATE TABLE payment (
    payer        INTEGER NOT NULL REFERENCES account,
    payment_hash TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'settled', 'failed')),
    amount       INTEGER NOT NULL,  -- msat
    fee          INTEGER NOT NULL CHECK (fee >= 0),  -- msat
    description  TEXT NOT NULL,
    reason       TEXT NOT NULL,
    arrived      INTEGER NOT NULL CHECK (arrived IN (0, 1)),  -- at the payee: held or settled
    at           REAL NOT NULL,
    PRIMARY KEY (payer, payment_hash),
    CHECK (arrived = (state = 'settled') OR state = 'pending')
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_arrives ON payment (payment_hash) WHERE arrived;
CREATE INDEX payment_of_payer ON payment (payer, at);

-- What watchers are told, in order.
CREATE TABLE change (
    cursor       INTEGER PRIMARY KEY AUTOINCREMENT,
    payee        INTEGER NOT NULL REFERENCES account,
    payment_hash TEXT NOT NULL REFERENCES invoice,
    state        TEXT NOT NULL CHECK (state IN ('accepted', 'settled', 'cancelled')),
    paid         INTEGER NOT NULL,  -- msat
    deadline     INTEGER
) STRICT;
CREATE INDEX change_of_payee ON change (payee, cursor);

CREATE TABLE fault (
    account   INTEGER NOT NULL REFERENCES account,
    kind      TEXT NOT NULL,
    value     INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    remaining INTEGER CHECK (remaining > 0),  -- NULL: until it is cleared
    PRIMARY KEY (account, kind)
) STRICT, WITHOUT ROWID;
""",
)


def prepare(path: Path, db: apsw.Connection) -> None:
    """Create the tables, or check that they are ours.

    Raises:
        Misconfigured: The file is another kind of database, damaged, or newer than this program.
        StoreBusy: Another program holds it.
    """
    with db:  # one look
        strange = db.pragma("application_id") != APPLICATION_ID
        used = db.execute("SELECT count(*) FROM sqlite_schema").get
    if strange and used:
        raise Misconfigured(f"{path}: a database, but not a ledger; it was left as it is")
    migrate(db, path, _STEPS)
