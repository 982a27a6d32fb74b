"""``signalpaca resume TICKER``: lift one ticker's halt, and see that the service noticed."""

import threading

import click

from solution.clock import Deadline
from solution.commands.common import FAILED, Failed, WrongUsage, clean, echo_json, redis_of, say
from solution.config import Settings
from solution.errors import ConfigError, LedgerError
from solution.ledger import halts
from solution.ui.snapshot import read_all
from solution.ui.terminal import part

CONFIRM_WITHIN = 5.0
"""Seconds; the service reads the halts, and writes its picture, each second."""


def resume_ticker(settings: Settings, ticker: str, *, as_json: bool) -> None:
    """Clear the halt in the ledger and wait until every running instance has read that.

    Raises:
        WrongUsage: LEDGER_URL names no ledger that can be opened here.
        Failed: not halted, the ledger cannot be written, or an instance still halts it.
    """
    try:
        reason = halts.listing(settings.ledger.url)
        symbol = halts.clear(settings.ledger.url, ticker)
    except ConfigError as e:
        raise WrongUsage(f"configuration: {clean(settings, e)}") from None
    except LedgerError as e:
        raise Failed(f"ledger: {clean(settings, e)}") from None
    if symbol is None:
        others = ", ".join(sorted(reason)) or "none"
        raise Failed(f"{ticker.upper()} is not halted; halted are: {others}")
    if not as_json:
        say(f"{symbol} takes orders again; it was halted: {reason.get(symbol, '')}")
    still, running = _confirm(settings, symbol)
    if as_json:
        told = {"symbol": symbol, "was": reason.get(symbol), "instances": running}
        echo_json({**told, "still_halted_by": still, "confirmed": not still})
    elif not running:
        click.echo(f"no instance of group {settings.redis.group} runs now", err=True)
    if still:
        names = ", ".join(still)
        click.echo(f"not confirmed within {CONFIRM_WITHIN:g} s: {names} still halts it", err=True)
        raise click.exceptions.Exit(FAILED)


def _confirm(settings: Settings, symbol: str) -> tuple[list[str], list[str]]:
    """The instances that still halt it once time is up, and all that run."""
    deadline, tick = Deadline(CONFIRM_WITHIN), threading.Event()
    try:
        with redis_of(settings) as client:
            while True:
                found = read_all(client, settings.redis.group)
                still = sorted(n for n, shown in found.items() if symbol in part(shown, "halted"))
                if not still or deadline.passed():
                    return still, sorted(found)
                tick.wait(0.1)
    except Failed as e:
        raise Failed(f"cleared, and not confirmed by any instance: {e.message}") from None
