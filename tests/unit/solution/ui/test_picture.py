"""The picture of a running instance."""

from decimal import Decimal
from types import SimpleNamespace as Thing
from typing import Any

import orjson
import pytest

from solution.domain.reasons import RedisFault
from solution.ui.picture import Parts, picture
from tests.helpers.clocks import ManualClock


def listener(**changed: Any) -> Thing:
    """One whose last step ended a fifth of a second ago."""
    values = {"read": 5, "holding": lambda: 2, "connected": True, "trouble": "", "alerts": {}}
    return Thing(**(values | {"served_at": 999.8} | changed))


def parts(**changed: Any) -> Parts:
    """A running instance of plain objects: one position, one order, one thread down."""
    intent = Thing(client_order_id="c-1", symbol="NVDA", side="buy", qty=Decimal("2.50"))
    progress = Thing(state="OPEN", status="new", filled_qty=Decimal(0))
    quote = Thing(sell_price=Decimal("136.5"), received=999.5)
    account = Thing(
        id="a-1", equity=Decimal("1E+5"), cash=Decimal(90000), buying_power=Decimal(380000)
    )
    values: dict[str, Any] = {
        "ledger": "host:/data/ledger.db",
        "instance": "host-1",
        "started_ms": 1_772_636_400_000,
        "mode": "paper",
        "streams": ("nvda", "amd"),
        "executions": "executions",
        "broker": "https://paper-api.alpaca.markets",
        "kill_switch": Thing(reason=lambda: None, file="/control/kill_switch"),
        "workers": Thing(),
        "services": [Thing(name="workers", alive=True), Thing(name="prices", alive=False)],
        "limiter": Thing(view=lambda: Thing(limit=200, used=3, in_flight=1, left_for_entries=186)),
        "lanes": Thing(waiting=4),
        "portfolio": Thing(
            account=lambda: account,
            reserved=lambda: (1, Decimal("341.256")),
            entries=lambda: {"NVDA": (Decimal(10), Decimal("135.25"))},
        ),
        "prices": Thing(get=lambda _symbol: quote, symbols=lambda: ("NVDA",)),
        "tracker": Thing(
            open_orders=lambda: [Thing(intent=intent, progress=progress)],
            board=Thing(
                recent=lambda: [{"symbol": "AMD", "state": "FILLED"}],
                counts=lambda: {"FILLED": 1},
                corrections=lambda: {"position": 2},
                latency_ms=lambda: {"p50": 3, "p99": 9},
                dead_letters=lambda: 1,
            ),
        ),
        "last_told": Thing(rows=lambda: [{"id": 1, "symbol": "AMD", "event": "fill"}]),
        "listener": listener(),
        "stream": Thing(connected=True, state="listening", age=lambda: 1.26, reconnects=0),
        "publisher": Thing(trouble="", pending=1),
        "writer": Thing(pending=2),
        "intake": Thing(dead_letters=6),
        "wrapper": Thing(requests=7),
        "states": Thing(
            halts=Thing(all=lambda: {"AAPL": "why"}),
            picture=lambda: {"trading_state": "REDUCING", "restrictions": {}, "reducing": {}},
        ),
        "trips": Thing(status=lambda: {"breaker": {"state": "closed"}, "flips": {}, "day": None}),
        "flattening": lambda: {"one": "NVDA 10: why"},
        "kills": Thing(shown=lambda: {"k": {"stage": "done"}}),
        "control": Thing(picture=lambda: {"connected": True}, alerts={}),
        "epoch": 3,
        "clock": ManualClock(),
    }
    return Parts(**(values | changed))


def test_everything_is_plain_json() -> None:
    """Decimals become text without an exponent, and nothing is left that JSON has not."""
    found = orjson.loads(orjson.dumps(picture(parts())))
    assert found["account"]["equity"] == "100000"
    assert found["account"]["reserved_buying_power"] == "341.26"
    assert found["at"] == "2026-03-04T15:00:00.000+00:00"
    assert (found["mode"], found["streams"]) == ("paper", ["nvda", "amd"])
    assert (found["executions"], found["broker"]) == (
        "executions",
        "https://paper-api.alpaca.markets",
    )
    assert found["open_orders"][0]["qty"] == "2.50"
    assert found["rate"] == {"limit": 200, "used": 3, "in_flight": 1, "left_for_entries": 186}
    assert found["signals"] == {"read": 5, "waiting": 4, "in_hand": 2, "dead_letters": 7}
    assert found["corrections"] == {"position": 2}
    assert found["stream"]["age_s"] == 1.3
    assert found["redis"]["read_age_s"] == 0.2
    assert found["updates"] == [{"id": 1, "symbol": "AMD", "event": "fill"}]
    assert found["flattening"] == {"one": "NVDA 10: why"}
    assert found["threads"] == {"workers": True, "prices": False}


def test_a_position_is_marked_at_the_bid() -> None:
    """What selling it would bring."""
    [row] = picture(parts())["positions"]
    assert row == {
        "symbol": "NVDA",
        "qty": "10",
        "avg_entry": "135.2500",
        "price": "136.5",
        "market_value": "1365.00",
        "unrealized_pl": "12.50",
    }


@pytest.mark.parametrize("quote", [None, Thing(sell_price=None, received=999.0)])
def test_a_position_without_a_price_has_no_gain(quote: Any) -> None:
    """Nothing is guessed."""
    prices = Thing(get=lambda _symbol: quote, symbols=lambda: ("NVDA",))
    [row] = picture(parts(prices=prices))["positions"]
    assert (row["price"], row["market_value"], row["unrealized_pl"]) == (None, None, None)


def test_the_ages_of_prices() -> None:
    """Of the newest and the oldest that is there."""
    quotes = {"A": Thing(received=990.0), "B": Thing(received=999.9)}
    prices = Thing(get=quotes.get, symbols=lambda: ("A", "B", "C"))
    nobody = Thing(account=lambda: None, reserved=lambda: (0, Decimal(0)), entries=dict)
    found = picture(parts(prices=prices, portfolio=nobody))["prices"]
    assert found == {"watched": 3, "newest_s": 0.1, "oldest_s": 10.0}
    none = picture(parts(prices=Thing(get=quotes.get, symbols=tuple), portfolio=nobody))["prices"]
    assert none == {"watched": 0, "newest_s": None, "oldest_s": None}


def test_before_the_first_account_and_message() -> None:
    """They are null, and trouble is told from both connections to Redis."""
    nobody = Thing(account=lambda: None, reserved=lambda: (0, Decimal(0)), entries=dict)
    found = picture(
        parts(
            portfolio=nobody,
            stream=Thing(connected=False, state="x", age=lambda: None, reconnects=0),
            publisher=Thing(trouble="OOM", pending=0),
            listener=listener(served_at=None),
        )
    )
    assert found["account"] is None
    assert found["stream"]["age_s"] is None
    assert found["redis"]["trouble"] == "OOM"
    assert found["redis"]["read_age_s"] is None


def test_what_redis_was_found_to_have_lost_is_counted() -> None:
    """By the codes of the reference."""
    alerts = {RedisFault.UNREAD_LOST: 2}
    found = picture(parts(listener=listener(alerts=alerts)))
    assert found["redis"]["alerts"] == {"REDIS_UNREAD_LOST": 2}
    control = Thing(picture=dict, alerts={RedisFault.ID_IN_FUTURE: 1})
    found = picture(parts(listener=listener(alerts=alerts), control=control))["redis"]["alerts"]
    assert found == {"REDIS_UNREAD_LOST": 2, "REDIS_ID_IN_FUTURE": 1}
