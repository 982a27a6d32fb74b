"""What can be traded, and where its prices come from."""

import click

from paper_exchange.options.groups import Number, listed, together, under
from paper_exchange.replay.tables import is_symbol

_option = under("Prices")


def _symbols(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    symbols = listed(value.upper())
    for symbol in symbols:
        if not is_symbol(symbol) or "/" in symbol:
            raise click.BadParameter(f"{symbol!r} is not the symbol of a stock")
    return symbols


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
        type=Number(0, 50),
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
