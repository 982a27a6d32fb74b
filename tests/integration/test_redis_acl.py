"""The users of deploy/redis/users.acl against real servers: what each may, and may not."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from solution.redis_client import make_client
from tests.helpers.listening import GROUP, VERSIONS, server_of
from tests.helpers.redis_acl import DEPLOY, USERS, as_user, set_password, users_file
from tests.helpers.redis_server import RedisServer
from tests.helpers.strategy_hosts import DAY_OF_BARS

ENTRY = ("ticker", "NVDA", "direction", "b")
CONTROL = f"signalpaca:control:{GROUP}"
STATUS = f"signalpaca:{GROUP}:host-1"
ADD = ("XADD", "nvda", "*", *ENTRY)
MEMORY = "signal_generator:sma"

ALLOWED: dict[str, list[tuple[str, ...]]] = {
    "producer-nvda": [("PING",), ADD, ("XADD", "nvda", "MAXLEN", "0", "*", *ENTRY)],
    "strategy": [
        ("PING",),
        ("TIME",),
        ("WATCH", MEMORY),
        ("UNWATCH",),
        ("MULTI",),
        ADD,
        ("XADD", "nvda", "MAXLEN", "~", "1000", "*", *ENTRY),
        ("HSET", MEMORY, "version", "1", "state", "{}"),
        ("EXEC",),
        ("HGET", MEMORY, "owner"),
        ("HMGET", MEMORY, "version", "writer"),
        ("HGETALL", MEMORY),
        ("HSET", f"{MEMORY}:lease", "owner", "box:1:a", "until", "0"),
        ("XREAD", "STREAMS", "executions", "0"),
        ("XRANGE", "executions", "-", "+", "COUNT", "1"),
        ("XREVRANGE", "executions", "+", "-", "COUNT", "1"),
    ],
    "signalpaca": [
        ("PING",),
        ("TIME",),
        ("INFO",),
        ("EXISTS", "nvda"),
        ("XGROUP", "CREATE", "nvda", "g", "0", "MKSTREAM"),
        ("XREADGROUP", "GROUP", GROUP, "me", "STREAMS", "nvda", ">"),
        ("XPENDING", "nvda", GROUP),
        ("XPENDING", "nvda", GROUP, "-", "+", "10"),
        ("XCLAIM", "nvda", GROUP, "me", "0", "1-1"),
        ("XRANGE", "nvda", "-", "+"),
        ("XREVRANGE", "nvda", "+", "-"),
        ("XINFO", "STREAM", "nvda"),
        ("XINFO", "GROUPS", "nvda"),
        ("XGROUP", "SETID", "nvda", GROUP, "0"),
        ("XGROUP", "DELCONSUMER", "nvda", GROUP, "dead"),
        ("XTRIM", "nvda", "MINID", "~", "0-1"),
        ("XACK", "nvda", GROUP, "1-1"),
        ("XLEN", "nvda"),
        ADD,
        ("MULTI",),
        ("XADD", "executions", "MAXLEN", "~", "100000", "*", "event_id", "1"),
        ("EXEC",),
        ("XADD", "executions-dry-run", "*", "event_id", "1"),
        ("GETSET", STATUS, "{}"),
        ("GETEX", STATUS, "EX", "10"),
        ("SCAN", "0", "MATCH", f"signalpaca:{GROUP}:*"),
        ("GET", STATUS),
        ("PTTL", STATUS),
        ("GETDEL", STATUS),
        ("XREAD", "STREAMS", CONTROL, "0"),
    ],
    "operator": [
        ("XADD", CONTROL, "*", "command", "kill"),
        ("XRANGE", CONTROL, "-", "+"),
        ("XREAD", "STREAMS", CONTROL, "0"),
        ("XLEN", CONTROL),
        ("PING",),
        ("TIME",),
        ("XADD", CONTROL, "MAXLEN", "~", "1000", "*", "command", "kill"),
        ("SCAN", "0", "MATCH", f"signalpaca:{GROUP}:*"),
        ("GET", STATUS),
    ],
    "watcher": [
        ("XREAD", "STREAMS", "executions", "0"),
        ("XRANGE", "executions", "-", "+"),
        ("XREVRANGE", "executions", "+", "-"),
        ("XINFO", "STREAM", "executions"),
        ("XLEN", "executions-dry-run"),
        ("SCAN", "0", "MATCH", f"signalpaca:{GROUP}:*"),
        ("GET", STATUS),
    ],
}
ADMINISTRATION: list[tuple[str, ...]] = [
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "x", "on"),
    ("KEYS", "*"),
    ("MONITOR",),
    ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "127.0.0.1", "1"),
    ("EVAL", "return 1", "0"),
    ("SCRIPT", "FLUSH"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("PUBLISH", "channel", "text"),
    ("XGROUP", "DESTROY", "nvda", GROUP),
    ("XDEL", "nvda", "1-1"),
    ("XSETID", "nvda", "1-1"),
    ("RENAME", "nvda", "aapl"),
    ("XADD", "aapl", "*", *ENTRY),
    ("SET", "other", "1"),
]
DENIED: dict[str, list[tuple[str, ...]]] = {
    "producer-nvda": [
        ("XADD", CONTROL, "*", "command", "resume"),
        ("XADD", "executions", "*", "event", "fill"),
        ("XRANGE", "nvda", "-", "+"),
        ("XREAD", "STREAMS", "nvda", "0"),
        ("XREADGROUP", "GROUP", GROUP, "me", "STREAMS", "nvda", ">"),
        ("XACK", "nvda", GROUP, "1-1"),
        ("XTRIM", "nvda", "MAXLEN", "0"),
        ("XLEN", "nvda"),
        ("XINFO", "STREAM", "nvda"),
        ("DEL", "nvda"),
        ("GET", STATUS),
        ("SET", STATUS, "{}"),
        ("SCAN", "0"),
    ],
    "strategy": [
        ("XADD", CONTROL, "*", "command", "resume"),
        ("XREADGROUP", "GROUP", GROUP, "me", "STREAMS", "nvda", ">"),
        ("XACK", "nvda", GROUP, "1-1"),
        ("XTRIM", "nvda", "MAXLEN", "0"),
        ("XTRIM", "executions", "MAXLEN", "0"),
        ("XGROUP", "SETID", "nvda", GROUP, "0"),
        ("DEL", "nvda"),
        ("DEL", MEMORY),
        ("HDEL", MEMORY, "writer"),
        ("EXPIRE", MEMORY, "1"),
        ("SET", "nvda", "x"),
        ("SET", MEMORY, "x"),
        ("GET", STATUS),
        ("HSET", STATUS, "a", "b"),
        ("HSET", "other", "a", "b"),
        ("XREAD", "STREAMS", CONTROL, "0"),
        ("SCAN", "0"),
    ],
    "signalpaca": [
        ("HSET", MEMORY, "state", "{}"),
        ("HGETALL", MEMORY),
        ("DEL", "nvda"),
        ("UNLINK", "nvda"),
        ("SET", "executions", "x"),
        ("SETEX", "executions", "1", "x"),
        ("SET", STATUS, "{}"),
        ("DEL", STATUS),
        ("EXPIRE", "nvda", "0"),
        ("PEXPIREAT", "nvda", "1"),
        ("RESTORE", "nvda", "0", "x", "REPLACE"),
        ("COPY", "executions", "nvda", "REPLACE"),
        ("RENAME", "executions", "nvda"),
        ("GETSET", "other", "x"),
        ("GETDEL", "other"),
    ],
    "operator": [
        ADD,
        ("XRANGE", "nvda", "-", "+"),
        ("XADD", "executions", "*", "event", "fill"),
        ("XTRIM", CONTROL, "MAXLEN", "0"),
        ("DEL", CONTROL),
        ("SET", STATUS, "{}"),
        ("DEL", STATUS),
        ("GET", "nvda"),
        ("XREAD", "STREAMS", "executions", "0"),
    ],
    "watcher": [
        ADD,
        ("XADD", "executions", "*", "event", "fill"),
        ("XADD", CONTROL, "*", "command", "kill"),
        ("XRANGE", "nvda", "-", "+"),
        ("XRANGE", CONTROL, "-", "+"),
        ("XTRIM", "executions", "MAXLEN", "0"),
        ("SET", STATUS, "{}"),
        ("DEL", STATUS),
    ],
}


@pytest.fixture(scope="module", params=VERSIONS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """With the recipe's users, each with a password."""
    directory = tmp_path_factory.mktemp("acl")
    arguments = ("--aclfile", str(users_file(directory)))
    executable = server_of(request.param)
    with RedisServer(directory / "redis", executable=executable, arguments=arguments) as made:
        yield made


@pytest.fixture
def login(server: RedisServer) -> Iterator[Callable[[str], Any]]:
    """A client of one user; streams and group are there."""
    with ExitStack() as stack:
        admin = stack.enter_context(redis.Redis.from_url(as_user(server.url, "admin")))
        admin.flushall()
        admin.execute_command("XADD", "nvda", "1-1", *ENTRY)
        admin.execute_command("XADD", "executions", "1-1", "event_id", "0")
        admin.xgroup_create("nvda", GROUP, "0")
        yield lambda user: stack.enter_context(make_client(as_user(server.url, user)))


def is_denied(client: Any, command: tuple[str, ...]) -> bool:
    """Whether the user may not; any other refusal fails the test."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command(*command)
        connection.read_response()
    except redis.exceptions.NoPermissionError:
        return True
    finally:
        client.connection_pool.release(connection)
    return False


@pytest.mark.parametrize("user", ALLOWED)
def test_what_a_user_may(login: Callable[[str], Any], user: str) -> None:
    """Everything that its part of the service sends."""
    client = login(user)
    assert [command for command in ALLOWED[user] if is_denied(client, command)] == []


@pytest.mark.parametrize("user", DENIED)
def test_what_a_user_may_not(login: Callable[[str], Any], user: str) -> None:
    """No administration, no stream but its own, and nobody but the operator commands."""
    client = login(user)
    allowed = [c for c in (*ADMINISTRATION, *DENIED[user]) if not is_denied(client, c)]
    assert allowed == []


@pytest.mark.parametrize("stream", ["nvda", "executions"])
@pytest.mark.parametrize(
    "command", [("GETSET", "x"), ("GETEX", "PXAT", "1"), ("GETEX", "EX", "1"), ("GETDEL",)]
)
def test_what_writes_the_status_writes_over_no_stream(
    login: Callable[[str], Any], command: tuple[str, ...], stream: str
) -> None:
    """The type of the key stands in the way, where an ACL cannot: one list of keys for all."""
    client = login("signalpaca")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.execute_command(command[0], stream, *command[1:])
    assert client.xlen(stream) == 1


@pytest.mark.parametrize("stream", ["nvda", "executions"])
def test_a_strategys_memory_writes_over_no_stream(login: Callable[[str], Any], stream: str) -> None:
    """The type of the key stands in the way, where an ACL cannot."""
    client = login("strategy")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.hset(stream, "version", "1")
    assert client.xrevrange(stream, "+", "-", count=1)


def test_a_host_of_strategies_needs_no_more(
    server: RedisServer, login: Callable[[str], Any]
) -> None:
    """A whole run of recorded bars under its user."""
    url = as_user(server.url, "strategy")
    words = ["sma", "--symbols", "F", "--bars", str(DAY_OF_BARS), "--publish"]
    done = subprocess.run(
        [sys.executable, "-m", "signal_generator", *words, "--redis-url", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    signals = login("admin").xlen("nvda") - 1
    assert f"sma: 430 bars, {signals} signals" in done.stderr
    assert signals > 5


def test_without_a_user_nobody_may_anything(
    server: RedisServer, login: Callable[[str], Any]
) -> None:
    """The default user is off."""
    with redis.Redis.from_url(server.url) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


@pytest.mark.parametrize("version", VERSIONS)
def test_as_it_ships_nobody_can_log_in(version: str, tmp_path: Path) -> None:
    """No password that stands in a public file opens anything."""
    (tmp_path / "users.acl").write_text((DEPLOY / "users.acl").read_text())
    arguments = ("--aclfile", str(tmp_path / "users.acl"))
    executable = server_of(version)
    with RedisServer(tmp_path / "redis", executable=executable, arguments=arguments) as made:
        for user in ("default", *USERS):
            for password in ("", "password", user):
                url = made.url.replace("//", f"//{user}:{password}@")
                with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
                    client.execute_command("AUTH", user, password)


def test_a_password_is_replaced(tmp_path: Path) -> None:
    """Its digest alone is kept, once, in a file that nobody else reads."""
    file = users_file(tmp_path)
    set_password(file, "watcher", "another-password-of-many")
    [line] = [line for line in file.read_text().splitlines() if line.startswith("user watcher ")]
    assert line.count(" #") == 1
    assert "another-password" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    plain = (DEPLOY / "users.acl").read_text()
    assert [one.partition(" ")[0] for one in plain.splitlines()] == ["user"] * 7
    assert len(file.read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        ((), "", "usage: "),
        (("users.acl", "nobody"), "0123456789abcdef", "has no user nobody"),
        (("users.acl", "watcher"), "short", "at least 16 characters"),
        (("users.acl", "watcher"), "\n0123456789abcdef", "at least 16 characters"),
    ],
)
def test_what_set_password_refuses(
    tmp_path: Path, words: tuple[str, ...], typed: str, said: str
) -> None:
    """And leaves the file as it is."""
    (tmp_path / "users.acl").write_text((DEPLOY / "users.acl").read_text())
    done = subprocess.run(
        [DEPLOY / "set-password", *words],
        cwd=tmp_path,
        input=typed,
        text=True,
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert (tmp_path / "users.acl").read_text() == (DEPLOY / "users.acl").read_text()


def test_what_the_page_makes_is_for_its_maker_alone(tmp_path: Path) -> None:
    """Its commands to the letter, but for the server, under the umask that most people have."""
    page = (DEPLOY.parents[1] / "docs" / "how-to" / "lock-redis-down.md").read_text()
    [block] = [text for text in page.split("```") if "cp deploy/redis/users.acl" in text]
    script = block.removeprefix("sh\n").partition("redis-server")[0]
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "redis").symlink_to(DEPLOY)
    command = ["sh", "-euc", f"umask 022\n{script}"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=20)
    made = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.is_file()}
    assert made == dict.fromkeys(["users.acl", *(f"{user}.password" for user in USERS)], 0)
