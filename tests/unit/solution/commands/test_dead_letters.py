"""`signalpaca dead-letters`."""

from typing import Any

import pytest

from solution.alpaca_api_client import AlpacaAPIClient
from solution.domain.orders import OrderRequest, OrderType, Side, TimeInForce, deployment_id
from solution.domain.orders import client_order_id as coid_of
from solution.domain.records import Change
from solution.domain.signal import parse
from solution.ledger.sqlite import SqliteLedger
from solution.ui.snapshot import key_of
from tests.helpers.ledger_rows import make_dead_letter
from tests.unit.solution.commands.conftest import Shell

FIELDS = ((b"ticker", b"NVDA"), (b"direction", b"b"), (b"qty", b"1"), (b"signal_id", b"mine"))


@pytest.fixture(autouse=True)
def _letters(ledger: SqliteLedger) -> None:
    """One that can be tried again, one of raw bytes."""
    good = make_dead_letter(7, fields=FIELDS, reason="EXPIRED", message="70 s old")
    ledger.apply([Change(dead_letter=make_dead_letter(6)), Change(dead_letter=good)])


def broker_of(shell: Shell) -> AlpacaAPIClient:
    """The shell's account."""
    url = shell.env["ALPACA_TRADING_URL"]
    return AlpacaAPIClient(
        trading_url=url,
        data_url=url,
        key_id=shell.env["ALPACA_API_KEY"],
        secret_key=shell.env["ALPACA_SECRET_KEY"],
    )


def test_the_list(shell: Shell) -> None:
    """The newest first; the bare command lists as well."""
    result = shell.run("dead-letters")
    assert result.stdout == shell.run("dead-letters", "list").stdout
    rows = result.stdout.splitlines()[1:]
    assert [row.split()[3] for row in rows] == ["7-0", "6-0"]
    assert "EXPIRED" in rows[0]
    for words in (("list", "--limit", "1"), ("--limit", "1")):
        assert shell.run("dead-letters", *words).stdout.count("-0 ") == 1
    assert "goes behind" in shell.run("dead-letters", "--limit", "1", "list").stderr


def test_the_list_as_json(shell: Shell) -> None:
    """Also on the bare command; bytes are escaped."""
    found = shell.json("dead-letters")["dead_letters"]
    assert found == shell.json("dead-letters", "list")["dead_letters"]
    assert found[0]["fields"][0] == ["ticker", "NVDA"]
    assert found[1]["fields"][1] == ["\\xff", "\\xfe\x00"]
    assert shell.run("dead-letters", "--json", "list").exit_code == 2


def test_an_empty_list(shell: Shell, tmp_path: Any) -> None:
    """Is an answer."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    SqliteLedger(url).close()
    result = shell.run("dead-letters", LEDGER_URL=url)
    assert (result.exit_code, result.stderr) == (0, "no dead letters\n")


def test_showing_one(shell: Shell) -> None:
    """Every field; bytes that could command a terminal are escaped."""
    out = shell.run("dead-letters", "show", "6-0").stdout
    assert "NOT_UTF8: field 2 is not UTF-8" in out
    assert "  ticker = NVDA\n" in out
    assert "  \\xff = \\xfe\\x00\n" in out
    assert shell.json("dead-letters", "show", "7-0")["reason"] == "EXPIRED"


def test_a_long_value_is_cut(shell: Shell, ledger: SqliteLedger) -> None:
    """A megabyte does not fill the screen."""
    long = make_dead_letter(8, fields=((b"x_a", b"a" * 5000),))
    ledger.apply([Change(dead_letter=long)])
    out = shell.run("dead-letters", "show", "8-0").stdout
    assert "… (5000 bytes)" in out
    assert len(out) < 1000


def test_an_unknown_entry(shell: Shell) -> None:
    """Exit code 1."""
    result = shell.run("dead-letters", "show", "1-1", "--stream", "x")
    assert (result.exit_code, result.stderr) == (1, "there is no dead letter 1-1 of x\n")


def test_one_id_in_two_streams(shell: Shell, ledger: SqliteLedger) -> None:
    """The stream must be named."""
    ledger.apply([Change(dead_letter=make_dead_letter(7, stream="other"))])
    result = shell.run("dead-letters", "show", "7-0")
    assert result.exit_code == 2
    assert "name one with --stream" in result.stderr
    assert shell.json("dead-letters", "show", "7-0", "--stream", "other")["stream"] == "other"


def test_retry_publishes_a_new_signal(traded: Shell, client: Any) -> None:
    """After showing that the broker has no order of the old one."""
    result = traded.run("dead-letters", "retry", "7-0", "--yes")
    assert result.exit_code == 0
    [(entry_id, fields)] = client.xrange("nvda")
    assert fields == {
        b"ticker": b"NVDA",
        b"direction": b"b",
        b"qty": b"1",
        b"signal_id": b"mine.r1",
    }
    lines = result.stdout.splitlines()
    assert lines[1].startswith("the broker has no order sp-")
    assert lines[-1] == entry_id.decode()


def test_what_retry_shows_cannot_command_a_terminal(
    traded: Shell, client: Any, ledger: SqliteLedger
) -> None:
    """The producer's own fields may hold any text; they are published as they are."""
    hostile = (*FIELDS[:3], (b"x_a", b"\x1b]0;owned\x07"))
    ledger.apply([Change(dead_letter=make_dead_letter(8, fields=hostile, reason="EXPIRED"))])
    out = traded.run("dead-letters", "retry", "8-0", "--yes").stdout
    assert "x_a=\\x1b]0;owned\\x07" in out
    assert out.replace("\n", "").isprintable()
    assert client.xrange("nvda")[0][1][b"x_a"] == b"\x1b]0;owned\x07"


def test_retry_asks_first(traded: Shell, client: Any) -> None:
    """A no publishes nothing; a yes does."""
    assert traded.run("dead-letters", "retry", "7-0", typed="n\n").exit_code == 1
    assert client.keys() == []
    assert traded.run("dead-letters", "retry", "7-0", typed="y\n").exit_code == 0
    assert client.xlen("nvda") == 1


def test_retry_as_json(traded: Shell) -> None:
    """Where it is, what it says, what was looked up."""
    told = traded.json("dead-letters", "retry", "7-0", "--yes")
    assert told["fields"]["signal_id"] == "mine.r1"
    assert len(told["no_order_under"]) == 1


def test_an_order_of_the_old_signal_forbids_the_retry(traded: Shell, client: Any) -> None:
    """The id is computed as the service computes it."""
    broker = broker_of(traded)
    deployment = deployment_id(str(broker.account()["id"]), "solution")
    coid = coid_of(deployment, parse("nvda", "7-0", FIELDS).identity)
    order = OrderRequest(
        symbol="NVDA",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        client_order_id=coid,
        qty=parse("nvda", "7-0", FIELDS).size,
    )
    broker.submit_order(order.body())
    broker.close()
    result = traded.run("dead-letters", "retry", "7-0", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"not retried: the broker has an order {coid}")
    assert client.keys() == []


def test_keys_of_another_account_are_noticed(traded: Shell, ledger: SqliteLedger) -> None:
    """Its orders would not be found there."""
    ledger.set_state("account", "somebody@https://elsewhere")
    result = traded.run("dead-letters", "retry", "7-0", "--yes")
    assert result.exit_code == 1
    assert "the ledger belongs to account somebody@https://elsewhere" in result.stderr


def test_what_cannot_be_retried(traded: Shell) -> None:
    """The reason in one line."""
    result = traded.run("dead-letters", "retry", "6-0", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("not retried: it can never be valid: NOT_UTF8")


def test_a_dry_runs_letter_is_no_real_order(traded: Shell, client: Any) -> None:
    """Its stream is served by an instance that would send one."""
    rehearsal = SqliteLedger(f"sqlite:///{traded.folder / 'ledger-dry-run.db'}")
    rehearsal.apply([Change(dead_letter=make_dead_letter(7, fields=FIELDS))])
    rehearsal.close()
    client.set(key_of("solution", "a"), b'{"instance":"a","mode":"paper","streams":["nvda"]}')
    result = traded.run("--dry-run", "dead-letters", "retry", "7-0", "--yes")
    assert result.exit_code == 2
    assert "instance a serves nvda and is no dry run" in result.stderr
    assert client.xlen("nvda") == 0


def test_without_a_broker_nothing_is_retried(online: Shell, client: Any) -> None:
    """It could not be shown that there is no order."""
    result = online.run("dead-letters", "retry", "7-0", "--yes")
    assert result.exit_code == 1
    assert result.stderr.startswith("not retried: http://127.0.0.1:1")
    assert client.keys() == []


def test_without_keys_nothing_is_asked(shell: Shell) -> None:
    """Exit code 2."""
    result = shell.run("dead-letters", "retry", "7-0", ALPACA_API_KEY="")
    assert result.exit_code == 2
    assert "ALPACA_API_KEY" in result.stderr


def test_redis_lost_between_question_and_publication(
    traded: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command may be repeated: same id, same content."""
    monkeypatch.setattr("solution.commands.publishing.RETRY_FOR", 0.0)
    url = "redis://127.0.0.1:1/0"
    result = traded.run("dead-letters", "retry", "7-0", "--yes", REDIS_URL=url)
    assert result.exit_code == 1
    assert "may be repeated" in result.stderr
