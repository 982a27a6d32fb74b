"""Tests of signal_generator.app."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import click
import fakeredis
import pytest
import redis

from signal_generator import app, sessions
from signal_generator.app import RunOptions, hours_for, printer, produce, run
from signal_generator.producer import Producer
from signal_generator.runtime import Pacer
from signal_generator.signing import parse_key, sign
from tests.helpers.fake_stop import FakeStop

NVDA = {"Ticker": "NVDA", "Direction": "b"}
OPTIONS = RunOptions(
    redis_url="redis://box",
    stream="nvda",
    maxlen=None,
    connect_timeout=0.0,
    interval=0.001,
    count=3,
    always=True,
    as_json=False,
)


def always() -> Mapping[str, str]:
    """Yield a signal at each tick."""
    return NVDA


@pytest.fixture
def server() -> fakeredis.FakeServer:
    """The state behind the client; `connected = False` breaks it."""
    return fakeredis.FakeServer()


@pytest.fixture
def client(
    server: fakeredis.FakeServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[fakeredis.FakeRedis]:
    """The client that `produce` makes."""
    client = fakeredis.FakeRedis(server=server, decode_responses=True, host="box")
    monkeypatch.setattr(app, "make_client", lambda _url: client)
    yield client
    client.close()


def test_text_output(client: fakeredis.FakeRedis, capsys: pytest.CaptureFixture[str]) -> None:
    """One line per entry with its id, then how many there were."""
    produce(always, OPTIONS)
    ids = [entry_id for entry_id, _ in client.xrange("nvda") or ()]
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"nvda {i!s} NVDA b" for i in ids] + ["published 3 signals"]
    assert err == ""


def test_json_output(client: fakeredis.FakeRedis, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is JSON lines only; the count goes to standard error."""
    produce(always, replace(OPTIONS, as_json=True))
    out, err = capsys.readouterr()
    expected = [
        {"stream": "nvda", "entry_id": i, "fields": f} for i, f in client.xrange("nvda") or ()
    ]
    assert [json.loads(line) for line in out.splitlines()] == expected
    assert err == "published 3 signals\n"


def test_no_redis(
    client: fakeredis.FakeRedis, server: fakeredis.FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answerless start is a failure with one line and no count."""
    server.connected = False
    with pytest.raises(click.ClickException, match="Redis at box:6379") as caught:
        produce(always, OPTIONS)
    assert caught.value.exit_code == 1
    assert capsys.readouterr() == ("", "")


def test_refused_after_some(
    client: fakeredis.FakeRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the key becomes something else, the run fails and still says what it published."""

    def draw() -> Mapping[str, str]:
        entries = client.xlen("nvda")
        if entries == 2:
            client.delete("nvda")
            client.set("nvda", "text")
        return NVDA

    with pytest.raises(click.ClickException, match="WRONGTYPE"):
        produce(draw, OPTIONS)
    assert capsys.readouterr().out.splitlines()[-1] == "published 2 signals"


def test_bad_address_is_wrong_usage() -> None:
    """The option is named, the address is not repeated, the exit code is 2."""
    with pytest.raises(click.BadParameter, match="not a usable Redis address") as caught:
        produce(always, replace(OPTIONS, redis_url="redis://:pa55/word@box"))
    assert caught.value.exit_code == 2
    assert "pa55" not in caught.value.format_message()


def test_signal_ends_the_run(
    client: fakeredis.FakeRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM ends an hour's pause at once, without an error."""

    def draw() -> Mapping[str, str]:
        os.kill(os.getpid(), signal.SIGTERM)
        return NVDA

    produce(draw, replace(OPTIONS, interval=3600.0, count=None))
    assert capsys.readouterr().out.splitlines()[-1] == "published 1 signal"


def test_signal_while_waiting_for_redis(
    client: fakeredis.FakeRedis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ended by the user before Redis answered: no failure, nothing published."""

    def ping() -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        raise redis.ConnectionError("Connection refused.")

    monkeypatch.setattr(client, "ping", ping)
    produce(always, replace(OPTIONS, connect_timeout=60.0))
    assert capsys.readouterr().out == "published 0 signals\n"


def test_end_of_the_table(client: fakeredis.FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the last known session the run fails and says what helps."""

    def outside(_at: datetime) -> bool:
        raise sessions.OutsideTableError("no NYSE session table for 2030-01-02")

    monkeypatch.setattr(sessions, "is_open", outside)
    with pytest.raises(click.ClickException, match="2030-01-02; --always"):
        produce(always, replace(OPTIONS, always=False))


def test_market_hours_are_asked(
    client: fakeredis.FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --always each tick asks the shipped table."""
    asked: list[datetime] = []

    def is_open(at: datetime) -> bool:
        asked.append(at)
        return True

    monkeypatch.setattr(sessions, "is_open", is_open)
    produce(always, replace(OPTIONS, always=False))
    assert len(asked) == 3
    assert {at.tzinfo for at in asked} == {UTC}


def test_run_ends_on_stop_and_paces() -> None:
    """Ten seconds at one tick a second are ten steps, whether they publish or not."""
    stop = FakeStop(stop_at=9.5)
    producer = Producer(
        lambda: None, lambda _: "1-0", hours=None, show=lambda *_: None, report=lambda _: None
    )
    moments: list[float] = []

    def now() -> datetime:
        moments.append(stop.time)
        return datetime.fromtimestamp(stop.time, UTC)

    run(producer, Pacer(1.0, stop, stop.monotonic), None, now)
    assert moments == [float(second) for second in range(10)]


def test_printer_shows_ids(capsys: pytest.CaptureFixture[str]) -> None:
    """A signal_id is part of the line."""
    printer("nvda", as_json=False)("1-0", NVDA | {"signal_id": "5d1d"})
    assert capsys.readouterr().out == "nvda 1-0 NVDA b 5d1d\n"


@pytest.mark.parametrize(
    ("symbols", "anytime"),
    [(["BTC/USD"], None), (["BTC/USD", "NVDA"], {"BTC/USD"}), (["NVDA"], set()), ([], set())],
)
def test_hours_for_pairs_and_shares(symbols: list[str], anytime: set[str] | None) -> None:
    """Pairs alone have no hours; beside shares they go on while those pause."""
    hours = hours_for(symbols)
    assert (None if hours is None else set(hours.around_the_clock)) == anytime


def test_signals_are_signed_with_the_key_of_the_environment(
    client: fakeredis.FakeRedis,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each on its own, for this stream; the line for people shows no signature."""
    key = "tv1:0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("SIGNAL_HMAC_KEY", key)
    produce(always, OPTIONS)
    entries = client.xrange("nvda")
    assert entries
    for _, fields in entries:
        assert fields["sig"] == sign(parse_key(key, "it"), "nvda", fields)
    assert len({fields["sig"] for _, fields in entries}) == 3
    assert entries[0][1]["sig"] not in capsys.readouterr().out


def test_a_key_that_cannot_be_used_is_wrong_usage(
    client: fakeredis.FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is published."""
    monkeypatch.setenv("SIGNAL_HMAC_KEY", "canary")
    with pytest.raises(click.BadParameter, match="must be kid:secret"):
        produce(always, OPTIONS)
    assert client.keys() == []
