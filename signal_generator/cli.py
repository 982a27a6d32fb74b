"""The command line: options in, exit code out, no logic.

Exit codes: 0 ended as asked (also by SIGINT or SIGTERM), 1 failed, 2 wrong usage.
"""

import math
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from signal_generator.random_signals import Direction

_SYMBOL = re.compile(r"[A-Z0-9]+(?:[./-][A-Z0-9]+)?")


class Number(click.FloatRange):
    """A float range that takes no NaN and no infinity, for which every comparison is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is not a finite number in the range."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


def parse_symbols(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    """Return comma-separated symbols in upper case, each once."""
    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",")))
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise click.BadParameter(f"{symbol!r} is not a symbol such as NVDA, BRK.B or BTC/USD")
    return symbols


def parse_stream(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    """Refuse an empty key, which Redis would take and no consumer would read."""
    if not text.strip():
        raise click.BadParameter("a stream needs a name")
    return text


def check_streams(options: Mapping[str, Any]) -> None:
    """Refuse one stream for both directions: the service would take its own reports for signals.

    Raises:
        click.UsageError: it is one.
    """
    if options["executions"] == options["stream"]:
        raise click.UsageError(
            f"--executions (or EXECUTIONS_STREAM) and --stream are both {options['stream']!r}: "
            "what becomes of signals needs a stream of its own"
        )


#: Commands that are imported when they are called: `random` must not wait for what they need.
LAZY = {
    "run": "cli_run:run_command",
    "scalp": "cli_scalp:scalp_command",
    "sma": "cli_sma:sma_command",
}


class LazyGroup(click.Group):
    """Finds the commands of `LAZY` by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*super().list_commands(ctx), *LAZY})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it, where it is one of them."""
        if cmd_name not in LAZY:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = LAZY[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f"signal_generator.{module}"), attribute)
        return found


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Publish trading signals to a Redis stream."""


def stream_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where signals go and how they are shown."""
    options = [
        click.option(
            "--redis-url",
            envvar="REDIS_URL",
            show_envvar=True,
            default="redis://localhost:6379/0",
            show_default=True,
            help="redis://, rediss:// or unix:// address.",
        ),
        click.option(
            "--stream",
            callback=parse_stream,
            default="nvda",
            show_default=True,
            help="Key of the stream.",
        ),
        click.option(
            "--maxlen",
            type=click.IntRange(min=1),
            help="Trim the stream to about this many entries; default: never.",
        ),
        click.option(
            "--connect-timeout",
            type=Number(min=0, max=3600),
            default=10.0,
            show_default=True,
            help="Seconds to wait for Redis at the start.",
        ),
        click.option(
            "--hmac-key-file",
            envvar="SIGNAL_HMAC_KEY_FILE",
            show_envvar=True,
            help="File with kid:secret to sign with; or the text itself in SIGNAL_HMAC_KEY.",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON line per published entry."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def pace_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say when to produce and when to end."""
    options = [
        click.option(
            "--interval",
            type=Number(min=0.001, max=86_400),
            default=1.0,
            show_default=True,
            help="Seconds from one draw to the next.",
        ),
        click.option("--count", type=click.IntRange(min=1), help="End after this many signals."),
        click.option("--always", is_flag=True, help="Produce outside US market hours too."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command("random")
@click.option(
    "--probability",
    type=Number(min=0, max=1),
    default=0.005,
    show_default=True,
    help="Probability of a signal per draw.",
)
@click.option(
    "--symbols",
    callback=parse_symbols,
    default="NVDA",
    show_default=True,
    help="Comma-separated symbols to draw from.",
)
@click.option(
    "--direction", type=click.Choice(["b", "s", "both"]), default="both", show_default=True
)
@click.option("--seed", type=int, help="Draw the same signals each time.")
@click.option("--signal-ids", is_flag=True, help="Add a UUID as signal_id; safe to send again.")
@pace_options
@stream_options
def random_command(
    *,
    probability: float,
    symbols: tuple[str, ...],
    direction: "Direction",
    seed: int | None,
    signal_ids: bool,
    **options: Any,
) -> None:
    """Publish buy and sell signals at random, during US market hours; crypto at any time."""
    import random

    from signal_generator.app import RunOptions, produce
    from signal_generator.random_signals import RandomSignals

    signals = RandomSignals(
        symbols,
        probability,
        random.Random(seed),  # noqa: S311  # made-up signals, not secrets
        direction=direction,
        with_ids=signal_ids,
    )
    produce(signals.draw, RunOptions(**options), symbols)
