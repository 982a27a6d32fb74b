"""``signalpaca kill`` and ``resume``: the kill switch's file, and whether anybody looks at it."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from solution.clock import Deadline
from solution.commands.common import (
    FAILED,
    Failed,
    WrongUsage,
    echo_json,
    json_option,
    redis_of,
    say,
    settings_of,
)
from solution.commands.halts import resume_ticker
from solution.config import Settings
from solution.ui.snapshot import read_all

CONFIRM_WITHIN = 3.0
"""Seconds; an instance looks at the file each second and before each POST."""
EFFECT = "no new orders are sent; orders that rest at the broker are NOT cancelled"


@click.command()
@json_option
@click.pass_obj
def kill(overrides: Mapping[str, str], *, as_json: bool) -> None:
    """Stop all new orders. What rests at the broker is not cancelled."""
    settings = settings_of(overrides)
    path = settings.gates.kill_switch_file
    created = _create(path)
    if not as_json:
        click.echo(f"{'created' if created else 'it was on already:'} {path}: {EFFECT}")
    confirmed = _confirm(settings, lambda reason: reason is not None, as_json=as_json)
    told = {"kill_switch_file": str(path), "created": created, "instances": confirmed}
    _conclude(confirmed, told, "does not look at this file", killed=True, as_json=as_json)


def _create(path: Path) -> bool:
    """Whether nothing had that name; a link that leads nowhere is something."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise Failed(f"{path} cannot be created: {e.strerror or e}") from None
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        return False
    except OSError as e:
        raise Failed(f"{path} cannot be created: {e.strerror or e}") from None
    return True


@click.command()
@click.argument("ticker", required=False)
@json_option
@click.pass_obj
def resume(overrides: Mapping[str, str], *, ticker: str | None, as_json: bool) -> None:
    """Send orders again: of TICKER, which the service halted, or of all, which kill stopped."""
    settings = settings_of(overrides)
    if ticker is None:
        _resume_all(settings, as_json=as_json)
    elif not ticker.strip():  # `resume "$TICKER"` with an unset variable is not meant for all
        raise WrongUsage("TICKER is empty; leave it out to send orders of all tickers again")
    else:
        resume_ticker(settings, ticker, as_json=as_json)


def _resume_all(settings: Settings, *, as_json: bool) -> None:
    path = settings.gates.kill_switch_file
    try:
        path.unlink()
        removed = True
    except FileNotFoundError:
        removed = False
    except OSError as e:
        raise Failed(f"{path} cannot be removed: {e.strerror or e}") from None
    if not as_json:
        click.echo(f"removed {path}" if removed else f"{path} did not exist")
    if settings.gates.kill_switch:
        click.echo("KILL_SWITCH is set: unset it and restart; resume cannot undo it", err=True)
    confirmed = _confirm(settings, lambda reason: reason is None, as_json=as_json)
    told = {"kill_switch_file": str(path), "removed": removed, "instances": confirmed}
    _conclude(confirmed, told, "still refuses", killed=False, as_json=as_json)
    if settings.gates.kill_switch:
        raise click.exceptions.Exit(FAILED)


def _confirm(
    settings: Settings, wanted: Callable[[str | None], bool], *, as_json: bool
) -> dict[str, str | None]:
    """Each running instance's reason not to send, once all are as wanted or time is up."""
    try:
        reasons = _reasons(settings, wanted)
    except Failed as e:
        raise Failed(f"not confirmed by any instance: {e.message}") from None
    if not as_json:
        for name, reason in reasons.items():
            say(f"{name}: {reason or 'sends orders'}")
        if not reasons:
            click.echo(f"no instance of group {settings.redis.group} runs now", err=True)
    return reasons


def _reasons(settings: Settings, wanted: Callable[[str | None], bool]) -> dict[str, str | None]:
    deadline, tick = Deadline(CONFIRM_WITHIN), threading.Event()
    with redis_of(settings) as client:
        while True:
            found = read_all(client, settings.redis.group)
            reasons = {name: _reason(snapshot) for name, snapshot in sorted(found.items())}
            if all(map(wanted, reasons.values())) or deadline.passed():
                return reasons
            tick.wait(0.1)


def _reason(snapshot: Mapping[str, Any]) -> str | None:
    reason = snapshot.get("kill_switch")
    return None if reason is None else str(reason)


def _conclude(
    reasons: Mapping[str, str | None],
    told: Mapping[str, Any],
    why: str,
    *,
    killed: bool,
    as_json: bool,
) -> None:
    wrong = [name for name, reason in reasons.items() if (reason is not None) != killed]
    if as_json:
        echo_json({**told, "confirmed": not wrong})
    if wrong:
        click.echo(
            f"not confirmed within {CONFIRM_WITHIN:g} s: {', '.join(wrong)} {why}; "
            "compare KILL_SWITCH_FILE and the directory it was started in, and KILL_SWITCH",
            err=True,
        )
        raise click.exceptions.Exit(FAILED)
