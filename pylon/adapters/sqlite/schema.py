"""The tables of pylon.db, as the steps that lead to them. A step once released never changes."""

APPLICATION_ID = 0x50594C4E  # "PYLN": tells our file from another program's

# A machine's row is small, because every step rewrites it; facts are written once, beside it.
_MACHINES_1 = """
CREATE TABLE {side} (
    n          INTEGER PRIMARY KEY,  -- in order of beginning
    id         TEXT NOT NULL UNIQUE,
    peer       TEXT NOT NULL,
    phase      TEXT NOT NULL,        -- the class of the state
    state      TEXT NOT NULL,        -- JSON
    final      INTEGER NOT NULL CHECK (final IN (0, 1)),
    due        INTEGER,              -- unix seconds
    updated_at INTEGER NOT NULL      -- unix seconds
) STRICT;
CREATE INDEX {side}_open ON {side} (peer) WHERE final = 0;
CREATE INDEX {side}_due ON {side} (due) WHERE due IS NOT NULL;
CREATE INDEX {side}_recent ON {side} (updated_at);

CREATE TABLE {side}_facts (
    n     INTEGER PRIMARY KEY REFERENCES {side},
    facts TEXT NOT NULL              -- JSON
) STRICT;

CREATE TABLE {side}_names (
    name TEXT PRIMARY KEY,           -- an idempotency key, a payment hash
    n    INTEGER NOT NULL REFERENCES {side}
) STRICT, WITHOUT ROWID;

CREATE TABLE {side}_outbox (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: readers go on after the last seen
    n    INTEGER NOT NULL REFERENCES {side},
    desk TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL               -- JSON
) STRICT;
CREATE INDEX {side}_outbox_desk ON {side}_outbox (desk);

CREATE TABLE {side}_evidence (
    seq      INTEGER PRIMARY KEY,
    n        INTEGER NOT NULL REFERENCES {side},
    event_id TEXT NOT NULL,
    event    TEXT NOT NULL,          -- JSON
    UNIQUE (n, event_id)
) STRICT;
"""

_MONEY_1 = """
CREATE INDEX orders_phase ON orders (phase, peer);  -- a provider's record, asked at every choice

CREATE TABLE budget (
    payment_hash TEXT PRIMARY KEY,
    order_id     TEXT,               -- NULL: spent without a reservation
    standing     TEXT NOT NULL CHECK (standing IN ('reserved', 'spent', 'released')),
    amount       INTEGER NOT NULL CHECK (amount >= 0),  -- msat
    fee          INTEGER NOT NULL CHECK (fee >= 0),     -- msat
    at           INTEGER NOT NULL    -- unix seconds
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_order ON budget (order_id);
CREATE INDEX budget_sums ON budget (standing, at, amount, fee);

CREATE TABLE earnings (
    n            INTEGER PRIMARY KEY,
    payment_hash TEXT NOT NULL UNIQUE,
    job          TEXT NOT NULL,
    customer     TEXT NOT NULL,
    kind         INTEGER NOT NULL,
    backend      TEXT NOT NULL,
    amount       INTEGER NOT NULL,   -- msat
    at           INTEGER NOT NULL    -- unix seconds
) STRICT;
CREATE INDEX earnings_at ON earnings (at, n, amount);

CREATE TABLE cursors (
    relay        TEXT NOT NULL,
    subscription TEXT NOT NULL,
    cursor       INTEGER NOT NULL,   -- unix seconds
    PRIMARY KEY (relay, subscription)
) STRICT, WITHOUT ROWID;
"""

_VERSION_1 = (
    f"PRAGMA application_id = {APPLICATION_ID};"
    + _MACHINES_1.replace("{side}", "jobs")
    + _MACHINES_1.replace("{side}", "orders")
    + _MONEY_1
)

# Budgets within budgets: an entry counts in each scope of its path, in running totals kept beside it.
_VERSION_2 = """
ALTER TABLE budget ADD COLUMN provider TEXT;
ALTER TABLE budget ADD COLUMN scopes TEXT NOT NULL DEFAULT '["node"]';  -- JSON, the widest first
UPDATE budget SET provider = (SELECT nullif(peer, '') FROM orders WHERE id = order_id);
DROP INDEX budget_order;
DROP INDEX budget_sums;
CREATE INDEX budget_reserved ON budget (at) WHERE standing = 'reserved';

CREATE TABLE budget_totals (
    scope    TEXT NOT NULL,
    span     TEXT NOT NULL CHECK (span IN ('job', 'provider', 'hour', 'day', 'total')),
    key      TEXT NOT NULL,          -- a job, a provider, when the hour or day began, or nothing
    spent    INTEGER NOT NULL CHECK (spent >= 0),     -- msat
    reserved INTEGER NOT NULL CHECK (reserved >= 0),  -- msat
    PRIMARY KEY (scope, span, key)
) STRICT, WITHOUT ROWID;
WITH counted AS (
    SELECT order_id, provider, at, iif(standing = 'spent', amount + fee, 0) AS spent,
           iif(standing = 'reserved', amount + fee, 0) AS reserved
    FROM budget WHERE standing <> 'released'
), posted (span, key, spent, reserved) AS (
    SELECT 'total', '', spent, reserved FROM counted
    UNION ALL SELECT 'job', order_id, spent, reserved FROM counted
    UNION ALL SELECT 'provider', provider, spent, reserved FROM counted
    UNION ALL SELECT 'hour', CAST(at - at % 3600 AS TEXT), spent, 0 FROM counted
    UNION ALL SELECT 'day', CAST(at - at % 86400 AS TEXT), spent, 0 FROM counted
)
INSERT INTO budget_totals (scope, span, key, spent, reserved)
SELECT 'node', span, key, sum(spent), sum(reserved) FROM posted
WHERE key IS NOT NULL GROUP BY span, key;

CREATE TABLE budget_pauses (
    scope TEXT PRIMARY KEY,
    since INTEGER NOT NULL           -- unix seconds
) STRICT, WITHOUT ROWID;

CREATE TABLE payees (
    provider TEXT PRIMARY KEY,
    node_key TEXT NOT NULL,          -- the Lightning node that was paid last
    since    INTEGER NOT NULL        -- unix seconds
) STRICT, WITHOUT ROWID;
"""

# What each machine went through, for people who ask.
_HISTORY_3 = """
CREATE TABLE {side}_history (
    seq   INTEGER PRIMARY KEY,
    n     INTEGER NOT NULL REFERENCES {side},
    at    INTEGER NOT NULL,          -- unix seconds
    phase TEXT NOT NULL,
    words TEXT NOT NULL
) STRICT;
CREATE INDEX {side}_history_of ON {side}_history (n);
INSERT INTO {side}_history (n, at, phase, words) SELECT n, updated_at, phase, '' FROM {side};
"""

_VERSION_3 = _HISTORY_3.replace("{side}", "jobs") + _HISTORY_3.replace("{side}", "orders")

MIGRATIONS = (_VERSION_1, _VERSION_2, _VERSION_3)
