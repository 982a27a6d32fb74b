"""uvicorn around the application: its listeners, its ready lines, a prompt end."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import uvicorn

from paper_exchange.app import App
from paper_exchange.network.http_protocol import ExchangeHttp
from paper_exchange.network.websocket_protocol import ExchangeWebSocket
from paper_exchange.settings import Settings
from paper_exchange.storage.database import StateError

#: Seconds that open connections get to finish after a signal.
_GRACE = 1
_BACKLOG = 2048
#: Bytes of a websocket message from a client: a subscription to all symbols there are fits.
_LARGEST_MESSAGE = 1_048_576
#: Open files wanted: a connection is one, and many systems begin with 1,024.
_FILES = 65_536
#: Seconds for a TLS handshake.
_HANDSHAKE = 10.0


@dataclass(frozen=True, slots=True)
class Secure:
    """A second listener, behind TLS."""

    listener: socket.socket
    context: ssl.SSLContext


class _Server(uvicorn.Server):
    """Says when it listens, adds a TLS listener, and leaves signals to ``serve``.

    uvicorn raises a caught signal again after its shutdown, so that the
    process would die by it; a supervisor should see exit code 0.
    """

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], secure: Secure | None
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._secure = secure

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets=sockets)
        if self.started:
            if self._secure is not None:
                self.servers.append(await self._listen_securely(self._secure))
            self._ready()

    async def _listen_securely(self, secure: Secure) -> asyncio.Server:
        """The same application once more: uvicorn itself has one TLS setting for all sockets."""

        def make_protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn does
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        return await asyncio.get_running_loop().create_server(
            make_protocol,
            sock=secure.listener,
            ssl=secure.context,
            ssl_handshake_timeout=_HANDSHAKE,
            backlog=_BACKLOG,
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: when the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def allow_many_files() -> None:
    """Raise the limit of open files as far as this process may."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def make_server(
    app: App, ready: Callable[[], None], secure: Secure | None = None
) -> uvicorn.Server:
    """A server for the application; ``ready`` is called once requests are served."""
    settings = app.exchange.settings
    config = uvicorn.Config(
        app,
        loop="uvloop",
        # uvicorn only calls them, with the arguments that are left.
        http=partial(  # type: ignore[arg-type]
            ExchangeHttp,
            deadline_s=settings.client_timeout_s,
            keep_alive_s=settings.keep_alive_s,
        ),
        ws=partial(ExchangeWebSocket, deadline_s=settings.client_timeout_s),  # type: ignore[arg-type]
        ws_max_size=_LARGEST_MESSAGE,
        # On one machine there is no bandwidth to save.
        ws_per_message_deflate=False,
        lifespan="on",
        access_log=False,
        log_level=settings.log_level,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        backlog=_BACKLOG,
    )
    return _Server(config, ready, secure)


async def serve(
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[], None],
    secure: Secure | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; ``ready`` is called once requests are served.

    Raises:
        ReplayError, StateError: before anything is served, when a file cannot be used.
        StateError: at the end, when the last changes could not be written.
    """
    logging.basicConfig(level=settings.log_level.upper())
    allow_many_files()
    app = App(settings)
    server = make_server(app, ready, secure)

    def stop() -> None:
        server.should_exit = True
        # Open pages would hold the shutdown up for as long as it waits for connections.
        app.page.live.close()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])
    if app.lost is not None:
        raise StateError(f"the last changes are not in {settings.state}: {app.lost}")
