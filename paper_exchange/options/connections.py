"""Where the exchange listens, and how patient it is with clients."""

import click

from paper_exchange.options.groups import Number, together, under

_option = under("Connections")


def _host(_: click.Context, __: click.Parameter, value: str) -> str:
    # Without a name the system would listen to the whole network.
    if not value.strip():
        raise click.BadParameter("must be an address or a name")
    return value


connections = together(
    _option("--host", default="127.0.0.1", callback=_host, help="Address to listen on."),
    _option("--port", default=8787, type=click.IntRange(0, 65535), help="0 takes a free port."),
    _option(
        "--keep-alive",
        "keep_alive_s",
        default=75.0,
        type=Number(0.1, 3600),
        help="Seconds an idle connection is kept.",
    ),
    _option(
        "--client-timeout",
        "client_timeout_s",
        default=12.0,
        type=Number(0.1, 3600),
        help="Seconds a client may take to send a request, and to take what it is sent.",
    ),
    _option(
        "--tls-port",
        type=click.IntRange(0, 65535),
        help="Listen on this port with TLS too; 0 takes a free one.",
    ),
    _option(
        "--tls-dir",
        default="",
        show_default=False,
        help="Where the self-made certificate is kept; by default in the user's state directory.",
    ),
    _option("--tls-cert", default="", show_default=False, help="A certificate of your own, PEM."),
    _option("--tls-key", default="", show_default=False, help="Its key, PEM."),
)
