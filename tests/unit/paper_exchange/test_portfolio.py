"""Portfolio history against figures worked out by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from paper_exchange.clock import ManualClock
from tests.unit.paper_exchange.asking import Asked

PATH = "/v2/account/portfolio/history"
NEW_YORK = ZoneInfo("America/New_York")
KEYS = {
    "timestamp", "equity", "profit_loss", "profit_loss_pct", "base_value", "timeframe", "cashflow",
}  # fmt: skip


def new_york(month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """Epoch seconds of a New York wall-clock time in 2026."""
    return int(datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK).timestamp())


class Desk(Asked):
    """An exchange whose KO stands at 100, and its one account's history."""

    def __init__(self, **settings: Any) -> None:
        # Thursday, 10:00 in New York.
        super().__init__(clock=ManualClock(datetime(2026, 11, 19, 15, tzinfo=UTC)), **settings)
        self.hold(KO=100, **{"BTC/USD": 1000})
        self("GET", "/v2/account")

    def at(self, month: int, day: int, hour: int, minute: int = 0) -> None:
        """Go to a New York wall-clock time."""
        self.clock.ns = new_york(month, day, hour, minute) * 10**9
        self.app.matcher.step()

    def history(self, query: str = "") -> dict[str, Any]:
        """The answer's body."""
        status, body = self("GET", f"{PATH}?{query}")
        assert status == 200, body
        length = {len(body[name]) for name in ("timestamp", "equity", "profit_loss")}
        assert length == {len(body["profit_loss_pct"])}
        return dict(body)


@pytest.fixture
def nyse() -> Iterator[Desk]:
    """With the sessions of the New York Stock Exchange."""
    made = Desk(session="nyse")
    yield made
    made.close()


@pytest.fixture
def always() -> Iterator[Desk]:
    """Open round the clock."""
    made = Desk()
    yield made
    made.close()


def test_every_trade_counts_from_its_moment(nyse: Desk) -> None:
    """Each window shows the equity at its end: the spread is paid when an order is filled.

    Ten shares bought at 100.01 and marked at 100 cost 0.10; ten more cost as
    much again; selling all at 99.99 costs 0.20.
    """
    nyse.at(11, 19, 10, 20)
    nyse.order(qty="10")
    nyse.at(11, 19, 10, 50)
    nyse.order(qty="10")
    nyse.at(11, 19, 11, 5)
    nyse.order(qty="20", side="sell")
    nyse.at(11, 19, 11, 20)
    body = nyse.history("period=1D&timeframe=15Min")
    # The account was opened at 10:00, where the first of these windows ends.
    assert body["timestamp"] == [new_york(11, 19, 9, 45) + 900 * n for n in range(7)]
    assert body["equity"] == [
        100_000, 100_000,
        99_999.9, 99_999.9, 99_999.8,
        99_999.6, 99_999.6,
    ]  # fmt: skip
    assert body["profit_loss"] == [0, 0, -0.1, -0.1, -0.2, -0.4, -0.4]
    assert set(body) == KEYS
    assert (body["base_value"], body["timeframe"], body["cashflow"]) == (100_000, "15Min", {})


def test_a_price_held_by_hand_values_the_past_too(nyse: Desk) -> None:
    """Held at 90, ten shares bought for 1,000.10 are worth 900."""
    nyse.order(qty="10")
    nyse.hold(KO=90)
    nyse.at(11, 19, 10, 1)
    body = nyse.history("period=1D")
    assert body["timeframe"] == "1Min"
    assert body["equity"][-2:] == [99_899.9, 99_899.9]
    assert body["profit_loss_pct"][-1] == 0.0


def days_of(desk: Desk) -> None:
    """Three trading days: a purchase on Thursday, a sale on Friday, a short sale on Monday."""
    desk.order(qty="100")
    desk.at(11, 20, 11)
    desk.order(qty="40", side="sell")
    desk.at(11, 23, 12)
    desk.order(qty="60", side="sell")
    desk.order(qty="50", side="sell")
    desk.at(11, 23, 13)


#: Equity at the three closes, the last one being now: 100 bought at 0.01 above, 40, then 60 and 50
#: sold at 0.01 below the price they are marked with.
CLOSES = [99_999.0, 99_998.6, 99_997.5]


def test_days(nyse: Desk) -> None:
    """A point per trading day since the account was opened, at 20:00 in New York."""
    days_of(nyse)
    body = nyse.history("period=1W&timeframe=1D")
    assert body["timestamp"] == [new_york(11, day, 20) for day in (19, 20, 23)]
    assert body["equity"] == CLOSES
    assert body["profit_loss"] == [0, -0.4, -1.5]
    assert body["base_value"] == 99_999.0
    assert "base_value_asof" not in body
    monday = nyse.history(f"start={'2026-11-21T12:00:00Z'}&timeframe=1D")
    assert monday["timestamp"] == [new_york(11, 23, 20)]
    assert (monday["base_value"], monday["base_value_asof"]) == (99_998.6, "2026-11-20")
    assert monday["profit_loss"] == [-1.1]


def test_a_day_counts_once_its_session_has_begun(nyse: Desk) -> None:
    """At eight in the morning, yesterday is the last day."""
    nyse.at(11, 20, 8)
    assert nyse.history("period=2D&timeframe=1D")["timestamp"][-1] == new_york(11, 19, 20)
    nyse.at(11, 20, 9, 30)
    assert nyse.history("period=2D&timeframe=1D")["timestamp"][-1] == new_york(11, 20, 20)


def test_an_execution_at_the_end_of_a_window(nyse: Desk) -> None:
    """It belongs to the window that it ends."""
    nyse.at(11, 19, 10, 30)
    nyse.order(qty="10")
    nyse.at(11, 19, 10, 40)
    body = nyse.history("period=1D&timeframe=15Min")
    assert body["equity"][-3:] == [100_000, 99_999.9, 99_999.9]
    assert body["timestamp"][-2] == new_york(11, 19, 10, 15)


def test_profit_starts_anew_each_day(nyse: Desk) -> None:
    """Or does not, when the query says so."""
    days_of(nyse)
    query = "start=2026-11-20T20:59:59Z&timeframe=1H"
    body = nyse.history(query)
    friday, monday = new_york(11, 20, 9, 30), new_york(11, 23, 9, 30)
    assert body["timestamp"] == [
        *(friday + 3600 * n for n in range(7)), *(monday + 3600 * n for n in range(4)),
    ]  # fmt: skip
    assert body["equity"] == [99_999.0] + [99_998.6] * 6 + [99_998.6] * 2 + [99_997.5] * 2
    assert body["profit_loss"] == [0.0] + [-0.4] * 6 + [0.0] * 2 + [-1.1] * 2
    assert (body["base_value"], body["base_value_asof"]) == (99_999.0, "2026-11-19")
    whole = nyse.history(f"{query}&pnl_reset=no_reset")
    assert whole["profit_loss"] == [0.0] + [-0.4] * 8 + [-1.5] * 2
    assert whole["equity"] == body["equity"]


@pytest.mark.parametrize(
    ("query", "first", "last", "count"),
    [
        ("timeframe=5Min", (9, 30), (16, 0), 79),
        ("timeframe=15Min&intraday_reporting=extended_hours", (4, 0), (20, 0), 65),
        ("timeframe=1H&extended_hours=true", (4, 0), (20, 0), 17),
        ("timeframe=1H&extended_hours=true&intraday_reporting=market_hours", (9, 30), (15, 30), 7),
        ("timeframe=1H&intraday_reporting=continuous", (0, 0), (23, 0), 24),
    ],
)
def test_hours_reported(
    nyse: Desk, query: str, first: tuple[int, int], last: tuple[int, int], count: int
) -> None:
    """A session from its beginning to its end, both included; or round the clock."""
    nyse.at(11, 21, 12)
    span = "start=2026-11-20T05:00:00Z&end=2026-11-21T04:59:00Z"
    stamps = nyse.history(f"{span}&{query}")["timestamp"]
    assert (stamps[0], stamps[-1]) == (new_york(11, 20, *first), new_york(11, 20, *last))
    assert len(stamps) == count


def test_early_close_and_holiday(nyse: Desk) -> None:
    """No points on Thanksgiving, and none after one o'clock on the day after it."""
    nyse.at(11, 28, 12)
    body = nyse.history("start=2026-11-26T15:00:00Z&timeframe=15Min")
    assert body["timestamp"][0] == new_york(11, 27, 9, 30)
    assert body["timestamp"][-1] == new_york(11, 27, 13)


def test_continuous_keeps_fridays_base_over_the_weekend(nyse: Desk) -> None:
    """A weekend is no trading day: profit goes on counting from Thursday's close."""
    nyse.order(qty="100")
    nyse.at(11, 20, 11)
    nyse.order(qty="40", side="sell")
    nyse.at(11, 22, 12)
    body = nyse.history(
        "start=2026-11-22T14:00:00Z&timeframe=1H&intraday_reporting=continuous&pnl_reset=per_day"
    )
    assert body["base_value_asof"] == "2026-11-19"
    assert set(body["profit_loss"]) == {-0.4}


def test_round_the_clock(always: Desk) -> None:
    """Days from midnight to midnight; crypto with its fee, which is paid in coins."""
    always.order(symbol="BTC/USD", qty="1", time_in_force="gtc")
    always.at(11, 20, 9)
    always.order(symbol="BTC/USD", qty="0.5", side="sell", time_in_force="gtc")
    always.at(11, 21, 0, 30)
    body = always.history("start=2026-11-19T16:00:00Z&timeframe=1D")
    bought = 100_000 - 1000.01 + 0.9975 * 1000
    sold = bought - 0.5 * 1000 + 0.5 * 999.99 * 0.9975
    assert body["equity"] == [round(bought, 2), round(sold, 2), round(sold, 2)]
    today = always.history("period=1D&timeframe=15Min")
    assert today["timestamp"][-3:] == [new_york(11, 21, 0, m) for m in (0, 15, 30)]
    assert today["timestamp"][0] == new_york(11, 20)


def test_the_walk_moves_equity(always: Desk) -> None:
    """With a price that moves, each point is cash and holdings at that instant's price."""
    always("POST", "/admin/prices", {"KO": None})
    always.order(qty="300")
    order = always("GET", "/v2/orders?status=all")[1][0]
    always.at(11, 19, 18)
    body = always.history("period=1D&timeframe=1H")
    market = always.app.exchange.market
    for label, equity in list(zip(body["timestamp"], body["equity"], strict=True))[-7:-1]:
        price = market.price_at("KO", (label + 3600) * 10**9)
        paid = 300 * float(order["filled_avg_price"])
        assert equity == pytest.approx(100_000 - paid + 300 * float(price), abs=0.005)
    assert len(set(body["equity"][-7:])) > 4


def test_defaults(always: Desk) -> None:
    """A month by days without a query; the timeframe follows from the period."""
    always.at(11, 20, 10)
    body = always.history()
    assert (body["timeframe"], len(body["timestamp"])) == ("1D", 2)
    for period, timeframe in (("6D", "1Min"), ("1W", "15Min"), ("29D", "15Min"), ("1A", "1D")):
        assert always.history(f"period={period}")["timeframe"] == timeframe
    assert always.history("start=2026-11-19T00:00:00Z")["timeframe"] == "1Min"
    span = always.history("start=2026-11-17T17:00:00Z&period=2D&timeframe=1D")
    assert span["timestamp"] == [new_york(11, 19, 20)]


def test_before_the_account(nyse: Desk) -> None:
    """There is no data, and no base; nor is there without a trading day."""
    for span in (("02T15:00:00Z", "04T20:00:00Z"), ("14T15:00:00Z", "15T20:00:00Z")):
        query = "start=2026-11-{}&end=2026-11-{}&timeframe=1D".format(*span)
        empty = nyse.history(query)
        assert (empty["timestamp"], empty["equity"], empty["base_value"]) == ([], [], None)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("period=1D&start=2026-11-18&end=2026-11-19",
         "Only two of start, end and period can be specified at the same time"),
        ("period=1Y", "invalid period"),
        ("end=0001-01-01", "invalid period"),
        ("end=0001-01-01T00:00:00%2B14:00", "invalid period"),
        ("period=0D", "invalid period"),
        ("period=9999A", "invalid period"),
        ("timeframe=2Min", "invalid timeframe"),
        ("period=2M&timeframe=1H", "timeframe must be 1D for more than 30 days"),
        ("start=2026-01-01&timeframe=15Min", "timeframe must be 1D for more than 30 days"),
        ("start=2026-11-19&end=2026-11-18", "start must not be later than end"),
        ("start=2027-01-01", "start must not be later than end"),
        ("start=soon", "invalid start"),
        ("intraday_reporting=always", "invalid intraday_reporting"),
        ("pnl_reset=never", "invalid pnl_reset"),
        ("cashflow_types=CSD,WISH", "invalid cashflow_types"),
    ],
)  # fmt: skip
def test_refused(always: Desk, query: str, message: str) -> None:
    """What cannot be read, or excludes each other, is 422."""
    assert always("GET", f"{PATH}?{query}") == (422, {"code": 40010001, "message": message})


@pytest.mark.parametrize("kinds", ["ALL", "NONE", "CSD,DIV", "jnlc"])
def test_cash_flows(always: Desk, kinds: str) -> None:
    """Nothing but trades moves cash here, so that there is none to report."""
    assert always.history(f"cashflow_types={kinds}")["cashflow"] == {}
