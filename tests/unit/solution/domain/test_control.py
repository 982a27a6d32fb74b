"""Commands on the control stream: their form, their age, their signature."""

import hashlib
import hmac
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solution.domain import control
from solution.domain.control import SIGNED, Command, ControlError, Verb

STREAM, KEY, NOW = "signalpaca:control:solution", "the-key", 1_800_000_000_000
ENTRY = f"{NOW}-0"


def parse(fields: dict[str, str], *, key: str = "", entry_id: str = ENTRY) -> Command:
    """As the listener does."""
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    return control.parse(STREAM, entry_id, raw, key, NOW)


def signed(verb: Verb, *, at_ms: int = NOW, **more: object) -> dict[str, str]:
    """What the program itself publishes."""
    command = Command(verb=verb, id="c1", by="me", **more)  # type: ignore[arg-type]
    return control.entry(STREAM, command, KEY, at_ms)


def test_the_canonical_form_is_the_documented_one() -> None:
    """Byte for byte: other languages sign it too."""
    fields = {"command": "kill", "cancel_orders": "1", "ts": "17", "id": "a"}
    text = (
        "signalpaca-control-v1\nsignalpaca:control:solution\ncommand=kill\n"
        "cancel_orders=1\nts=17\nid=a\n"
    )
    assert control.canonical(STREAM, fields) == text.encode()
    wanted = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert control.signature(KEY, STREAM, fields) == wanted


@pytest.mark.parametrize("verb", Verb)
def test_what_the_program_publishes_is_taken(verb: Verb) -> None:
    """Every field comes through."""
    flags = {"cancel_orders": verb is Verb.KILL, "close_positions": verb is Verb.KILL}
    ticker = "" if verb is Verb.KILL else "BTC/USD"
    found = parse(signed(verb, ticker=ticker, **flags), key=KEY)
    assert found == Command(
        verb=verb, id="c1", ticker=ticker, by="me", at_ms=NOW, stated_ms=NOW, **flags
    )
    assert found.stops is (verb in control.STOPS)


def test_without_a_key_only_what_stops_is_taken() -> None:
    """Minimal entries, as somebody types them; the entry's id is the command's."""
    assert parse({"command": "KILL"}).id == ENTRY
    assert parse({"Command": "reduce-only", "ticker": "nvda"}).ticker == "NVDA"
    for verb in ("resume", "flatten"):
        with pytest.raises(ControlError, match="only when CONTROL_HMAC_KEY is set"):
            parse({"command": verb})


@pytest.mark.parametrize("name", [*SIGNED, "sig"])
def test_every_field_is_signed(name: str) -> None:
    """Whatever is changed, added or left out, the signature is wrong."""
    fields = signed(Verb.REDUCE_ONLY, ticker="NVDA")
    for value in ("0", "", "kill"):
        with pytest.raises(ControlError):
            parse(fields | {name: value}, key=KEY)


@given(st.integers(0, 63), st.integers(0, 3))
def test_one_wrong_digit_is_wrong(place: int, bit: int) -> None:
    """Wherever it stands."""
    fields = signed(Verb.RESUME)
    digits = list(fields["sig"])
    digits[place] = format(int(digits[place], 16) ^ (1 << bit), "x")
    with pytest.raises(ControlError, match="signed wrongly"):
        parse(fields | {"sig": "".join(digits)}, key=KEY)


def test_a_line_feed_in_a_value_is_no_field() -> None:
    """Two entries must not have one text."""
    fields = {"command": "reduce-only", "by": "me\nts=1", "id": "a", "ts": str(NOW)}
    with pytest.raises(ControlError, match="signed wrongly"):
        parse(fields | {"sig": control.signature(KEY, STREAM, fields)}, key=KEY)


def test_a_signature_is_for_one_stream_and_needs_id_and_ts() -> None:
    """Or an entry could be given again, and elsewhere."""
    fields = signed(Verb.KILL)
    fields["sig"] = control.signature(KEY, "another", fields)
    with pytest.raises(ControlError, match="signed wrongly"):
        parse(fields, key=KEY)
    for name in ("id", "ts"):
        bare = {n: v for n, v in signed(Verb.KILL).items() if n not in {name, "sig"}}
        with pytest.raises(ControlError, match="no id or no ts"):
            parse(bare | {"sig": control.signature(KEY, STREAM, bare)}, key=KEY)
    with pytest.raises(ControlError, match="not signed"):
        parse({"command": "kill"}, key=KEY)


@pytest.mark.parametrize(
    ("verb", "age", "taken"),
    [
        (Verb.KILL, 300_000, True),
        (Verb.KILL, 300_001, False),
        (Verb.KILL, -300_000, True),
        (Verb.KILL, -300_001, False),
        (Verb.RESUME, 60_000, True),
        (Verb.RESUME, 60_001, False),
        (Verb.RESUME, -5_000, True),
        (Verb.FLATTEN, -5_001, False),
    ],
)
def test_ages(verb: Verb, age: int, taken: bool) -> None:
    """By the older of ``ts`` and the entry; a stop has longer, and clocks may differ more."""
    fields = signed(verb, at_ms=NOW - age)
    found: list[object] = []
    try:
        found.append(parse(fields, key=KEY))
    except ControlError as error:
        found.append(str(error))
    assert isinstance(found[0], Command) is taken


def test_an_entry_id_in_the_future_keeps_no_kill_away() -> None:
    """Somebody pushed the stream's last id there: XADD goes on from it."""
    far = f"{NOW + 10**9}-0"
    assert parse({"command": "kill"}, entry_id=far).verb is Verb.KILL
    assert parse(signed(Verb.KILL), key=KEY, entry_id=far).verb is Verb.KILL
    with pytest.raises(ControlError, match="in the future"):
        parse(signed(Verb.RESUME), key=KEY, entry_id=far)
    with pytest.raises(ControlError, match="old"):
        parse({"command": "kill"}, entry_id=f"{NOW - 10**9}-0")


@pytest.mark.parametrize(
    "odd",
    [
        {"cancel_order": "1"},
        {"cancel_orders": "maybe"},
        {"close_positions": "2"},
        {"ticker": ""},
        {"ticker": "NVDA; DROP"},
        {"id": "x" * 129},
        {"ts": "yesterday"},
    ],
)
def test_a_kill_counts_whatever_is_odd_about_it(odd: dict[str, str]) -> None:
    """And what is odd is told; of another command it is the end."""
    found = parse({"command": "kill", **odd})
    assert (found.verb, found.ticker, found.cancel_orders) == (Verb.KILL, "", False)
    assert len(found.odd) == 1
    with pytest.raises(ControlError):
        parse({"command": "reduce-only", **odd})


@pytest.mark.parametrize("name", ["café", "x" * 129, "\ufffd"])
def test_an_odd_id_is_known_again(name: str) -> None:
    """Not by the entry's, which a copy of the entry has not."""
    fields = {"command": "kill", "ts": str(NOW), "id": name}
    fields["sig"] = control.signature(KEY, STREAM, fields)
    first, copy = parse(fields, key=KEY), parse(fields, key=KEY, entry_id=f"{NOW}-1")
    assert first.id == copy.id
    assert first.id.isascii()
    assert len(first.id) < 100
    assert first.id != parse({"command": "kill", "id": f"{name}."}).id
    assert "is no printable ASCII" in first.odd[0]


def test_what_was_signed_and_refused_is_told_with_its_command() -> None:
    """So that no copy acts; without a key anybody could forbid any id."""
    early = signed(Verb.FLATTEN, at_ms=NOW + 5_001)
    for fields in (early, signed(Verb.RESUME, ticker="?")):
        with pytest.raises(ControlError) as caught:
            parse(fields, key=KEY)
        assert caught.value.command is not None
        assert caught.value.command.id == "c1"
    with pytest.raises(ControlError) as caught:
        parse(early | {"by": "you"}, key=KEY)
    assert caught.value.command is None
    with pytest.raises(ControlError) as caught:
        parse({"command": "reduce-only", "id": "r1", "ticker": "?"})
    assert caught.value.command is None


def test_a_kill_of_one_ticker_is_a_kill() -> None:
    """Stricter than what was meant, and said."""
    assert parse({"command": "kill", "ticker": "NVDA"}).odd == ("kill is for all tickers",)


@given(
    st.dictionaries(st.binary(max_size=20), st.binary(max_size=60), max_size=6),
    st.sampled_from(["", KEY]),
)
def test_no_entry_raises_anything_else(fields: dict[bytes, bytes], key: str) -> None:
    """Bytes of any kind, also beside a name that is known."""
    for more in ({}, {b"command": b"kill"}, {b"command": b"flatten", b"sig": "ä".encode()}):
        try:
            found = control.parse(STREAM, ENTRY, (fields | more).items(), key, NOW)
        except ControlError as error:
            assert str(error).isprintable()
        else:
            assert found.by.isprintable()
            assert found.stops


# --- the examples of the documentation -----------------------------------------------------------

PAGE = Path(control.__file__).parents[2] / "docs/how-to/stop-trading.md"


def example(language: str) -> str:
    """The last block of this language on the page."""
    return PAGE.read_text().split(f"```{language}\n")[-1].split("```")[0]


def test_the_python_example_signs_as_the_service_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as it stands, with a Redis that only writes down."""
    given: list[tuple[str, dict[str, str]]] = []
    client = SimpleNamespace(xadd=lambda stream, fields: given.append((stream, dict(fields))))
    monkeypatch.setattr("redis.Redis", lambda: client)
    monkeypatch.setenv("CONTROL_HMAC_KEY", KEY)
    exec(example("python"), {})  # noqa: S102 - our own page
    [(stream, fields)] = given
    assert fields["sig"] == control.signature(KEY, stream, fields)
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    now = int(fields["ts"])
    assert control.parse(stream, f"{now}-0", raw, KEY, now).verb is Verb.RESUME


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_shell_example_signs_as_the_service_does(tmp_path: Path) -> None:
    """Run as it stands, with a redis-cli that only writes down."""
    cli = tmp_path / "redis-cli"
    cli.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    cli.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CONTROL_HMAC_KEY": KEY}
    result = subprocess.run(
        ["/bin/sh", "-c", example("sh")], env=env, capture_output=True, text=True, check=True
    )
    command, stream, place, *words = result.stdout.splitlines()
    assert (command, place) == ("XADD", "*")
    fields = dict(zip(words[::2], words[1::2], strict=True))
    assert fields["sig"] == control.signature(KEY, stream, fields)
