"""Options become settings, or one line that names the mistake."""

import os
import re
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from paper_exchange import cli
from paper_exchange.faults.spec import parse_text
from paper_exchange.settings import Settings
from paper_exchange.storage.database import open_state


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of each exchange that would have been served."""
    seen: list[Settings] = []

    async def serve(settings: Settings, listener: Any, ready: Any, secure: Any) -> None:
        listener.close()
        if secure is not None:
            secure.listener.close()
        seen.append(settings)
        ready()

    monkeypatch.setattr(cli, "serve", serve)
    return seen


def test_defaults_are_those_of_the_settings(served: list[Settings]) -> None:
    """An exchange made in Python is the one that the command starts."""
    assert CliRunner().invoke(cli.main, ["--port", "0"]).exit_code == 0
    assert served == [Settings(port=0)]


def _shown() -> list[click.Option]:
    """What is for people; ``--parent`` is for the program that starts this one."""
    options = [one for one in cli.main.params if isinstance(one, click.Option)]
    return [one for one in options if not one.hidden]


def test_options_and_settings_are_in_one_order() -> None:
    """None is missing on either side, so nobody has to search twice."""
    assert [one.name for one in _shown()] == [one.name for one in fields(Settings)]


def test_help_has_a_heading_for_each_group() -> None:
    """All options stand below one, in the order of the groups."""
    shown = CliRunner().invoke(cli.main, ["--help"]).output
    assert re.findall(r"^(\w.*):$", shown, re.MULTILINE) == [
        "Connections",
        "Accounts",
        "Orders",
        "Prices",
        "Clock",
        "Websockets",
        "Files and logs",
        "Faults",
        "Other options",
    ]


def _documented(option: click.Parameter) -> tuple[str, str]:
    """Name and default as the reference writes them."""
    default = option.to_info_dict()["default"]
    if default is None or default is False or default == "":
        return option.opts[0], "–"
    return option.opts[0], f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_the_reference_has_every_option_with_its_default() -> None:
    """In the order of ``--help``; an option of several in one row has the default at its place."""
    page = (Path(__file__).parents[3] / "docs/reference/paper-exchange.md").read_text()
    section = page.split("\n## Options\n")[1].split("\n## ")[0]
    documented: list[tuple[str, str]] = []
    for row in re.findall(r"^\| `--.*$", section, re.MULTILINE):
        _, names, defaults, *_ = (cell.strip() for cell in row.split("|"))
        each = names.split(", ")
        values = defaults.split(", ") if defaults != "–" else ["–"] * len(each)
        documented += zip((name.strip("`") for name in each), values, strict=True)
    assert documented == [_documented(one) for one in _shown()]


def test_options_become_settings(served: list[Settings]) -> None:
    """Every option lands where it belongs, and the ready line names the port taken."""
    faults = ["POST /v2/orders: reset_after p=0.1", "stream: duplicate next=3"]
    line = (
        "--port 0 --seed 5 --session nyse --rate-limit 0 --cash 2500.50 --symbols abc,XYZ,"
        " --fill-delay-ms 20 --keys a:b,c:d:e --volatility 0 --partial-fill-rate 0.1"
        " --closed-ioc refuse --stream-frames text --log-level ERROR"
        " --rate-window 2.5 --state kept.db --keep-closed 7"
        " --keep-alive 2.5 --client-timeout 3"
        " --stream-connections 1 --data-feeds iex,crypto --data-connections 2 --data-symbols 30"
        " --replay a.csv --replay b --replay-times recorded"
    )
    words = line.split() + [word for fault in faults for word in ("--fault", fault)]
    result = CliRunner().invoke(cli.main, words)
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
            rate_window=2.5,
            state=Path("kept.db"),
            keep_closed=7,
            faults=tuple(parse_text(fault) for fault in faults),
            keep_alive_s=2.5,
            client_timeout_s=3.0,
            stream_connections=1,
            data_feeds=("iex", "crypto"),
            data_connections=2,
            data_symbols=30,
        )
    ]


@pytest.mark.parametrize(
    "options",
    [
        "--rate-window 0",
        "--keep-closed -1",
        "--state .",
        "--cash x",
        "--cash -1",
        "--cash NaN",
        "--keys a",
        "--keys a:",
        "--session never",
        "--seed x",
        "--start noon",
        "--data-feeds iex,otc",
        "--data-symbols -1",
        "--tls-port 0 --tls-cert a.pem",
        "--cash 1e12",
        "--rate-window nan",
        "--volatility nan",
        "--speed nan",
        "--partial-fill-rate nan",
        "--keep-alive nan",
        "--client-timeout nan",
        "--symbols ABC,<b>",
        "--symbols FOO/USD",
        "--start 0001-01-01T00:00:00Z",
        "--start 1969-12-31T23:59:59Z",
        "--start 9999-12-31T23:59:59Z",
        "--start 2031-01-02T15:00:00Z --session nyse",
        "--start 2014-01-02T15:00:00Z --session nyse",
        "--host=",
        "--tls-dir somewhere",
        "--tls-cert a.pem --tls-key b.pem",
    ],
)
def test_wrong_options(served: list[Settings], options: str) -> None:
    """Nothing is served, and the exit code is 2."""
    result = CliRunner().invoke(cli.main, ["--port", "0", *options.split()])
    assert (result.exit_code, served) == (2, [])


def test_ipv6_is_bracketed(served: list[Settings]) -> None:
    """So that the printed address can be used."""
    result = CliRunner().invoke(cli.main, ["--host", "::1", "--port", "0"])
    assert result.output.startswith(("paper_exchange listening on http://[::1]:", "Error: cannot"))


def test_a_state_file_is_its_owners_alone(tmp_path: Path) -> None:
    """With what SQLite puts beside it, under the most open umask."""
    before = os.umask(0)
    try:
        connection = open_state(tmp_path / "state.db", seed=1, now_ns=1)
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    connection.close()
    assert modes == {0o600}


def test_a_state_file_that_cannot_be_used(tmp_path: Path) -> None:
    """One sentence and exit code 1; nothing is served."""
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but longer than the header that one begins with")
    result = CliRunner().invoke(cli.main, ["--port", "0", "--state", str(other)])
    assert (result.exit_code, result.output) == (
        1,
        f"Error: {other} is not a state file of paper_exchange\n",
    )


def test_an_order_log_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence and exit code 1; nothing is served."""
    path = tmp_path / "missing" / "orders.jsonl"
    result = CliRunner().invoke(cli.main, ["--port", "0", "--order-log", str(path)])
    assert (result.exit_code, result.output) == (
        1,
        f"Error: cannot open the order log {path}: No such file or directory\n",
    )


def test_a_fault_that_is_not_understood(served: list[Settings]) -> None:
    """One sentence says why, and nothing is served."""
    result = CliRunner().invoke(cli.main, ["--fault", "*: cut p=2"])
    assert (result.exit_code, served) == (2, [])
    assert "p must be a number from 0 to 1, not '2'" in result.output


def test_tls_adds_a_second_ready_line(served: list[Settings], tmp_path: Path) -> None:
    """It names the address and the certificate, and the first line stays as it is."""
    options = ["--port", "0", "--tls-port", "0", "--tls-dir", str(tmp_path)]
    result = CliRunner().invoke(cli.main, options)
    first, second = result.output.splitlines()
    assert first.startswith("paper_exchange listening on http://127.0.0.1:")
    assert second.startswith("paper_exchange TLS on https://127.0.0.1:")
    assert second.endswith(f" certificate {tmp_path / 'certificate.pem'}")
    assert served[0].tls_port == 0


def test_tls_that_cannot_be_had(served: list[Settings], tmp_path: Path) -> None:
    """One sentence, and nothing is served."""
    options = ["--port", "0", "--tls-port", "0", "--tls-cert", "no.pem", "--tls-key", "no.key"]
    result = CliRunner().invoke(cli.main, options)
    assert result.output.startswith("Error: cannot use the certificate no.pem with the key no.key:")
    assert (result.exit_code, served) == (1, [])


def test_what_cannot_be_replayed_is_said() -> None:
    """In one line, with exit code 1, before anything is served."""
    result = CliRunner().invoke(cli.main, ["--port", "0", "--replay", "missing.csv"])
    assert result.exit_code == 1
    assert result.output == (
        "Error: missing.csv: cannot be read as CSV: No such file or directory\n"
    )
