"""The command line."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from paper_exchange.clock import parse_time
from paper_exchange.database import StateError
from paper_exchange.fault_spec import Spec, parse_text
from paper_exchange.fault_values import BadFault
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


def _start(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return parse_time(value)
    except ValueError:
        raise click.BadParameter("must be a time such as 2026-01-05T15:00:00Z") from None


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


def _faults(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[Spec, ...]:
    try:
        return tuple(parse_text(value) for value in values)
    except BadFault as bad:
        raise click.BadParameter(str(bad)) from None


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8787, type=click.IntRange(0, 65535), help="0 takes a free port.")
@click.option("--seed", default=0, help="Seed of prices, sizes and partial fills.")
@click.option("--session", default="always", type=click.Choice(["always", "nyse"]))
@click.option(
    "--rate-limit",
    default=200,
    type=click.IntRange(min=0),
    help="Trading requests per key in any window; 0 is unlimited.",
)
@click.option(
    "--rate-window",
    default=60.0,
    type=click.FloatRange(0.001, 86_400),
    help="Seconds of that window.",
)
@click.option(
    "--state",
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    show_default=False,
    help="Keep everything in this file over restarts.",
)
@click.option(
    "--keep-closed",
    default=1_000,
    type=click.IntRange(min=0),
    help="Closed orders in memory; older ones are kept on disk.",
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
    "--cancel-delay-ms",
    default=0,
    type=click.IntRange(0, 600_000),
    help="How long cancels and replacements of orders in the market are pending.",
)
@click.option(
    "--liquidity",
    default="unlimited",
    type=click.Choice(["unlimited", "displayed"]),
    help="Whether the size shown at a quote limits what trades at it.",
)
@click.option(
    "--speed",
    default=1.0,
    type=click.FloatRange(0.01, 10_000),
    help="How fast the exchange's clock runs: 60 is a minute a second.",
)
@click.option(
    "--start",
    "start_ns",
    callback=_start,
    show_default=False,
    help="RFC 3339 time at which the exchange's clock begins, instead of now.",
)
@click.option(
    "--stepped",
    is_flag=True,
    help="The clock moves by POST /admin/clock only; ids then follow from the seed.",
)
@click.option(
    "--order-log",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write every event of every order to this file, one JSON object a line.",
)
@click.option(
    "--stream-frames",
    default="binary",
    type=click.Choice(["binary", "text"]),
    help="Websocket frames of trade_updates.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    callback=_faults,
    help='A fault on demand, such as "POST /v2/orders: reset_after p=0.1"; repeatable.',
)
@click.option(
    "--keep-alive",
    "keep_alive_s",
    default=75.0,
    type=click.FloatRange(0.1, 3600),
    help="Seconds an idle connection is kept.",
)
@click.option(
    "--client-timeout",
    "client_timeout_s",
    default=12.0,
    type=click.FloatRange(0.1, 3600),
    help="Seconds a client may take to send a request, and to take what it is sent.",
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

    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings, listener, ready))
        except StateError as error:
            raise click.ClickException(str(error)) from None
