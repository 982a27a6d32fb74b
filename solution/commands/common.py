"""What several commands share: settings, connections, one line per error, JSON, tables."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click
import orjson
import redis

from solution.config import Settings, load_settings
from solution.errors import BrokerError, ConfigError, LedgerError
from solution.ledger import open_reader
from solution.ledger.reader import LedgerReader
from solution.printable import shortened, visible, visible_json
from solution.redis_client import make_client
from solution.security import Redactor
from solution.ui.snapshot import who_sends_orders

DONE, FAILED, WRONG_USAGE = 0, 1, 2
"""The exit codes of every command."""
WIDEST_CELL = 400
"""Characters of one cell of a table."""
LONGEST_LINE = 8_000
"""Characters of one line for people."""


class Failed(click.ClickException):
    """The command could not do what it was asked: one line, exit code 1."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """The line without click's prefix, and without anything that would make it two."""
        click.echo(shortened(self.format_message(), LONGEST_LINE), err=file is None, file=file)


class WrongUsage(Failed):
    """A setting or an argument is wrong: one line, exit code 2."""

    exit_code = WRONG_USAGE


def settings_of(overrides: Mapping[str, str] | None) -> Settings:
    """The settings as the service would read them here.

    Raises:
        WrongUsage: one of them is wrong.
    """
    try:
        return load_settings(overrides or {})
    except ConfigError as e:
        raise WrongUsage(f"configuration: {e}") from None


class Seconds(click.FloatRange):
    """A float range that takes no NaN, for which every comparison is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no number in the range."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


@contextmanager
def redis_of(settings: Settings) -> Iterator["redis.Redis"]:
    """A client for the block; what fails inside it ends the command with one line.

    Raises:
        Failed: Redis does not answer, or refuses.
    """
    client = make_client(settings.redis.url)
    try:
        yield client
    except (redis.RedisError, OSError) as e:
        raise Failed(redis_trouble(settings, e)) from None
    finally:
        client.close()


def redis_trouble(settings: Settings, error: Exception) -> str:
    """One line, without the password, for what redis-py raised."""
    where = f"Redis at {settings.redis.shown_url}"
    if isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError)):
        return f"{where} does not answer: {clean(settings, error)}"
    return f"{where} refuses: {clean(settings, error)}"


def refuse_real_orders(settings: Settings, client: "redis.Redis", stream: str) -> None:
    """A dry run has its own group and ledger, but the stream is everybody's.

    Raises:
        WrongUsage: the settings ask for a dry run, and a live instance would send the order.
    """
    if not settings.gates.dry_run:
        return
    if name := who_sends_orders(client, stream):
        raise WrongUsage(
            f"instance {name} serves {stream} and is no dry run: it would send a real order; "
            "nothing was published"
        )
    age = f"within MAX_SIGNAL_AGE={settings.ages.max_signal_age:g} s"
    click.echo(
        f"note: a service without --dry-run that reads {stream} {age} sends a real order", err=True
    )


@contextmanager
def reader_of(settings: Settings) -> Iterator[LedgerReader]:
    """The ledger, read-only, also while a service writes it.

    Raises:
        WrongUsage: LEDGER_URL names none that can be opened here (no driver).
        Failed: there is none, or it cannot be read.
    """
    try:
        with open_reader(settings.ledger.url) as reader:
            yield reader
    except ConfigError as e:
        raise WrongUsage(f"configuration: {clean(settings, e)}") from None
    except LedgerError as e:
        raise Failed(f"ledger: {clean(settings, e)}") from None


def clean(settings: Settings, error: object) -> str:
    """An error's text without secrets and line breaks."""
    text = Redactor(settings.secrets).redact(str(error))
    return visible(" ".join(text.split()).rstrip(".")) or type(error).__name__


def broker_trouble(settings: Settings, error: BrokerError) -> str:
    """One line for a broker that said no or nothing."""
    return f"{settings.broker.trading_url}: {clean(settings, error)}"


def say(text: str, *, err: bool = False) -> None:
    """One line to a person; what others wrote of it can neither break it nor command a terminal."""
    click.echo(shortened(text, LONGEST_LINE), err=err)


def echo_json(value: object) -> None:
    """One JSON document on one line of standard output."""
    click.echo(visible_json(orjson.dumps(value, default=str).decode()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Aligned columns under a head line; numbers of the ``right`` columns end together.

    One row is one line, whatever its cells hold.
    """
    lines = [tuple(shortened(cell, WIDEST_CELL) for cell in row) for row in (head, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    ends = frozenset(right)

    def put(line: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if i in ends else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(put(line) for line in lines)


json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="JSON for programs."
)
