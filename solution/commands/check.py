"""``signalpaca check``: would the service start, and would it trade?"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import click

from solution.clock import SystemClock
from solution.commands import checks
from solution.commands.common import FAILED, WRONG_USAGE, echo_json, json_option, settings_of
from solution.commands.results import Level, Result
from solution.config import load_settings
from solution.errors import ConfigError
from solution.printable import visible
from solution.security import Redactor

MARKS = {
    Level.OK: ("ok", "green"),
    Level.INFO: ("info", "cyan"),
    Level.WARNING: ("warning", "yellow"),
    Level.FAILED: ("FAILED", "red"),
}


@click.command()
@json_option
@click.option(
    "--probe",
    is_flag=True,
    help="Instead, try what is assumed of Alpaca with one share on a PAPER account.",
)
@click.option("--symbol", help="The share that --probe bids for; the first of SYMBOLS by default.")
@click.pass_obj
def check(overrides: Mapping[str, str], *, as_json: bool, probe: bool, symbol: str | None) -> None:
    """Check everything the service needs; sends no order. Exit code 1 if anything failed."""
    if probe:
        from solution.commands import probing

        with _quiet():
            probing.probe(settings_of(overrides), symbol, as_json=as_json)
        return
    if symbol is not None:
        raise click.UsageError("--symbol belongs to --probe")
    found: list[Result] = []
    try:
        settings = load_settings(overrides or {})
    except ConfigError as e:
        found.append(Result("configuration", Level.FAILED, str(e)))
        _show(found[0], as_json=as_json)
        _conclude(found, WRONG_USAGE, as_json=as_json)
        return
    redact = Redactor(settings.secrets).redact
    with _quiet():
        for result in checks.run(settings, SystemClock()):
            shown = replace(result, detail=redact(result.detail))
            found.append(shown)
            _show(shown, as_json=as_json)
    _conclude(found, FAILED, as_json=as_json)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The stream's own log lines would stand between the report's."""
    ours = logging.getLogger("solution")
    before = ours.level
    ours.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ours.setLevel(before)


def _show(result: Result, *, as_json: bool) -> None:
    if not as_json:
        word, color = MARKS[result.level]
        click.echo(
            f"{click.style(f'{word:<8}', fg=color)} {result.name:<17} {visible(result.detail)}"
        )


def _conclude(found: list[Result], code: int, *, as_json: bool) -> None:
    failed = [r.name for r in found if r.level is Level.FAILED]
    if as_json:
        rows = [{"name": r.name, "level": r.level, "detail": r.detail} for r in found]
        echo_json({"ok": not failed, "checks": rows})
    elif failed:
        click.echo(f"failed: {', '.join(failed)}", err=True)
    if failed:
        raise click.exceptions.Exit(code)
