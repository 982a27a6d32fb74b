"""The thread around the websocket, against servers that misbehave."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from signal_generator.bars import Bar, Quote
from signal_generator.market.market_stream import (
    LONGEST_PAUSE,
    REPORT_AFTER,
    MarketStream,
    Patience,
    Pauses,
    Wanted,
)
from tests.helpers.clocks import ManualClock, eventually
from tests.helpers.market_server import GREETING, Visit, market_server

BAR = {
    "T": "b",
    "S": "NVDA",
    "t": "2026-03-02T14:30:00Z",
    "o": 1,
    "h": 2,
    "l": 1,
    "c": 2,
    "v": 100,
    "n": 3,
    "vw": 1.5,
}


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.bars: list[Bar] = []
        self.quotes: list[Quote] = []

    def subscribed(self) -> None:
        self.told.append("subscribed")

    def lost(self) -> None:
        self.told.append("lost")

    def bar(self, bar: Bar) -> None:
        self.bars.append(bar)

    def correction(self, bar: Bar) -> None:
        self.told.append(f"correction {bar.symbol}")

    def quote(self, quote: Quote) -> None:
        self.quotes.append(quote)

    def refused(self, why: str) -> None:
        self.told.append(f"refused: {why}")


@contextmanager
def listening(
    url: str, patience: Patience | None = None, *, is_open: bool = True
) -> Iterator[tuple[Ear, MarketStream]]:
    ear = Ear()
    stream = MarketStream(
        url,
        ("key", "secret"),
        Wanted(["NVDA"], ["KO"]),
        ear,
        is_open=lambda: is_open,
        log=logging.getLogger("test.stream"),
        # A pause of a second is 2 ** 0 and what is drawn.
        patience=patience or Patience(draw=lambda: -0.99),
    )
    stream.start()
    try:
        yield ear, stream
    finally:
        stream.ask_stop()
        assert stream.join(5)


def once(visit: Visit) -> None:
    """A connection that breaks right after it has subscribed."""
    visit.welcome()


def steady(visit: Visit) -> None:
    visit.welcome()
    visit.say(BAR)
    visit.stay()


def test_bars_and_quotes_are_handed_on() -> None:
    """After the subscription is confirmed, and it asks for what is wanted."""

    def script(visit: Visit) -> None:
        wanted = visit.welcome()
        assert wanted["bars"] == ["NVDA"]
        visit.say(BAR, {"T": "q", "S": "KO", "t": "2026-03-02T14:30:00Z", "bp": 1, "ap": 2})
        visit.say({**BAR, "T": "u"})
        visit.stay()

    with market_server(script) as server, listening(server.url) as (ear, _):
        assert eventually(lambda: ear.told == ["subscribed", "correction NVDA"])
        assert [bar.symbol for bar in ear.bars] == ["NVDA"]
        assert [quote.symbol for quote in ear.quotes] == ["KO"]
        assert server.visits[0].heard[0] == {"action": "auth", "key": "key", "secret": "secret"}


def test_a_server_that_restarts_is_found_again() -> None:
    """Each loss is told before the next subscription."""
    with market_server(once, once, steady) as server, listening(server.url) as (ear, _):
        assert eventually(lambda: bool(ear.bars))
        assert ear.told == ["subscribed", "lost", "subscribed", "lost", "subscribed"]


def test_a_server_that_is_not_there_is_tried_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Reported as an error once in ten failures, and with the reason."""
    caplog.set_level(logging.WARNING)
    with market_server(steady) as server:
        url = server.url
    patience = Patience(draw=lambda: -(2.0**20))
    with listening(url, patience) as (ear, _):
        assert eventually(lambda: len(ear.told) > REPORT_AFTER)
    assert set(ear.told) == {"lost"}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "no market data stream after 10 tries" in errors[0].getMessage()
    assert "Connection refused" in errors[0].getMessage()


def test_keys_that_are_refused_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """Trying again would not help, and may lock the account."""

    def script(visit: Visit) -> None:
        visit.say(GREETING)
        visit.hear()
        visit.error(402, "auth failed")
        visit.stay()

    with market_server(script) as server, listening(server.url) as (ear, stream):
        assert eventually(lambda: ear.told[-1:] == ["lost"])
        assert stream.join(5)
        assert ear.told[0].startswith("refused: the keys are not accepted")
        assert len(server.visits) == 1
    assert "secret" not in caplog.text


def test_a_place_taken_by_another_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Ten seconds at least: the server forgets dead connections slowly."""

    def full(visit: Visit) -> None:
        visit.say(GREETING)
        visit.hear()
        visit.error(406, "connection limit exceeded")

    caplog.set_level(logging.WARNING)
    with market_server(full) as server, listening(server.url) as (ear, _):
        assert eventually(lambda: "again in 10.0 s" in caplog.text)
        assert "another connection has the only place" in caplog.text
        assert ear.told == ["lost"]


@pytest.mark.parametrize("is_open", [True, False])
def test_silence_counts_while_the_market_is_open(*, is_open: bool) -> None:
    """Pings are answered by machines that know nothing of the market."""
    clock = ManualClock()
    patience = Patience(silence=60, monotonic=clock.monotonic, draw=lambda: -0.99)
    quiet = threading.Event()

    def silent(visit: Visit) -> None:
        visit.welcome()
        quiet.wait(10)
        visit.say(BAR)
        visit.stay()

    with (
        market_server(silent, steady) as server,
        listening(server.url, patience, is_open=is_open) as (ear, _),
    ):
        assert eventually(lambda: "subscribed" in ear.told)
        clock.advance(61)
        assert eventually(lambda: not is_open or len(server.visits) == 2)
        quiet.set()
        assert eventually(lambda: bool(ear.bars))
        assert ear.told == (["subscribed", "lost", "subscribed"] if is_open else ["subscribed"])


def test_a_server_that_never_lets_us_subscribe_is_given_up() -> None:
    """Not for ever: the next try may meet another one."""
    clock = ManualClock()
    patience = Patience(monotonic=clock.monotonic, draw=lambda: -0.99)

    with (
        market_server(lambda visit: visit.stay(), steady) as server,
        listening(server.url, patience) as (ear, _),
    ):
        assert eventually(lambda: len(server.visits) == 1)
        assert eventually(lambda: clock.advance(11) is None and "lost" in ear.told)
        assert eventually(lambda: bool(ear.bars))
        assert ear.told[-1] == "subscribed"


def test_garbage_is_counted_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """The bar behind it is taken."""
    caplog.set_level(logging.WARNING)

    def script(visit: Visit) -> None:
        visit.welcome()
        for _ in range(12):
            visit.say_raw("<html>502</html>")
        visit.say_raw(b"\x00\x01")
        visit.error(400)
        visit.say({**BAR, "c": "?"}, BAR)
        visit.stay()

    with market_server(script) as server, listening(server.url) as (ear, stream):
        assert eventually(lambda: bool(ear.bars))
        assert stream.malformed == 14
    told = [line for line in caplog.messages if "cannot be read" in line]
    assert [line.split("no. ")[1].split(":")[0] for line in told] == ["1", "10"]


def test_stop_ends_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    """However long it was to be."""
    with market_server(steady) as server:
        url = server.url
    with listening(url, Patience(draw=lambda: 1000.0)) as (ear, stream):
        assert eventually(lambda: "again in 60.0 s" in caplog.text)
        stream.ask_stop()
        assert stream.join(5)
        assert ear.told == ["lost"]


def test_a_stream_that_never_began_is_stopped() -> None:
    """As when the start failed half-way."""
    stream = MarketStream(
        "ws://127.0.0.1:1/v2/iex",
        ("key", "secret"),
        Wanted(["NVDA"], []),
        Ear(),
        is_open=lambda: True,
        log=logging.getLogger("test.stream"),
        patience=Patience(),
    )
    stream.ask_stop()
    assert stream.join(1)


def test_a_defect_is_told_and_not_only_a_silent_end(caplog: pytest.LogCaptureFixture) -> None:
    """What may be missing from then on comes from history."""

    class Broken(Ear):
        def bar(self, bar: Bar) -> None:
            raise LookupError("a defect")

    ear = Broken()
    with market_server(steady) as server:
        stream = MarketStream(
            server.url,
            ("key", "secret"),
            Wanted(["NVDA"], []),
            ear,
            is_open=lambda: True,
            log=logging.getLogger("test.stream"),
            patience=Patience(),
        )
        stream.start()
        assert stream.join(20)
    assert ear.told[:2] == ["subscribed", "lost"]
    assert ear.told[2].startswith("refused: a defect")
    assert "LookupError: a defect" in caplog.text


def test_pauses_double_with_some_chance_up_to_a_minute() -> None:
    """And begin anew when it works again."""
    pauses = Pauses(draw=lambda: 0.5)
    assert [pauses.next() for _ in range(8)] == [1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 60, 60]
    assert pauses.next(at_least=90) == 90
    pauses.forget()
    assert pauses.next() == 1.5
    assert LONGEST_PAUSE == 60
