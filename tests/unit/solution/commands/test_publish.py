"""`signalpaca publish`."""

import threading
import uuid
from typing import Any

import orjson
import pytest

from solution.commands.publish import line_of
from solution.domain.signal import parse
from solution.domain.signing import Verifier
from solution.ui.snapshot import key_of
from tests.unit.solution.commands.conftest import Shell, event


def published(client: Any, stream: str = "nvda") -> list[dict[str, str]]:
    """The entries of a stream."""
    return [{n.decode(): v.decode() for n, v in f.items()} for _, f in client.xrange(stream)]


def answer(client: Any, *events: dict[str, str]) -> threading.Thread:
    """A service of one signal: waits for the entry, then tells these events of it."""

    def serve() -> None:
        [(_, [(entry_id, _fields)])] = client.xread({"nvda": "0-0"}, block=5000)
        for number, fields in enumerate(events):
            client.xadd("executions", {**event("nvda", entry_id.decode(), number), **fields})

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_signal_is_published_with_an_id_of_its_own(online: Shell, client: Any) -> None:
    """Standard output is the entry id alone."""
    result = online.run("publish", "NVDA", "b", "--qty", "5", "--field", "x_note=hi")
    assert result.exit_code == 0
    [fields] = published(client)
    assert uuid.UUID(fields.pop("signal_id")).version == 4
    assert fields == {"ticker": "NVDA", "direction": "b", "qty": "5", "x_note": "hi"}
    assert result.stdout.strip() == client.xrange("nvda")[0][0].decode()


def test_every_size_has_an_option(online: Shell, client: Any) -> None:
    """The field has the option's name with underscores."""
    for option in ("--notional", "--weight"):
        assert online.run("publish", "NVDA", "b", option, "1").exit_code == 0
    for option in ("--target-qty", "--target-weight"):
        assert online.run("publish", "NVDA", option, "1").exit_code == 0
    names = [set(fields) - {"ticker", "direction", "signal_id"} for fields in published(client)]
    assert names == [{"notional"}, {"weight"}, {"target_qty"}, {"target_weight"}]


def test_own_id_and_stream(online: Shell, client: Any) -> None:
    """A stream that this configuration does not read is pointed out, and published to."""
    result = online.run("publish", "NVDA", "b", "--signal-id", "mine", "--stream", "other")
    assert result.exit_code == 0
    assert published(client, "other")[0]["signal_id"] == "mine"
    assert "STREAMS=nvda here does not name other" in result.stderr


def test_json_names_entry_and_fields(online: Shell, client: Any) -> None:
    """For scripts."""
    told = online.json("publish", "NVDA", "b")
    assert told["stream"] == "nvda"
    assert told["entry_id"] == client.xrange("nvda")[0][0].decode()
    assert told["fields"]["ticker"] == "NVDA"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("NVDA", "b", "--qty", "five"), "INVALID_VALUE: qty='five'"),
        (("NVDA",), "MISSING_FIELD"),
        (("NVDA", "b", "--field", "tikcer=X"), "did you mean ticker?"),
        (("NVDA", "b", "--qty", "1", "--notional", "2"), "CONFLICTING_FIELDS"),
        (("NVDA", "b", "--field", "qty=1", "--field", "QTY=2"), "DUPLICATE_FIELD"),
        (("NVDA", "b", "--field", "qty"), "takes NAME=VALUE"),
        (("NVDA", "b", "--signal-id", ""), "signal_id"),
        (("NVDA", "b", "--signal-id", "a", "--field", "signal_id=b"), "DUPLICATE_FIELD"),
        (("NVDA", "b", "--stream", "a,b"), "--stream 'a,b' is not a stream name"),
        (("NVDA", "b", "--stream", ""), "--stream '' is not a stream name: printable ASCII"),
        (("NVDA", "b", "--stream", "executions"), "--stream executions is EXECUTIONS_STREAM"),
        (("NVDA", "b", "--wait=nan"), "'--wait': nan is not a number"),
        (("NVDA", "b", "--wait=NaN"), "not a number"),
        (("NVDA", "b", "--wait=inf"), "not in the range"),
        (("NVDA", "b", "--wait=0"), "not in the range"),
        (("NVDA", "b", "--wait=-1"), "No such option"),
        (("NVDA", "b", "--field", "sig=00"), "BAD_SIGNATURE: sig is given"),
    ],
)
def test_a_wrong_signal_never_leaves(
    online: Shell, client: Any, words: tuple[str, ...], said: str
) -> None:
    """Exit code 2, the field named, no entry."""
    result = online.run("publish", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert client.keys() == []


KEY = "tv1:0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("keys", ["", KEY, f"old:{'f' * 32},{KEY}"])
def test_a_signal_is_signed_with_the_key_given(online: Shell, client: Any, keys: str) -> None:
    """A producer need not know what the service verifies with; ts is now."""
    words = ("publish", "NVDA", "b", "--field", "X_Note=two words", "--stream", "aapl")
    told = online.json(*words, SIGNAL_HMAC_KEY=KEY, SIGNAL_HMAC_KEYS=keys)
    [(entry_id, fields)] = client.xrange("aapl")
    raw = list(fields.items())
    signal = parse("aapl", entry_id.decode(), raw)
    Verifier({"tv1": KEY[4:].encode()}).check(signal, raw)
    assert told["fields"]["kid"] == signal.kid == "tv1"
    assert signal.ts_ms is not None
    assert abs(signal.ts_ms - signal.entry_ms) < 60_000
    assert signal.extra == (("X_Note", "two words"),)


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        ((), {"SIGNAL_HMAC_KEYS": KEY}, "(SIGNAL_HMAC_KEYS); set SIGNAL_HMAC_KEY to sign with"),
        (("--field", "sig=00"), {"SIGNAL_HMAC_KEY": KEY}, "DUPLICATE_FIELD: field sig"),
        (("--field", "kid=a"), {"SIGNAL_HMAC_KEY": KEY}, "DUPLICATE_FIELD: field kid"),
        (
            (),
            {"SIGNAL_HMAC_KEY": KEY, "SIGNAL_HMAC_KEYS": f"tv1:{'f' * 32}"},
            "BAD_SIGNATURE: the signature is not good",
        ),
        ((), {"SIGNAL_HMAC_KEY": "tv1:short"}, "the secret of the key has fewer than 32"),
    ],
)
def test_what_the_service_would_not_let_in_never_leaves(
    online: Shell, client: Any, words: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    """Unsigned where keys are set, signed twice, or with a key that is not one of them."""
    result = online.run("publish", "NVDA", "b", *words, **env)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "0123456789abcdef" not in result.output
    assert client.keys() == []


@pytest.mark.parametrize("name", ["told", "told-dry-run"])
def test_no_signal_is_published_among_the_reports(online: Shell, client: Any, name: str) -> None:
    """A consumer of executions would meet it there; also beside a dry run."""
    words = ("--dry-run", "publish", "NVDA", "b", "--stream", name)
    assert online.run(*words, EXECUTIONS_STREAM="told").exit_code == 2
    assert client.keys() == []


def runs(client: Any, mode: str, streams: list[str] | None) -> None:
    """A live instance of some group; None for one of a version that names no streams."""
    shown = {"instance": "a", "mode": mode} | ({"streams": streams} if streams else {})
    client.set(key_of("any", "a"), orjson.dumps(shown))


@pytest.mark.parametrize("streams", [["amd", "nvda"], None])
def test_a_dry_run_publishes_nothing_that_another_would_trade(
    online: Shell, client: Any, streams: list[str] | None
) -> None:
    """The stream is everybody's: whoever serves it without dry run would send the order."""
    runs(client, "paper", streams)
    result = online.run("--dry-run", "publish", "NVDA", "b")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "instance a serves nvda and is no dry run: it would send a real order; "
        "nothing was published\n"
    )
    assert published(client) == []


@pytest.mark.parametrize(("mode", "streams"), [("dry-run", ["nvda"]), ("paper", ["amd"])])
def test_a_dry_run_is_published_with_a_note(
    online: Shell, client: Any, mode: str, streams: list[str]
) -> None:
    """A service that is not there yet may still read it."""
    runs(client, mode, streams)
    result = online.run("--dry-run", "publish", "NVDA", "b")
    assert result.exit_code == 0
    assert "note: a service without --dry-run that reads nvda within" in result.stderr
    assert len(published(client)) == 1


def test_a_signal_for_real_is_published_without_a_note(online: Shell, client: Any) -> None:
    """Somebody who trades is what it is for."""
    runs(client, "paper", ["nvda"])
    assert online.run("publish", "NVDA", "b").stderr == ""
    assert len(published(client)) == 1


def test_waiting_prints_each_event_until_the_end(online: Shell, client: Any) -> None:
    """Exit code 0: the broker took it."""
    thread = answer(
        client,
        {"event": "submitted", "final": "0", "side": "buy", "ticker": "NVDA"},
        {"event": "fill", "final": "1", "price": "135.2"},
    )
    result = online.run("publish", "NVDA", "b", "--wait")
    thread.join()
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == ["submitted buy NVDA", "fill at 135.2 · end"]


def test_waiting_tells_a_refusal_by_the_exit_code(online: Shell, client: Any) -> None:
    """Exit code 1 and the reason; with --json one object per line."""
    thread = answer(client, {"event": "refused", "final": "1", "reason": "KILL_SWITCH"})
    result = online.run("publish", "NVDA", "b", "--wait=5", "--json")
    thread.join()
    assert result.exit_code == 1
    assert orjson.loads(result.stdout.splitlines()[1])["reason"] == "KILL_SWITCH"


def test_waiting_in_vain(online: Shell, client: Any) -> None:
    """No service: exit code 1 after the time given, and the signal is in the stream."""
    result = online.run("publish", "NVDA", "b", "--wait=0.2")
    assert result.exit_code == 1
    assert "nothing final was reported after 0.2 s" in result.stderr
    assert len(published(client)) == 1


def test_an_order_still_open_at_the_end_of_waiting(online: Shell, client: Any) -> None:
    """It was accepted, so exit code 0, and a line that says so."""
    thread = answer(client, {"event": "new", "final": "0"})
    result = online.run("publish", "NVDA", "b", "--wait=1")
    thread.join()
    assert result.exit_code == 0
    assert "the order is still open after 1 s" in result.stderr


def test_when_it_is_unclear_whether_it_left_the_id_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the user can publish it again without trading twice."""
    monkeypatch.setattr("solution.commands.publishing.RETRY_FOR", 0.0)
    result = shell.run("publish", "NVDA", "b", "--signal-id", "mine")
    assert result.exit_code == 1
    assert "with --signal-id mine it may be published again and trades once" in result.stderr


def test_an_event_for_people() -> None:
    """Time of day, what, why."""
    told = event(
        "nvda",
        "1-0",
        at="2026-11-20T15:00:01.123456Z",
        event="refused",
        side="buy",
        qty="5",
        ticker="NVDA",
        reason="POSITION_CAP",
        message="too much",
        final="1",
    )
    assert line_of(told) == "15:00:01.123 refused buy 5 NVDA POSITION_CAP (too much) · end"
