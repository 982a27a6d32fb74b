-- The ledger, version 2: histories, counted starts, the equity curve, the lease.

-- What happened to each order, line by line, for `signalpaca why`.
CREATE TABLE history (
    id              INTEGER PRIMARY KEY,
    client_order_id TEXT NOT NULL,
    at_ms           INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    detail          TEXT NOT NULL
);
CREATE INDEX history_client_order_id ON history (client_order_id);

-- Entries whose work began and did not end: what is here after a start ended in a crash.
CREATE TABLE entry_starts (
    stream   TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    starts   INTEGER NOT NULL,
    PRIMARY KEY (stream, entry_id)
) WITHOUT ROWID;

CREATE TABLE equity_curve (
    id        INTEGER PRIMARY KEY,
    timestamp TEXT NOT NULL UNIQUE,
    equity    TEXT NOT NULL,
    daily_pnl TEXT NOT NULL
);

-- One row: who may write, and the epoch that every write compares.
CREATE TABLE lease (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    epoch      INTEGER NOT NULL,
    holder     TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
);
INSERT INTO lease (id, epoch, holder, expires_ms) VALUES (1, 0, '', 0);

PRAGMA user_version = 2;
