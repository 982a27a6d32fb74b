"""What can be traded, and where its prices come from."""

import click

from paper_exchange.options.groups import listed, together, under

_option = under("Prices")


def _symbols(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return listed(value.upper())


prices = together(
    _option(
        "--symbols",
        default="",
        callback=_symbols,
        show_default=False,
        help="More symbols, comma-separated.",
    ),
    _option("--seed", default=0, help="Seed of prices, sizes and partial fills."),
    _option(
        "--volatility",
        default=0.4,
        type=click.FloatRange(0, 50),
        help="Of prices, per year: 0.4 is 40 %.",
    ),
    _option(
        "--replay",
        multiple=True,
        metavar="PATH",
        help="Recorded prices instead of the walk: a CSV or Parquet file, or a folder; repeatable.",
    ),
    _option(
        "--replay-times",
        default="start",
        type=click.Choice(["start", "recorded"]),
        help="Move recorded prices to the exchange's start, or keep their times.",
    ),
)
