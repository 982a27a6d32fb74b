-- The ledger in PostgreSQL, version 1. Quantities, prices and amounts are exact decimals.
-- *_ms are epoch milliseconds (UTC); timestamp, at and bot_state.updated_at are RFC 3339 UTC text.

-- One row per signal identity. begun_by names the attempt that wrote the row before its POST: when
-- the answer to the INSERT is lost, it tells whether the row is ours.
CREATE TABLE order_intents (
    id               BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity         TEXT NOT NULL,
    digest           TEXT NOT NULL,
    stream           TEXT NOT NULL,
    entry_id         TEXT NOT NULL,
    client_order_id  TEXT NOT NULL,
    state            TEXT NOT NULL,
    signal_id        TEXT NOT NULL,
    symbol           TEXT NOT NULL,
    asset_id         TEXT NOT NULL,
    side             TEXT NOT NULL,
    qty              NUMERIC,
    notional         NUMERIC,
    order_type       TEXT NOT NULL,
    time_in_force    TEXT NOT NULL,
    limit_price      NUMERIC,
    body             BYTEA NOT NULL,
    reserved_cash    NUMERIC NOT NULL,
    reserved_qty     NUMERIC NOT NULL,
    cancel_after     NUMERIC,
    reason           TEXT NOT NULL,
    message          TEXT NOT NULL,
    status           TEXT NOT NULL,
    filled_qty       NUMERIC NOT NULL,
    filled_avg_price NUMERIC,
    alpaca_order_id  TEXT NOT NULL,
    strategy         TEXT NOT NULL,
    extra            TEXT NOT NULL,
    published_ms     BIGINT NOT NULL,
    received_ms      BIGINT NOT NULL,
    submitted_ms     BIGINT NOT NULL,
    answered_ms      BIGINT NOT NULL,
    ended_ms         BIGINT NOT NULL,
    created_ms       BIGINT NOT NULL,
    updated_ms       BIGINT NOT NULL,
    begun_by         TEXT,
    created_at       TIMESTAMPTZ GENERATED ALWAYS AS (to_timestamp(created_ms / 1000.0)) STORED,
    updated_at       TIMESTAMPTZ GENERATED ALWAYS AS (to_timestamp(updated_ms / 1000.0)) STORED
);
CREATE UNIQUE INDEX order_intents_identity ON order_intents (identity);
CREATE UNIQUE INDEX order_intents_client_order_id ON order_intents (client_order_id);
CREATE INDEX order_intents_open ON order_intents (id) WHERE state NOT IN (
    'ABSENT_CONFIRMED', 'CANCELED', 'DRY_RUN', 'EXPIRED', 'FILLED',
    'NOT_SENT', 'REFUSED', 'REJECTED', 'REPLACED'
);

-- One row per execution. The second key catches an execution known under another id.
CREATE TABLE trades (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp       TEXT NOT NULL,
    symbol          TEXT NOT NULL,
    side            TEXT NOT NULL,
    qty             NUMERIC NOT NULL,
    price           NUMERIC NOT NULL,
    order_id        TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    execution_id    TEXT NOT NULL UNIQUE,
    cum_qty         NUMERIC NOT NULL,
    UNIQUE (order_id, cum_qty)
);

-- Entries that were no valid signals, for ever. fields: a JSON list of [name, value] pairs.
CREATE TABLE dead_letters (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream   TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    reason   TEXT NOT NULL,
    message  TEXT NOT NULL,
    at       TEXT NOT NULL,
    fields   TEXT NOT NULL,
    UNIQUE (stream, entry_id)
);

-- Entries that repeated a signal_id and were told its outcome.
CREATE TABLE repeats (
    stream   TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    PRIMARY KEY (stream, entry_id)
);

CREATE TABLE bot_state (
    key        TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- Events on their way to the executions stream; a row goes when Redis has it.
CREATE TABLE outbox (
    event_id BIGINT PRIMARY KEY,
    fields   TEXT NOT NULL
);

-- One row. Its lock puts all batches of all processes in one order, so that event_id ascends in
-- the order of the commits (a sequence would not: it is counted outside of the transaction).
-- batch names the last batch committed: when the answer to a COMMIT is lost, it tells.
CREATE TABLE outbox_head (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    last_event_id BIGINT NOT NULL,
    batch         TEXT NOT NULL
);
INSERT INTO outbox_head (id, last_event_id, batch) VALUES (1, 0, '');
