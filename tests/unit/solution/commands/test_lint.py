"""`signalpaca lint`: every line judged as the service would read it, and nobody asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.commands.lint import ALPACA, judged
from solution.domain.reasons import Reason
from solution.domain.signal import parse
from solution.errors import SignalError
from tests.helpers.golden import VECTORS, Vector, name_of
from tests.unit.solution.commands.conftest import Shell

VALID = """\
# a comment, and an empty line

{"ticker": "NVDA", "direction": "b", "qty": 5}
Ticker NVDA Direction b
ticker 'BRK.B' direction s x_note "two words"
"""


def lint(shell: Shell, text: str | bytes, *words: str) -> Any:
    """The result for a file with this text."""
    path = Path("signals")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return shell.run("lint", *words, str(path))


def test_valid_signals(shell: Shell) -> None:
    """In both forms; Redis and the broker of this shell do not even exist."""
    result = lint(shell, VALID)
    assert (result.exit_code, result.stdout) == (0, "3 signals, none wrong\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"ticker": "NVDA", "direction": "b", "qty": -3}', "INVALID_VALUE: qty="),
        ("Ticker NVDA Direction b order_type limit", "MISSING_FIELD: limit_price"),
        ("Ticker NVDA Direction b color red", "UNKNOWN_FIELD: "),
        ("Ticker NVDA Ticker F Direction b", "DUPLICATE_FIELD: field ticker"),
        ("Ticker NVDA Direction b qty 1.5 time_in_force gtc", "CONFLICTING_FIELDS: "),
        ("Ticker NVDA Direction b sig x kid y", "BAD_SIGNATURE: "),
        ("Ticker NVDA Direction", 'INVALID_VALUE: "Direction" is a field without a value'),
        ("Ticker 'NVDA Direction b", "INVALID_VALUE: the line cannot be read: No closing"),
        ('{"ticker": "NVDA", ', "INVALID_JSON: "),
        ('["NVDA", "b"]', "INVALID_JSON: "),
        ('{"direction": "b"}', "MISSING_FIELD: ticker"),
        (b'{"ticker": "NVDA", "direction": "\xff"}', "NOT_UTF8: "),
    ],
)
def test_wrong_ones_are_told_with_line_and_reason(
    shell: Shell, line: str | bytes, told: str
) -> None:
    """The same codes as in dead letters; the exit code says that something is wrong."""
    raw = line if isinstance(line, bytes) else line.encode()
    result = lint(shell, VALID.encode() + raw + b"\n")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"signals:6: {told}")
    assert result.stderr == "4 signals, 1 wrong\n"


def test_an_id_with_other_content(shell: Shell) -> None:
    """Is refused in the stream, so it is here; the same once more is a repetition."""
    first = "Ticker NVDA Direction b signal_id a-1\n"
    other = "Ticker NVDA Direction s signal_id a-1\n"
    result = lint(shell, first + first + other)
    assert result.stdout == (
        "signals:3: SIGNAL_ID_REUSED: signal_id=a-1 stands in line 1 with other content\n"
    )


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_signatures_are_checked_where_keys_are_set(shell: Shell, vector: Vector) -> None:
    """For the stream that is named; for another one they are not good."""
    line = json.dumps({**vector.fields, "sig": vector.sig})
    good = shell.env | {"SIGNAL_HMAC_KEYS": vector.key}
    Path("signals").write_text(line)
    assert shell.run("lint", "signals", "--stream", vector.stream, **good).exit_code == 0
    other = shell.run("lint", "signals", "--stream", "other", **good)
    assert other.stdout.startswith("signals:1: BAD_SIGNATURE: the signature is not good")
    assert "signals:1: BAD_SIGNATURE: sig is given" in lint(shell, line).stdout


def test_the_first_of_streams_is_the_default(shell: Shell) -> None:
    """As for publish."""
    vector = VECTORS[2]
    env = {"SIGNAL_HMAC_KEYS": vector.key, "STREAMS": f"{vector.stream},nvda"}
    Path("signals").write_text(json.dumps({**vector.fields, "sig": vector.sig}))
    assert shell.run("lint", "signals", **env).exit_code == 0


def test_an_unsigned_signal_where_keys_are_set(shell: Shell) -> None:
    """Names what is missing, and the setting."""
    Path("signals").write_text("Ticker NVDA Direction b")
    said = shell.run("lint", "signals", SIGNAL_HMAC_KEYS=VECTORS[0].key).stdout
    assert said.startswith("signals:1: MISSING_FIELD: sig is missing")


@pytest.mark.parametrize(("symbols", "code"), [("NVDA|F", 0), ("F", 1)])
def test_a_key_signs_for_its_symbols(shell: Shell, symbols: str, code: int) -> None:
    """What it may not trade is told here already."""
    vector = VECTORS[0]
    Path("signals").write_text(json.dumps({**vector.fields, "sig": vector.sig}))
    result = shell.run("lint", "signals", SIGNAL_HMAC_KEYS=f"{vector.key};symbols={symbols}")
    assert result.exit_code == code
    assert ("KEY_LIMIT: key tv1 may not trade NVDA" in result.stdout) == bool(code)


def test_alpacas_own_rules_and_what_will_be_changed(shell: Shell) -> None:
    """A refusal is wrong, a price off the grid is a note."""
    low = "Ticker NVDA Direction b notional 0.5\n"
    off = "Ticker NVDA Direction b order_type limit limit_price 180.999\n"
    result = lint(shell, low + off)
    worth = "an order by amount, or of a part of a share, is worth at least 1, this one 0.50"
    assert result.stdout.splitlines() == [
        f"signals:1: ALPACA: {worth}",
        "signals:2: note: limit_price=180.999 is sent as 180.99: the exchange's grid",
    ]
    assert result.stderr == "2 signals, 1 wrong\n"
    assert shell.json("lint", "signals")[1]["notes"] == [
        "limit_price=180.999 is sent as 180.99: the exchange's grid"
    ]


def test_json(shell: Shell) -> None:
    """A row for every line that holds a signal."""
    Path("signals").write_text("Ticker NVDA Direction b\n\nTicker NVDA\n")
    valid, wrong = shell.json("lint", "signals")
    assert valid == {"line": 1, "ticker": "NVDA", "valid": True}
    assert (wrong["line"], wrong["valid"], wrong["reason"]) == (3, False, "MISSING_FIELD")


def test_standard_input_and_missing_files(shell: Shell) -> None:
    """A dash reads what is piped in; a file that is not there is wrong usage."""
    assert shell.run("lint", "-", typed="Ticker F Direction b\n").stdout == "1 signal, none wrong\n"
    missing = shell.run("lint", "missing")
    assert missing.exit_code == 2
    assert "cannot read missing: No such file or directory" in missing.stderr


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_is_judged(lines: list[str]) -> None:
    """Whatever stands there gets a verdict, and a valid one is a signal to the service as well."""
    for verdict in judged(lines):
        assert (verdict.signal is None) <= bool(verdict.reason)
        assert not verdict.reason or verdict.reason in {*Reason, ALPACA}
        assert not verdict.reason or verdict.message


@given(st.text(max_size=80))
def test_agrees_with_the_service(text: str) -> None:
    """An object is judged exactly as it is read from the stream's field ``json``."""
    line = "{" + text.replace("\n", " ")
    (verdict,) = judged([line])
    try:
        parse("nvda", "1-0", [(b"json", line.strip().encode(errors="surrogateescape"))])
    except SignalError as error:
        assert verdict.reason == error.reason
    else:
        assert verdict.reason in {"", ALPACA, Reason.BAD_SIGNATURE}


def test_a_pair_is_known_by_either_spelling(shell: Shell) -> None:
    """Parts of a coin may be gtc, and no bracket hangs on it, without a list of assets."""
    result = lint(shell, "ticker BTCUSD direction b qty 0.5 time_in_force gtc\n")
    assert (result.exit_code, result.stdout) == (0, "1 signal, none wrong\n")
    assert lint(shell, "ticker BTCUSD direction b stop_loss 5\n").exit_code == 1
