"""The command line."""

from decimal import Decimal, InvalidOperation

import click

from paper_exchange.replay.errors import ReplayError
from paper_exchange.server import listen, serve
from paper_exchange.settings import Settings


def _cash(_: click.Context, __: click.Parameter, value: str) -> Decimal:
    try:
        cash = Decimal(value)
    except InvalidOperation:
        raise click.BadParameter("must be an amount in dollars") from None
    if not cash.is_finite() or cash <= 0:
        raise click.BadParameter("must be a positive amount in dollars")
    return cash


def _symbols(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in value.split(",") if part.strip())


def _keys(_: click.Context, __: click.Parameter, value: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in value.split(","):
        key, colon, secret = part.strip().partition(":")
        if not part.strip():
            continue
        if not (key and colon and secret):
            raise click.BadParameter("must be KEY:SECRET pairs, separated by commas")
        pairs.append((key, secret))
    return tuple(pairs)


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8787, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option("--seed", default=0, help="Seed of prices, sizes and partial fills.")
@click.option("--session", default="always", type=click.Choice(["always", "nyse"]))
@click.option(
    "--rate-limit",
    default=200,
    type=click.IntRange(min=0),
    help="Trading requests per key in any 60 seconds; 0 is unlimited.",
)
@click.option("--cash", default="100000", callback=_cash, help="Dollars in a new account.")
@click.option("--symbols", default="", callback=_symbols, help="More symbols, comma-separated.")
@click.option(
    "--fill-delay-ms",
    default=0,
    type=click.IntRange(0, 600_000),
    help="From acceptance to the first try to fill.",
)
@click.option(
    "--keys",
    default="",
    callback=_keys,
    envvar="PAPER_EXCHANGE_KEYS",
    show_default=False,
    help="Known KEY:SECRET pairs, comma-separated; without it any pair is an account.",
)
@click.option(
    "--volatility",
    default=0.4,
    type=click.FloatRange(0, 50),
    help="Of prices, per year: 0.4 is 40 %.",
)
@click.option(
    "--partial-fill-rate",
    default=0.0,
    type=click.FloatRange(0, 1),
    help="Share of executions that at first fill only a part.",
)
@click.option(
    "--closed-ioc",
    default="cancel",
    type=click.Choice(["cancel", "refuse"]),
    help="What becomes of IOC and FOK orders while the market is closed.",
)
@click.option(
    "--stream-frames",
    default="binary",
    type=click.Choice(["binary", "text"]),
    help="Websocket frames of trade_updates.",
)
@click.option(
    "--replay",
    multiple=True,
    metavar="PATH",
    help="Recorded prices instead of the walk: a CSV or Parquet file, or a folder; repeatable.",
)
@click.option(
    "--replay-times",
    default="start",
    type=click.Choice(["start", "recorded"]),
    help="Move recorded prices to the exchange's start, or keep their times.",
)
@click.option(
    "--log-level",
    default="warning",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
)
def main(**options: object) -> None:
    """An Alpaca-compatible exchange on this machine."""
    import asyncio

    settings = Settings(**options)  # type: ignore[arg-type]  # click has converted the values
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from None
    port = listener.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host

    def ready() -> None:
        click.echo(f"paper_exchange listening on http://{host}:{port}")

    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, listener, ready))
    except ReplayError as error:
        listener.close()
        raise click.ClickException(str(error)) from None
