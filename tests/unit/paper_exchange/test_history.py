"""Bars, trades and quotes of the past: they tell of the same trades, and never of the future."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_exchange.assets import AssetBook
from paper_exchange.clock import SECOND, new_york, new_york_midnight, to_datetime, to_ns
from paper_exchange.prices import history
from paper_exchange.prices.history import BarRow, Place, Window
from paper_exchange.prices.market import Market
from paper_exchange.prices.series import Series
from paper_exchange.prices.tape import DAY_NS, MINUTE_NS, TICK_NS, Stretch
from paper_exchange.prices.timeframes import parse_timeframe

#: A Friday, 12:00:37 in New York.
NOW = to_ns(datetime(2026, 11, 20, 17, 0, 37, tzinfo=UTC))
_ASSETS = AssetBook()
_MARKETS = {
    session: Market(_ASSETS, seed=3, volatility=0.4, origin_ns=NOW, session=session)
    for session in ("always", "nyse")
}
SYMBOLS = st.sampled_from(
    [("always", "NVDA"), ("nyse", "NVDA"), ("nyse", "SNDL"), ("always", "BTC/USD"), ("nyse", "F")]
)
INTRADAY = st.sampled_from(["2Min", "7T", "15Min", "30Min", "59Min", "1Hour", "4H", "23Hour"])


def bars(
    series: Series, text: str, start: int, end: int, *, now: int = NOW, descending: bool = False
) -> list[BarRow]:
    """All bars of a window."""
    window = Window(start, end, now, descending)
    return [
        row for row, _, _ in history.bars(series, parse_timeframe(text), window) if row is not None
    ]


def summary(rows: list[BarRow]) -> tuple[float, float, float, float, float, int]:
    """What a bar over all of them has to show."""
    return (
        rows[0].open,
        max(row.high for row in rows),
        min(row.low for row in rows),
        rows[-1].close,
        round(sum(row.volume for row in rows), 9),
        sum(row.trades for row in rows),
    )


def figures(row: BarRow) -> tuple[float, float, float, float, float, int]:
    return row.open, row.high, row.low, row.close, round(row.volume, 9), row.trades


def of(where: tuple[str, str]) -> Series:
    return _MARKETS[where[0]].series(where[1])


@given(SYMBOLS, INTRADAY, st.integers(0, 700))
@settings(max_examples=40, deadline=None)
def test_coarse_bars_are_made_of_minutes(where: tuple[str, str], text: str, ago: int) -> None:
    """Open, high, low, close, volume and count to the last digit, the running bar included."""
    series = of(where)
    end = NOW - ago * DAY_NS // 2
    for row in bars(series, text, end - DAY_NS // 2, end)[-3:]:
        _, stop = parse_timeframe(text).bucket(row.at_ns // MINUTE_NS, series.days)
        minutes = bars(series, "1Min", row.at_ns, stop * MINUTE_NS - 1)
        assert figures(row) == summary(minutes)


@given(SYMBOLS, st.sampled_from(["1Day", "1Week", "1Month", "3M", "12Month"]), st.integers(0, 900))
@settings(max_examples=12, deadline=None)
def test_long_bars_are_made_of_days(where: tuple[str, str], text: str, ago: int) -> None:
    """Weeks and months of days; a day of the minutes of its core session."""
    series = of(where)
    end = NOW - ago * DAY_NS
    row = bars(series, text, end - 800 * DAY_NS, end)[-1]
    _, stop = parse_timeframe(text).bucket(row.at_ns // MINUTE_NS, series.days)
    days = bars(series, "1Day", row.at_ns, stop * MINUTE_NS - 1)
    assert figures(row) == summary(days)
    core = series.days.core(series.days.day_of(days[-1].at_ns // MINUTE_NS))
    assert core is not None
    minutes = bars(series, "1Min", core[0] * MINUTE_NS, core[1] * MINUTE_NS - 1)
    assert figures(days[-1]) == summary(minutes)


@given(SYMBOLS, st.integers(1, 50_000))
@settings(max_examples=60, deadline=None)
def test_a_minute_is_made_of_its_trades(where: tuple[str, str], ago: int) -> None:
    """Every trade lies in its bar, and together they are the bar."""
    series = of(where)
    begin = NOW - ago * MINUTE_NS
    for row in bars(series, "1Min", begin, begin + MINUTE_NS - 1):
        window = Window(row.at_ns, row.at_ns + MINUTE_NS - 1, NOW)
        trades = [trade for trade, _ in history.trades(series, window)]
        prices = [trade.price for trade in trades]
        assert (prices[0], max(prices), min(prices), prices[-1]) == figures(row)[:4]
        assert round(sum(trade.size for trade in trades), 9) == round(row.volume, 9)
        assert len(trades) == row.trades
        assert all(trade.size > 0 for trade in trades)
        assert row.low <= row.average <= row.high


@given(
    SYMBOLS,
    st.sampled_from(["1Min", "5Min", "1Hour", "1Day", "1Month"]),
    st.integers(0, 3 * 86_400),
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_told_of_the_future(where: tuple[str, str], text: str, seconds: int) -> None:
    """What was told at an earlier time is what a later market tells of the same minutes."""
    series, now = of(where), NOW - seconds * SECOND
    begin = now - 40 * DAY_NS if text in {"1Day", "1Month"} else now - 4 * 3600 * SECOND
    then = bars(series, text, begin, NOW, now=now)
    later = bars(series, text, begin, NOW)
    assert then[:-1] == later[: max(len(then) - 1, 0)]
    for row in then[-1:]:
        _, stop = parse_timeframe(text).bucket(row.at_ns // MINUTE_NS, series.days)
        if text in {"1Min", "5Min", "1Hour"}:
            known = bars(series, "1Min", row.at_ns, min(stop * MINUTE_NS, now) - 1, now=now)
            assert figures(row) == summary(known)
    window = Window(now - 90 * SECOND, NOW, now // TICK_NS * TICK_NS)
    assert all(trade.at_ns <= now for trade, _ in history.trades(series, window))
    assert all(offer.at_ns <= now for offer, _ in history.quotes(series, window))


@given(SYMBOLS, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_what_stands_is_the_end_of_history(where: tuple[str, str], seconds: int) -> None:
    """The latest trade and quote are the last ones of the past, at any time of day or night."""
    series = of(where)
    now = NOW - seconds * SECOND
    quote = series.quote_at(now)
    window = Window(now - 5 * DAY_NS, now, now // TICK_NS * TICK_NS, descending=True)
    trade, place = next(history.trades(series, window))
    offer, _ = next(history.quotes(series, window))
    assert (quote.traded_ns, float(quote.last), quote.last_size) == trade[:3]
    assert quote.trade_id == place.rank == trade.number
    assert (quote.at_ns, quote.bid, quote.ask) == offer[:3]
    assert series.price_at(now) == pytest.approx(trade.price, rel=1e-3)


def places(series: Series, kind: str, window: Window) -> Iterator[tuple[object, Place]]:
    if kind == "bars":
        for row, place, _ in history.bars(series, parse_timeframe("5Min"), window):
            yield row, place
    else:
        yield from (history.trades if kind == "trades" else history.quotes)(series, window)


@given(SYMBOLS, st.sampled_from(["bars", "trades", "quotes"]), st.booleans(), st.integers(1, 90))
@settings(max_examples=40, deadline=None)
def test_going_on_from_any_place(
    where: tuple[str, str], kind: str, descending: bool, at: int
) -> None:
    """The rest of a window from any of its rows on is the rest of the whole."""
    series = of(where)
    length = 12 * 3600 if kind == "bars" else 100
    window = Window(NOW - length * SECOND, NOW, NOW, descending)
    whole = list(places(series, kind, window))
    for _, place in whole[at : at + 1]:
        assert list(places(series, kind, replace(window, resume=place))) == whole[at:]


@given(SYMBOLS, st.sampled_from(["bars", "trades", "quotes"]))
@settings(max_examples=20, deadline=None)
def test_descending_is_ascending_turned_round(where: tuple[str, str], kind: str) -> None:
    """And both are in order of time."""
    series = of(where)
    window = Window(NOW - 1800 * SECOND, NOW - (600 if kind == "bars" else 1700) * SECOND, NOW)
    up = list(places(series, kind, window))
    assert list(places(series, kind, replace(window, descending=True))) == up[::-1]
    assert all(before[1] < after[1] for before, after in pairwise(up))


def test_both_ends_are_included() -> None:
    """A bar, a trade and a quote exactly at start or end belong to the window."""
    series = of(("always", "NVDA"))
    minute = NOW // MINUTE_NS * MINUTE_NS - MINUTE_NS
    for kind in ("trades", "quotes"):
        rows = list(places(series, kind, Window(minute, minute, NOW)))
        assert [place.at_ns for _, place in rows] == [minute]
    assert [row.at_ns for row in bars(series, "1Min", minute, minute)] == [minute]
    assert bars(series, "1Min", minute + 1, minute + MINUTE_NS - 1) == []
    assert bars(series, "1Min", NOW, NOW - 1) == []


def test_bars_keep_the_sessions() -> None:
    """Intraday from 04:00 to 20:00; days over the core session, at midnight in New York."""
    series = of(("nyse", "NVDA"))
    week = to_ns(datetime(2025, 11, 24, 5, tzinfo=UTC))
    minutes = bars(series, "1Min", week, week + 6 * DAY_NS)
    # Thanksgiving is closed; Friday ends its core session at 13:00, and trades on until 20:00.
    assert [new_york(row.at_ns).date().day for row in minutes[::960]] == [24, 25, 26, 28]
    assert len(minutes) == 4 * 960
    assert {new_york(row.at_ns).hour for row in minutes} == set(range(4, 20))
    days = bars(series, "1Day", week, week + 6 * DAY_NS)
    assert [to_datetime(row.at_ns).hour for row in days] == [5] * 4
    friday = new_york_midnight(date(2025, 11, 28))
    core = bars(series, "1Min", friday + 34_200 * SECOND, friday + 46_800 * SECOND - 1)
    assert (len(core), figures(days[-1])) == (210, summary(core))


def test_days_begin_at_midnight_also_when_clocks_change() -> None:
    """Stocks: New York's midnight, 05:00 or 04:00 UTC; crypto: UTC's; weeks on Monday."""
    start = to_ns(datetime(2026, 10, 30, tzinfo=UTC))
    stock, crypto = of(("always", "NVDA")), of(("always", "BTC/USD"))
    days = bars(stock, "1Day", start, start + 5 * DAY_NS)
    assert [to_datetime(row.at_ns).hour for row in days] == [4, 4, 4, 5, 5]
    hours = bars(stock, "1Hour", days[2].at_ns, days[3].at_ns - 1)
    assert len(hours) == 25
    assert figures(days[2]) == summary(hours)
    assert {row.at_ns % DAY_NS for row in bars(crypto, "1Day", start, NOW)} == {0}
    weeks = bars(crypto, "1Week", start, NOW)
    assert {to_datetime(row.at_ns).weekday() for row in weeks} == {0}
    months = bars(stock, "3Month", start - 400 * DAY_NS, NOW)
    assert [new_york(row.at_ns).month for row in months] == [10, 1, 4, 7, 10]


def test_night_and_weekend_stand_still() -> None:
    """While a stock's market is closed its quote is the same object, and time goes on after."""
    series = Market(_ASSETS, seed=3, volatility=0.4, origin_ns=NOW, session="nyse").series("NVDA")
    evening = to_ns(datetime(2026, 11, 21, 1, 0, tzinfo=UTC))  # Friday, 20:00 in New York
    last = series.quote(evening - 1)
    assert series.quote(evening + 3 * SECOND) is series.quote(evening + 50 * 3600 * SECOND)
    assert series.quote(evening + DAY_NS) == last
    assert series.quote(evening + 56 * 3600 * SECOND) != last


def test_there_is_no_past_before_2015() -> None:
    """Requests from the year 1 on are cut, and cost no more."""
    series = of(("nyse", "NVDA"))
    first = bars(series, "1Day", -(2**62), to_ns(datetime(2015, 1, 31, tzinfo=UTC)))[0]
    assert new_york(first.at_ns).date() == date(2015, 1, 2)


@pytest.mark.parametrize("where", [("nyse", "NVDA"), ("always", "NVDA"), ("always", "BTC/USD")])
def test_volume_follows_the_day(where: tuple[str, str]) -> None:
    """Heavy at the bells and thin around them for stocks, mildly swinging for crypto."""
    series = of(where)
    days = series.days
    core = days.core(days.day_of(NOW // MINUTE_NS) - 1)
    assert core is not None
    start, stop = core
    tenth = (stop - start) // 10

    def activity(first: int) -> Stretch:
        found = series.tape.span(first, first + tenth)
        assert found is not None
        return found

    edges = [activity(start), activity(stop - tenth)]
    noon = activity((start + stop) // 2 - tenth // 2)
    for edge in edges:
        if series.asset.crypto:
            assert 0.6 < edge.volume / noon.volume < 1
        else:
            assert edge.volume > 2.5 * noon.volume
            assert edge.trades > 2.5 * noon.trades
    if where[0] == "nyse":
        assert activity(start - 2 * tenth).volume < noon.volume / 2
        early = series.view(start).prints, series.quote_at((start - 60) * MINUTE_NS)
        assert max(len(early[0].times), 1) > 10
        assert early[1].bid_size <= 300


@given(st.integers(4, 700), st.booleans())
@settings(max_examples=20, deadline=None)
def test_prices_set_by_hand_change_no_past(minutes: int, let_go: bool) -> None:
    """What was told stays; bars with a change in them are still made of their trades."""
    market = Market(_ASSETS, seed=minutes, volatility=0.4, origin_ns=NOW, session="nyse")
    series = market.series("F")
    at = NOW - minutes * MINUTE_NS
    before = bars(series, "1Min", at - 3600 * SECOND, at - MINUTE_NS, now=at)
    market.set_price("F", Decimal("12.34"), at)
    assert market.quote("F", at).last == Decimal("12.34")
    if let_go:
        market.set_price("F", None, at + 90 * SECOND)
        assert series.price_at(at + 91 * SECOND) == pytest.approx(12.34, rel=0.01)
    assert bars(series, "1Min", at - 3600 * SECOND, at - MINUTE_NS)[: len(before)] == before
    minute = at // MINUTE_NS * MINUTE_NS
    for row in bars(series, "5Min", minute - 600 * SECOND, minute + 600 * SECOND):
        window = Window(
            row.at_ns, min(row.at_ns + 300 * SECOND, NOW // MINUTE_NS * MINUTE_NS) - 1, NOW
        )
        trades = [trade for trade, _ in history.trades(series, window)]
        prices = [trade.price for trade in trades]
        assert (prices[0], max(prices), min(prices), prices[-1]) == figures(row)[:4]
        assert sum(trade.size for trade in trades) == row.volume
        assert len(trades) == row.trades
    trade, _ = next(history.trades(series, Window(0, NOW, NOW, descending=True)))
    assert trade.price == float(series.quote_at(NOW).last)


def test_the_numbers_are_these() -> None:
    """Equal on every run, machine and release of Python: these are pinned."""
    series = of(("nyse", "NVDA"))
    day = bars(series, "1Day", NOW - 2 * DAY_NS, NOW - DAY_NS)[0]
    minute = bars(series, "1Min", NOW - 120 * SECOND, NOW)[0]
    quote = series.quote_at(NOW)
    assert figures(day) == (131.52, 134.06, 131.21, 133.76, 1352505, 17565)
    assert figures(minute) == (136.18, 136.21, 136.14, 136.18, 2518, 20)
    assert (str(quote.bid), str(quote.ask), quote.bid_size, quote.trade_id) == (
        "136.40",
        "136.43",
        300,
        2991990000012,
    )


@pytest.mark.parametrize(
    "text",
    ["", "Min", "0Min", "60Min", "24Hour", "2Day", "2Week", "5Month", "1min", "1 Min", "1Mins",
     "-1Min", "001Min", "1Min\n", "\u0661Min", "1.5H", "99999999999Min"],
)  # fmt: skip
def test_other_timeframes_are_refused(text: str) -> None:
    """Only what Alpaca documents."""
    with pytest.raises(ValueError, match="not a timeframe"):
        parse_timeframe(text)


def test_every_documented_timeframe_is_understood() -> None:
    """Both spellings of all of them."""
    documented = {"Min": range(1, 60), "T": range(1, 60), "Hour": range(1, 24), "H": range(1, 24)}
    documented |= {"Day": range(1, 2), "D": range(1, 2), "Week": range(1, 2), "W": range(1, 2)}
    for unit, amounts in documented.items():
        assert all(parse_timeframe(f"{amount}{unit}").amount == amount for amount in amounts)
    assert all(parse_timeframe(f"{n}M").unit == "Month" for n in (1, 2, 3, 4, 6, 12))


def test_wild_volatility_keeps_the_rules() -> None:
    """Prices stay positive and finite, and bars add up, also where nothing is plausible."""
    wild = Market(_ASSETS, seed=1, volatility=50, origin_ns=NOW).series("SNDL")
    still = Market(_ASSETS, seed=1, volatility=0, origin_ns=NOW).series("KO")
    for series in (wild, still):
        start = NOW - timedelta(days=20) // timedelta(microseconds=1) * 1000
        for row in bars(series, "1Hour", start, NOW)[:5]:
            assert figures(row) == summary(
                bars(series, "1Min", row.at_ns, row.at_ns + 3600 * SECOND - 1)
            )
            assert 0 < row.low <= row.high < float("inf")
    assert figures(bars(still, "1Day", NOW - DAY_NS, NOW)[0])[:4] == (70, 70, 70, 70)
