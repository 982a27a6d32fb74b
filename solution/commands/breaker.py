"""``signalpaca breaker``: what the circuit breaker says, and closing it by hand."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from solution.clock import Deadline
from solution.commands.common import (
    FAILED,
    Failed,
    WrongUsage,
    clean,
    echo_json,
    json_option,
    redis_of,
    settings_of,
)
from solution.config import Settings
from solution.errors import ConfigError, LedgerError
from solution.ledger import breaker as ledger
from solution.ui.reading import part
from solution.ui.snapshot import read_all

CONFIRM_WITHIN = 5.0
"""Seconds; the service reads the row, and writes its picture, each second."""
_OPEN = frozenset({"open", "half-open"})


@click.group()
def breaker() -> None:
    """The circuit breaker: status, reset."""


@breaker.command()
@json_option
@click.pass_obj
def status(overrides: Mapping[str, str], *, as_json: bool) -> None:
    """What stands in the ledger; exit code 1 while the breaker is open there."""
    settings = settings_of(overrides)
    text = _row(settings)
    found = _read(text)
    if as_json:
        echo_json({"limit": settings.breaker.failures, **found})
    else:
        click.echo(_words(found, settings))
    if found["tripped"]:
        raise click.exceptions.Exit(FAILED)


@breaker.command()
@json_option
@click.pass_obj
def reset(overrides: Mapping[str, str], *, as_json: bool) -> None:
    """Close it and forget the failures so far, also while the service runs."""
    settings = settings_of(overrides)
    was = _read(_row(settings))
    try:
        cleared = ledger.clear(settings.ledger.url)
    except ConfigError as e:
        raise WrongUsage(f"configuration: {clean(settings, e)}") from None
    except LedgerError as e:
        raise Failed(f"ledger: {clean(settings, e)}") from None
    if not as_json:
        click.echo(f"reset; it was {_words(was, settings)}" if cleared else "there was no failure")
    still, running = _confirm(settings)
    if as_json:
        told = {"reset": cleared, "was": was, "instances": running}
        echo_json({**told, "still_open_in": still, "confirmed": not still})
    elif not running:
        click.echo(f"no instance of group {settings.redis.group} runs now", err=True)
    if still:
        names = ", ".join(still)
        click.echo(
            f"not confirmed within {CONFIRM_WITHIN:g} s: it is open in {names}; "
            "it may have opened anew: see `signalpaca breaker status`",
            err=True,
        )
        raise click.exceptions.Exit(FAILED)


def _row(settings: Settings) -> str | None:
    try:
        return ledger.row(settings.ledger.url)
    except ConfigError as e:
        raise WrongUsage(f"configuration: {clean(settings, e)}") from None
    except LedgerError as e:
        raise Failed(f"ledger: {clean(settings, e)}") from None


def _read(text: str | None) -> dict[str, Any]:
    """The row; one that cannot be read is an open breaker, as the service takes it."""
    if text is None:
        return {"tripped": False, "failures": 0}
    try:
        found: Any = orjson.loads(text)
        return {**found, "tripped": bool(found["tripped"]), "failures": int(found["failures"])}
    except (ValueError, TypeError, LookupError, AttributeError):
        return {"tripped": True, "failures": 0, "why": "its row in the ledger cannot be read"}


def _words(found: Mapping[str, Any], settings: Settings) -> str:
    state = "open" if found["tripped"] else "closed"
    limit = settings.breaker.failures
    shown = f"{state}: {found['failures']} failures in a row"
    shown += f", {limit} open it" if limit else ", CIRCUIT_BREAKER_FAILURES is 0: it never opens"
    if at_ms := found.get("at_ms"):
        at = datetime.fromtimestamp(int(at_ms) / 1000, UTC)
        shown += f"; the last at {at:%Y-%m-%d %H:%M:%S} UTC: {clean(settings, found.get('why'))}"
    return shown


def _confirm(settings: Settings) -> tuple[list[str], list[str]]:
    """The instances in which it is still open once time is up, and all that run."""
    deadline, tick = Deadline(CONFIRM_WITHIN), threading.Event()
    try:
        with redis_of(settings) as client:
            while True:
                found = read_all(client, settings.redis.group)
                still = sorted(n for n, shown in found.items() if _is_open(shown))
                if not still or deadline.passed():
                    return still, sorted(found)
                tick.wait(0.1)
    except Failed as e:
        raise Failed(f"reset, and not confirmed by any instance: {e.message}") from None


def _is_open(shown: Mapping[str, Any]) -> bool:
    return part(shown, "breaker").get("state") in _OPEN
