"""The exchange's own clock."""

from datetime import UTC, datetime

import click

from paper_exchange import sessions
from paper_exchange.clock import new_york, to_ns
from paper_exchange.instants import parse_time
from paper_exchange.options.groups import Number, together, under
from paper_exchange.settings import Settings

_option = under("Clock")
_LATEST_START = to_ns(datetime(2200, 1, 1, tzinfo=UTC))


def _start(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        start_ns = parse_time(value)
    except ValueError:
        raise click.BadParameter("must be a time such as 2026-01-05T15:00:00Z") from None
    if not 0 <= start_ns < _LATEST_START:
        raise click.BadParameter("must be a time from 1970 to 2199")
    return start_ns


def check_start(settings: Settings) -> None:
    """The sessions of all days that can be told must be known.

    Raises:
        click.UsageError: they are not.
    """
    first, last = sessions.covered()
    if settings.session != "nyse" or settings.start_ns is None:
        return
    if not first < new_york(settings.start_ns).date() < last:
        raise click.UsageError(f"--session nyse needs a --start between {first} and {last}")


clock = together(
    _option(
        "--start",
        "start_ns",
        callback=_start,
        show_default=False,
        help="RFC 3339 time at which the exchange's clock begins, instead of now.",
    ),
    _option(
        "--speed",
        default=1.0,
        type=Number(0.01, 10_000),
        help="How fast the exchange's clock runs: 60 is a minute a second.",
    ),
    _option(
        "--stepped",
        is_flag=True,
        help="The clock moves by POST /admin/clock only; ids then follow from the seed.",
    ),
)
