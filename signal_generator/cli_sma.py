"""The command `sma`."""

from typing import Any

import click

from signal_generator.cli import stream_options
from signal_generator.cli_run import host_of, host_options
from signal_generator.hosts.running import run
from signal_generator.sma_crossover import SmaCrossover


@click.command("sma")
@click.option(
    "--fast",
    type=click.IntRange(1, 10_000),
    envvar="SMA_FAST",
    show_envvar=True,
    default=10,
    show_default=True,
    help="Bars of the fast average.",
)
@click.option(
    "--slow",
    type=click.IntRange(2, 10_000),
    envvar="SMA_SLOW",
    show_envvar=True,
    default=30,
    show_default=True,
    help="Bars of the slow average.",
)
@host_options
@stream_options
def sma_command(*, fast: int, slow: int, **options: Any) -> None:
    """Publish a signal where the fast average of the closes crosses the slow one."""
    if fast >= slow:
        raise click.UsageError(f"--fast must be less than --slow: {fast} is not less than {slow}")
    run([("sma", SmaCrossover(fast, slow))], host_of(options))
