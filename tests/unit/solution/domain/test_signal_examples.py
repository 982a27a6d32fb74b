"""The programs in examples/publish publish signals that the validator accepts."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis

from solution.domain import signal
from solution.domain.orders import Side
from solution.domain.signal import Signal, parse
from tests.contract.sdk import kits
from tests.helpers.redis_server import RedisServer, find_redis_server

EXAMPLES = Path(signal.__file__).parents[2] / "examples" / "publish"
DEADLINE = 60
WEBHOOK = EXAMPLES.parent / "webhook"
needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no go on the PATH")


@cache
def node_copy() -> Path:
    """The Node example beside its packages, which come from the registry the first time."""
    packages = kits.npm_packages("publish", EXAMPLES / "node")
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(EXAMPLES / "node", folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(packages, target_is_directory=True)
    return folder


@cache
def go_program() -> Path:
    """The Go example built with a stand-in for its Redis client, which no index here carries.

    The stand-in has the few names that the example uses, and speaks to the server for real.
    """
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(EXAMPLES / "go", folder, dirs_exist_ok=True)
    shutil.copytree(Path(__file__).parents[3] / "helpers" / "go_redis", folder / "client")
    needed = "github.com/redis/go-redis/v9"
    for command in (
        ("go", "mod", "edit", f"-replace={needed}=./client"),
        ("go", "build", "-mod=mod", "-o", "publish", "."),
    ):
        offline = {**os.environ, "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        subprocess.run(command, cwd=folder, env=offline, check=True, timeout=DEADLINE)
    return folder / "publish"


def run(
    server: RedisServer, *command: str, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run an example against the server; redis-cli lies beside the server's binary."""
    beside = Path(find_redis_server() or "").parent
    path = os.pathsep.join([str(Path(sys.executable).parent), str(beside), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "REDIS_URL": server.url, **variables}
    return subprocess.run(
        resolved(command),
        capture_output=True,
        text=True,
        env=environment,
        timeout=DEADLINE,
        check=False,
        input=stdin,
    )


def resolved(command: Sequence[str]) -> list[str]:
    """The command with what has to be installed or built first in place of its name."""
    if command[0] == "node":
        return [kits.node().executable, str(node_copy() / command[1]), *command[2:]]
    if command[0] == "go":
        return [str(go_program()), *command[1:]]
    return list(command)


def published(server: RedisServer) -> list[tuple[str, Signal]]:
    """Entry id and signal of everything in the stream nvda, in order."""
    with redis.Redis.from_url(server.url) as client:
        entries = client.xrange("nvda")
    return [(i.decode(), parse("nvda", i.decode(), list(fields.items()))) for i, fields in entries]


SHELL = ("sh", str(EXAMPLES / "shell" / "publish.sh"))
PYTHON = (sys.executable, str(EXAMPLES / "python" / "publish.py"))
GO_RUN = ("go",)
JAVASCRIPT = ("node", "publish_and_wait.js")
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
        JAVASCRIPT,
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


def test_node_stops_waiting(redis_server: RedisServer) -> None:
    """Without a service it gives up after WAIT_SECONDS, and says so."""
    done = run(redis_server, *JAVASCRIPT, "NVDA", "b", WAIT_SECONDS="1")
    assert (done.returncode, done.stderr) == (3, "no final event within 1 s\n")


ALERT = ("sh", str(WEBHOOK / "publish_json.sh"))


def test_an_alert_becomes_a_signal(redis_server: RedisServer) -> None:
    """The message of the charting alert, as it is sent, is one valid signal."""
    message = (WEBHOOK / "alert.json").read_text()
    done = run(redis_server, *ALERT, stdin=message)
    [(entry_id, found)] = published(redis_server)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, entry_id, "")
    said = json.loads(message)
    assert (found.ticker, found.signal_id) == (said["ticker"], said["signal_id"])
    assert (found.side, str(found.limit_price)) == (Side.BUY, str(said["limit_price"]))


@pytest.mark.parametrize("message", ["", "[1, 2]", "not json"])
def test_what_is_no_object_is_not_published(redis_server: RedisServer, message: str) -> None:
    """It would only be a dead letter."""
    done = run(redis_server, *ALERT, stdin=message)
    assert done.returncode == 2
    assert "one JSON object" in done.stderr
    assert published(redis_server) == []


def test_the_receiver_publishes_what_is_posted(redis_server: RedisServer) -> None:
    """The right secret in the path publishes the body, and the same alert twice is one signal."""
    command = [sys.executable, str(WEBHOOK / "receive.py"), "--port", "0"]
    secret = "0123456789abcdef0123456789abcdef"
    environment = {**os.environ, "REDIS_URL": redis_server.url, "WEBHOOK_SECRET": secret}
    body = (WEBHOOK / "alert.json").read_bytes()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        address = receiver.stdout.readline().split()[-1]
        answers = [posted(f"{address}/{secret}", body), posted(f"{address}/{secret}", body)]
        answers += [posted(f"{address}/guess", body), posted(f"{address}/{secret}", b"no")]
        receiver.terminate()
    assert [code for code, _ in answers] == [200, 200, 404, 400]
    found = published(redis_server)
    assert [entry for entry, _ in found] == [text for code, text in answers if code == 200]
    assert found[0][1].digest == found[1][1].digest


def posted(url: str, body: bytes) -> tuple[int, str]:
    """Status and text of the answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:  # noqa: S310  # our own
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode().strip()


@pytest.mark.parametrize("name", ["shell", "python", "node", "go"])
def test_every_example_has_a_readme(name: str) -> None:
    """Each directory explains itself and is listed in the overview."""
    assert (EXAMPLES / name / "README.md").read_text().startswith("# Publish from ")
    assert f"| `{name}/` |" in (EXAMPLES / "README.md").read_text()
