"""What has to be true before the service sends an order that is paid with money.

The live host is never named here: live is what ``ALPACA_PAPER=false`` says of a server on loopback.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from solution.ledger import open_reader
from tests.helpers import forked
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import FaultBroker
from tests.helpers.service_process import ROOT, World, refusal
from tests.helpers.terminal import AtTerminal

LIVE = {"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}


def number_of(made: World) -> str:
    """The account number that the broker states."""
    return str(made.broker("account")["account_number"])


def environment(made: World, **changes: str) -> dict[str, str]:
    """Of a process at a terminal."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **made.env(**changes)}


def remembered(made: World) -> str | None:
    """What the ledger keeps of a confirmation."""
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        return reader.get_state("live_acknowledged")


def command(made: World, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """``signalpaca WORDS…`` with the service's settings."""
    return forked.run(words, env=environment(made, **changes), cwd=made.directory)


def test_no_terminal_and_nobody_has_named_the_account(make_world: Callable[..., World]) -> None:
    """Exit code 2, a line that says what to set, and Redis was not asked for anything."""
    made = make_world(**LIVE)
    made.publish()
    number = number_of(made)
    said = refusal(made.launch(), 2, "configuration: ")
    assert said == (
        f"configuration: live trading on account {number} was never confirmed: set "
        f"LIVE_TRADING_ACKNOWLEDGED={number}, or start once at a terminal and type the sentence"
    )
    other = refusal(made.launch(LIVE_TRADING_ACKNOWLEDGED="PA0"), 2, "configuration: ")
    assert other == (
        f"configuration: LIVE_TRADING_ACKNOWLEDGED=PA0, and the keys open account {number}"
    )
    assert made.redis.xinfo_groups("nvda") == []
    assert not made.orders()


def test_the_setting_names_the_account(make_world: Callable[..., World]) -> None:
    """It trades, and everything that names the mode says live."""
    made = make_world(**LIVE)
    service = made.start(LIVE_TRADING_ACKNOWLEDGED=number_of(made))
    made.await_ends([made.publish()])
    assert len(made.orders()) == 1
    lines = service.text.splitlines()
    assert "LIVE (REAL MONEY)" in lines[0] or "LIVE (REAL MONEY)" in lines[1]
    assert next(line for line in lines if " INFO " in line).endswith(
        f"starting mode=live broker={made.trading_url}"
    )
    assert eventually(lambda: "started mode=live" in service.text)
    shown = command(made, "status", LIVE_TRADING_ACKNOWLEDGED="x").stdout
    assert "LIVE, REAL MONEY" in shown
    assert remembered(made) is None  # what the setting says is not said twice
    assert service.stop() == 0


def test_the_sentence_is_asked_for_once(make_world: Callable[..., World]) -> None:
    """Anything else ends the start; the sentence starts it, and later starts without a terminal."""
    made = make_world(**LIVE)
    sentence = f"trade real money on account {number_of(made)}"
    made.directory.mkdir(parents=True)
    with AtTerminal(environment(made), made.directory) as first:
        first.await_text(f"Type: {sentence}")
        first.type("yes")
        assert first.wait() == 2
        assert f'that was not "{sentence}"; nothing was started' in first.text
    with AtTerminal(environment(made), made.directory) as second:
        second.await_text(f"Type: {sentence}")
        assert "\x1b[" in second.text  # colour: nobody overlooks it
        second.type(sentence)
        second.await_text("listening streams=")
        second.process.send_signal(signal.SIGTERM)
        assert second.wait() == 0
    assert remembered(made) == number_of(made)
    third = made.start()
    made.await_ends([made.publish()])
    assert third.stop() == 0


def test_what_was_typed_before_the_question_is_no_answer(
    make_world: Callable[..., World],
) -> None:
    """A sentence pasted ahead; and no line of the log follows the prompt."""
    made = make_world(**LIVE)
    made.directory.mkdir(parents=True)
    sentence = f"trade real money on account {number_of(made)}"
    with AtTerminal(environment(made), made.directory) as asking:
        asking.type(sentence)
        asking.await_text(f"Type: {sentence}")
        asking.await_text("> ")
        asking.type("no")
        assert asking.wait() == 2
        before, _, after = asking.text.partition(f"Type: {sentence}")
        assert "starting mode=live" in before
        assert after.replace("\r", "").startswith("\n> no\n")
    assert not made.ledger_path.exists()


def test_a_signal_ends_the_question(make_world: Callable[..., World]) -> None:
    """Ctrl-C while it waits for the sentence: nothing was started, nothing is remembered."""
    made = make_world(**LIVE)
    made.directory.mkdir(parents=True)
    with AtTerminal(environment(made), made.directory) as asking:
        asking.await_text("Type: trade real money")
        asking.process.send_signal(signal.SIGINT)
        assert asking.wait() == 2
    assert not made.ledger_path.exists()


def test_a_ledger_knows_its_live_account(make_world: Callable[..., World]) -> None:
    """Other keys on a ledger that was confirmed for an account are refused."""
    made = make_world(**LIVE)
    made.directory.mkdir(parents=True)
    number = number_of(made)
    with AtTerminal(environment(made), made.directory) as first:
        first.await_text("Type: ")
        first.type(f"trade real money on account {number}")
        first.await_text("listening streams=")
        first.process.send_signal(signal.SIGTERM)
        assert first.wait() == 0
    said = refusal(made.launch(ALPACA_API_KEY="ANOTHER"), 2, "configuration: ")
    assert f"this ledger was acknowledged for live account {number}, the keys open" in said


def test_a_dry_run_with_live_settings_is_asked_nothing(make_world: Callable[..., World]) -> None:
    """It sends no order, so there is nothing to confirm."""
    made = make_world(**LIVE, DRY_RUN="true")
    service = made.start()
    assert "starting mode=dry-run" in service.text
    assert service.stop() == 0


@pytest.mark.parametrize("mode", [{}, LIVE], ids=["local", "live"])
def test_another_account_that_answers_gets_no_order(
    make_world: Callable[..., World], mode: dict[str, str]
) -> None:
    """The keys of a running service open another account now: every signal is refused."""
    made = make_world(proxy=FaultBroker, **mode)
    service = made.start(LIVE_TRADING_ACKNOWLEDGED=number_of(made))
    started_on = made.broker("account")["id"]
    made.proxy.account_changes = {"id": "another"}
    made.await_ends([made.publish()])  # its fill makes the service read the account again
    assert eventually(lambda: account_in_status(made) == "another")
    before = len(made.orders())
    entry, exit_ = made.publish(), made.publish(direction="s")
    made.await_ends([entry, exit_])
    for refused in (made.final(entry), made.final(exit_)):
        assert refused["reason"] == "LIVE_NOT_ALLOWED"
        assert refused["message"] == (
            f"the keys open account another now, this service was started on {started_on}"
        )
    assert len(made.orders()) == before
    assert service.stop() == 0


def picture_of(made: World, group: str = "solution") -> Any:
    """The service's picture of itself."""
    [key] = made.redis.keys(f"signalpaca:{group}:*")
    raw: Any = made.redis.get(key)
    return orjson.loads(raw)


def account_in_status(made: World) -> str:
    """The id of the account in it."""
    return str(picture_of(made)["account"]["id"])


def held_by(made: World, group: str) -> dict[str, str]:
    """The positions in it."""
    return {row["symbol"]: row["qty"] for row in picture_of(made, group)["positions"]}


def test_a_service_does_not_take_a_probes_orders_for_its_own(
    make_world: Callable[..., World],
) -> None:
    """Probed beside a running service: no halted ticker, no row, and signals trade on."""
    made = make_world(ALPACA_API_KEY="KEY-CANARY")
    service = made.start()
    made.await_ends([made.publish()])
    probed = command(made, "check", "--probe", "--json")
    assert orjson.loads(probed.stdout)["ok"], probed.stdout
    made.await_ends([made.publish()])
    assert len(made.rows()) == 2
    assert picture_of(made)["halted"] == {}
    assert service.stop() == 0
    again = made.start()  # the broker's list of orders holds them now
    made.await_ends([made.publish()])
    assert len(made.rows()) == 3
    assert again.stop() == 0


def test_a_shadow_beside_the_real_service(make_world: Callable[..., World]) -> None:
    """One order per signal, two decisions; the shadow is called one, and differences are shown."""
    made = make_world(SYMBOLS="NVDA,F")
    real = made.start()
    assert eventually(lambda: bool(made.redis.keys("signalpaca:solution:*")))
    shadow = made.start(DRY_RUN="true")
    assert eventually(lambda: "started mode=shadow" in shadow.text)
    entries = [made.publish("F"), made.publish("F", qty="3")]
    made.await_ends(entries)
    # The real fills reach its book by the account. So does the sale's, perhaps before it has
    # looked at the signal itself: then there is nothing left to sell, which is no difference.
    assert eventually(lambda: held_by(made, "solution-dry-run") == {"F": "4"}, 20)
    entries.append(made.publish("F", "s"))
    made.await_ends(entries)
    assert eventually(lambda: finals_of(made, "executions-dry-run") == len(entries))
    assert "· shadow ·" in command(made, "--dry-run", "status").stdout
    same = command(made, "shadow", "--json")
    assert len(made.orders()) == 3
    report = orjson.loads(same.stdout)
    assert (report["compared"], report["differing"]) == (3, 0), same.stdout
    assert set(report["counts"]) <= {"overtaken"}
    assert same.returncode == 0
    assert shadow.stop() == 0
    other = made.start(DRY_RUN="true", QTY="2")
    made.await_ends([made.publish("F")])
    assert eventually(lambda: finals_of(made, "executions-dry-run") == len(entries) + 1)
    differs = command(made, "shadow")
    assert differs.returncode == 1
    assert "1 size: both send" in differs.stdout
    assert "sent buy 1, 1 at" in differs.stdout
    assert other.stop() == 0
    assert real.stop() == 0


def finals_of(made: World, stream: str) -> int:
    """How many signals have been told to their end there."""
    rows: Any = made.redis.xrange(stream)
    return sum(fields[b"final"] == b"1" for _, fields in rows)
