"""What `run_trading` starts and stops, as real processes: Redis, exchange, service."""

import fcntl
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from paper_exchange.testing import Running, running
from signal_generator.launch import Endpoints, LaunchError, Stack, StackOptions, redis_server
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer, free_port
from tests.helpers.service_process import ROOT, Service

KEY, SECRET = "KEY-CANARY", "SECRET-CANARY"
TICKERS = ("AAPL", "AMD", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "TSLA")

Options = Callable[..., StackOptions]


@pytest.fixture
def exchange() -> Iterator[Running]:
    """An exchange on this machine in Alpaca's place; its orders take a moment."""
    with running("--rate-limit", "0", "--fill-delay-ms", "250", "--keys", f"{KEY}:{SECRET}") as one:
        yield one


@pytest.fixture
def options(exchange: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    """Makes options of a user whose Alpaca is `exchange` and who has no Redis and no `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(redis_server, "DEFAULT", f"redis://127.0.0.1:{free_port()}/0")

    def make(secret: str = SECRET, **environ: str) -> StackOptions:
        theirs = ("PATH", "HOME", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        return StackOptions(
            api_key=KEY,
            secret_key=secret,
            tickers=TICKERS,
            workers=4,
            per_minute=6_000,
            session_seconds=60,
            environ={
                **{name: os.environ[name] for name in theirs if name in os.environ},
                "SIGNALPACA_HOME": str(tmp_path / "home"),
                "ALPACA_TRADING_URL": exchange.url,
                "ALPACA_DATA_URL": exchange.url,
                **environ,
            },
        )

    return make


def publish(at: Endpoints, count: int) -> list[str]:
    """That many orders as `run_trading` publishes them."""
    common = {"direction": "b", "action": "buy_long", "qty": "1", "time_in_force": "day"}
    with redis.Redis.from_url(at.redis_url, decode_responses=True) as client:
        entries: list[Any] = [
            client.xadd(at.stream, {"ticker": TICKERS[n % len(TICKERS)], **common})
            for n in range(count)
        ]
    return entries


def finals(at: Endpoints) -> Counter[tuple[str, str]]:
    """How often each entry was told to have ended, and how."""
    with redis.Redis.from_url(at.redis_url, decode_responses=True) as client:
        rows: Any = client.xrange(at.executions_stream)
    events = {fields["event_id"]: fields for _, fields in rows}
    return Counter((e["entry_id"], e["event"]) for e in events.values() if e["final"] == "1")


def orders_of(exchange: Running) -> list[str]:
    """The client_order_id of every order there is."""
    url = f"{exchange.url}/admin/orders"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own exchange
        return [order["client_order_id"] for order in json.load(answer)]


def test_two_runs_on_one_ledger_lose_nothing_and_send_nothing_twice(
    options: Options, exchange: Running, tmp_path: Path, redis_executable: str
) -> None:
    """The first is stopped with orders under way; the second tells how every one has ended.

    What was sent is followed to its end. What waited is not sent by a run that did not ask for it,
    and is told to be refused. No secret stands in what is printed, logged or shown as the words of
    a process.
    """
    told: list[str] = []
    first = Stack(options(), told.append)
    at = first.start()
    assert at.service_is_ours
    processes = dict(first.processes)
    assert sorted(processes) == ["Redis", "service"]
    words = [Path(f"/proc/{p.pid}/cmdline").read_bytes() for p in processes.values()]
    entries = publish(at, 40)
    assert eventually(lambda: bool(orders_of(exchange)), 20)
    assert first.trouble() == ""
    first.stop(60)
    first.stop()
    # Both ended by themselves: none had to be killed.
    assert {name: p.returncode for name, p in processes.items()} == {"Redis": 0, "service": 0}
    assert "MAX_DAILY_LOSS_PCT=0.05" in " ".join(told)

    with Stack(options(), told.append) as at:
        entries += publish(at, 1)
        assert eventually(lambda: {entry for entry, _ in finals(at)} == set(entries), 60)
        ends = finals(at)
    assert set(ends.values()) == {1}
    assert ends[entries[-1], "fill"] == 1
    fills = sum(event == "fill" for _, event in ends)
    assert fills + sum(event == "refused" for _, event in ends) == len(entries)
    ids = orders_of(exchange)
    assert len(ids) == len(set(ids)) == fills
    [folder] = (tmp_path / "home/run_trading").iterdir()
    assert (folder / "ledger.db").is_file()
    assert folder.stat().st_mode & 0o077 == 0
    written = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert not [text for text in (written, *words, repr(at).encode()) if SECRET.encode() in text]


def test_a_service_that_runs_already_is_used_and_left_alone(
    options: Options, exchange: Running, redis_server: RedisServer, tmp_path: Path
) -> None:
    """With a warning; one that does not read our stream is refused with a sentence."""
    env = {
        "ALPACA_API_KEY": KEY,
        "ALPACA_SECRET_KEY": SECRET,
        "ALPACA_TRADING_URL": exchange.url,
        "ALPACA_DATA_URL": exchange.url,
        "REDIS_URL": redis_server.url,
        "STREAMS": "nvda,blocks",
        "CONSUMER_GROUP": "mine",
        "EXECUTIONS_STREAM": "told",
    }
    told: list[str] = []
    with ExitStack() as stack:
        own = Service(env, tmp_path / "own")
        stack.callback(own.kill)
        own.await_start()
        asked = options(REDIS_URL=redis_server.url, CONSUMER_GROUP="mine")
        with Stack(asked, told.append) as at:
            assert (at.service_is_ours, at.stream, at.executions_stream) == (
                False,
                "blocks",
                "told",
            )
            entries = publish(at, 1)
            assert eventually(lambda: (entries[0], "fill") in finals(at), 20)
        assert [line for line in told if line.startswith("warning: ") and "num_workers" in line]
        assert own.process.poll() is None
        own.stop()


def test_a_redis_that_is_named_and_does_not_answer_is_not_replaced(options: Options) -> None:
    """Signals would go where nobody of the user's looks; its password is not repeated."""
    url = f"redis://:PASSWORD-CANARY@127.0.0.1:{free_port()}/0"
    with pytest.raises(LaunchError, match=r"^REDIS_URL is set and cannot be used") as caught:
        Stack(options(REDIS_URL=url), lambda _: None).start()
    assert "CANARY" not in str(caught.value)


def test_what_the_service_refuses_is_one_sentence(
    options: Options, redis_server: RedisServer
) -> None:
    """A setting of the user's that it does not take; nothing stays behind."""
    stack = Stack(options(REDIS_URL=redis_server.url, MAX_POSITION_PCT="plenty"), lambda _: None)
    with pytest.raises(LaunchError, match=r"^the service did not start: MAX_POSITION_PCT='plenty'"):
        stack.start()
    assert not stack.processes


def test_a_wrong_key_is_told_before_anything_starts(options: Options, tmp_path: Path) -> None:
    """Not by a service that ends after a while; the key itself is not repeated."""
    stack = Stack(options(secret="WRONG-CANARY"), lambda _: None)
    with pytest.raises(LaunchError, match="does not accept api_key and secret_key") as caught:
        stack.start()
    assert "WRONG" not in str(caught.value)
    assert not (tmp_path / "home").exists()


SIMULATED = """
import os, sys
from signal_generator.launch import Stack, StackOptions, redis_server
redis_server.DEFAULT = sys.argv[1]
options = StackOptions(
    api_key="", secret_key="", tickers=("NVDA",), use_alpaca=False, environ=os.environ
)
stack = Stack(options, lambda line: None)
stack.start()
print(*[process.pid for process in stack.processes.values()], flush=True)
sys.stdin.read()
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_nothing_outlives_a_killed_run(tmp_path: Path, redis_executable: str) -> None:
    """Although it had no chance to stop anything, and the service still ends in order."""
    run = subprocess.Popen(
        [sys.executable, "-c", SIMULATED, f"redis://127.0.0.1:{free_port()}/0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout
        pids = [int(word) for word in run.stdout.readline().split()]
        assert len(pids) == 3
        run.kill()
    assert eventually(lambda: not any(map(is_alive, pids)), 60)
    [folder] = tmp_path.glob("signalpaca-simulator-*")
    assert "stopped open=0" in (folder / "service.out").read_text()
    # The server that ours has started holds the lock of its folder as long as it lives.
    assert eventually(lambda: not _is_locked(folder / "redis/lock"), 20)


def _is_locked(file: Path) -> bool:
    with file.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
