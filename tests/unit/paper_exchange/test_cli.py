"""Options become settings, or one line that names the mistake."""

from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner

from paper_exchange import cli
from paper_exchange.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each exchange that would have been served."""
    seen: list[Settings] = []

    async def serve(settings: Settings, listener: Any, ready: Any) -> None:
        listener.close()
        seen.append(settings)
        ready()

    monkeypatch.setattr(cli, "serve", serve)
    return seen


def test_options_become_settings(served: list[Settings]) -> None:
    """Every option lands where it belongs, and the ready line names the port taken."""
    line = (
        "--port 0 --seed 5 --session nyse --rate-limit 0 --cash 2500.50 --symbols abc,XYZ,"
        " --fill-delay-ms 20 --keys a:b,c:d:e --volatility 0 --partial-fill-rate 0.1"
        " --closed-ioc refuse --stream-frames text --log-level ERROR"
        " --replay a.csv --replay b --replay-times recorded"
    )
    result = CliRunner().invoke(cli.main, line.split())
    assert result.exit_code == 0
    assert result.output.startswith("paper_exchange listening on http://127.0.0.1:")
    assert served == [
        Settings(
            port=0,
            seed=5,
            session="nyse",
            rate_limit=0,
            cash=Decimal("2500.50"),
            symbols=("ABC", "XYZ"),
            fill_delay_ms=20,
            keys=(("a", "b"), ("c", "d:e")),
            volatility=0.0,
            partial_fill_rate=0.1,
            closed_ioc="refuse",
            stream_frames="text",
            replay=("a.csv", "b"),
            replay_times="recorded",
            log_level="error",
        )
    ]


@pytest.mark.parametrize(
    "options",
    ["--cash x", "--cash -1", "--cash NaN", "--keys a", "--keys a:", "--session never", "--seed x"],
)
def test_wrong_options(served: list[Settings], options: str) -> None:
    """Nothing is served, and the exit code is 2."""
    result = CliRunner().invoke(cli.main, ["--port", "0", *options.split()])
    assert (result.exit_code, served) == (2, [])


def test_ipv6_is_bracketed(served: list[Settings]) -> None:
    """So that the printed address can be used."""
    result = CliRunner().invoke(cli.main, ["--host", "::1", "--port", "0"])
    assert result.output.startswith(("paper_exchange listening on http://[::1]:", "Error: cannot"))


def test_what_cannot_be_replayed_is_said() -> None:
    """In one line, with exit code 1, before anything is served."""
    result = CliRunner().invoke(cli.main, ["--port", "0", "--replay", "missing.csv"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: missing.csv: cannot be read as CSV: No such file or directory\n"
    )
