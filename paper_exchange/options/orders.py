"""When and how orders trade."""

import click

from paper_exchange.options.groups import Number, together, under

_option = under("Orders")
_DELAY = click.IntRange(0, 600_000)

orders = together(
    _option(
        "--session",
        default="always",
        type=click.Choice(["always", "nyse"]),
        help="Open round the clock, or in the sessions of the New York Stock Exchange.",
    ),
    _option(
        "--fill-delay-ms",
        default=0,
        type=_DELAY,
        help="Milliseconds from acceptance to the first try to fill.",
    ),
    _option(
        "--cancel-delay-ms",
        default=0,
        type=_DELAY,
        help="Milliseconds that cancels and replacements of orders in the market are pending.",
    ),
    _option(
        "--liquidity",
        default="unlimited",
        type=click.Choice(["unlimited", "displayed"]),
        help="Whether the size shown at a quote limits what trades at it.",
    ),
    _option(
        "--partial-fill-rate",
        default=0.0,
        type=Number(0, 1),
        help="Share of executions that at first fill only a part.",
    ),
    _option(
        "--closed-ioc",
        default="cancel",
        type=click.Choice(["cancel", "refuse"]),
        help="What becomes of IOC and FOK orders while the market is closed.",
    ),
)
