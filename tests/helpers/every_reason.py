"""Situations in which the real service ends a signal with each reason; see ``every_failure`` too.

A group runs one service over one world. It returns which entry, by its reason, must have ended so.
"""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from solution.domain.reasons import Reason
from solution.ledger import beside, open_reader
from tests.helpers.clocks import eventually
from tests.helpers.service_process import GROUP, Fields, World

CONTROL = "signalpaca:control:solution"
Entries = dict[Reason, str]
"""Reason → the entry that must have ended with it; "" for an order that no entry explains."""


@dataclass(frozen=True)
class Ran:
    """What is left of a group: told events, and the ledger."""

    entries: Entries
    events: list[dict[str, str]]
    ledger_url: str

    def told(self, reason: Reason) -> list[dict[str, str]]:
        """Every event of the reason's entry with that reason."""
        entry = self.entries[reason]
        return [
            event
            for event in self.events
            if event.get("reason") == reason and event.get("entry_id", "") == entry
        ]

    def kept(self, reason: Reason) -> set[str]:
        """The reasons that the ledger has of the same entry or order, in dead letters and rows."""
        key = self.entries[reason] or self.told(reason)[0]["client_order_id"]
        with open_reader(self.ledger_url) as reader:
            letters, rows = reader.find_dead_letters(key), reader.find_intents(key)
        return {str(found.reason) for found in (*letters, *rows)}


def ran(made: World, entries: Entries) -> Ran:
    """Once every entry has its event; the tests say which one is missing."""
    found = Ran(entries, [], made.env()["LEDGER_URL"])

    def all_told() -> bool:
        found.events[:] = made.events()
        return all(found.told(reason) for reason in entries)

    eventually(all_told, 10)
    return found


def until_refused(made: World, reason: Reason, **fields: str) -> str:
    """Signals until one is refused for the reason: what causes it is seen within a moment."""
    last: list[str] = []

    def is_refused() -> bool:
        signal = buy(x_n=f"{reason} {len(last)}", **fields)
        last.append(one_by_one(made, signal))
        return made.final(last[-1]).get("reason") == reason

    assert eventually(is_refused, 30), made.final(last[-1])
    return last[-1]


# --- settings that refuse -------------------------------------------------------------------------

CHEAP = (
    *("FINE", "QTYS", "WORTH", "POSN", "TCAP", "STRAT", "GROA", "GROB", "GROC", "DENY", "LATER"),
    *("TWICE", "REUSE", "TGT", "TINY", "NONE", "COVER", "ENTRY", "COLL", "FAST", "WASH"),
    *("OLDER", "HALT", "STOP", "NOPX", "OFF", "MANYA", "MANYB", "MANYC", "MANYD", "MANYE"),
    *("MANYF", "MANYG", "MANYH", "MANYI", "MANYJ"),
)
"""Listed at the exchange for this, each at $10."""
REFUSING = {
    "SYMBOLS": "FINE",
    "SIZING": "all_in",
    "QTY": "",
    "SELL_ONLY_ABOVE_ENTRY": "true",
    "MAX_ORDER_QTY": "1000",
    "MAX_ORDER_NOTIONAL": "5000",
    "MAX_POSITION_PCT": "0.04",
    "MAX_GROSS_EXPOSURE_PCT": "0.1",
    "TICKER_CAPS": "TCAP:1000",
    "STRATEGY_CAPS": "one:500",
    "MAX_TRADES_PER_DAY": "30",
    "MAX_ORDERS_PER_MINUTE_PER_TICKER": "3",
    "MAX_SPREAD_BPS": "500",
    "PRICE_COLLAR_PCT": "0.1",
    "DENIED_SYMBOLS": "DENY",
    "DUPLICATE_WINDOW": "60",
    "MAX_QUOTE_AGE": "30",
}


def buy(ticker: str, qty: str = "1", **fields: str) -> Fields:
    return {"ticker": ticker, "direction": "b", "qty": qty, **fields}


def alone(now_ms: int) -> dict[Reason, Fields]:
    """One signal each, and nothing else is needed."""
    limit = {"order_type": "limit", "time_in_force": "day"}
    good = {"ticker": "FINE", "direction": "b"}
    return {
        Reason.MISSING_FIELD: {"ticker": "FINE"},
        Reason.UNKNOWN_FIELD: {**good, "colour": "red"},
        Reason.DUPLICATE_FIELD: {**good, "TICKER": "FINE"},
        Reason.INVALID_VALUE: buy("FINE", "-1"),
        Reason.CONFLICTING_FIELDS: buy("FINE", notional="1"),
        Reason.NOT_UTF8: {**good, "x_note": b"\xff\xfe"},
        Reason.TOO_LARGE: {**good, "x_note": "n" * 1_000_000},
        Reason.INVALID_JSON: {"json": "[1]"},
        Reason.UNKNOWN_TICKER: buy("NOSUCH"),
        Reason.FUTURE_TIMESTAMP: buy("FINE", ts=str(now_ms + 60_000)),
        Reason.EXPIRED: buy("FINE", ts=str(now_ms - 120_000)),
        Reason.BAD_SIGNATURE: buy("FINE", sig="0" * 64, kid="nobody"),
        Reason.UNSUPPORTED_ASSET: buy("ETH/BTC", time_in_force="gtc"),
        Reason.NOT_FRACTIONABLE: buy("BRK.A", "0.5", time_in_force="day"),
        Reason.NOT_ALLOWED: buy("DENY"),
        Reason.NOT_SHORTABLE: {**buy("GME"), "direction": "s", "action": "short_sell"},
        Reason.EXTENDED_HOURS_NOT_ALLOWED: buy(
            "LATER", **limit, limit_price="10", extended_hours="true"
        ),
        Reason.POSITION_CAP: buy("POSN", "450"),
        Reason.TICKER_CAP: buy("TCAP", "150"),
        Reason.STRATEGY_CAP: buy("STRAT", "60", strategy="one"),
        Reason.ORDER_NOTIONAL_CAP: buy("WORTH", "600"),
        Reason.ORDER_QTY_CAP: buy("QTYS", "1001"),
        Reason.AT_TARGET: {"ticker": "TGT", "target_qty": "0"},
        Reason.SIZE_TOO_SMALL: {"ticker": "TINY", "direction": "b", "weight": "0.00001"},
        Reason.NOTHING_TO_SELL: {"ticker": "NONE", "direction": "s"},
        Reason.NOTHING_TO_COVER: {"ticker": "COVER", "direction": "b", "action": "cover_short"},
        Reason.WIDE_SPREAD: buy("WIDE"),
        Reason.STALE_QUOTE: buy("STALE"),
        Reason.PRICE_COLLAR: buy("COLL", **limit, limit_price="12"),
    }


def recorded(directory: Path) -> str:
    """Prices that no other symbol has: wide, an hour old, of one coin in another."""
    now = datetime.now(UTC).replace(microsecond=0)
    before = (now - timedelta(hours=1)).isoformat()
    rows = [f"{(now + timedelta(seconds=s)).isoformat()},WIDE,9,11" for s in range(0, 600, 5)]
    rows += [f"{before},WIDE,9,11", f"{before},STALE,9.99,10.01", f"{before},ETH/BTC,0.05,0.06"]
    path = directory / "quotes.csv"
    path.write_text("\n".join(["timestamp,symbol,bid_price,ask_price", *rows]) + "\n")
    return str(path)


def one_by_one(made: World, *signals: Fields) -> str:
    """Each ends before the next; the last one's entry."""
    entry = ""
    for fields in signals:
        entry = made.publish_raw(fields)
        made.await_ends([entry])
    return entry


def left_behind(made: World) -> Entries:
    """Before the start: what a peer died with, what the group has passed, an order of nobody's."""
    made.redis.xgroup_create("nvda", GROUP, "0", mkstream=True)
    old = str(made.redis_ms() - 120_000)
    lost, stale = made.publish("FINE"), made.publish_raw(buy("FINE", ts=old))
    made.redis.xreadgroup(GROUP, "dead-peer", {"nvda": ">"})
    made.redis.xdel("nvda", lost)
    older = made.publish_raw(buy("OLDER"))
    made.redis.xgroup_setid("nvda", GROUP, older)
    made.place("HALT", "nobody-published-this", qty="1")
    return {
        Reason.PAYLOAD_LOST: lost,
        Reason.STALE_SIGNAL: stale,
        Reason.SUPERSEDED: older,
        Reason.ORPHAN: "",
    }


def is_read_after_a_later_one(made: World, older: str) -> None:
    """Somebody sets the group back once a later entry of the asset has been sent."""
    one_by_one(made, buy("OLDER", "2"))
    ms, _, sequence = older.partition("-")
    before = f"{ms}-{int(sequence) - 1}" if int(sequence) else f"{int(ms) - 1}-0"
    made.redis.xgroup_setid("nvda", GROUP, before)
    assert eventually(lambda: made.ended([older]))


def one_of(made: World, *signals: Fields, reason: Reason) -> str:
    """Published together; the entry that ended with the reason, else the last one."""
    entries = [made.publish_raw(fields) for fields in signals]
    made.await_ends(entries)
    found = [entry for entry, why, _ in made.unsent() if why == reason and entry in entries]
    return (found or entries)[-1]


def in_turn(made: World) -> Entries:
    """What needs something to happen before."""
    ends: Entries = {}
    ends[Reason.TICKER_HALTED] = one_by_one(made, buy("HALT"))
    ends[Reason.SIGNAL_ID_REUSED] = one_by_one(
        made, buy("REUSE", signal_id="once"), buy("REUSE", "2", signal_id="once")
    )
    ends[Reason.DUPLICATE_SIGNAL] = one_by_one(made, buy("TWICE"), buy("TWICE"))
    ends[Reason.NOT_ABOVE_ENTRY] = one_by_one(
        made, buy("ENTRY"), {"ticker": "ENTRY", "direction": "s"}
    )
    ends[Reason.WASH_TRADE] = beside_a_resting_sale(made)
    many = [buy("FAST", x_n=str(n)) for n in range(4)]
    ends[Reason.ORDERS_PER_MINUTE] = one_of(made, *many, reason=Reason.ORDERS_PER_MINUTE)
    large = [buy(ticker, "390") for ticker in ("GROA", "GROB", "GROC")]
    ends[Reason.GROSS_EXPOSURE_CAP] = one_of(made, *large, reason=Reason.GROSS_EXPOSURE_CAP)
    all_day = [buy(t, x_n=str(n)) for n in range(3) for t in CHEAP if t.startswith("MANY")]
    ends[Reason.TRADES_PER_DAY] = one_of(made, *all_day, reason=Reason.TRADES_PER_DAY)
    return ends


def beside_a_resting_sale(made: World) -> str:
    """A purchase at any price that could trade with it."""
    one_by_one(made, buy("WASH", "2"))
    terms = {"order_type": "limit", "limit_price": "15", "time_in_force": "day"}
    resting = made.publish_raw({**buy("WASH"), "direction": "s", **terms})
    assert eventually(lambda: "new" in made.told()[resting])
    bought = made.publish_raw(buy("WASH"))
    assert eventually(lambda: made.ended([bought]))
    made.publish_raw({"ticker": "WASH", "action": "liquidate"})  # so that nothing stays pending
    made.await_ends([resting, bought])
    return bought


def without_prices(made: World) -> Entries:
    """The data API names no positive price, and then fails."""
    at = made.broker("clock")["timestamp"]
    named = {"NOPX": {"latestTrade": {"t": at, "p": 0}, "latestQuote": {"t": at, "bp": 0, "ap": 0}}}
    data, ends = "GET /v2/stocks/snapshots", {}
    with fault(made, target=data, kind="garbage", body=orjson.dumps(named).decode()):
        ends[Reason.NO_PRICE] = one_by_one(made, buy("NOPX"))
    with fault(made, target=data, kind="status", status=503):
        ends[Reason.STALE_PRICE] = one_by_one(made, buy("OFF"))
    return ends


@contextmanager
def fault(made: World, **rule: object) -> Iterator[None]:
    """A fault of the exchange while the block runs."""
    added = made.admin("faults", rule)
    try:
        yield
    finally:
        url = f"{made.exchange.url}/admin/faults/{added['id']}"
        request = urllib.request.Request(url, method="DELETE")  # noqa: S310 - our own exchange
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own exchange


def stopped(made: World) -> Entries:
    """A command nobody may give, then each way in which a person stops trading."""
    resume = {"command": "resume", "id": "r1", "by": "nobody"}
    ends: Entries = {Reason.CONTROL_REFUSED: made.publish_raw(resume, CONTROL)}
    for state, reason in (
        ("REDUCING", Reason.REDUCING_ONLY),
        ("HALTED", Reason.TRADING_HALTED),
    ):
        row = {"state": state, "reason": reason, "message": "by hand"}
        key = "trading_state:operator"
        beside.keep(made.env()["LEDGER_URL"], {key: orjson.dumps(row).decode()})
        ends[reason] = until_refused(made, reason, ticker="STOP", action="buy_long")
    (made.directory / ".kill_switch").touch()
    ends[Reason.KILL_SWITCH] = until_refused(made, Reason.KILL_SWITCH, ticker="STOP")
    return ends


def refusing(made: World) -> Ran:
    """Everything above, with one service."""
    made.admin("prices", dict.fromkeys(CHEAP, "10"))
    ends = left_behind(made)
    made.start()
    is_read_after_a_later_one(made, ends[Reason.SUPERSEDED])
    by_reason = {r: made.publish_raw(fields) for r, fields in alone(made.redis_ms()).items()}
    made.await_ends(list(by_reason.values()))
    ends |= by_reason | in_turn(made) | without_prices(made) | stopped(made)
    return ran(made, ends)
