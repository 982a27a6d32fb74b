"""Live bars against a real exchange: no bar twice, none missed, whatever breaks in between."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from signal_generator.bars import Bar, Quote, Timeframe
from signal_generator.market.live_bars import LiveBars
from signal_generator.market.market_stream import Patience
from tests.helpers.clocks import eventually
from tests.helpers.stepped_exchange import SteppedExchange, stepped_exchange, utc

SYMBOLS = ["NVDA", "AAPL", "BTC/USD"]
MINUTE = timedelta(minutes=1)
#: No pauses at all.
HASTE = Patience(draw=lambda: -1024.0)

pytestmark = pytest.mark.timeout(180)


@contextmanager
def live(exchange: SteppedExchange, patience: Patience = HASTE) -> Iterator[LiveBars]:
    source = LiveBars(exchange.connection, exchange, patience=patience)
    try:
        yield source
    finally:
        source.stop()


class Diary:
    """What was delivered, by symbol, in order."""

    def __init__(self) -> None:
        self.bars: dict[str, list[Bar]] = {}

    def put(self, bar: Bar) -> None:
        self.bars.setdefault(bar.symbol, []).append(bar)

    def starts(self, symbol: str) -> list[datetime]:
        return [bar.timestamp for bar in self.bars.get(symbol, [])]

    def until(self, symbol: str, end: datetime) -> list[Bar]:
        return [bar for bar in self.bars[symbol] if bar.timestamp <= end]

    def reached(self, start: datetime, symbols: list[str]) -> bool:
        """Whether all symbols have come to this bar, or further."""
        return all(self.starts(symbol)[-1:] >= [start] for symbol in symbols)


def pass_until(
    exchange: SteppedExchange, diary: Diary, start: datetime, symbols: list[str]
) -> bool:
    """Let some seconds pass; whether that bar has come of all symbols."""
    exchange.advance(5)
    return diary.reached(start, symbols)


def last_starts(history: Mapping[str, list[Bar]] | Mapping[str, object]) -> dict[str, datetime]:
    return {symbol: bars[-1].timestamp for symbol, bars in history.items()}  # type: ignore[index]


def rounded(bars: list[Bar]) -> list[Bar]:
    """Of summed-up bars the average price is an approximation on both sides."""
    return [replace(bar, vwap=0.0, volume=round(bar.volume, 6)) for bar in bars]


TROUBLE = {
    3: ["data: disconnect next=1 how=reset"],
    7: ["data: drop event=b p=0.5", "data: duplicate event=b p=0.5"],
    12: ["data: disconnect next=2 when=after", "data: refuse status=429 next=2"],
    16: ["*bars*: status status=503 next=2", "data: disconnect next=1"],
    20: ["data: silence", "*bars*: latency ms=50"],
    26: ["data: disconnect next=1 how=reset", "*bars*: reset_before next=1", "*bars*: cut next=1"],
}
HEALED = (10, 24, 29)


def test_reconnects_in_the_middle_of_the_day() -> None:
    """Half an hour in which everything breaks once, compared with the exchange's own list."""
    with stepped_exchange("2026-03-02T10:00:00-05:00") as exchange, live(exchange) as source:
        history = source.history(SYMBOLS, Timeframe.MINUTE, 5)
        after, diary = last_starts(history), Diary()
        source.follow(Timeframe.MINUTE, after, diary.put)
        exchange.fault("data: duplicate event=b next=1")
        assert eventually(lambda: exchange.advance(5) is None and source.tally()["repeated"] > 0)
        for step in range(30):
            for text in TROUBLE.get(step, []):
                exchange.fault(text)
            if step in HEALED:
                exchange.heal()
            exchange.advance(60)
            # Most minutes are waited for, so that what breaks breaks between bars and not before.
            eventually(lambda: diary.reached(exchange.now() - MINUTE, SYMBOLS), patience=0.3)
        end = exchange.now().replace(second=0, microsecond=0)
        assert eventually(lambda: pass_until(exchange, diary, end, SYMBOLS))
        source.stop()
        assert source.tally()["malformed"] == 0
        for symbol in SYMBOLS:
            wanted = exchange.bars(symbol, "1Min", after[symbol] + timedelta(seconds=1), end)
            assert len(wanted) >= 30
            assert diary.until(symbol, end) == wanted
            before = exchange.bars(symbol, "1Min", after[symbol] - 4 * MINUTE, after[symbol])
            assert history[symbol] == before


def test_bars_of_five_minutes_across_a_gap_and_the_close() -> None:
    """Summed up from minutes, they are the exchange's own."""
    with stepped_exchange("2026-03-02T15:50:30-05:00") as exchange, live(exchange) as source:
        after = last_starts(source.history(["NVDA"], Timeframe.FIVE_MINUTES, 3))
        assert after == {"NVDA": utc("2026-03-02T15:45:00-05:00")}
        diary = Diary()
        source.follow(Timeframe.FIVE_MINUTES, after, diary.put)
        for step in range(16):
            if step in {4, 11}:
                exchange.fault("data: disconnect next=1 how=reset")
            exchange.advance(60)
        end = utc("2026-03-02T16:05:00-05:00")
        assert eventually(lambda: pass_until(exchange, diary, end, ["NVDA"]))
        wanted = exchange.bars("NVDA", "5Min", after["NVDA"] + MINUTE, end)
        found = diary.until("NVDA", end)
        assert rounded(found) == rounded(wanted)
        assert [bar.vwap for bar in found] == pytest.approx([b.vwap for b in wanted], rel=1e-3)


def test_the_days_bar_after_the_close() -> None:
    """Not before, and with the whole session in it."""
    with stepped_exchange("2026-03-02T15:59:00-05:00") as exchange, live(exchange) as source:
        history = source.history(["NVDA"], Timeframe.DAY, 3)
        friday = utc("2026-02-27T00:00:00-05:00")
        assert [bar.timestamp for bar in history["NVDA"]] == [
            utc("2026-02-25T00:00:00-05:00"),
            utc("2026-02-26T00:00:00-05:00"),
            friday,
        ]
        diary = Diary()
        source.follow(Timeframe.DAY, {"NVDA": friday}, diary.put)
        exchange.advance(60)
        exchange.advance(90)
        monday = utc("2026-03-02T00:00:00-05:00")
        assert eventually(lambda: diary.reached(monday, ["NVDA"]))
        assert diary.bars["NVDA"] == exchange.bars("NVDA", "1Day", monday, monday)


def test_one_connection_for_all_shares_and_one_for_crypto() -> None:
    """With a plan that allows one of each, also with quotes of other symbols."""
    options = ("--data-connections", "1")
    with stepped_exchange("2026-03-02T10:00:00-05:00", *options) as exchange, live(exchange) as s:
        quotes: list[Quote] = []
        diary = Diary()
        s.quotes(["KO", "ETH/USD"], quotes.append)
        s.follow(Timeframe.MINUTE, dict.fromkeys(SYMBOLS, exchange.now() - 2 * MINUTE), diary.put)
        exchange.advance(10)
        assert eventually(
            lambda: exchange.advance(1) is None and {q.symbol for q in quotes} == {"KO", "ETH/USD"}
        )
        assert all(0 < quote.bid < quote.ask for quote in quotes)
        exchange.advance(120)
        assert eventually(lambda: len(diary.starts("NVDA")) >= 3 and "BTC/USD" in diary.bars)
        assert s.failure == ""


def test_more_symbols_than_the_plan_allows_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Before the server refuses them."""
    with stepped_exchange("2026-03-02T10:00:00-05:00") as exchange, live(exchange) as source:
        symbols = [f"S{number}" for number in range(31)]
        with caplog.at_level(logging.WARNING):
            source.follow(Timeframe.MINUTE, dict.fromkeys(symbols, exchange.now()), print)
        assert "31 symbols on one connection: Alpaca's Basic plan allows 30" in caplog.text


def test_keys_that_are_refused_are_told() -> None:
    """To whoever runs the host: there will be no bars."""
    told: list[str] = []
    with stepped_exchange("2026-03-02T10:00:00-05:00", "--keys", "other:secret") as exchange:
        source = LiveBars(exchange.connection, exchange, on_failure=told.append, patience=HASTE)
        source.follow(Timeframe.MINUTE, {"NVDA": utc("2026-03-02T09:50:00-05:00")}, print)
        assert eventually(lambda: bool(told))
        source.stop()
        assert source.failure == told[0]
        assert len(told) == 1


def test_stop_does_not_wait_for_history() -> None:
    """A request that hangs is left to its own timeout."""
    with stepped_exchange("2026-03-02T10:00:00-05:00") as exchange, live(exchange) as source:
        exchange.fault("*bars*: hang_before")
        source.follow(Timeframe.MINUTE, {"NVDA": exchange.now() - 5 * MINUTE}, print)
        assert eventually(lambda: exchange.hits() > 0)
        source.stop()
        alive = {thread.name for thread in threading.enumerate()}
        assert "backfill" in alive
        assert not {"bars", "market stream"} & alive
