"""Bars of the past: a real exchange's, and answers that cannot be used."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest

from signal_generator.bars import Timeframe
from signal_generator.connection import Connection
from signal_generator.market import market_history
from signal_generator.market.market_history import HistoryRefused, HistoryUnavailable, MarketHistory
from tests.helpers.fault_http_server import (
    Behaviour,
    FaultHTTPServer,
    answer,
    cut_off,
    empty,
    html,
    silence,
)
from tests.helpers.stepped_exchange import SteppedExchange, stepped_exchange, utc

SETTLE = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)
#: A Monday, ten minutes after the first trades before the session.
NOW = utc("2026-03-02T04:10:00-05:00")


BACK = dict.fromkeys(Timeframe, timedelta(days=4)) | {Timeframe.DAY: timedelta(days=60)}


@pytest.fixture(scope="module")
def exchange() -> Iterator[SteppedExchange]:
    with stepped_exchange(NOW.isoformat()) as running:
        yield running


@pytest.fixture
def history(exchange: SteppedExchange) -> MarketHistory:
    return MarketHistory(exchange.connection, SETTLE)


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_the_last_bars_across_the_weekend(
    exchange: SteppedExchange, history: MarketHistory, timeframe: Timeframe
) -> None:
    """As many as asked for, the newest completed one last, the same as the exchange's own list."""
    symbols = ["NVDA", "BTC/USD"]
    found = history.last(symbols, timeframe, 20, until=NOW, now=NOW)
    for symbol in symbols:
        theirs = exchange.bars(symbol, timeframe.value, NOW - BACK[timeframe], NOW)
        if symbol == "NVDA" and timeframe is Timeframe.DAY:
            assert theirs[-1].timestamp == utc("2026-02-27T00:00:00-05:00")
        over = [bar for bar in theirs if bar.timestamp + timeframe.length + SETTLE <= NOW]
        assert list(found[symbol]) == over[-20:]
        assert len(found[symbol]) == 20


def test_none_is_later_than_until(history: MarketHistory) -> None:
    """A host that starts again asks for what was before the bar it knows."""
    friday = utc("2026-02-27T15:00:00-05:00")
    found = history.last(["NVDA"], Timeframe.MINUTE, 3, until=friday, now=NOW)
    assert [bar.timestamp for bar in found["NVDA"]] == [friday - n * MINUTE for n in (2, 1, 0)]


def test_a_symbol_without_bars_ends_the_walk_some_day(history: MarketHistory) -> None:
    """And the others have theirs."""
    found = history.last(["NVDA", "NOSUCH"], Timeframe.MINUTE, 2, until=NOW, now=NOW)
    assert (len(found["NVDA"]), len(found["NOSUCH"])) == (2, 0)


def test_long_stretches_come_in_parts(
    exchange: SteppedExchange, history: MarketHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, without a hole or an overlap between them."""
    monkeypatch.setattr(market_history, "_MOST_AT_ONCE", 10)
    start = utc("2026-02-26T09:30:00-05:00")
    parts = list(history.parts(["NVDA"], Timeframe.MINUTE, start, NOW))
    found = [bar for part in parts for bar in part["NVDA"]]
    assert len(parts) == 4
    assert found == exchange.bars("NVDA", "1Min", start, NOW)


def asked(behaviour: Behaviour) -> int:
    """Ask a server that behaves so; how many requests it saw."""
    with FaultHTTPServer(default=behaviour) as server:
        connection = Connection(key="k", secret="very-secret", data_url=server.url)
        try:
            MarketHistory(connection, SETTLE).between(["NVDA"], Timeframe.MINUTE, NOW, NOW)
        finally:
            count = len(server.seen)
        return count


ROW = {"t": "2026-03-02T14:30:00Z", "o": 1, "h": 1, "l": 1, "c": 1, "v": 1}


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (answer({"message": "too many requests."}, 429), "HTTP 429"),
        (html(504), "HTTP 504"),
        (html(502), "HTTP 502"),
        (html(200), "no bars from history"),
        (cut_off(b'{"bars": {}, "next_page_token": null}', 9), "no bars from history"),
        (empty(), "cannot be used"),
        (answer([1, 2]), "cannot be used"),
        (answer({"bars": {"NVDA": 7}, "next_page_token": None}), "cannot be used"),
        (answer({"bars": {"NVDA": [{**ROW, "c": "1"}]}, "next_page_token": None}), "c: '1' is not"),
    ],
)
def test_what_may_be_better_later(behaviour: Behaviour, words: str) -> None:
    """Told at once, after one request: alpaca-py would sleep for nine seconds on some of them."""
    with pytest.raises(HistoryUnavailable, match=words) as caught:
        asked(behaviour)
    assert not isinstance(caught.value, HistoryRefused)
    assert "very-secret" not in str(caught.value)


def test_one_request_is_all_there_is() -> None:
    """An empty list of bars is an answer."""
    assert asked(answer({"bars": {}, "next_page_token": None})) == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        html(401, "<html>401 Authorization Required</html>"),
        answer({"message": "subscription does not permit querying recent SIP data"}, 403),
    ],
)
def test_what_will_be_refused_again(behaviour: Behaviour) -> None:
    """Keys and plans."""
    with pytest.raises(HistoryRefused, match=r"HTTP 40[13]"):
        asked(behaviour)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also through the private door by which the timeout gets into alpaca-py."""
    monkeypatch.setattr(market_history, "_READ_SECONDS", 0.2)
    with pytest.raises(HistoryUnavailable, match="timed out"):
        asked(silence())


def test_the_feed_is_always_said() -> None:
    """Left out it means the best one, which most plans refuse."""
    rows = answer({"bars": {"NVDA": [ROW]}, "next_page_token": None})
    with FaultHTTPServer(default=rows) as server:
        connection = Connection(key="k", secret="s", data_url=server.url, feed="sip")
        found = MarketHistory(connection, SETTLE).between(["NVDA"], Timeframe.HOUR, NOW, NOW)
        assert "feed=sip" in server.seen[0].path
        assert "timeframe=1Hour" in server.seen[0].path
    assert found["NVDA"][0].timestamp == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(("told", "error"), [(60, 60), (-60, -60), (None, 0)])
def test_the_servers_clock_is_compared_with_ours(told: int | None, error: int) -> None:
    """By the header that every HTTP server sends; a few seconds of slack for this test."""
    headers = {} if told is None else {"Date": formatdate(time.time() + told, usegmt=True)}
    rows = answer({"bars": {}, "next_page_token": None}, headers=headers)
    with FaultHTTPServer(default=rows) as server:
        history = MarketHistory(Connection(key="k", secret="s", data_url=server.url), SETTLE)
        history.between(["NVDA"], Timeframe.MINUTE, NOW, NOW)
    assert abs(history.clock_error() - error) < 20


def test_without_alpaca_py_the_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "alpaca", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'signalpaca\[strategies\]'"):
        MarketHistory(Connection(key="k", secret="s"), SETTLE)
