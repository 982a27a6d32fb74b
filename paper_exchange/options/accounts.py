"""Who may come in, with how much money, and how often an account may ask."""

from decimal import Decimal

import click

from paper_exchange.decimals import LARGEST, parse
from paper_exchange.options.groups import Number, listed, together, under

_option = under("Accounts")


def _cash(_: click.Context, __: click.Parameter, value: str) -> Decimal:
    try:
        cash = parse(value)
    except ValueError:
        raise click.BadParameter(f"must be an amount in dollars below {LARGEST:,}") from None
    if cash <= 0:
        raise click.BadParameter("must be a positive amount in dollars")
    return cash


def _keys(_: click.Context, __: click.Parameter, value: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in listed(value):
        key, _colon, secret = part.partition(":")
        if not (key and secret):
            raise click.BadParameter("must be KEY:SECRET pairs, separated by commas")
        pairs.append((key, secret))
    return tuple(pairs)


accounts = together(
    _option("--cash", default="100000", callback=_cash, help="Dollars in a new account."),
    _option(
        "--keys",
        default="",
        callback=_keys,
        envvar="PAPER_EXCHANGE_KEYS",
        show_default=False,
        help="Known KEY:SECRET pairs, comma-separated; without it any pair is an account.",
    ),
    _option(
        "--rate-limit",
        default=200,
        type=click.IntRange(min=0),
        help="Trading requests per key in any window; 0 is unlimited.",
    ),
    _option(
        "--rate-window",
        default=60.0,
        type=Number(0.001, 86_400),
        help="Seconds of that window.",
    ),
)
