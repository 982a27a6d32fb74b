"""The exchange's own clock."""

import click

from paper_exchange.instants import parse_time
from paper_exchange.options.groups import together, under

_option = under("Clock")


def _start(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return parse_time(value)
    except ValueError:
        raise click.BadParameter("must be a time such as 2026-01-05T15:00:00Z") from None


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
        type=click.FloatRange(0.01, 10_000),
        help="How fast the exchange's clock runs: 60 is a minute a second.",
    ),
    _option(
        "--stepped",
        is_flag=True,
        help="The clock moves by POST /admin/clock only; ids then follow from the seed.",
    ),
)
