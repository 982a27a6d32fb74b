"""Tests of signal_generator.account.market_clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from paper_exchange.testing import running
from signal_generator.account.broker_http import BrokerHttp
from signal_generator.account.market_clock import BrokerClock, WallClock
from signal_generator.hosting import BrokerRefused, BrokerUnavailable, Session
from tests.helpers.fault_http_server import FaultHTTPServer, answer, html
from tests.unit.signal_generator.account.test_broker_reader import keys

TEN = datetime(2026, 3, 6, 15, 0, tzinfo=UTC)


class Seconds:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[FaultHTTPServer]:
    with FaultHTTPServer() as made:
        yield made


def _clock(server: FaultHTTPServer, seconds: Seconds, every: float = 10.0) -> BrokerClock:
    return BrokerClock(keys(server.url), every=every, monotonic=seconds)


def _told(moment: datetime) -> dict[str, str]:
    return {"timestamp": moment.astimezone(ZoneInfo("America/New_York")).isoformat()}


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        (datetime(2026, 3, 6, 15, 0, tzinfo=UTC), datetime(2026, 3, 6, 21, 0, tzinfo=UTC)),
        (datetime(2026, 3, 7, 2, 0, tzinfo=UTC), datetime(2026, 3, 6, 21, 0, tzinfo=UTC)),
        (datetime(2026, 11, 27, 15, 0, tzinfo=UTC), datetime(2026, 11, 27, 18, 0, tzinfo=UTC)),
        (datetime(2026, 3, 7, 15, 0, tzinfo=UTC), None),
        (datetime(2026, 12, 25, 15, 0, tzinfo=UTC), None),
    ],
    ids=["a day", "its evening, tomorrow in UTC", "a half day", "a Saturday", "Christmas"],
)
def test_the_wall_clock_knows_the_sessions(now: datetime, closes: datetime | None) -> None:
    """Today is New York's today, and half days close early."""
    clock = WallClock(lambda: now)
    session = clock.session()
    assert clock.now() == now
    assert (session.closes if session else None) == closes


def test_the_broker_is_asked_once_and_time_goes_on(server: FaultHTTPServer) -> None:
    """Between two questions the time goes on by itself."""
    seconds = Seconds()
    clock = _clock(server, seconds)
    server.script(answer(_told(TEN)), answer(_told(TEN + timedelta(seconds=10))))
    assert clock.now() == TEN
    seconds.now += 9
    assert clock.now() == TEN + timedelta(seconds=9)
    assert len(server.seen) == 1
    seconds.now += 1
    assert clock.now() == TEN + timedelta(seconds=10)
    assert len(server.seen) == 2
    clock.close()


@pytest.mark.parametrize("pace", [0, 60])
def test_a_clock_of_another_pace_is_followed(server: FaultHTTPServer, pace: int) -> None:
    """One that stands still stands still here, one that runs fast is not fallen behind of."""
    seconds = Seconds()
    clock = _clock(server, seconds)
    server.script(answer(_told(TEN)), answer(_told(TEN + timedelta(seconds=10 * pace))))
    clock.now()
    seconds.now += 10
    clock.now()
    seconds.now += 5
    assert clock.now() == TEN + timedelta(seconds=15 * pace)
    clock.close()


def test_time_never_goes_back(server: FaultHTTPServer) -> None:
    """Not even when an answer says that we ran ahead."""
    seconds = Seconds()
    clock = _clock(server, seconds)
    server.script(answer(_told(TEN)), answer(_told(TEN)))
    clock.now()
    seconds.now += 9.5
    ahead = clock.now()
    seconds.now += 0.5
    assert clock.now() == ahead
    clock.close()


def test_a_broker_that_is_silent_later_stops_no_clock(server: FaultHTTPServer) -> None:
    """The time goes on at the pace known, and the next question waits its turn."""
    seconds = Seconds()
    clock = _clock(server, seconds)
    server.script(answer(_told(TEN)), html(502))
    clock.now()
    seconds.now += 10
    assert clock.now() == TEN + timedelta(seconds=10)
    seconds.now += 1
    assert clock.now() == TEN + timedelta(seconds=11)
    assert len(server.seen) == 2
    clock.close()


@pytest.mark.parametrize("status", [401, 403])
def test_keys_refused_from_the_beginning_are_no_outage(
    server: FaultHTTPServer, status: int
) -> None:
    """Asked again they are refused again, and whoever starts should hear of it."""
    server.script(html(status))
    clock = _clock(server, Seconds())
    with pytest.raises(BrokerRefused, match=f"GET /v2/clock: answered {status}, so check the keys"):
        clock.now()
    clock.close()


def test_keys_refused_later_are_told_once_and_tried_again(server: FaultHTTPServer) -> None:
    """The time goes on meanwhile; a second refusal after better days is told as well."""
    seconds, told = Seconds(), list[str]()
    clock = BrokerClock(keys(server.url), monotonic=seconds, report=told.append)
    later = answer(_told(TEN + timedelta(seconds=40)))
    server.script(answer(_told(TEN)), html(401), html(401), html(502), later, html(403))
    counts = []
    for _ in range(6):
        clock.now()
        counts.append(len(told))
        seconds.now += 10
    assert counts == [0, 1, 1, 1, 1, 2]
    assert "answered 401" in told[0]
    clock.close()


@pytest.mark.parametrize(
    "first",
    [html(502), answer({}), answer([]), answer({"timestamp": "2026-03-06T10:00:00"})],
)
def test_a_broker_that_never_told_the_time_is_an_error(
    server: FaultHTTPServer, first: object
) -> None:
    """There is no time to guess from."""
    server.script(first)  # type: ignore[arg-type]
    clock = _clock(server, Seconds())
    with pytest.raises(BrokerUnavailable, match="GET /v2/clock"):
        clock.now()
    clock.close()


def test_a_session_is_asked_for_once_a_day_and_a_wrong_one_is_an_error(
    server: FaultHTTPServer,
) -> None:
    """A calendar that makes no sense is not taken for a day without a session."""
    clock = _clock(server, Seconds())
    server.script(
        answer(_told(TEN)),
        answer([{"date": "2026-03-06", "open": "9 o'clock", "close": "16:00"}]),
        answer([{"date": "2026-03-06", "open": "09:30", "close": "13:00"}]),
    )
    with pytest.raises(BrokerUnavailable, match="GET /v2/calendar"):
        clock.session()
    half = Session(
        datetime(2026, 3, 6, 14, 30, tzinfo=UTC), datetime(2026, 3, 6, 18, 0, tzinfo=UTC)
    )
    assert clock.session() == clock.session() == half
    assert len(server.seen) == 3
    clock.close()


def test_an_exchange_whose_clock_is_moved_by_hand() -> None:
    """Each question is asked of it, over the end of one day into a Saturday."""
    options = ("--stepped", "--start", "2026-03-06T10:00:00-05:00", "--session", "nyse")
    with running(*options) as exchange:
        http = BrokerHttp(keys(exchange.url))
        clock = BrokerClock(keys(exchange.url), every=0, http=http)
        assert clock.now() == TEN
        http._session.post(f"{exchange.url}/admin/clock", json={"advance": 60}, timeout=5)
        assert clock.now() == TEN + timedelta(minutes=1)
        assert clock.session() == Session(
            datetime(2026, 3, 6, 14, 30, tzinfo=UTC), datetime(2026, 3, 6, 21, 0, tzinfo=UTC)
        )
        http._session.post(f"{exchange.url}/admin/clock", json={"advance": 86_400}, timeout=5)
        assert clock.session() is None
        clock.close()
