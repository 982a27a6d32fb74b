"""Every reason code a user can meet, in one place.

A code is stable; the sentence is for people. The reference page ``docs/reference/reasons.md`` is
generated from these tables (``scripts/generate_docs.py``), and a test compares them.
"""

from enum import StrEnum
from typing import Self


class _Explained(StrEnum):
    """A code with a sentence for people and one of advice."""

    summary: str
    advice: str

    def __new__(cls, code: str, summary: str, advice: str) -> Self:
        self = str.__new__(cls, code)
        self._value_ = code
        self.summary = summary
        self.advice = advice
        return self


class Reason(_Explained):
    """Why a signal did not become, or did not remain, an order."""

    # --- the entry is no valid signal: dead letters -------------------------------------------
    MISSING_FIELD = (
        "MISSING_FIELD",
        "A required field is absent; with `SIGNAL_HMAC_KEYS` those of the signature are required.",
        "Send at least `ticker` and `direction`; signed, `signal_id`, `ts`, `kid` and `sig` too.",
    )
    UNKNOWN_FIELD = (
        "UNKNOWN_FIELD",
        "A field that is not part of the contract.",
        "Correct the name, or start your own fields with `x_`.",
    )
    DUPLICATE_FIELD = (
        "DUPLICATE_FIELD",
        "One field is given twice (names are case-insensitive).",
        "Send each field once.",
    )
    INVALID_VALUE = (
        "INVALID_VALUE",
        "A field holds a value outside its domain.",
        "See the signal reference for the values allowed.",
    )
    CONFLICTING_FIELDS = (
        "CONFLICTING_FIELDS",
        "Two fields contradict each other or cannot stand together.",
        "Drop one of the fields named.",
    )
    NOT_UTF8 = ("NOT_UTF8", "A name or value is not UTF-8 text.", "Encode as UTF-8.")
    TOO_LARGE = (
        "TOO_LARGE",
        "The entry exceeds the size limit.",
        "A signal is small; keep `x_` fields short.",
    )
    INVALID_JSON = (
        "INVALID_JSON",
        "The `json` field is not one JSON object with scalar values.",
        "Send one flat object with the signal's field names.",
    )
    UNKNOWN_TICKER = (
        "UNKNOWN_TICKER",
        "The broker lists no such asset.",
        "Check the symbol; Alpaca writes `BRK.B` and `BTC/USD`.",
    )
    SIGNAL_ID_REUSED = (
        "SIGNAL_ID_REUSED",
        "This `signal_id` was used before with other content.",
        "Use a fresh UUID for each signal.",
    )
    FUTURE_TIMESTAMP = (
        "FUTURE_TIMESTAMP",
        "The entry id or `ts` lies more than 5 s in the future.",
        "Set the producer's clock; let Redis choose entry ids (`*`).",
    )
    EXPIRED = (
        "EXPIRED",
        "Older than `MAX_SIGNAL_AGE` (or the signal's own `max_age`) when first read.",
        "Publish fresh signals; raise `MAX_SIGNAL_AGE` only on purpose.",
    )
    BAD_SIGNATURE = (
        "BAD_SIGNATURE",
        "No key in `SIGNAL_HMAC_KEYS` made `sig` for this content and stream, or no key is set.",
        "Sign what is published, with a key set on both sides; without keys send no `sig`, `kid`.",
    )
    PAYLOAD_LOST = (
        "PAYLOAD_LOST",
        "The entry was trimmed or deleted from the stream before it was handled.",
        "Do not trim streams below pending entries.",
    )
    ENTRY_ID_REUSED = (
        "ENTRY_ID_REUSED",
        "Redis gave this entry id, with other content, to a signal that is still in hand here.",
        "Redis lost data: see `REDIS_TAIL_LOST`; publish the signal again if it is still wanted.",
    )

    POISON = (
        "POISON",
        "The service died three times while it read or decided this entry.",
        "Look at the entry and at the log of the crashes before you publish it again.",
    )

    # --- valid, but must not trade now: refusals ----------------------------------------------
    KILL_SWITCH = (
        "KILL_SWITCH",
        "The kill switch's file exists or cannot be looked at, or `KILL_SWITCH` is set.",
        "`signalpaca resume` removes the file, which `kill` made; a setting needs a new start.",
    )
    TRADING_HALTED = (
        "TRADING_HALTED",
        "A person halted the account, exits included, or what the ledger says of it is unreadable.",
        "See `signalpaca status` for who and why; `signalpaca resume` when it is settled.",
    )
    REDUCING_ONLY = (
        "REDUCING_ONLY",
        "Only what shrinks a position is sent: `reduce-only`, `flatten`, or the session's end.",
        "See `signalpaca status` for who and why; `signalpaca resume`, or the next session.",
    )
    STATE_UNKNOWN = (
        "STATE_UNKNOWN",
        "The trading state could not be read from the ledger for more than a second.",
        "See the log; nothing is sent until it can be read.",
    )
    CONTROL_REFUSED = (
        "CONTROL_REFUSED",
        "An entry of the control stream was no command, or one that is not carried out.",
        "The message says why. If nobody of you wrote it, find out who can write there.",
    )
    CIRCUIT_OPEN = (
        "CIRCUIT_OPEN",
        "The circuit breaker is open: too many orders in a row failed at the broker.",
        "Look at the failures (`signalpaca breaker status`), then `signalpaca breaker reset`.",
    )
    LIVE_NOT_ALLOWED = (
        "LIVE_NOT_ALLOWED",
        "The account that answers is not the one this service was started and allowed for.",
        "Compare keys and account; stop the service, and start it again for that account.",
    )
    DAILY_LOSS = (
        "DAILY_LOSS",
        "The day's loss has reached `MAX_DAILY_LOSS_PCT` of its opening equity.",
        "Entries (with `HALT_ON_TRIP` exits too) wait for the next session or `signalpaca resume`.",
    )
    DRAWDOWN = (
        "DRAWDOWN",
        "Equity fell from the day's highest by `MAX_DRAWDOWN_PCT` of its opening equity.",
        "Entries (with `HALT_ON_TRIP` exits too) wait for the next session or `signalpaca resume`.",
    )
    ACCOUNT_BLOCKED = (
        "ACCOUNT_BLOCKED",
        "The broker has blocked the account for trading, or its owner suspended it there.",
        "See the account at the broker. It is read again at least every minute.",
    )
    ORPHAN = (
        "ORPHAN",
        "The broker has an order with an id of ours that no signal in the streams explains.",
        "Find out who sent it; its ticker is halted until `signalpaca resume TICKER`.",
    )
    TICKER_HALTED = (
        "TICKER_HALTED",
        "The ticker flipped beyond `MAX_FLIPS`, or met an `ORPHAN` or an `ID_CONFLICT`.",
        "`signalpaca status` says why. Look at its orders, then `signalpaca resume TICKER`.",
    )
    MARKET_CLOSED = (
        "MARKET_CLOSED",
        "The market is closed for this order's time in force, or its auction takes none now.",
        "Publish in session, or set `QUEUE_WHEN_CLOSED=true` for day and gtc orders.",
    )
    SESSION_UNKNOWN = (
        "SESSION_UNKNOWN",
        "The broker's clock could not be read, or no calendar of sessions covers the day.",
        "See `signalpaca status`; the broker may be down, or this version too old.",
    )
    STALE_SIGNAL = (
        "STALE_SIGNAL",
        "Redelivered, or kept waiting, beyond its age limit without being sent.",
        "Normal after an outage: an old signal must not trade.",
    )
    QUEUE_WAIT_EXCEEDED = (
        "QUEUE_WAIT_EXCEEDED",
        "Waited longer than `MAX_QUEUE_WAIT` for the rate budget.",
        "Publish fewer signals, or get a higher limit from the broker.",
    )
    STALE_PRICE = (
        "STALE_PRICE",
        "No price younger than `MAX_PRICE_AGE`, not even when fetched on the spot.",
        "Check the data feed and its URL.",
    )
    STALE_QUOTE = (
        "STALE_QUOTE",
        "In session, and the exchange's last quote or trade is older than `MAX_QUOTE_AGE`.",
        "The symbol is halted or illiquid; `MAX_QUOTE_AGE=0` turns the check off.",
    )
    NO_PRICE = (
        "NO_PRICE",
        "The market data names no positive price for the symbol.",
        "Check the symbol and the data feed.",
    )
    WIDE_SPREAD = (
        "WIDE_SPREAD",
        "Bid and ask lie further apart than `MAX_SPREAD_BPS`, or one of them is missing.",
        "Wait for a better market, send a limit order, or raise the limit.",
    )
    PRICE_COLLAR = (
        "PRICE_COLLAR",
        "The order could trade further from the last trade than `PRICE_COLLAR_PCT`.",
        "Check the price in the signal and the market data.",
    )
    DUPLICATE_SIGNAL = (
        "DUPLICATE_SIGNAL",
        "The same content was published in this stream within `DUPLICATE_WINDOW`.",
        "Send a `signal_id` of its own with each signal that is meant.",
    )
    NOT_TRADABLE = (
        "NOT_TRADABLE",
        "The broker lists the asset as not tradable.",
        "Trade another symbol.",
    )
    UNSUPPORTED_ASSET = (
        "UNSUPPORTED_ASSET",
        "The asset is neither a US equity nor a crypto pair quoted in USD.",
        "Trade shares, or pairs such as `BTC/USD`. The price of `ETH/BTC` is no amount of USD.",
    )
    NOT_FRACTIONABLE = (
        "NOT_FRACTIONABLE",
        "A fractional or notional order for an asset that allows none.",
        "Send whole shares.",
    )
    NOT_ALLOWED = (
        "NOT_ALLOWED",
        "The symbol is not on `ALLOWED_SYMBOLS`, or it is on `DENIED_SYMBOLS`.",
        "Change the lists.",
    )
    SHORT_NOT_ALLOWED = (
        "SHORT_NOT_ALLOWED",
        "A short sale that `ALLOW_SHORT` or the account forbids, or while shares are held.",
        "`ALLOW_SHORT=explicit`, an account that may sell short, and nothing held of the ticker.",
    )
    NOT_SHORTABLE = (
        "NOT_SHORTABLE",
        "The asset cannot be sold short (crypto, not shortable, or a fractional size).",
        "Whole shares of an easy-to-borrow asset only.",
    )
    EXTENDED_HOURS_NOT_ALLOWED = (
        "EXTENDED_HOURS_NOT_ALLOWED",
        "`extended_hours` is asked for and `ALLOW_EXTENDED_HOURS` is false.",
        "Set `ALLOW_EXTENDED_HOURS=true`.",
    )
    POSITION_CAP = (
        "POSITION_CAP",
        "The position would exceed `MAX_POSITION_PCT` of equity.",
        "Ask for less, or raise the cap.",
    )
    TICKER_CAP = (
        "TICKER_CAP",
        "The position would exceed the ticker's limit in `TICKER_CAPS`.",
        "Ask for less, or raise the cap.",
    )
    STRATEGY_CAP = (
        "STRATEGY_CAP",
        "What the strategy holds would exceed its limit in `STRATEGY_CAPS`.",
        "Ask for less, or raise the cap.",
    )
    GROSS_EXPOSURE_CAP = (
        "GROSS_EXPOSURE_CAP",
        "All positions together would exceed `MAX_GROSS_EXPOSURE_PCT` of equity.",
        "Close something, or raise the cap.",
    )
    TRADES_PER_DAY = (
        "TRADES_PER_DAY",
        "`MAX_TRADES_PER_DAY` orders that open or add were sent today (New York).",
        "Exits still pass. Wait for the next day, or raise the limit on purpose.",
    )
    ORDERS_PER_MINUTE = (
        "ORDERS_PER_MINUTE",
        "Orders that open came faster than `MAX_ORDERS_PER_MINUTE` or the limit per ticker.",
        "Publish fewer signals, or raise the limit on purpose.",
    )
    KEY_LIMIT = (
        "KEY_LIMIT",
        "The key that signed the signal may not trade this symbol, or not so much at once.",
        "See the key's limits in `SIGNAL_HMAC_KEYS`.",
    )
    WASH_TRADE = (
        "WASH_TRADE",
        "An order of ours that rests on the other side could trade with it; the broker refuses.",
        "Cancel that order first, or let an exit do it (`EXIT_CANCELS_RESTING`).",
    )
    ORDER_NOTIONAL_CAP = (
        "ORDER_NOTIONAL_CAP",
        "The order's value exceeds `MAX_ORDER_NOTIONAL`.",
        "Ask for less, or raise the cap.",
    )
    ORDER_QTY_CAP = (
        "ORDER_QTY_CAP",
        "The order's quantity exceeds `MAX_ORDER_QTY`.",
        "Ask for less, or raise the cap.",
    )
    AT_TARGET = (
        "AT_TARGET",
        "Position and open orders already stand at the size asked for.",
        "Nothing to do.",
    )
    SIZE_TOO_SMALL = (
        "SIZE_TOO_SMALL",
        "The size rounds down to nothing, or to less than the broker takes of a crypto pair.",
        "More equity, a larger weight, or a cheaper share; crypto costs $10 or more.",
    )
    NOTHING_TO_SELL = (
        "NOTHING_TO_SELL",
        "No shares are held that are not already promised to another order.",
        "Buy first; to open a short send `action=short_sell`.",
    )
    NOTHING_TO_COVER = (
        "NOTHING_TO_COVER",
        "No short position is open.",
        "Nothing to do.",
    )
    NOT_ABOVE_ENTRY = (
        "NOT_ABOVE_ENTRY",
        "`SELL_ONLY_ABOVE_ENTRY` holds and the bid is not above the average entry price.",
        "Wait, or sell with `action=sell_long` or a size.",
    )
    INSUFFICIENT_BUYING_POWER = (
        "INSUFFICIENT_BUYING_POWER",
        "The buying power left beside open orders does not cover the order.",
        "Ask for less, or free cash.",
    )
    SIZING_FAILED = (
        "SIZING_FAILED",
        "The custom sizing function raised, returned nonsense, or took more than 0.25 s.",
        "See the log; fix the function.",
    )
    EXPOSURE_UNCONFIRMED = (
        "EXPOSURE_UNCONFIRMED",
        "An earlier order of this asset may still be live; only reductions are let through.",
        "`signalpaca orders` shows it; it resolves itself when the broker answers.",
    )
    SUPERSEDED = (
        "SUPERSEDED",
        "A later entry of the same stream and asset was already submitted.",
        "Normal after an outage: a lost buy must not follow its sell.",
    )
    INTERNAL_ERROR = (
        "INTERNAL_ERROR",
        "An unforeseen error in this service before the order was sent.",
        "Please report it with the log's `signal_crashed` or `entry_crashed` line.",
    )
    REFUSED_BY_BROKER = (
        "REFUSED_BY_BROKER",
        "The broker answered with a definite no; its words are in `message`.",
        "Read the message.",
    )
    UNAUTHORIZED = (
        "UNAUTHORIZED",
        "The broker does not accept the keys.",
        "Check `ALPACA_API_KEY` and `ALPACA_SECRET_KEY`.",
    )
    NOT_SENT = (
        "NOT_SENT",
        "The broker could not be reached while the signal was young; nothing left this machine.",
        "Check the network and `ALPACA_TRADING_URL`.",
    )

    # --- what became of an unclear answer ------------------------------------------------------
    OUTCOME_UNKNOWN = (
        "OUTCOME_UNKNOWN",
        "The POST got no usable answer; the order is being looked up.",
        "Wait; nothing is guessed and nothing is sent twice.",
    )
    EXPIRED_UNCONFIRMED = (
        "EXPIRED_UNCONFIRMED",
        "Not found at the broker, and not sent again; still watched.",
        "If it appears it is adopted, cancelled if open, and booked if filled.",
    )
    ABSENT_CONFIRMED = (
        "ABSENT_CONFIRMED",
        "Two complete broker order lists after the session's close do not hold the order.",
        "It never existed; nothing to do.",
    )
    ID_CONFLICT = (
        "ID_CONFLICT",
        "The broker holds another order under this client_order_id, or one older than its signal.",
        "Do two deployments share account and group? Look, then `signalpaca resume TICKER`.",
    )


class RedisFault(_Explained):
    """What is wrong with Redis, or with what it holds. A line in the log, and `trouble` in status.

    No signal ends by one of these: what cannot be read or acknowledged now stays where it is.
    """

    # --- Redis cannot be reached, or does not serve us ----------------------------------------
    UNREACHABLE = (
        "REDIS_UNREACHABLE",
        "No connection: refused, reset, or the name is unknown.",
        "Start Redis, or correct `REDIS_URL`.",
    )
    SILENT = (
        "REDIS_SILENT",
        "Connected, and no answer within three seconds: hung, paused, or the way there is dead.",
        "Look at the Redis machine and the network between.",
    )
    TLS = (
        "REDIS_TLS",
        "No TLS: a certificate is not good or not given, or one side does not speak it.",
        "See the words beside it; `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` in `REDIS_URL`.",
    )
    NO_MASTER = (
        "REDIS_NO_MASTER",
        "No Sentinel answers, or none names a master of that name.",
        "Check the Sentinels and the master's name in `REDIS_URL`; normal while one is elected.",
    )
    LOADING = (
        "REDIS_LOADING",
        "Redis is reading its data from disk after a start.",
        "Wait.",
    )
    READONLY = (
        "REDIS_READONLY",
        "This Redis is a replica, or became one.",
        "Normal during a failover; otherwise point `REDIS_URL` at the master or at the Sentinels.",
    )
    MASTERDOWN = (
        "REDIS_MASTERDOWN",
        "This Redis is a replica that lost its master and serves nothing.",
        "As `REDIS_READONLY`.",
    )
    NOREPLICAS = (
        "REDIS_NOREPLICAS",
        "Fewer replicas than `min-replicas-to-write` follow this master.",
        "Bring the replicas back. Nothing is read meanwhile: it could not be acknowledged.",
    )
    MISCONF = (
        "REDIS_MISCONF",
        "Redis cannot save to its disk and refuses every write, so nothing new is read.",
        "Free disk space or correct the permissions of its directory; see the Redis log.",
    )
    OUT_OF_MEMORY = (
        "REDIS_OUT_OF_MEMORY",
        "`maxmemory` is reached. Signals are read and acknowledged; `executions` has to wait.",
        "Trim streams or raise `maxmemory`. Events wait in the ledger and lose nothing.",
    )
    BUSY = (
        "REDIS_BUSY",
        "Redis is busy running somebody's script.",
        "End the script: `SCRIPT KILL`.",
    )
    MAX_CLIENTS = (
        "REDIS_MAX_CLIENTS",
        "Redis takes no more connections.",
        "Raise `maxclients`, or find who opens so many.",
    )
    CLUSTER = (
        "REDIS_CLUSTER",
        "This is a node of a Redis Cluster, which this version does not speak to.",
        "Use a single Redis or Sentinel.",
    )
    NOAUTH = (
        "REDIS_NOAUTH",
        "Redis asks for a password and `REDIS_URL` has none.",
        "Put user and password into `REDIS_URL`.",
    )
    WRONGPASS = (
        "REDIS_WRONGPASS",
        "Redis does not accept the user or the password in `REDIS_URL`.",
        "Correct them; a user may be switched off.",
    )
    NOPERM = (
        "REDIS_NOPERM",
        "The user in `REDIS_URL` may not run a command, or may not touch a key.",
        "Grant the commands that the documentation lists under Redis faults.",
    )
    REFUSED = (
        "REDIS_REFUSED",
        "Another refusal; the words of Redis stand beside it.",
        "Read them.",
    )

    # --- what Redis holds is not what it held -------------------------------------------------
    WRONGTYPE = (
        "REDIS_WRONGTYPE",
        "The key of a stream holds something else. The other streams are read on.",
        "Delete or rename that key, or correct `STREAMS`.",
    )
    GROUP_LOST = (
        "REDIS_GROUP_LOST",
        "The consumer group is gone: Redis lost data, or somebody removed it. Made anew at `0`.",
        "Look why. What was handled before is recognised, what is too old expires.",
    )
    TAIL_LOST = (
        "REDIS_TAIL_LOST",
        "The stream ends before entries that were read from it: Redis lost its newest data.",
        "Signals that nobody had read are gone: compare with the producers. `appendonly yes`.",
    )
    UNREAD_LOST = (
        "REDIS_UNREAD_LOST",
        "Entries were deleted or trimmed before they were read, or (Redis 6.2) may have been.",
        "Look who trims: a producer's `MAXLEN` is too small, or somebody erased the stream.",
    )
    ID_IN_FUTURE = (
        "REDIS_ID_IN_FUTURE",
        "The stream's last entry id lies in the future, so every new entry's id does.",
        "Recreate the stream: its signals end `FUTURE_TIMESTAMP`. Let Redis choose ids (`*`).",
    )
