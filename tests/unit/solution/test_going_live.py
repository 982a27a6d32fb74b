"""Who may trade with money: every way to have named the account, and every way to have not."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paper_exchange.testing import Running, running
from solution import going_live
from solution.alpaca_api_wrapper import account_of
from solution.book.positions import Account
from solution.clock import SystemClock
from solution.config import Settings, load_settings
from solution.errors import ConfigError, StartupError
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.contrary_broker import ContraryBroker, Reply

LIVE = {"ALPACA_PAPER": "false", "ALLOW_LIVE_TRADING": "true"}
ACCOUNT = account_of({"id": "a-1", "account_number": "123", "equity": "1"})


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One for this module."""
    with running("--rate-limit", "0") as one:
        yield one


@pytest.fixture
def settings(exchange: Running, tmp_path: Path) -> Callable[..., Settings]:
    """Live settings of a server on this machine."""

    def made(url: str = "", **changes: str) -> Settings:
        environ = {
            "ALPACA_API_KEY": "KEY",
            "ALPACA_SECRET_KEY": "SECRET",
            "ALPACA_TRADING_URL": url or exchange.url,
            "LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
            **LIVE,
            **changes,
        }
        return load_settings(environ=environ, env_file=None)

    return made


def admit(one: Settings, typed: str | None = None) -> tuple[Account | None, list[str]]:
    """The account that was admitted, and what was shown to whoever types."""
    shown: list[str] = []

    def ask(text: str) -> str | None:
        shown.append(text)
        return typed

    return going_live.admit(one, SystemClock(), threading.Event(), ask), shown


def admitted(one: Settings, typed: str | None = None) -> Account:
    """The account; there is one."""
    account, _ = admit(one, typed)
    assert account is not None
    return account


@pytest.mark.parametrize(
    "changes",
    [{"DRY_RUN": "true"}, {"ALPACA_PAPER": "true", "ALLOW_LIVE_TRADING": "false"}],
)
def test_where_no_money_is_at_stake_nobody_is_asked(
    settings: Callable[..., Settings], changes: dict[str, str]
) -> None:
    """Nor is the broker: nothing listens there."""
    assert admit(settings("http://127.0.0.1:1", **changes)) == (None, [])


def test_the_sentence_names_the_account(settings: Callable[..., Settings]) -> None:
    """The exact sentence, with or without blanks around it; the account is the broker's."""
    number = _number(settings)
    sentence = f"trade real money on account {number}"
    assert going_live.number_of(admitted(settings(), f"  {sentence}\n")) == number
    _, shown = admit(settings(), sentence)
    assert f"Type: {sentence}" in shown[0]
    assert "LIVE" in shown[0]
    for wrong in ("", "yes", sentence.upper(), sentence[:-1], f"{sentence}0", f"not {sentence}"):
        with pytest.raises(ConfigError, match="nothing was started"):
            admit(settings(), wrong)


def test_the_setting_is_enough_and_another_number_is_final(
    settings: Callable[..., Settings],
) -> None:
    """Nothing typed helps against it, so nobody is asked."""
    number = _number(settings)
    account, shown = admit(settings(LIVE_TRADING_ACKNOWLEDGED=number))
    assert account is not None
    assert shown == []
    sentence = f"trade real money on account {number}"
    with pytest.raises(ConfigError, match="LIVE_TRADING_ACKNOWLEDGED=9, and the keys open"):
        admit(settings(LIVE_TRADING_ACKNOWLEDGED="9"), sentence)


def _number(settings: Callable[..., Settings]) -> str:
    with pytest.raises(ConfigError) as refused:
        admit(settings())
    return str(refused.value).partition("account ")[2].partition(" ")[0]


def test_the_ledger_remembers(settings: Callable[..., Settings]) -> None:
    """What was typed, and only that; another account is refused for good."""
    one, number = settings(), _number(settings)
    ledger = SqliteLedger(one.ledger.url)
    account = admitted(one, f"trade real money on account {number}")
    going_live.remember(settings(LIVE_TRADING_ACKNOWLEDGED=number), ledger, account)
    assert going_live.remembered(one) == ""
    going_live.remember(one, ledger, None)
    assert going_live.remembered(one) == ""
    going_live.remember(one, ledger, account)
    assert going_live.remembered(one) == number
    assert admit(one) == (account, [])
    ledger.set_state(going_live.ACKNOWLEDGED, "9")
    with pytest.raises(ConfigError, match="acknowledged for live account 9, the keys open"):
        admit(one, f"trade real money on account {number}")
    with pytest.raises(ConfigError, match="acknowledged for live account 9, the keys open"):
        going_live.remember(one, ledger, account)
    ledger.close()


def test_a_server_that_gives_no_number_is_named_by_its_id() -> None:
    """There has to be something to type."""
    assert going_live.number_of(account_of({"id": "a-1", "equity": "1"})) == "a-1"
    assert going_live.number_of(ACCOUNT) == "123"


def test_the_account_may_not_change_while_the_start_waits() -> None:
    """A standby may have waited for hours."""
    going_live.require_same(ACCOUNT, "a-1")
    going_live.require_same(None, "whichever")
    with pytest.raises(StartupError, match="opened account a-1 and open a-2 now"):
        going_live.require_same(ACCOUNT, "a-2")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(401, b'{"message": "unauthorized."}'), "does not accept the keys"),
        (Reply(502, b"<html>"), "does not answer as a broker"),
        (Reply(200, b"{}"), "does not answer as a broker"),
    ],
)
def test_a_broker_that_does_not_tell_starts_nothing(
    exchange: Running, settings: Callable[..., Settings], reply: Reply, words: str
) -> None:
    """One line, and nobody is asked."""
    with ContraryBroker(exchange.url, lambda _: reply) as broker:
        with pytest.raises(StartupError, match=words) as refused:
            admit(settings(broker.url))
        assert "SECRET" not in str(refused.value)
