"""`signalpaca why`."""

from typing import Any

import pytest

from solution.domain.records import Change
from solution.ledger import open_ledger
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.ledger_rows import make_dead_letter
from tests.helpers.stories import COID, ENTRY, T0, leg, note, refused, sent, trade
from tests.unit.solution.commands.conftest import Shell, event


@pytest.fixture(autouse=True)
def _rows(ledger: SqliteLedger) -> None:
    """A filled order, a refusal, a dead letter; the ledger stays open."""
    no = refused(identity="2", client_order_id="sp-2", entry_id="2-0", signal_id="no")
    letter = make_dead_letter(7, entry_id="7-0")
    ledger.apply(
        [
            Change(insert=sent()),
            Change(
                client_order_id=COID,
                update={"status": "filled"},
                trades=(trade(),),
                notes=(note(12, "answered", "HTTP 200 in 4.1 ms"),),
            ),
            Change(insert=no),
            Change(dead_letter=letter),
        ]
    )


def test_the_whole_way_without_redis(shell: Shell) -> None:
    """What the ledger knows is told; what only Redis knows is said to be missing."""
    result = shell.run("why", "mine")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "buy 10 NVDA: FILLED, 10 of 10 at 135.34"
    assert "  20:35:18.012        +9 ms  answered    HTTP 200 in 4.1 ms" in lines
    assert lines[-1].startswith("what was told and acknowledged is not shown: Redis at redis://")


@pytest.mark.parametrize("key", ["", "  "])
def test_no_name_is_wrong_usage(shell: Shell, key: str) -> None:
    """A script's empty variable; every row without a signal_id would match it."""
    result = shell.run("why", key)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "SIGNAL is empty" in result.stderr


@pytest.mark.parametrize("key", [ENTRY, "mine", COID, COID[:20], "order-1"])
def test_by_any_name(shell: Shell, key: str) -> None:
    """Also by the beginning of our id."""
    assert shell.run("why", key).stdout.startswith("buy 10 NVDA: FILLED")


def test_with_redis_it_says_what_was_told(online: Shell, client: Any) -> None:
    """From the events on `executions`, and the entry's place."""
    client.xgroup_create("nvda", "solution", "0", mkstream=True)
    client.xadd("nvda", {"ticker": "NVDA"}, id=ENTRY)
    client.xreadgroup("solution", "trader-1", {"nvda": ">"})
    fields = {"event": "fill", "final": "1", "client_order_id": COID}
    client.xadd("executions", dict(event("nvda", ENTRY, 5, **fields)), id=f"{T0 + 45}-0")
    out = online.run("why", "mine").stdout
    assert "told        executions: fill (final)" in out
    assert "pending: with consumer trader-1 of group solution" in out
    assert "not shown" not in out


def test_refusals_and_dead_letters(shell: Shell) -> None:
    """With the reason's sentence."""
    assert "POSITION_CAP: The position would exceed" in shell.run("why", "no").stdout
    letter = shell.run("why", "7-0").stdout
    assert letter.startswith("dead letter: NOT_UTF8")
    assert "\\xff = \\xfe\\x00" in letter


def test_several_signals_are_all_shown(shell: Shell, ledger: SqliteLedger) -> None:
    """One signal_id on two streams."""
    second = sent(identity="o", stream="other", client_order_id="sp-3", entry_id="3-0")
    ledger.apply([Change(insert=second)])
    out = shell.run("why", "mine").stdout
    assert out.startswith("2 signals are known by mine:")
    assert out.count("buy 10 NVDA: FILLED") == 2


def test_unknown_is_exit_code_1(shell: Shell) -> None:
    """And says where it looked."""
    result = shell.run("why", "9-9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"in the ledger {shell.ledger} has '9-9'; Redis was not asked" in result.stderr
    several = shell.run("why", "sp-")
    assert (several.exit_code, "2 orders begin with sp-" in several.stderr) == (1, True)


def test_an_entry_that_waits_is_found_in_redis(online: Shell, client: Any) -> None:
    """Nobody has decided it: exit code 1, and by whom it is held."""
    client.xadd("nvda", {"ticker": "NVDA", "direction": "b"}, id="9-9")
    result = online.run("why", "9-9")
    assert result.exit_code == 1
    assert "entry 9-9 of nvda is in the stream, not read yet by group solution" in result.stderr


def test_json(shell: Shell) -> None:
    """One document: row, reason, trades, history, timeline; nothing found is a document too."""
    document = shell.json("why", "mine")
    (one,) = document["signals"]
    assert one["order"]["state"] == "FILLED"
    assert one["trades"][0]["price"] == "135.34"
    assert one["history"] == [
        {"at": "2026-11-20T20:35:18.012Z", "kind": "answered", "detail": "HTTP 200 in 4.1 ms"}
    ]
    assert [line["stage"] for line in one["timeline"]] == [
        "published",
        "read",
        "decided",
        "posted",
        "answered",
        "fill",
        "ended",
    ]
    assert one["timeline"][-1]["ms"] == 40
    assert document["redis_trouble"].startswith("Redis at")
    (letter,) = shell.json("why", "7-0")["dead_letters"]
    assert letter["reason"]["code"] == "NOT_UTF8"
    assert shell.json("why", "no")["signals"][0]["reason"]["advice"].startswith("Ask for less")
    result = shell.run("why", "9-9", "--json")
    assert (result.exit_code, '"signals":[]' in result.stdout) == (1, True)


def test_secrets_are_never_shown(shell: Shell, ledger: SqliteLedger) -> None:
    """Not even where a producer, or the broker, wrote them into a signal."""
    secret = shell.env["ALPACA_SECRET_KEY"]
    leaky = sent(
        identity="l", client_order_id="sp-l", entry_id="4-0", signal_id="leak", message=secret
    )
    ledger.apply([Change(insert=leaky)])
    for words in (("why", "leak"), ("why", "leak", "--json"), ("why", secret)):
        result = shell.run(*words)
        assert secret not in result.output
        assert "password-90" not in result.output


def test_without_a_ledger(shell: Shell) -> None:
    """One line."""
    result = shell.run("why", "mine", LEDGER_URL=f"sqlite:///{shell.folder}/none.db")
    assert result.exit_code == 1
    assert result.stderr.startswith("ledger: there is no ledger at")


def test_a_ledger_in_postgres(shell: Shell, postgres_url: str) -> None:
    """By the same words; its password is not shown where nothing is found."""
    service = open_ledger(postgres_url)
    service.apply([Change(insert=sent())])
    service.close()
    found = shell.run("why", COID[:20], LEDGER_URL=postgres_url)
    assert found.stdout.startswith("buy 10 NVDA: FILLED")
    missing = shell.run("why", "9-9", LEDGER_URL=postgres_url)
    assert (missing.exit_code, "in the ledger " in missing.stderr) == (1, True)


def test_a_leg_by_its_own_id(shell: Shell, ledger: SqliteLedger) -> None:
    """Its signal's way, with both its fills; in JSON as a list of its own."""
    sold = trade("4", client_order_id="leg-take profit", order_id="order-take profit", side="sell")
    ledger.apply([Change(insert=leg()), Change(trades=(sold,))])
    for key in ("order-take profit", "leg-take profit", "mine"):
        out = shell.run("why", key).stdout
        assert out.startswith("buy 10 NVDA: FILLED")
        assert "take profit: 4 at 135.34" in out
    (signal,) = shell.json("why", "order-take profit")["signals"]
    (shown,) = signal["legs"]
    assert (shown["role"], shown["order"]["state"]) == ("take profit", "FILLED")
    assert [one["qty"] for one in shown["trades"]] == ["4"]
