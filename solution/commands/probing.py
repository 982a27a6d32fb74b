"""``signalpaca check --probe``: try what is assumed of the broker, on a paper account."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from solution.clock import SystemClock
from solution.commands.common import FAILED, Failed, WrongUsage, clean, echo_json
from solution.config import Settings
from solution.errors import ConfigError, StartupError
from solution.probe.finding import Finding, Verdict
from solution.probe.paper_only import refusal
from solution.probe.run import Outcome, run

MARKS = {
    Verdict.CONFIRMED: ("confirmed", "green"),
    Verdict.DIFFERENT: ("DIFFERENT", "red"),
    Verdict.UNTESTED: ("untested", "yellow"),
}


def probe(settings: Settings, symbol: str | None, *, as_json: bool) -> None:
    """Try everything and say what came of it; exit code 1 if something is different.

    Raises:
        WrongUsage: the settings are not those of a paper account, or name nothing to buy.
        Failed: the broker told too little to begin, or something is different or left open.
    """
    why = refusal(settings)
    if why:
        raise WrongUsage(why)
    try:
        settings.require_keys()
    except ConfigError as e:
        raise WrongUsage(f"configuration: {e}") from None
    wanted = symbol or next((s for s in settings.sizing.symbols if "/" not in s), "")
    if not wanted:
        raise WrongUsage("SYMBOLS names no stock: name one with --symbol")
    if not as_json:
        click.echo(f"{settings.broker.trading_url}: at most one share of {wanted}, at half price")
    interrupts = Interrupts()
    with interrupts.caught():
        try:
            outcome = run(
                settings,
                SystemClock(),
                symbol=wanted.upper(),
                tell=(lambda _finding: None) if as_json else show,
                uninterrupted=interrupts.held,
            )
        except StartupError as e:
            raise Failed(clean(settings, e)) from None
    conclude(outcome, as_json=as_json)


class Interrupts:
    """The first Ctrl-C or SIGTERM ends the probe; none ends the cleaning up after it."""

    def __init__(self) -> None:
        self._held = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Main thread only; the handlers from before come back."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def held(self, clean_up: Callable[[], list[str]]) -> list[str]:
        """Call it; signals are ignored meanwhile, and for ever after the first one."""
        before, self._held = self._held, True
        try:
            return clean_up()
        finally:
            self._held = before

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._held:
            self._held = True
            raise KeyboardInterrupt


def show(finding: Finding) -> None:
    """One line, and what to do on a second one."""
    word, color = MARKS[finding.verdict]
    click.echo(f"{click.style(f'{word:<9}', fg=color)}  {finding.name:<30} {finding.seen}")
    if finding.advice:
        click.echo(f"{'':<11}{'':<30} -> {finding.advice}")


def conclude(outcome: Outcome, *, as_json: bool) -> None:
    """The summary and the exit code."""
    counts = {v: sum(f.verdict is v for f in outcome.findings) for v in Verdict}
    if as_json:
        rows = [
            {"name": f.name, "verdict": f.verdict, "seen": f.seen, "advice": f.advice}
            for f in outcome.findings
        ]
        ok = not (counts[Verdict.DIFFERENT] or outcome.left or outcome.interrupted)
        echo_json(
            {
                "ok": ok,
                "findings": rows,
                "left_open": outcome.left,
                "interrupted": outcome.interrupted,
            }
        )
    else:
        click.echo(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    for line in outcome.left:
        click.echo(f"LEFT OPEN, cancel it yourself: {line}", err=True)
    if not outcome.left:
        ended = "interrupted; " if outcome.interrupted else ""
        click.echo(f"{ended}every order of the probe has ended", err=as_json)
    if counts[Verdict.DIFFERENT] or outcome.left or outcome.interrupted:
        raise click.exceptions.Exit(FAILED)
