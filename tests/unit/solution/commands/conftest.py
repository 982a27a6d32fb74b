"""A command run in this process, with an environment of its own."""

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from paper_exchange.testing import Running, running
from solution.commands.cli import main
from solution.config import describe
from solution.ledger.sqlite import SqliteLedger
from solution.redis_client import make_client
from tests.helpers.redis_server import RedisServer


class Shell:
    """Runs `signalpaca WORDS…` in a directory of its own; nothing of the user's is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.db"
        self.env = {
            "ALPACA_API_KEY": "key-id-1234",
            "ALPACA_SECRET_KEY": "secret-5678",
            "LEDGER_URL": f"sqlite:///{self.ledger}",
            "LOG_DIR": "",
            # A port on which nothing listens.
            "REDIS_URL": "redis://:password-90@127.0.0.1:1/0",
            "ALPACA_TRADING_URL": "http://127.0.0.1:1",
            "ALPACA_DATA_URL": "http://127.0.0.1:1",
        }

    def run(self, *words: str, typed: str | None = None, **env: str) -> Result:
        """The result: exit_code, stdout, stderr."""
        return CliRunner().invoke(main, list(words), input=typed, env=self.env | env)

    def json(self, *words: str, **env: str) -> Any:
        """What a command prints with --json."""
        return orjson.loads(self.run(*words, "--json", **env).stdout)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in an empty directory, without Redis and broker."""
    for option in describe():
        for name in option.names:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path)


@pytest.fixture
def online(shell: Shell, redis_server: RedisServer) -> Shell:
    """The same with a fresh Redis."""
    shell.env["REDIS_URL"] = redis_server.url
    return shell


@pytest.fixture
def client(online: Shell) -> Iterator[Any]:
    """A client of that Redis."""
    made = make_client(online.env["REDIS_URL"])
    yield made
    made.close()


@pytest.fixture(scope="session")
def exchange() -> Iterator[Running]:
    """A real exchange in a process of its own, always open."""
    with running() as started:
        yield started


@pytest.fixture
def traded(online: Shell, exchange: Running) -> Shell:
    """A shell with Redis and broker; each test's keys are an account of its own."""
    online.env["ALPACA_TRADING_URL"] = online.env["ALPACA_DATA_URL"] = exchange.url
    online.env["ALPACA_API_KEY"] = f"key-{uuid.uuid4()}"
    return online


@pytest.fixture
def ledger(shell: Shell) -> Iterator[SqliteLedger]:
    """The shell's ledger, as a running service has it open."""
    made = SqliteLedger(shell.env["LEDGER_URL"])
    yield made
    made.close()


def event(stream: str, entry_id: str, number: int = 1, **fields: str) -> Mapping[str, str]:
    """One entry of `executions`."""
    return {"event_id": str(number), "stream": stream, "entry_id": entry_id, **fields}
