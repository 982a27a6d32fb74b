-- The ledger in PostgreSQL, version 2: histories, counted starts, the equity curve, the lease.

-- What happened to each order, line by line, for `signalpaca why`.
CREATE TABLE history (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_order_id TEXT NOT NULL,
    at_ms           BIGINT NOT NULL,
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
);

CREATE TABLE equity_curve (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp TEXT NOT NULL UNIQUE,
    equity    NUMERIC NOT NULL,
    daily_pnl NUMERIC NOT NULL
);

-- One row: who may write, and the epoch that every write compares. The epoch is a key, so that
-- counting it up takes the strongest row lock and waits for every write that compared the old one;
-- renewing does not touch the key, and waits for none.
CREATE TABLE lease (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    epoch      BIGINT NOT NULL UNIQUE,
    holder     TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);
INSERT INTO lease (id, epoch, holder, expires_ms) VALUES (1, 0, '', 0);
