"""The price poller, without a network."""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.book.prices import PriceBook, Quote
from solution.clock import Deadline
from solution.errors import (
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.feeds.price_poller import SYMBOLS_PER_REQUEST, PricePoller, quotes_from_snapshots
from tests.helpers.clocks import ManualClock

DEADLINE = 10.0


def snapshot(price: str) -> dict[str, Any]:
    value = Decimal(price)
    return {
        "latestTrade": {"t": "2026-10-08T14:30:00.123456789Z", "p": value, "s": 1},
        "latestQuote": {"t": "2026-10-08T10:30:01-04:00", "bp": value - 1, "ap": value + 1},
    }


class FakeData:
    """A data API: remembers what was asked for, answers or raises what the test says."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, ...]] = []
        self.errors: list[Exception] = []
        self.bad: set[str] = set()
        self.unpriced: set[str] = set()
        self.seconds = 0.0
        self.called = threading.Event()

    def __call__(self, symbols: Sequence[str]) -> Mapping[str, Any]:
        self.asked.append(tuple(symbols))
        self.clock.advance(self.seconds)
        self.called.set()
        if self.errors:
            raise self.errors.pop(0)
        if self.bad.intersection(symbols):
            raise Rejected(400, 40010001, "invalid symbol")
        return {symbol: snapshot("100") for symbol in symbols if symbol not in self.unpriced}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def data(clock: ManualClock) -> FakeData:
    return FakeData(clock)


@pytest.fixture
def book() -> PriceBook:
    return PriceBook()


@pytest.fixture
def poller(book: PriceBook, data: FakeData, clock: ManualClock) -> PricePoller:
    return PricePoller(book, data, clock=clock)


def watch(book: PriceBook, *symbols: str) -> None:
    for symbol in symbols:
        book.watch(symbol)


def rounds(poller: PricePoller, clock: ManualClock, count: int) -> list[float]:
    """Steps as the loop would do them: after each one its pause passes."""
    pauses = []
    for _ in range(count):
        pauses.append(poller.step())
        clock.advance(pauses[-1])
    return pauses


def test_a_snapshot_becomes_a_quote() -> None:
    """Prices stay Decimals, times become UTC and are cut to microseconds."""
    assert quotes_from_snapshots({"NVDA": snapshot("100")}, 7.0) == {
        "NVDA": Quote(
            symbol="NVDA",
            bid=Decimal(99),
            ask=Decimal(101),
            last=Decimal(100),
            quote_at=datetime(2026, 10, 8, 14, 30, 1, tzinfo=UTC),
            trade_at=datetime(2026, 10, 8, 14, 30, 0, 123456, tzinfo=UTC),
            received=7.0,
        )
    }


@pytest.mark.parametrize(
    "value", [None, {}, [], "x", {"latestTrade": None}, {"latestTrade": {}, "latestQuote": None}]
)
def test_an_empty_snapshot_is_no_quote(value: object) -> None:
    """A symbol that has never traded comes as null or without parts."""
    assert quotes_from_snapshots({"NVDA": value}, 7.0) == {}


@pytest.mark.parametrize(
    "price", [None, 0, Decimal(0), -1, "x", "NaN", "Infinity", [], Decimal("NaN")]
)
def test_what_is_no_price_is_none(price: object) -> None:
    """Zero on one side of a quote means that nobody stands there."""
    payload = {"NVDA": {"latestQuote": {"bp": price, "ap": Decimal(5)}}}
    quote = quotes_from_snapshots(payload, 7.0)["NVDA"]
    assert (quote.bid, quote.ask, quote.last, quote.sell_price) == (None, Decimal(5), None, None)


@pytest.mark.parametrize(
    "text", [None, "", "yesterday", 17, "2026-10-08T14:30:00", "0001-01-01T00:00:00+05:00"]
)
def test_an_unreadable_time_is_none(text: object) -> None:
    """A time without an offset is not guessed at."""
    payload = {"NVDA": {"latestTrade": {"p": 1, "t": text}}}
    assert quotes_from_snapshots(payload, 7.0)["NVDA"].trade_at is None


parts = st.dictionaries(
    st.sampled_from(["t", "p", "bp", "ap"]),
    st.none() | st.text(max_size=12) | st.decimals() | st.integers() | st.lists(st.none()),
)


@given(st.dictionaries(st.sampled_from(["latestTrade", "latestQuote"]), parts | st.none()))
def test_no_snapshot_raises(value: dict[str, Any]) -> None:
    """Whatever the fields hold, prices that come out are positive."""
    for quote in quotes_from_snapshots({"X": value}, 0.0).values():
        prices = (quote.bid, quote.ask, quote.last)
        assert all(price is None or price > 0 for price in prices)


def test_one_request_prices_every_watched_symbol(
    poller: PricePoller, book: PriceBook, data: FakeData
) -> None:
    """All symbols go into one request, and the answer is in the book."""
    watch(book, "NVDA", "AAPL")
    poller.step()
    assert data.asked == [("NVDA", "AAPL")]
    assert book.age("AAPL", 1001.0) == 1.0


def test_nothing_watched_asks_nothing(poller: PricePoller, data: FakeData) -> None:
    """An empty book costs no request."""
    assert poller.step() == 1.0
    assert data.asked == []


def test_many_symbols_are_asked_for_in_parts(
    poller: PricePoller, book: PriceBook, data: FakeData
) -> None:
    """An address has a length limit; one failed part does not cost the others."""
    watch(book, *(f"S{number}" for number in range(SYMBOLS_PER_REQUEST + 1)))
    data.errors = [NotSent("refused")]
    poller.step()
    assert [len(symbols) for symbols in data.asked] == [SYMBOLS_PER_REQUEST, 1]
    assert book.get("S0") is None
    assert book.get(f"S{SYMBOLS_PER_REQUEST}") is not None
    assert poller.failures == 1


def test_the_work_is_part_of_the_period(
    poller: PricePoller, book: PriceBook, data: FakeData
) -> None:
    """A poll of 0.3 s leaves a pause of 0.7 s."""
    watch(book, "NVDA")
    data.seconds = 0.3
    assert poller.step() == pytest.approx(0.7)
    assert poller.overruns == 0


def test_overruns_are_counted_and_warned_of_once_a_minute(
    poller: PricePoller,
    book: PriceBook,
    data: FakeData,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A poll longer than the period is followed by the next at once."""
    watch(book, "NVDA")
    data.seconds = 1.5
    assert rounds(poller, clock, 50) == [0.0] * 50
    assert poller.overruns == 50
    assert len(caplog.records) == 2  # 75 s have passed


def test_failures_are_counted_and_the_pause_doubles(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """1, 2, 4, 8 and then 10 s, and the period again after a success."""
    watch(book, "NVDA")
    data.errors = [OutcomeUnknown("timed out")] * 6
    assert rounds(poller, clock, 7) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 1.0]
    assert poller.failures == 6


def test_an_error_text_is_logged_once_a_minute(
    poller: PricePoller,
    book: PriceBook,
    data: FakeData,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two texts, two lines; the same one again after 60 s."""
    watch(book, "NVDA")
    data.errors = [NotSent(text) for text in "aabaa"]
    rounds(poller, clock, 4)
    assert [record.__dict__["why"] for record in caplog.records] == ["a", "b"]
    clock.advance(60.0)
    rounds(poller, clock, 1)
    assert caplog.records[-1].__dict__["why"] == "a"


def test_the_number_of_remembered_texts_is_bounded(
    poller: PricePoller, data: FakeData, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Texts with a number in them fill neither log nor memory; after a minute there is room."""
    data.errors = [NotSent(str(number)) for number in range(151)]
    for _ in range(150):
        poller.fetch_now("NVDA")
    assert len(caplog.records) == 100
    clock.advance(61.0)
    poller.fetch_now("NVDA")
    assert caplog.records[-1].__dict__["why"] == "150"


@pytest.mark.parametrize(("asked", "pause"), [(3.0, 3.0), (0.0, 1.0), (3600.0, 60.0), (None, 1.0)])
def test_a_rate_limit_is_waited_out(
    poller: PricePoller, book: PriceBook, data: FakeData, asked: float | None, pause: float
) -> None:
    """Retry-After counts between the period and one minute."""
    watch(book, "NVDA")
    data.errors = [RateLimited("too many requests", asked)]
    assert poller.step() == pause


def test_one_bad_symbol_does_not_blind_the_others(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """A request that is refused whole is halved; the culprit is left out for five minutes."""
    watch(book, "A", "B", "C", "D")
    data.bad = {"C"}
    assert rounds(poller, clock, 1) == [1.0]
    assert [book.get(symbol) is not None for symbol in "ABCD"] == [True, True, False, True]
    rounds(poller, clock, 1)
    assert data.asked[-1] == ("A", "B", "D")
    clock.advance(300.0)
    data.bad.clear()
    rounds(poller, clock, 1)
    assert "C" in data.asked[-1]


def test_a_server_that_refuses_everything_bars_nothing(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """Then the fault is not a symbol's; it is one failed poll."""
    watch(book, "A", "B")
    data.bad = {"A", "B"}
    rounds(poller, clock, 1)
    assert poller.failures == 1
    data.bad.clear()
    rounds(poller, clock, 1)
    assert data.asked[-1] == ("A", "B")


def test_halving_is_bounded(poller: PricePoller, book: PriceBook, data: FakeData) -> None:
    """A refusal of hundreds of symbols does not become hundreds of requests."""
    names = [f"S{number}" for number in range(400)]
    watch(book, *names)
    data.bad = set(names)
    poller.step()
    assert len(data.asked) < 30
    assert poller.failures == 1


def test_other_refusals_are_not_halved(
    poller: PricePoller, book: PriceBook, data: FakeData
) -> None:
    """Wrong keys have nothing to do with the symbols."""
    watch(book, "A", "B")
    data.errors = [Unauthorized(401, 0, "unauthorized.")]
    poller.step()
    assert len(data.asked) == 1
    assert poller.failures == 1


def test_fetch_now_prices_one_symbol_and_has_it_polled(
    poller: PricePoller, book: PriceBook, data: FakeData
) -> None:
    """The quote is returned, in the book, and the symbol is in the next poll."""
    quote = poller.fetch_now("MSFT")
    assert quote is not None
    assert quote is book.get("MSFT")
    poller.step()
    assert data.asked == [("MSFT",), ("MSFT",)]


def test_fetch_now_has_its_own_request(book: PriceBook, data: FakeData, clock: ManualClock) -> None:
    """The on-the-spot request may be another one, with its own deadline."""
    soon = FakeData(clock)
    poller = PricePoller(book, data, fetch_soon=soon, clock=clock)
    poller.fetch_now("MSFT")
    assert (soon.asked, data.asked) == ([("MSFT",)], [])


def test_fetch_now_without_a_price_is_none(
    poller: PricePoller, book: PriceBook, data: FakeData
) -> None:
    """A symbol without a price does not join the poll."""
    data.unpriced = {"NOPE"}
    assert poller.fetch_now("NOPE") is None
    assert book.symbols() == ()


def test_fetch_now_counts_an_error(
    poller: PricePoller, data: FakeData, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets None, the log the reason, and the next call asks again."""
    data.errors = [NotSent("refused")]
    assert poller.fetch_now("MSFT") is None
    assert poller.failures == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert poller.fetch_now("MSFT") is not None


class CountedEvent(threading.Event):
    """An event that says when somebody begins to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting.release()
        return super().wait(timeout)


def test_simultaneous_callers_share_one_request(
    book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """While one request is under way, everybody who wants the same symbol waits for it."""
    asked, answer = threading.Event(), threading.Event()

    def slow(symbols: Sequence[str]) -> Mapping[str, Any]:
        asked.set()
        assert answer.wait(DEADLINE)
        return data(symbols)

    poller = PricePoller(book, slow, clock=clock)
    found: list[Quote | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(poller.fetch_now("MSFT"))) for _ in range(3)
    ]
    threads[0].start()
    assert asked.wait(DEADLINE)
    poller._calls["MSFT"].done = done = CountedEvent()
    for thread in threads[1:]:
        thread.start()
        assert done.waiting.acquire(timeout=DEADLINE)
    book.replace({})  # nobody holds the book's lock during the request
    answer.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert found == [book.get("MSFT")] * 3
    assert data.asked == [("MSFT",)]


def test_a_follower_gives_up_in_time(
    book: PriceBook, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that hangs costs its other callers no more than the deadline."""
    monkeypatch.setattr("solution.feeds.price_poller.FETCH_NOW_SECONDS", 0.01)
    asked, answer = threading.Event(), threading.Event()

    def hanging(symbols: Sequence[str]) -> Mapping[str, Any]:
        asked.set()
        answer.wait(DEADLINE)
        return {}

    poller = PricePoller(book, hanging, clock=clock)
    leader = threading.Thread(target=poller.fetch_now, args=("MSFT",))
    leader.start()
    assert asked.wait(DEADLINE)
    assert poller.fetch_now("MSFT") is None
    answer.set()
    leader.join(DEADLINE)


def test_a_leader_that_fails_leaves_nothing_behind(poller: PricePoller, data: FakeData) -> None:
    """An unexpected error reaches the caller, and the next call is a new request."""
    data.errors = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        poller.fetch_now("MSFT")
    assert poller.fetch_now("MSFT") is not None


def test_a_new_symbol_wakes_the_thread(book: PriceBook, data: FakeData) -> None:
    """A symbol that joins is priced long before the hour's poll; stop() ends the wait."""
    poller = PricePoller(book, data, interval=3600.0)
    book.watch("NVDA")
    poller.start()
    assert data.called.wait(DEADLINE)
    data.called.clear()
    book.watch("AAPL")
    assert data.called.wait(DEADLINE)
    assert poller.stop(Deadline(DEADLINE))
    assert ("NVDA", "AAPL") in data.asked


def test_a_symbol_with_a_price_wakes_nobody(
    poller: PricePoller, book: PriceBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what has no quote yet is worth an early poll."""
    woken = threading.Event()
    monkeypatch.setattr(poller, "wake", woken.set)
    book.replace({"NVDA": Quote("NVDA", None, None, Decimal(1), None, None, 1.0)})
    book.watch("NVDA")
    assert not woken.is_set()
    book.watch("AAPL")
    assert woken.is_set()


def test_a_burst_of_new_symbols_is_one_more_poll(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """A step that was woken within 0.1 s of the last poll waits for the rest of that."""
    watch(book, "A")
    poller.step()
    clock.advance(0.04)
    watch(book, "B", "C")
    assert rounds(poller, clock, 2) == pytest.approx([0.06, 1.0])
    assert data.asked == [("A",), ("A", "B", "C")]


def test_a_new_symbol_does_not_cut_a_back_off_short(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """A step that was woken during the pause after an error waits for the rest of it."""
    data.errors = [RateLimited("too many requests", 30.0)]
    watch(book, "NVDA")
    assert poller.step() == 30.0
    clock.advance(10.0)
    watch(book, "AAPL")
    assert poller.step() == 20.0
    assert len(data.asked) == 1


# --- two classes of assets ------------------------------------------------------------------------


def test_each_class_is_asked_for_by_itself(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """One request a class and period."""
    watch(book, "NVDA", "BTC/USD", "AAPL", "ETH/USD")
    assert rounds(poller, clock, 2) == [1.0, 1.0]
    assert data.asked == [("NVDA", "AAPL"), ("BTC/USD", "ETH/USD")] * 2
    assert book.get("BTC/USD") is not None


@pytest.mark.parametrize("fails", ["NVDA", "BTC/USD"])
def test_a_class_that_fails_does_not_delay_the_other(
    poller: PricePoller, book: PriceBook, clock: ManualClock, data: FakeData, fails: str
) -> None:
    """It backs off alone: 1, 2, 4 s; the other keeps its second."""
    asked: list[tuple[float, str]] = []
    began = clock.monotonic()

    def fetch(symbols: Sequence[str]) -> Mapping[str, Any]:
        asked.append((clock.monotonic() - began, symbols[0]))
        if fails in symbols:
            raise OutcomeUnknown("HTTP 504")
        return data(symbols)

    poller = PricePoller(book, fetch, clock=clock)
    watch(book, "NVDA", "BTC/USD")
    rounds(poller, clock, 8)
    assert [at for at, symbol in asked if symbol == fails] == [0.0, 1.0, 3.0, 7.0]
    assert [at for at, symbol in asked if symbol != fails] == [float(n) for n in range(8)]


def test_a_class_that_is_limited_does_not_wait_alone(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """429 for shares: coins are priced in the meantime, also new ones."""
    data.errors = [RateLimited("too many requests", 30.0)]
    watch(book, "NVDA", "BTC/USD")
    assert poller.step() == 1.0
    clock.advance(0.5)
    watch(book, "ETH/USD")
    assert poller.step() == 1.0
    assert data.asked == [("NVDA",), ("BTC/USD",), ("BTC/USD", "ETH/USD")]


def test_an_unknown_pair_has_no_price_and_bars_nobody(
    poller: PricePoller, book: PriceBook, data: FakeData, clock: ManualClock
) -> None:
    """The broker leaves it out of its answer."""
    data.unpriced = {"NO/USD"}
    watch(book, "NO/USD", "BTC/USD")
    rounds(poller, clock, 2)
    assert book.get("NO/USD") is None
    assert book.get("BTC/USD") is not None
    assert poller.failures == 0
