"""The command line."""

import contextlib
import socket
import ssl

import click

from paper_exchange.network.tls import Identity, TlsError, identity
from paper_exchange.options.accounts import accounts
from paper_exchange.options.clocks import check_start, clock
from paper_exchange.options.connections import connections
from paper_exchange.options.faults import faults
from paper_exchange.options.groups import GroupedCommand
from paper_exchange.options.orders import orders
from paper_exchange.options.prices import prices
from paper_exchange.options.records import records
from paper_exchange.options.streams import streams
from paper_exchange.parent import end_with
from paper_exchange.replay.errors import ReplayError
from paper_exchange.server import Secure, listen, serve
from paper_exchange.settings import Settings
from paper_exchange.storage.database import StateError

_GRACE = 5.0
"""Seconds after the parent's death: its other children end, and their last orders with them."""


@click.command(cls=GroupedCommand, context_settings={"show_default": True})
@connections
@accounts
@orders
@prices
@clock
@streams
@records
@faults
@click.option("--parent", type=int, hidden=True, help="End when it ends.")
def main(parent: int | None, **options: object) -> None:
    """An Alpaca-compatible exchange on this machine."""
    import asyncio

    if parent is not None:
        end_with(parent, grace=_GRACE)

    settings = Settings(**options)  # type: ignore[arg-type]  # click has converted the values
    check_start(settings)
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
        except (ReplayError, StateError) as error:
            raise click.ClickException(str(error)) from None


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
