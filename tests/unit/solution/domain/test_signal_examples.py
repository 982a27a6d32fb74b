"""The programs in examples/publish publish signals that the validator accepts."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from solution.domain import signal
from solution.domain.orders import Side
from solution.domain.signal import Signal, parse
from tests.helpers.redis_server import RedisServer, find_redis_server

EXAMPLES = Path(signal.__file__).parents[2] / "examples" / "publish"
DEADLINE = 60
NODE = EXAMPLES / "node"
GO = EXAMPLES / "go"
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules").is_dir(),
    reason="no node, or `npm install` not done in examples/publish/node",
)
needs_go = pytest.mark.skipif(
    shutil.which("go") is None or not (GO / "go.sum").is_file(),
    reason="no go, or `go mod tidy` not done in examples/publish/go",
)


def run(server: RedisServer, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example against the server; redis-cli lies beside the server's binary."""
    beside = Path(find_redis_server() or "").parent
    path = os.pathsep.join([str(Path(sys.executable).parent), str(beside), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "REDIS_URL": server.url, **variables}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        timeout=DEADLINE,
        check=False,
        cwd=GO if command[0] == "go" else None,
    )


def published(server: RedisServer) -> list[tuple[str, Signal]]:
    """Entry id and signal of everything in the stream nvda, in order."""
    with redis.Redis.from_url(server.url) as client:
        entries = client.xrange("nvda")
    return [(i.decode(), parse("nvda", i.decode(), list(fields.items()))) for i, fields in entries]


SHELL = ("sh", str(EXAMPLES / "shell" / "publish.sh"))
PYTHON = (sys.executable, str(EXAMPLES / "python" / "publish.py"))
GO_RUN = ("go", "run", ".")
JAVASCRIPT = ("node", str(NODE / "publish_and_wait.js"))
programs = pytest.mark.parametrize(
    "command", [SHELL, PYTHON, pytest.param(GO_RUN, marks=needs_go)], ids=["shell", "python", "go"]
)


@programs
def test_publishes_a_valid_signal(redis_server: RedisServer, command: tuple[str, ...]) -> None:
    """It prints the entry id of a signal that says what the command line said."""
    done = run(redis_server, *command, "NVDA", "s", "action", "short_sell", "qty", "3")
    [(entry_id, found)] = published(redis_server)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, entry_id, "")
    assert (found.ticker, found.side, found.action, str(found.size)) == (
        "NVDA",
        Side.SELL,
        "short_sell",
        "3",
    )


@programs
def test_every_signal_has_an_id_of_its_own(
    redis_server: RedisServer, command: tuple[str, ...]
) -> None:
    """Two runs are two signals."""
    run(redis_server, *command, "NVDA", "b")
    run(redis_server, *command, "NVDA", "b")
    identities = {found.identity for _, found in published(redis_server)}
    assert len(identities) == 2
    assert all("|id:" in identity for identity in identities)


@pytest.mark.parametrize(
    "command",
    [
        SHELL,
        PYTHON,
        pytest.param(GO_RUN, marks=needs_go),
        pytest.param(JAVASCRIPT, marks=needs_node),
    ],
    ids=["shell", "python", "go", "node"],
)
@pytest.mark.parametrize("arguments", [(), ("NVDA",), ("NVDA", "b", "qty")])
def test_wrong_usage(
    redis_server: RedisServer, command: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    """A field without its value publishes nothing."""
    done = run(redis_server, *command, *arguments)
    assert done.returncode != 0
    assert "usage: " in done.stderr
    assert published(redis_server) == []


def test_shell_repeats_a_signal(redis_server: RedisServer) -> None:
    """With SIGNAL_ID given, two publishes are one signal with one content."""
    run(redis_server, *SHELL, "NVDA", "b", SIGNAL_ID="open-1")
    run(redis_server, *SHELL, "NVDA", "b", SIGNAL_ID="open-1")
    signals = [found for _, found in published(redis_server)]
    assert [s.signal_id for s in signals] == ["open-1", "open-1"]
    assert signals[0].digest == signals[1].digest


def test_shell_says_when_redis_refuses(redis_server: RedisServer) -> None:
    """redis-cli exits 0 on an error; the script does not."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("nvda", "no stream")
    done = run(redis_server, *SHELL, "NVDA", "b")
    assert (done.returncode, done.stdout) == (1, "")
    assert "WRONGTYPE" in done.stderr


def answer(server: RedisServer, event: str) -> None:
    """Play the service: answer the first signal with two events, the second of them twice."""
    with redis.Redis.from_url(server.url) as client:
        [(_, [(entry_id, fields)])] = client.xread({"nvda": "0-0"}, block=DEADLINE * 1000)
        signal_id = fields[b"signal_id"]
        for event_id, entry, name, final in (
            ("1", b"9-9", "fill", "1"),  # somebody else's
            ("2", entry_id, "submitted", "0"),
            ("2", entry_id, "submitted", "0"),
            ("3", entry_id, event, "1"),
        ):
            content: dict[Any, Any] = {"event_id": event_id, "event": name, "final": final}
            content |= {"signal_id": signal_id, "stream": "nvda", "entry_id": entry}
            client.xadd("executions", {**content, "at": "2026-11-20T15:00:00Z"})


@needs_node
@pytest.mark.parametrize(("event", "code"), [("fill", 0), ("refused", 1)])
def test_node_waits_for_the_end(redis_server: RedisServer, event: str, code: int) -> None:
    """It prints each event once, ends with the final one of its own entry, and says how."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.xadd("executions", {"event": "fill", "final": "1", "entry_id": "1-1"})
    service = threading.Thread(target=answer, args=(redis_server, event))
    service.start()
    done = run(redis_server, *JAVASCRIPT, "NVDA", "b")
    service.join(DEADLINE)
    lines = [line.split()[1] for line in done.stdout.splitlines()[1:-1]]
    assert (done.returncode, lines, done.stderr) == (code, ["submitted", event], "")
    assert [found.ticker for _, found in published(redis_server)] == ["NVDA"]


@needs_node
def test_node_stops_waiting(redis_server: RedisServer) -> None:
    """Without a service it gives up after WAIT_SECONDS, and says so."""
    done = run(redis_server, *JAVASCRIPT, "NVDA", "b", WAIT_SECONDS="1")
    assert (done.returncode, done.stderr) == (3, "no final event within 1 s\n")


@pytest.mark.parametrize("name", ["shell", "python", "node", "go"])
def test_every_example_has_a_readme(name: str) -> None:
    """Each directory explains itself and is listed in the overview."""
    assert (EXAMPLES / name / "README.md").read_text().startswith("# Publish from ")
    assert f"| `{name}/` |" in (EXAMPLES / "README.md").read_text()
