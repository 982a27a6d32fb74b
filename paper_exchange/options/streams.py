"""Websockets: trade_updates and market data."""

import click

from paper_exchange.live.feeds import FEEDS
from paper_exchange.options.groups import listed, together, under

_option = under("Websockets")


def _feeds(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    known = [feed.name for feed in FEEDS]
    names = listed(value)
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return names


streams = together(
    _option(
        "--stream-frames",
        default="binary",
        type=click.Choice(["binary", "text"]),
        help="Websocket frames of trade_updates.",
    ),
    _option(
        "--stream-connections",
        default=0,
        type=click.IntRange(min=0),
        help="trade_updates connections per account; 0 is no limit.",
    ),
    _option(
        "--data-feeds",
        default="iex,sip,delayed_sip,crypto",
        callback=_feeds,
        help="Market data websockets that are open; the others answer 409.",
    ),
    _option(
        "--data-connections",
        default=0,
        type=click.IntRange(min=0),
        help="Market data connections per account and feed; 0 is no limit.",
    ),
    _option(
        "--data-symbols",
        default=0,
        type=click.IntRange(min=0),
        help="Trades and quotes that a market data connection may subscribe to; 0 is no limit.",
    ),
)
