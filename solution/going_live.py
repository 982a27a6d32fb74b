"""Before the first order with real money: a person has named the account it may be sent to.

Flags, key and host can all say live by accident, in an ``.env`` that was copied. What nobody types
by accident is a sentence with the number of the account. It is asked for once, before the ledger is
taken and before anything is read from Redis, and remembered in the ledger; where no terminal is,
``LIVE_TRADING_ACKNOWLEDGED`` says the number. A dry run sends nothing and is asked nothing.
"""

import logging
import os
import select
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple, Protocol

from solution.alpaca_api_wrapper import account_of
from solution.book.positions import Account
from solution.broker_client import client_of
from solution.clock import Clock
from solution.config import Settings
from solution.errors import BrokerError, ConfigError, LedgerError, StartupError, Unauthorized
from solution.ledger import open_reader
from solution.startup import patiently

log = logging.getLogger(__name__)

ACKNOWLEDGED = "live_acknowledged"
"""In the ledger's small state: the number of the account that a person has named."""
_LOOK_EVERY = 0.2
"""Seconds between two looks whether the service is to stop while somebody types."""
_LONGEST_LINE = 1_000

Ask = Callable[[str], str | None]
"""Shows a text and returns the line typed; None where nobody can type, or it is to stop."""


class _Remembers(Protocol):
    """The part of the ledger that is used here."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...


def sentence_for(number: str) -> str:
    """What has to be typed."""
    return f"trade real money on account {number}"


def number_of(account: Account) -> str:
    """What people call the account; its id at a server that gives no number."""
    return account.number or account.id


def is_asked(settings: Settings) -> bool:
    """Whether this service could spend money."""
    return not settings.broker.paper and not settings.gates.dry_run


def admit(settings: Settings, clock: Clock, stop: threading.Event, ask: Ask) -> Account | None:
    """Ask the broker which account the keys open, and whether a person has named that one.

    Args:
        stop: ends waiting for the rate budget.
        ask: see :func:`at_terminal`.

    Returns:
        the account that may be traded; None where no money is at stake.

    Raises:
        ConfigError: nobody has named it, or somebody has named another.
        StartupError: the broker does not tell.
    """
    if not is_asked(settings):
        return None
    account = _account(settings, clock, stop)
    number = number_of(account)
    refusal = trouble(settings, number, remembered(settings))
    if refusal is None:
        return account
    if refusal.final:
        raise ConfigError(refusal.text)
    typed = ask(
        f"\nLIVE: every signal will trade real money at {settings.broker.trading_url}, equity "
        f"{account.equity:f}.\nType: {sentence_for(number)}\n> "
    )
    if typed is None:
        raise ConfigError(refusal.text)
    if typed.strip() != sentence_for(number):
        raise ConfigError(f'that was not "{sentence_for(number)}"; nothing was started')
    return account


class Trouble(NamedTuple):
    """Why the account may not be traded, in one line."""

    text: str
    final: bool
    """Another account was named, so nothing that is typed now helps."""


def trouble(settings: Settings, number: str, before: str) -> Trouble | None:
    """Why the account with this number may not be traded yet.

    Args:
        before: the number that the ledger remembers, empty where none.
    """
    said = settings.broker.acknowledged
    if said and said != number:
        text = f"LIVE_TRADING_ACKNOWLEDGED={said}, and the keys open account {number}"
        return Trouble(text, final=True)
    if before and before != number:
        text = f"this ledger was acknowledged for live account {before}, the keys open {number}"
        return Trouble(f"{text}; use another LEDGER_URL for another account", final=True)
    if said or before:
        return None
    text = (
        f"live trading on account {number} was never confirmed: set "
        f"LIVE_TRADING_ACKNOWLEDGED={number}, or start once at a terminal and type the sentence"
    )
    return Trouble(text, final=False)


def remembered(settings: Settings) -> str:
    """The number of the account that was typed before, empty where none."""
    try:
        with open_reader(settings.ledger.url) as reader:
            return reader.get_state(ACKNOWLEDGED) or ""
    except LedgerError:
        return ""  # there is none yet; and one that cannot be read stops the start soon after


def remember(settings: Settings, ledger: _Remembers, account: Account | None) -> None:
    """Keep the number that was typed for the next start; what a setting says, it says itself.

    Raises:
        ConfigError: another one was kept meanwhile, by an instance that this one waited for.
    """
    if account is None:
        return
    before, number = ledger.get_state(ACKNOWLEDGED), number_of(account)
    if before not in {None, number}:
        raise ConfigError(
            f"this ledger was acknowledged for live account {before}, the keys open {number}"
        )
    if not settings.broker.acknowledged:
        ledger.set_state(ACKNOWLEDGED, number)
    log.warning("live_trading", extra={"account": number, "detail": "real money"})


def require_same(admitted: Account | None, account_id: str) -> None:
    """The account whose world was loaded is the one that was admitted before the waiting.

    Raises:
        StartupError: the keys open another one since.
    """
    if admitted is not None and admitted.id != account_id:
        raise StartupError(
            f"the keys opened account {admitted.id} and open {account_id} now; nothing was sent"
        )


def at_terminal(stop: threading.Event) -> Ask:
    """Asks on the terminal that both ends of this process are connected to, if any.

    ``input()`` would go on waiting after a signal, since ours have no Python handler.
    """

    def ask(text: str) -> str | None:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        import termios  # where there is a terminal, as in `top`

        for handler in logging.getLogger().handlers:
            handler.flush()  # a line that comes later lands behind the prompt
        descriptor = sys.stdin.fileno()
        # What was typed before the question was shown is no answer to it.
        termios.tcflush(descriptor, termios.TCIFLUSH)
        sys.stderr.write(text)
        sys.stderr.flush()
        while not stop.is_set():
            if select.select([descriptor], [], [], _LOOK_EVERY)[0]:
                return os.read(descriptor, _LONGEST_LINE).decode(errors="replace")
        return None

    return ask


def _account(settings: Settings, clock: Clock, stop: threading.Event) -> Account:
    broker = settings.broker
    client = client_of(broker, clock)
    with closing(client):
        try:
            return account_of(patiently(client.account, stop))
        except Unauthorized as e:
            raise StartupError(f"{broker.trading_url} does not accept the keys: {e.message}") from e
        except BrokerError as e:
            raise StartupError(f"{broker.trading_url} does not answer as a broker: {e}") from e
