"""The command line."""

import contextlib
import socket
import ssl
from datetime import UTC, datetime
from decimal import Decimal
from math import isnan
from pathlib import Path

import click

from paper_exchange import sessions
from paper_exchange.clock import new_york, parse_time, to_ns
from paper_exchange.database import StateError
from paper_exchange.decimals import LARGEST, parse
from paper_exchange.fault_spec import Spec, parse_text
from paper_exchange.fault_values import BadFault
from paper_exchange.live.feeds import FEEDS
from paper_exchange.order_log import OrderLogError
from paper_exchange.replay.errors import ReplayError
from paper_exchange.replay.tables import is_symbol
from paper_exchange.server import Secure, listen, serve
from paper_exchange.settings import Settings
from paper_exchange.tls import Identity, TlsError, identity

_LATEST_START = to_ns(datetime(2200, 1, 1, tzinfo=UTC))


class _Number(click.FloatRange):
    """A number between two bounds, both included; ``nan`` is beyond any bound."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if isnan(number):
            self.fail(f"{value!r} is not in the range {self.min}<=x<={self.max}.", param, ctx)
        return number


def _cash(_: click.Context, __: click.Parameter, value: str) -> Decimal:
    try:
        cash = parse(value)
    except ValueError:
        raise click.BadParameter(f"must be an amount in dollars below {LARGEST:,}") from None
    if cash <= 0:
        raise click.BadParameter("must be a positive amount in dollars")
    return cash


def _host(_: click.Context, __: click.Parameter, value: str) -> str:
    # Without a name the system would listen to the whole network.
    if not value.strip():
        raise click.BadParameter("must be an address or a name")
    return value


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


def _symbols(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    symbols = tuple(part.strip().upper() for part in value.split(",") if part.strip())
    for symbol in symbols:
        if not is_symbol(symbol) or "/" in symbol:
            raise click.BadParameter(f"{symbol!r} is not the symbol of a stock")
    return symbols


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


def _feeds(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    known = [feed.name for feed in FEEDS]
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return names


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", callback=_host, help="Address to listen on.")
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
    type=_Number(0.001, 86_400),
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
    type=_Number(0, 50),
    help="Of prices, per year: 0.4 is 40 %.",
)
@click.option(
    "--partial-fill-rate",
    default=0.0,
    type=_Number(0, 1),
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
    type=_Number(0.01, 10_000),
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
    type=_Number(0.1, 3600),
    help="Seconds an idle connection is kept.",
)
@click.option(
    "--client-timeout",
    "client_timeout_s",
    default=12.0,
    type=_Number(0.1, 3600),
    help="Seconds a client may take to send a request, and to take what it is sent.",
)
@click.option(
    "--stream-connections",
    default=0,
    type=click.IntRange(min=0),
    help="trade_updates connections per account; 0 is no limit.",
)
@click.option(
    "--data-feeds",
    default="iex,sip,delayed_sip,crypto",
    callback=_feeds,
    help="Market data websockets that are open; the others answer 409.",
)
@click.option(
    "--data-connections",
    default=0,
    type=click.IntRange(min=0),
    help="Market data connections per account and feed; 0 is no limit.",
)
@click.option(
    "--data-symbols",
    default=0,
    type=click.IntRange(min=0),
    help="Trades and quotes that a market data connection may subscribe to; 0 is no limit.",
)
@click.option(
    "--tls-port",
    type=click.IntRange(0, 65535),
    help="Listen on this port with TLS too; 0 takes a free one.",
)
@click.option(
    "--tls-dir",
    default="",
    show_default=False,
    help="Where the self-made certificate is kept; by default in the user's state directory.",
)
@click.option("--tls-cert", default="", show_default=False, help="A certificate of your own, PEM.")
@click.option("--tls-key", default="", show_default=False, help="Its key, PEM.")
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
    _check_start(settings)
    shown, context = _tls(settings)
    listener = _listen(settings.host, settings.port)
    lines = [f"paper_exchange listening on http://{_address(settings.host, listener)}"]
    secure = None
    if shown is not None and context is not None:
        secure = Secure(_listen(settings.host, settings.tls_port or 0), context)
        address = _address(settings.host, secure.listener)
        lines.append(f"paper_exchange TLS on https://{address} certificate {shown.certificate}")

    def ready() -> None:
        # In one piece: whoever has read the first line finds the second one there.
        click.echo("\n".join(lines))

    import uvloop

    with contextlib.ExitStack() as stack:
        stack.enter_context(listener)
        if secure is not None:
            stack.enter_context(secure.listener)
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        try:
            runner.run(serve(settings, listener, ready, secure))
        except (OrderLogError, ReplayError, StateError) as error:
            raise click.ClickException(str(error)) from None


def _check_start(settings: Settings) -> None:
    """The sessions of all days that can be told must be known."""
    first, last = sessions.covered()
    if settings.session != "nyse" or settings.start_ns is None:
        return
    if not first < new_york(settings.start_ns).date() < last:
        raise click.UsageError(f"--session nyse needs a --start between {first} and {last}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tls(settings: Settings) -> tuple[Identity, ssl.SSLContext] | tuple[None, None]:
    """The certificate to show if TLS was asked for."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise click.UsageError("--tls-cert and --tls-key are given together or not at all")
    if settings.tls_port is None:
        if settings.tls_cert or settings.tls_dir:
            raise click.UsageError("--tls-cert, --tls-key and --tls-dir need --tls-port")
        return None, None
    try:
        shown = identity(settings)
        return shown, shown.context()
    except TlsError as error:
        raise click.ClickException(str(error)) from None
