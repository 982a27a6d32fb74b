"""The command `scalp`."""

import logging
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from signal_generator.bars import Timeframe
from signal_generator.cli import Number, check_streams, parse_stream, parse_symbols, stream_options
from signal_generator.hosts.loading import NAME, CannotLoad, find_class
from signal_generator.hosts.running import HostOptions, run
from signal_generator.printable import VisibleFormatter, visible_lines
from signal_generator.scalper import ScalpAlgo
from signal_generator.scalping.signals import ScalpSettings
from signal_generator.scalping.strategy import ScalpStrategy

LOG_FORMAT = "%(asctime)s:%(filename)s:%(lineno)d:%(levelname)s:%(name)s:%(message)s"
CONSOLE_LOG = "console.log"


def _symbols(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Also comma-separated; shares only, since coins have no close to be out before."""
    symbols = parse_symbols(ctx, param, ",".join(given))
    for symbol in symbols:
        if "/" in symbol:
            raise click.BadParameter(f"{symbol}: the scalper trades shares, which have a session")
    return symbols


def _label(_ctx: click.Context, _param: click.Parameter, name: str) -> str:
    """What a strategy may be called."""
    if not NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not 1 to 48 of A-Z a-z 0-9 _ . -")
    return name


@click.command("scalp")
@click.argument("symbols", nargs=-1, required=True, callback=_symbols, metavar="SYMBOL...")
@click.option(
    "--lot",
    type=Number(min=0.01, max=1e9),
    default=2000.0,
    show_default=True,
    help="Account currency for one purchase.",
)
@click.option(
    "--algo",
    metavar="FILE.py:CLASS",
    help="When to buy: a class that derives from ScalpAlgo; also module:Class.",
)
@click.option(
    "--cancel-after",
    type=Number(min=0.1, max=86_400),
    default=120.0,
    show_default=True,
    help="Seconds a buy may rest.",
)
@click.option(
    "--name",
    default="scalp",
    show_default=True,
    callback=_label,
    help="Label of its signals; another one for a second scalper on the same Redis.",
)
@click.option(
    "--executions",
    envvar="EXECUTIONS_STREAM",
    show_envvar=True,
    default="executions",
    show_default=True,
    callback=parse_stream,
    help="Stream that tells what became of signals.",
)
@click.option("--take-over", is_flag=True, help="Take over from a scalper that runs now.")
@click.option(
    "--stamp/--no-stamp",
    default=True,
    help="Stamp a bar's signals with the bar's end, by which their age is counted.",
)
@click.option(
    "--broker-clock",
    type=Number(min=0, max=60),
    metavar="SECONDS",
    help="Go by the broker's clock, asked every SECONDS, 0 each time; else by this machine's.",
)
@click.option(
    "--log-file",
    default=CONSOLE_LOG,
    show_default=True,
    help="File that everything logged is appended to; empty: none.",
)
@stream_options
def scalp_command(
    *,
    symbols: tuple[str, ...],
    lot: float,
    algo: str | None,
    cancel_after: float,
    name: str,
    log_file: str,
    **options: Any,
) -> None:
    """Buy on a signal, sell a cent dearer, be out before the close; one machine per SYMBOL."""
    check_streams(options)
    try:
        made = ScalpAlgo if algo is None else find_class(algo, ScalpAlgo)
    except CannotLoad as error:
        raise click.UsageError(visible_lines(str(error))) from error
    _log_to(log_file)
    settings = ScalpSettings(lot=_exact(lot), cancel_after=_exact(cancel_after))
    strategy = ScalpStrategy(symbols, settings, made, name=name)
    hosting = HostOptions(
        symbols=symbols, timeframe=Timeframe.MINUTE, bars=(), publish=False, **options
    )
    run([(name, strategy)], hosting)


def _exact(number: float) -> Decimal:
    """As it was typed: 2000, not 2000.0."""
    return Decimal(repr(number).removesuffix(".0"))


def _log_to(file: str) -> None:
    """Standard error and the file, in one format."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file:
        try:
            handlers.append(logging.FileHandler(Path(file), encoding="utf-8"))
        except OSError as error:
            raise click.BadParameter(f"{file}: {error.strerror}", param_hint="--log-file") from None
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(VisibleFormatter(LOG_FORMAT))
        root.addHandler(handler)
