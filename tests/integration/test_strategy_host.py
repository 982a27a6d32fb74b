"""Hosts as processes against a real redis-server: killed, doubled, without Redis for a while."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.helpers.clocks import eventually
from tests.helpers.fault_http_server import FaultHTTPServer, answer
from tests.helpers.redis_server import RedisServer
from tests.helpers.strategy_hosts import DAY_OF_BARS

ROOT = Path(__file__).parents[2]
DAY = ["--symbols", "F,TSLA", "--bars", str(DAY_OF_BARS)]

#: Dies by its own hand with the result of a callback in its hands, or just after one was kept.
DYING = """
import os, signal
from pathlib import Path
from signal_generator.sma_crossover import SmaCrossover

class Dying(SmaCrossover):
    def on_bar(self, symbol, bars):
        self.die("before", symbol, bars, at="T15:00")
        signals = super().on_bar(symbol, bars)
        self.die("after", symbol, bars, at="T16:00")
        if signals:
            self.die("signal", symbol, bars, at="T19")
        return signals

    def die(self, name, symbol, bars, at):
        mark = Path(__file__).with_name(name)
        if at in bars[-1].timestamp.isoformat() and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
#: Holds on to its first bar until a file is there.
WAITING = """
import threading
from pathlib import Path
from signal_generator import Signal, Strategy

class Waiting(Strategy):
    def on_bar(self, symbol, bars):
        Path(__file__).with_name("called").touch()
        while not Path(__file__).with_name("go").exists():
            threading.Event().wait(0.02)
        return Signal(symbol=symbol, side="buy")
"""


class Hosts:
    """Starts them, and ends what is left."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.started: list[subprocess.Popen[str]] = []
        (directory / "dying.py").write_text(DYING)
        (directory / "waiting.py").write_text(WAITING)

    def start(self, *words: str) -> subprocess.Popen[str]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("REDIS_", "SIGNAL_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "signal_generator", *words, "--redis-url", self.url],
            cwd=self.directory,
            env={**kept, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def finish(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def end(self) -> None:
        for process in self.started:
            with process:
                process.kill()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[RedisServer], Hosts]]:
    """Hosts of a server."""
    with contextlib.ExitStack() as stack:

        def made(server: RedisServer) -> Hosts:
            hosts = Hosts(tmp_path, server.url)
            stack.callback(hosts.end)
            return hosts

        yield made


@pytest.fixture
def hosts(make: Callable[[RedisServer], Hosts], redis_server: RedisServer) -> Hosts:
    """Hosts of a server that stays."""
    return make(redis_server)


def entries(server: RedisServer) -> list[dict[str, str]]:
    """What is in the stream."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        found: Any = client.xrange("nvda")
        return [fields for _, fields in found]


def contents(lines: str) -> list[dict[str, str]]:
    """What a dry look shows."""
    return [json.loads(line)["fields"] for line in lines.splitlines()]


def without_name(found: Sequence[dict[str, str]]) -> list[tuple[str, ...]]:
    """Signals as they are but for the strategy's name, in the order of their bars."""
    return sorted(
        tuple(value.partition(":")[2] or value for key, value in f.items() if key != "strategy")
        for f in found
    )


def test_a_dry_look_publishes_nothing(hosts: Hosts, redis_server: RedisServer) -> None:
    """JSON lines alone on standard output, the count on standard error, Redis not even asked."""
    redis_server.stop()
    code, out, err = hosts.finish("sma", *DAY)
    assert code == 0
    assert len(contents(out)) > 20
    assert f"sma: 860 bars, {len(contents(out))} signals" in err


@pytest.mark.parametrize("clock", [(), ("--broker-clock", "1")], ids=["wall", "broker"])
def test_wrong_keys_end_the_start(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, clock: tuple[str, ...]
) -> None:
    """With one sentence, whichever of the broker's servers is asked first."""
    with FaultHTTPServer() as broker:
        broker.script(*[answer({"message": "forbidden."}, 401) for _ in range(9)])
        for name in ("TRADING", "DATA"):
            monkeypatch.setenv(f"ALPACA_{name}_URL", broker.url)
        monkeypatch.setenv("ALPACA_API_KEY", "wrong")
        monkeypatch.setenv("ALPACA_SECRET_KEY", "wrong")
        code, _, err = hosts.finish("sma", "--symbols", "F", *clock)
    assert (code, "trying again" in err) == (1, False)
    assert "401" in err.splitlines()[-1]


def test_a_strategy_that_says_so_has_failed(hosts: Hosts) -> None:
    """Exit code 1 and its sentence, after an end in order."""
    (hosts.directory / "failing.py").write_text(
        "from signal_generator import Strategy\n"
        "class Failing(Strategy):\n"
        "    def on_bar(self, symbol, bars):\n"
        "        self.context.fail('not all is sold')\n"
    )
    code, _, err = hosts.finish("run", "failing.py:Failing", *DAY)
    assert (code, err.splitlines()[-1]) == (1, "Error: not all is sold")
    assert "Failing: 1 bars, 0 signals" in err


def test_killed_at_any_point_every_crossing_stands_once(
    hosts: Hosts, redis_server: RedisServer
) -> None:
    """With a result in its hands, before it, and from outside; what is published is the same."""
    _, out, _ = hosts.finish("sma", *DAY)
    words = ["run", "dying.py:Dying", *DAY, "--publish", "--take-over"]
    codes = [hosts.finish(*words)[0] for _ in range(3)]
    assert codes == [-signal.SIGKILL] * 3
    process = hosts.start(*words)
    before = len(entries(redis_server))
    eventually(lambda: len(entries(redis_server)) > before or process.poll() is not None)
    process.kill()
    process.wait(30)
    code, _, err = hosts.finish(*words)
    assert (code, "signals" in err) == (0, True)
    found = entries(redis_server)
    ids = [fields["signal_id"] for fields in found]
    assert len(ids) == len(set(ids)) == len(contents(out))
    assert without_name(found) == without_name(contents(out))


def test_a_second_run_of_a_recording_adds_nothing(hosts: Hosts, redis_server: RedisServer) -> None:
    """Its bars were run through."""
    first = hosts.finish("sma", *DAY, "--publish")
    published = len(entries(redis_server))
    again = hosts.finish("sma", *DAY, "--publish")
    assert (first[0], again[0], published > 20) == (0, 0, True)
    assert len(entries(redis_server)) == published
    assert "sma: 0 bars, 0 signals: no bar of the files is later than the place that an" in again[2]


def test_a_recording_from_before_the_kept_place_says_why_it_brings_nothing(
    hosts: Hosts, redis_server: RedisServer
) -> None:
    """As after a live run of the same name; a strategy of another name is none of that."""
    place = "2030-01-02T15:00:00+00:00"
    with redis.Redis.from_url(redis_server.url) as client:
        bars = {f"{symbol}|1Min": place for symbol in ("F", "TSLA")}
        client.hset("signal_generator:sma", mapping={"bars": json.dumps(bars), "version": 3})
    code, _, err = hosts.finish("sma", *DAY, "--publish")
    assert code == 0
    assert "in signal_generator:sma (F: 2030-01-02 15:00:00+00:00, the files end 20" in err


def test_a_second_host_is_refused_and_may_take_over(
    hosts: Hosts, redis_server: RedisServer, tmp_path: Path
) -> None:
    """One sentence, exit code 1; the one that was taken over publishes nothing more."""
    words = ["run", "waiting.py:Waiting", "--symbols", "F", "--bars", str(DAY_OF_BARS), "--publish"]
    first = hosts.start(*words)
    assert eventually((tmp_path / "called").exists)
    code, out, err = hosts.finish(*words)
    assert (code, out) == (1, "")
    assert "Error: the strategy Waiting runs already in " in err
    assert "--take-over" in err.splitlines()[-1]
    second = hosts.start(*words, "--take-over")
    _, told = first.communicate(timeout=30)
    assert first.returncode == 1
    assert "Error: the strategy Waiting was taken over by " in told
    assert entries(redis_server) == []
    (tmp_path / "go").touch()
    second.communicate(timeout=60)
    ids = [fields["signal_id"] for fields in entries(redis_server)]
    assert (second.returncode, len(ids), len(set(ids))) == (0, 430, 430)


def test_redis_that_restarts_in_the_middle(
    make: Callable[[RedisServer], Hosts], make_redis_server: Callable[..., RedisServer]
) -> None:
    """Bars wait meanwhile; every crossing is there once."""
    server = make_redis_server(aof=True)
    hosts = make(server)
    _, out, _ = hosts.finish("sma", *DAY)
    process = hosts.start("sma", *DAY, "--publish")
    assert eventually(lambda: len(entries(server)) > 3)
    server.kill()
    server.start()
    _, err = process.communicate(timeout=60)
    found = entries(server)
    ids = [fields["signal_id"] for fields in found]
    assert (process.returncode, len(ids)) == (0, len(set(ids)))
    assert without_name(found) == without_name(contents(out))
    assert err.count("answers again") >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_although_redis_is_away(
    hosts: Hosts, redis_server: RedisServer, number: signal.Signals
) -> None:
    """At once; exit code 0."""
    process = hosts.start("sma", *DAY, "--publish")
    assert eventually(lambda: len(entries(redis_server)) > 1)
    redis_server.stop()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "sma: " in err) == (0, True)


def test_no_redis_at_the_start(hosts: Hosts, redis_server: RedisServer) -> None:
    """One line, exit code 1."""
    redis_server.stop()
    code, out, err = hosts.finish("sma", *DAY, "--publish", "--connect-timeout", "0.2")
    assert (code, out) == (1, "")
    assert "Error: Redis at 127.0.0.1" in err
