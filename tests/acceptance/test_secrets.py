"""The real service among faults, a canary in every secret; then everything it wrote is searched."""

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from solution.security import MASK
from tests.helpers.canaries import CORE
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import FaultBroker, Request
from tests.helpers.fault_http_server import head
from tests.helpers.hostile import HOSTILE
from tests.helpers.service_process import World, refusal

KEY, SECRET, PASSWORD = f"PK{CORE}1", f"{CORE}/+2", f"{CORE}@/:%3'\"\\é"
COMMANDS = (
    "config",
    "check",
    "status",
    "orders",
    "why x-1",
    "why none",
    "dead-letters",
    "reconcile",
)


def echo(request: Request) -> bool:
    """A refusal that repeats our headers, and what else a hostile broker thinks of."""
    headers = {name.lower(): value for name, value in request.seen.headers.items()}
    keys = [headers["apca-api-key-id"], headers["apca-api-secret-key"]]
    told = f"bad keys {keys!r} {json.dumps(keys)} {'/'.join(map(quote, keys))}{HOSTILE[0]}"
    body = json.dumps({"code": 40310000, "message": told}).encode()
    request.send(head(403, {"Content-Length": str(len(body))}) + body)
    return True


@pytest.fixture
def guarded(make_world: Callable[..., World]) -> World:
    """A Redis with a password, an exchange behind a proxy, the keys canaries, all logged."""
    made = make_world("--keys", f"{KEY}:{SECRET}", proxy=FaultBroker)
    made.redis.config_set("requirepass", PASSWORD)
    made.redis.close()
    made.redis = redis.Redis(port=made.redis_server.port, password=PASSWORD)
    made.settings |= {
        "ALPACA_API_KEY": KEY,
        "ALPACA_SECRET_KEY": SECRET,
        "REDIS_URL": url_with(made, PASSWORD),
        "LOG_LEVEL": "DEBUG",
        "LOG_DIR": str(made.directory / "logs"),
    }
    return made


def url_with(made: World, password: str) -> str:
    return f"redis://:{quote(password, safe='')}@127.0.0.1:{made.redis_server.port}/0"


def command(made: World, words: str) -> str:
    """What a command prints, on both streams."""
    done = made.command(*words.split())
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def everything_written(made: World) -> Iterator[tuple[str, bytes]]:
    """Every file below the service's directory, and every key of Redis."""
    for path in made.directory.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
    for key in made.redis.scan_iter():
        kind = made.redis.type(key)
        read = {b"stream": made.redis.xrange, b"string": made.redis.get}[kind]
        yield f"Redis {key!r}", repr(read(key)).encode()


def leaks(made: World) -> list[str]:
    """Where the core of the canaries stands; the ledger's files hold text as it is."""
    return [name for name, content in everything_written(made) if CORE.encode() in content]


def test_a_service_among_faults_shows_no_secret(guarded: World) -> None:
    """Refused orders that echo the keys, hostile signals, a Redis that forgets the password."""
    guarded.proxy.on_post("NVDA", echo)
    service = guarded.start(before=("env",))  # a process with a command line of its own
    entries = [guarded.publish(signal_id="x-1", x_note=HOSTILE[2], strategy="s")]
    entries += [guarded.publish(ticker=text, x_note=text) for text in HOSTILE]
    guarded.await_ends(entries)
    assert guarded.final(entries[0])["message"].startswith(f"bad keys ['{MASK}', '{MASK}']")
    words = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
    said = [command(guarded, f"{words}{more}") for words in COMMANDS for more in ("", " --json")]
    assert CORE not in "".join(said)
    assert CORE.encode() not in words
    guarded.redis.config_set("requirepass", "another")
    guarded.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert eventually(lambda: "WRONGPASS" in service.text)
    guarded.redis.config_set("requirepass", PASSWORD)
    assert service.stop() == 0
    assert leaks(guarded) == []
    assert all(line.isprintable() for text in said for line in text.splitlines())
    assert all(line.isprintable() for line in service.text.splitlines())


def test_a_refused_login_shows_no_secret(guarded: World) -> None:
    """Of Redis, and of the exchange, which repeats the keys."""
    wrong = f"{CORE}-wrong'\"\\"
    line = refusal(guarded.launch(REDIS_URL=url_with(guarded, wrong)), 1, "signalpaca stops: ")
    assert "invalid username-password pair" in line
    line = refusal(guarded.launch(ALPACA_SECRET_KEY=f"{CORE}-wrong"), 1, "signalpaca stops: ")
    assert "unauthorized" in line
    line = refusal(guarded.launch(REDIS_URL=f"redis://u:{CORE}@h:x/0"), 2, "configuration: ")
    assert "REDIS_URL" in line
    line = refusal(
        guarded.launch(LEDGER_URL=f"postgresql://u:{CORE}@127.0.0.1:1/d"), 1, "signalpaca stops: "
    )
    assert "ledger" in line
    assert leaks(guarded) == []


def mode_of(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_what_the_service_writes_is_for_its_owner_alone(guarded: World, tmp_path: Path) -> None:
    """Under the most open umask: directories 0700, the ledger and its companions and logs 0600."""
    place = tmp_path / "new"
    service = guarded.launch(
        LEDGER_URL=f"sqlite:///{place}/data/ledger.db",
        LOG_DIR=f"{place}/logs/deep",
        before=("sh", "-c", 'umask 000; exec "$@"', "sh"),
    ).await_start()
    guarded.await_ends([guarded.publish()])
    assert eventually(lambda: any(place.glob("data/assets-*.json")))
    found = {str(path.relative_to(place)): path for path in place.rglob("*")}
    files = {name for name, path in found.items() if path.is_file()}
    assert {f"data/ledger.db{end}" for end in ("", "-wal", "-shm", ".lock")} < files
    assert {mode_of(path) for path in found.values() if path.is_file()} == {"0o600"}
    assert {mode_of(path) for path in (place, *found.values()) if path.is_dir()} == {"0o700"}
    assert service.stop() == 0


def test_a_ledger_that_everybody_may_write_stops_the_start(guarded: World) -> None:
    """Nobody knows any more what is true in it; `check` says the same."""
    assert guarded.start().stop() == 0
    guarded.ledger_path.chmod(0o666)
    line = refusal(guarded.launch(), 1, "signalpaca stops: ")
    assert "may be written by every user of this machine" in line
    assert "may be written by every user of this machine" in command(guarded, "check")
    assert mode_of(guarded.ledger_path) == "0o666"


def test_a_ledger_in_an_open_directory_is_warned_of(guarded: World) -> None:
    """Whoever may write there can put another file in its place."""
    guarded.directory.mkdir()
    guarded.directory.chmod(0o777)
    service = guarded.start()
    assert "ledger_open_to_others" in service.text
    assert "may replace files of" in command(guarded, "check")
    assert service.stop() == 0
