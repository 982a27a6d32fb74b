"""Where the exchange listens, and how patient it is with clients."""

import click

from paper_exchange.options.groups import together, under

_option = under("Connections")

connections = together(
    _option("--host", default="127.0.0.1", help="Address to listen on."),
    _option("--port", default=8787, type=click.IntRange(0, 65535), help="0 takes a free port."),
    _option(
        "--keep-alive",
        "keep_alive_s",
        default=75.0,
        type=click.FloatRange(0.1, 3600),
        help="Seconds an idle connection is kept.",
    ),
    _option(
        "--client-timeout",
        "client_timeout_s",
        default=12.0,
        type=click.FloatRange(0.1, 3600),
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
