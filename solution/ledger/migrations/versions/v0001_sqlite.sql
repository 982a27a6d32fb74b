-- The ledger, version 1. Quantities, prices and amounts are decimal text, never binary floats.
-- *_ms are epoch milliseconds (UTC); *_at and timestamp are RFC 3339 UTC text.
-- One row per signal identity. The generated columns cost nothing when a row is written.
CREATE TABLE order_intents (
    id               INTEGER PRIMARY KEY,
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
    qty              TEXT,
    notional         TEXT,
    order_type       TEXT NOT NULL,
    time_in_force    TEXT NOT NULL,
    limit_price      TEXT,
    body             BLOB NOT NULL,
    reserved_cash    TEXT NOT NULL,
    reserved_qty     TEXT NOT NULL,
    cancel_after     TEXT,
    reason           TEXT NOT NULL,
    message          TEXT NOT NULL,
    status           TEXT NOT NULL,
    filled_qty       TEXT NOT NULL,
    filled_avg_price TEXT,
    alpaca_order_id  TEXT NOT NULL,
    strategy         TEXT NOT NULL,
    extra            TEXT NOT NULL,
    published_ms     INTEGER NOT NULL,
    received_ms      INTEGER NOT NULL,
    submitted_ms     INTEGER NOT NULL,
    answered_ms      INTEGER NOT NULL,
    ended_ms         INTEGER NOT NULL,
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL,
    created_at       TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%dT%H:%M:%fZ', created_ms / 1000.0, 'unixepoch')) VIRTUAL,
    updated_at       TEXT GENERATED ALWAYS AS
        (strftime('%Y-%m-%dT%H:%M:%fZ', updated_ms / 1000.0, 'unixepoch')) VIRTUAL
);
CREATE UNIQUE INDEX order_intents_identity ON order_intents (identity);
CREATE UNIQUE INDEX order_intents_client_order_id ON order_intents (client_order_id);
-- Few rows are open at any time: a start reads those and not the whole history.
CREATE INDEX order_intents_open ON order_intents (id) WHERE state NOT IN (
    'ABSENT_CONFIRMED', 'CANCELED', 'DRY_RUN', 'EXPIRED', 'FILLED',
    'NOT_SENT', 'REFUSED', 'REJECTED', 'REPLACED'
);

-- One row per execution. The second key catches an execution known under another id (the
-- trade_updates stream names executions, a polled order does not).
CREATE TABLE trades (
    id              INTEGER PRIMARY KEY,
    timestamp       TEXT NOT NULL,
    symbol          TEXT NOT NULL,
    side            TEXT NOT NULL,
    qty             TEXT NOT NULL,
    price           TEXT NOT NULL,
    order_id        TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    execution_id    TEXT NOT NULL UNIQUE,
    cum_qty         TEXT NOT NULL,
    UNIQUE (order_id, cum_qty)
);

-- Entries that were no valid signals, for ever. fields: a JSON list of [name, value] pairs, each
-- of them text, or {"base64": "..."} where the bytes are not UTF-8.
CREATE TABLE dead_letters (
    id       INTEGER PRIMARY KEY,
    stream   TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    reason   TEXT NOT NULL,
    message  TEXT NOT NULL,
    at       TEXT NOT NULL,
    fields   TEXT NOT NULL,
    UNIQUE (stream, entry_id)
);

-- Entries that repeated a signal_id and were told its outcome: told once, also after a crash
-- between the commit and the acknowledgement.
CREATE TABLE repeats (
    stream   TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    PRIMARY KEY (stream, entry_id)
) WITHOUT ROWID;

CREATE TABLE bot_state (
    key        TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- Events on their way to the executions stream; a row goes when Redis has it. AUTOINCREMENT keeps
-- event_id from ever being used again after the table was emptied.
CREATE TABLE outbox (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    fields   TEXT NOT NULL
);

PRAGMA application_id = 1397771340;
PRAGMA user_version = 1;
