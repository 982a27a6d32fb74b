"""The commands against a running service, each a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from paper_exchange.testing import running
from solution.redis_client import make_client
from solution.ui.snapshot import read_all
from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer
from tests.helpers.terminal import AtTerminal

PATIENCE = 30.0


class World:
    """A service, its exchange and its Redis; commands are run beside them."""

    def __init__(self, folder: Path, redis_url: str, exchange_url: str) -> None:
        self.folder = folder
        self.env = os.environ | {
            "ALPACA_API_KEY": "key-of-the-test",
            "ALPACA_SECRET_KEY": "secret-of-the-test",
            "ALPACA_TRADING_URL": exchange_url,
            "ALPACA_DATA_URL": exchange_url,
            "REDIS_URL": redis_url,
            "LEDGER_URL": f"sqlite:///{folder}/ledger.db",
            "LOG_DIR": str(folder / "logs"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def command(self, *words: str) -> list[str]:
        """The words of one command line."""
        return [sys.executable, "-m", "solution", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def json(self, *words: str) -> Any:
        """What a command prints with --json."""
        return orjson.loads(self.run(*words, "--json").stdout)


@pytest.fixture(scope="module")
def world(redis_executable: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything up, the service listening."""
    folder = tmp_path_factory.mktemp("world")
    with (
        RedisServer(folder / "redis", executable=redis_executable) as server,
        running() as exchange,
    ):
        made = World(folder, server.url, exchange.url)
        with (folder / "service.log").open("wb") as log:
            service = subprocess.Popen(
                made.command("-w", "2"), cwd=folder, env=made.env, stdout=log, stderr=log
            )
        client = make_client(server.url)
        try:
            settled = eventually(
                lambda: service.poll() is not None or bool(read_all(client, "solution")), PATIENCE
            )
            assert settled and service.poll() is None, (folder / "service.log").read_text()
            yield made
        finally:
            client.close()
            service.terminate()
            assert service.wait(PATIENCE) == 0


def test_a_signal_from_publication_to_fill(world: World) -> None:
    """publish --wait, then status and orders tell the same."""
    result = world.run("publish", "NVDA", "b", "--qty", "2", "--wait", "--signal-id", "first")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "fill buy 2 NVDA at" in result.stdout
    [order] = [o for o in world.json("orders")["orders"] if o["signal_id"] == "first"]
    assert (order["state"], order["filled_qty"]) == ("FILLED", "2")
    assert world.json("orders", "--open") == {"orders": []}
    again = world.run("publish", "NVDA", "b", "--qty", "2", "--wait", "--signal-id", "first")
    assert again.returncode == 0
    assert len(world.json("orders")["orders"]) == 1


def test_a_typo_never_leaves(world: World) -> None:
    """Exit code 2."""
    result = world.run("publish", "NVDA", "b", "--qty", "two")
    assert result.returncode == 2
    assert "INVALID_VALUE" in result.stderr


def test_status_shows_the_instance(world: World) -> None:
    """All its threads run."""
    result = world.run("status")
    assert result.returncode == 0
    assert "local exchange" in result.stdout
    [snapshot] = world.json("status")["instances"].values()
    assert all(snapshot["threads"].values())


def test_check_finds_nothing_wrong(world: World) -> None:
    """The ledger is in use, which is information."""
    report = world.json("check")
    assert report["ok"] is True
    [ledger] = [row for row in report["checks"] if row["name"] == "ledger"]
    assert ledger["level"] == "info"


def test_a_dead_letter_is_seen_and_retried(world: World) -> None:
    """An expired signal gets a fresh start under a new id, once."""
    fields = ("--field", "ts=2026-01-02T03:04:05Z", "--signal-id", "late")
    result = world.run("publish", "NVDA", "b", "--qty", "1", "--wait", *fields)
    assert result.returncode == 1
    assert "dead_letter NVDA EXPIRED" in result.stdout
    entry = result.stdout.splitlines()[0]
    assert entry in world.run("dead-letters").stdout
    retried = world.run("dead-letters", "retry", entry, "--yes")
    assert retried.returncode == 0, retried.stderr
    assert "signal_id=late.r1" in retried.stdout

    def is_filled() -> bool:
        rows = world.json("orders")["orders"]
        return any(o["signal_id"] == "late.r1" and o["state"] == "FILLED" for o in rows)

    assert eventually(is_filled, PATIENCE)
    again = world.run("dead-letters", "retry", entry, "--yes")
    assert again.returncode == 1
    assert "late.r1 was sent already" in again.stderr


def test_kill_and_resume(world: World) -> None:
    """Confirmed by the instance; in between nothing is sent."""
    killed = world.run("kill")
    assert killed.returncode == 0, killed.stderr
    assert str(world.folder / ".kill_switch") in killed.stdout
    refused = world.run("publish", "NVDA", "b", "--qty", "1", "--wait")
    assert refused.returncode == 1
    assert "KILL_SWITCH" in refused.stdout
    resumed = world.run("resume")
    assert resumed.returncode == 0, resumed.stderr
    assert world.run("publish", "NVDA", "b", "--qty", "1", "--wait").returncode == 0


def test_top_without_a_terminal_prints_lines(world: World) -> None:
    """Until it is interrupted, which is no failure."""
    with subprocess.Popen(
        world.command("top"),
        cwd=world.folder,
        env=world.env | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        ends = next(line for line in process.stdout if " signals, " in line)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "FILLED" in ends


def test_top_on_a_terminal_is_a_screen(world: World) -> None:
    """As large as the window, also when that changes; SIGTERM leaves the terminal as it was."""
    assert world.run("publish", "NVDA", "b", "--qty", "1", "--wait").returncode == 0
    plain = ("LC_ALL", "LC_CTYPE", "LANG", "NO_COLOR", "COLUMNS", "LINES")
    env = {name: value for name, value in world.env.items() if name not in plain}
    words = ("top", "--refresh", "0.05", "--updates", "1000")
    with AtTerminal(env | {"TERM": "xterm"}, world.folder, *words, size=(80, 24)) as person:
        shown = person.await_frame(" fill").splitlines()
        assert "─╮" in shown[0]
        assert "ACTIVE  equity " in shown[1]
        assert any("✓  buy " in line and "NVDA" in line for line in shown)
        assert not person.is_as_found
        person.resize(120, 40)
        [head] = [line for line in person.await_frame("│ position ").splitlines() if "qty" in line]
        assert "unrealised " in head
        assert "update " in head  # side by side now
        person.resize(40, 10)
        assert "equity" in person.await_frame("╰")
        person.process.send_signal(signal.SIGTERM)
        assert person.wait() == 0
        assert person.is_as_found
