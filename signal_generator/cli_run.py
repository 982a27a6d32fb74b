"""The command `run`, and the options of every command that hosts strategies."""

from collections.abc import Callable
from typing import Any

import click

from signal_generator.bars import Timeframe
from signal_generator.cli import Number, check_streams, parse_stream, parse_symbols, stream_options
from signal_generator.hosts.loading import CannotLoad, load
from signal_generator.hosts.running import HostOptions, run
from signal_generator.printable import visible_lines


def _symbols(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:
    return parse_symbols(ctx, param, text) if text.strip() else ()


def _timeframe(_ctx: click.Context, _param: click.Parameter, text: str) -> Timeframe:
    try:
        return Timeframe(text)
    except ValueError:
        known = ", ".join(one.value for one in Timeframe)
        raise click.BadParameter(f"{text!r} is none of {known}") from None


def host_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a host of strategies."""
    options = [
        click.option(
            "--symbols",
            envvar="SYMBOLS",
            show_envvar=True,
            default="",
            callback=_symbols,
            help="Comma-separated symbols, for strategies that name none themselves.",
        ),
        click.option(
            "--timeframe",
            envvar="BAR_TIMEFRAME",
            show_envvar=True,
            default=Timeframe.MINUTE.value,
            show_default=True,
            callback=_timeframe,
            help="1Min, 5Min, 15Min, 1Hour or 1Day.",
        ),
        click.option(
            "--executions",
            envvar="EXECUTIONS_STREAM",
            show_envvar=True,
            default="executions",
            show_default=True,
            callback=parse_stream,
            help="Stream that tells what became of signals.",
        ),
        click.option(
            "--bars",
            multiple=True,
            metavar="FILE|FOLDER",
            help="Recorded bars, CSV or Parquet, instead of the live market; may be repeated.",
        ),
        click.option(
            "--publish",
            is_flag=True,
            help="Publish what recorded bars lead to, instead of showing.",
        ),
        click.option(
            "--take-over", is_flag=True, help="Take strategies from a host that runs them now."
        ),
        click.option(
            "--stamp/--no-stamp",
            default=True,
            help="Stamp a bar's signals with the bar's end, by which their age is counted.",
        ),
        click.option(
            "--broker-clock",
            type=Number(min=0, max=3600),
            metavar="SECONDS",
            help="Go by the broker's clock instead of this machine's, and ask it this often;"
            " 0 asks each time, for a clock that is moved by hand.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def host_of(options: dict[str, Any]) -> HostOptions:
    """The options as one value.

    Raises:
        click.UsageError: they do not go together.
    """
    if options["publish"] and not options["bars"]:
        raise click.UsageError("--publish is for --bars: live signals are always published")
    check_streams(options)
    return HostOptions(**options)


@click.command("run")
@click.argument("strategies", nargs=-1, required=True, metavar="MODULE:CLASS...")
@host_options
@stream_options
def run_command(*, strategies: tuple[str, ...], **options: Any) -> None:
    """Run strategies of your own: MODULE:CLASS or path/to/file.py:CLASS, any number."""
    try:
        found = load(strategies)
    except CannotLoad as error:
        raise click.UsageError(visible_lines(str(error))) from error
    run(found, host_of(options))
