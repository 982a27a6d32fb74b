"""Crypto from XADD to the last event, on a Saturday: the market for shares is closed."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.helpers import fault_broker as broken
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import FaultBroker
from tests.helpers.service_process import World, world

PRICES = {"BTC/USD": "60000", "ETH/USD": "2500", "SOL/USD": "150", "DOGE/USD": "0.1"}
COINS = {"SYMBOLS": "BTCUSD,ETH/USD,SOL/USD,DOGE/USD,NVDA", "SIZING": "fixed_notional"}
NET = Decimal("0.9975")
"""What a buy leaves after the fee."""


def next_saturday() -> str:
    """A Saturday noon to come: no quote is old then, and no session is open."""
    now = datetime.now(UTC)
    day = now + timedelta(days=(5 - now.weekday()) % 7 or 7)
    return day.replace(hour=17, minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def held(made: World) -> dict[str, Decimal]:
    """The positions at the exchange, under its own spelling."""
    return {row["symbol"]: Decimal(row["qty"]) for row in made.broker("positions")}


def bought(made: World, entry: str) -> Decimal:
    """What one entry's order was filled with."""
    return Decimal(made.final(entry)["filled_qty"])


@pytest.fixture(scope="module")
def weekend(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running service; a bare buy is for $600, and prices stand still."""
    folder = tmp_path_factory.mktemp("weekend")
    options = ("--session", "nyse", "--start", next_saturday())
    with world(folder, *options, **COINS, LOT="600") as made:
        made.admin("prices", PRICES)
        made.start()
        yield made


@pytest.fixture
def make_weekend(redis_executable: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """The same, a world for one test, without a service."""
    options = ("--session", "nyse", "--start", next_saturday())
    with world(tmp_path, *options, **COINS, LOT="600") as made:
        made.admin("prices", PRICES)
        yield lambda: made


def test_coins_trade_while_shares_do_not(weekend: World) -> None:
    """One clock, two markets; the position is kept over the weekend until it is sold."""
    coins, shares = weekend.publish("ETH/USD"), weekend.publish("NVDA")
    weekend.await_ends([coins, shares])
    assert weekend.final(coins)["event"] == "fill"
    assert weekend.final(shares)["reason"] == "MARKET_CLOSED"
    assert 599 < bought(weekend, coins) * 2500 <= 600
    assert held(weekend)["ETHUSD"] < bought(weekend, coins)
    sold = weekend.publish("ETH/USD", "s")
    weekend.await_ends([sold])
    assert weekend.final(sold)["event"] == "fill"
    assert "ETHUSD" not in held(weekend)


def test_two_spellings_are_one_lane(weekend: World) -> None:
    """A buy and a sale that follow at once under the other spelling: bought first, all sold."""
    entries = [
        weekend.publish(ticker, direction)
        for ticker, direction in (("BTC/USD", "b"), ("BTCUSD", "s"), ("btcusd", "b"))
    ]
    entries.append(weekend.publish("BTC/USD", "s"))
    weekend.await_ends(entries)
    assert [weekend.final(entry)["event"] for entry in entries] == ["fill"] * 4
    assert {weekend.final(entry)["ticker"] for entry in entries} == {"BTC/USD"}
    assert "BTCUSD" not in held(weekend)


def test_a_target_is_reached_once_though_fees_take_some_of_it(weekend: World) -> None:
    """Published twice it trades once; a target of 0 sells what is really there."""
    entries = []
    for _ in range(2):
        entries.append(weekend.publish_raw({"ticker": "BTCUSD", "target_qty": "0.05"}))
        weekend.await_ends(entries)
    assert weekend.final(entries[0])["filled_qty"] == "0.05"
    assert weekend.final(entries[1])["reason"] == "AT_TARGET"
    assert held(weekend)["BTCUSD"] == Decimal("0.05") * NET
    entries.append(weekend.publish_raw({"ticker": "BTC/USD", "target_qty": "0"}))
    weekend.await_ends(entries)
    assert bought(weekend, entries[2]) == Decimal("0.05") * NET
    assert "BTCUSD" not in held(weekend)


def test_liquidate_and_an_amount_of_money(weekend: World) -> None:
    """``notional`` buys at market, ioc or gtc; ``liquidate`` sells all of it."""
    fields = {"notional": "250", "time_in_force": "gtc"}
    entry = weekend.publish("SOL/USD", **fields)
    weekend.await_ends([entry])
    assert weekend.final(entry)["event"] == "fill"
    out = weekend.publish_raw({"ticker": "SOLUSD", "action": "liquidate"})
    weekend.await_ends([out])
    assert weekend.final(out)["event"] == "fill"
    assert "SOLUSD" not in held(weekend)


def test_a_limit_rests_until_its_time_is_over(weekend: World) -> None:
    """gtc, on the pair's price step, cancelled by ``cancel_after``."""
    fields = {"order_type": "limit", "limit_price": "0.09000004", "time_in_force": "gtc"}
    entry = weekend.publish("DOGE/USD", **fields, qty="500", cancel_after="1")
    weekend.await_ends([entry])
    assert weekend.final(entry)["event"] == "canceled"
    order = next(o for o in weekend.orders() if o["symbol"] == "DOGE/USD")
    assert (order["time_in_force"], order["limit_price"]) == ("gtc", "0.09")


def test_an_exit_cancels_what_holds_its_coins(weekend: World) -> None:
    """A sale that rests far away; the bare sale takes its coins, and all others."""
    limit = {"order_type": "limit", "limit_price": "9000", "time_in_force": "gtc"}
    first, resting = weekend.publish("ETH/USD"), weekend.publish("ETHUSD", "s", **limit)
    weekend.await_ends([first])
    assert eventually(lambda: weekend.told().get(resting, [])[-1:] == ["new"])
    out = weekend.publish("ETH/USD", "s")
    weekend.await_ends([resting, out])
    assert weekend.final(resting)["event"] == "canceled"
    assert weekend.final(out)["event"] == "fill"
    assert "ETHUSD" not in held(weekend)


def test_a_stop_limit_is_gtc_by_default_and_fills_when_reached(weekend: World) -> None:
    """TIME_IN_FORCE is ioc, which no stop limit can be."""
    prices = {"stop_price": "160", "limit_price": "170"}
    entry = weekend.publish("SOL/USD", order_type="stop_limit", qty="1", **prices)
    assert eventually(lambda: weekend.told().get(entry, [])[-1:] == ["new"])
    weekend.admin("prices", {"SOL/USD": "165"})
    weekend.await_ends([entry])
    order = next(o for o in weekend.orders() if o["type"] == "stop_limit")
    assert (order["time_in_force"], order["status"]) == ("gtc", "filled")
    weekend.admin("prices", PRICES)


@pytest.mark.parametrize(
    ("ticker", "direction", "fields", "reason"),
    [
        ("BTC/USD", "b", {"notional": "9.99"}, "SIZE_TOO_SMALL"),
        ("BTCUSD", "b", {"qty": "0.0001"}, "SIZE_TOO_SMALL"),
        ("DOGE/USD", "s", {}, "NOTHING_TO_SELL"),
        ("BTCUSD", "s", {"action": "short_sell"}, "CONFLICTING_FIELDS"),
        ("BTC/USD", "b", {"time_in_force": "day"}, "CONFLICTING_FIELDS"),
        ("BTCUSD", "b", {"stop_loss": "50000"}, "CONFLICTING_FIELDS"),
    ],
)
def test_what_the_broker_would_refuse_is_never_sent(
    weekend: World, ticker: str, direction: str, fields: dict[str, str], reason: str
) -> None:
    """By either spelling, and no POST for it."""
    before = sum(weekend.posts().values())
    entry = weekend.publish(ticker, direction, **fields)
    weekend.await_ends([entry])
    assert weekend.final(entry)["reason"] == reason
    assert sum(weekend.posts().values()) == before


def test_no_margin_for_coins(weekend: World) -> None:
    """$100,000 of cash, twice that in buying power for shares."""
    entry = weekend.publish("BTC/USD", qty="2")
    weekend.await_ends([entry])
    final = weekend.final(entry)
    assert final["reason"] == "INSUFFICIENT_BUYING_POWER"


def test_one_symbol_in_status_and_nothing_differs(weekend: World) -> None:
    """The broker writes the pair one way in orders and another in positions; we do not."""
    entry = weekend.publish("ETHUSD")
    weekend.await_ends([entry])
    assert eventually(lambda: "ETH/USD" in _shown(weekend))
    assert not any("/" not in symbol for symbol in _shown(weekend))
    assert _command(weekend, "reconcile")["differences"] == []


def _shown(made: World) -> set[str]:
    """The positions in ``status``, which is told once a second."""
    [instance] = _command(made, "status")["instances"].values()
    return {row["symbol"] for row in instance["positions"]}


def _command(made: World, *words: str) -> Any:
    done = made.command(*words, "--json")
    assert done.stdout, done.stderr
    return orjson.loads(done.stdout)


def test_coins_that_only_a_poll_told_of_are_sold_less_their_fee(
    redis_executable: str, tmp_path: Path
) -> None:
    """The order stream is silent: the position is asked for before the sale, and none is refused.

    And a weight that was bought up to is reached, though fees took some of it.
    """
    settings = {**COINS, "SIZING": "weight", "WEIGHTS": "BTCUSD:0.05"}
    with world(tmp_path, "--start", next_saturday(), proxy=FaultBroker, **settings) as made:
        made.admin("prices", PRICES)
        made.proxy.on_stream("BTC/USD", broken.never)
        made.start()
        entries = [made.publish("BTC/USD") for _ in range(2)]
        made.await_ends(entries)
        assert made.final(entries[0])["event"] == "fill"
        assert made.final(entries[1])["reason"] == "AT_TARGET"
        entries.append(made.publish("BTCUSD", "s"))
        made.await_ends(entries)
        assert bought(made, entries[2]) < bought(made, entries[0])
        assert held(made) == {}


@pytest.mark.parametrize(
    "point", ["pipeline.decided", "submit.row_durable", "submit.answered", "writer.committed"]
)
def test_kill_9_in_the_middle_makes_one_order(
    make_weekend: Callable[..., World], point: str
) -> None:
    """Wherever it dies, the signal ends with one order; the position is under one symbol."""
    made = make_weekend()
    service = made.launch(SIGNALPACA_FAILPOINTS=f"{point}=kill")
    entry = made.publish("BTCUSD", qty="0.01", signal_id="one")
    service.wait()
    made.start()
    made.await_ends([entry])
    made.check([entry])
    assert made.final(entry)["event"] == "fill"
    out = made.publish("BTC/USD", "s")
    made.await_ends([out])
    made.check([entry, out])
    assert held(made) == {}
