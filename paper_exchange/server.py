"""uvicorn around the application: one socket, one ready line, a prompt end."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from paper_exchange.app import App
from paper_exchange.settings import Settings

#: Seconds that open connections get to finish after a signal.
_GRACE = 1
#: Seconds an idle connection is kept. uvicorn's 5 would meet clients' kept-alive POSTs.
_KEEP_ALIVE = 75
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """Says when it listens, and leaves signals to ``serve``.

    uvicorn raises a caught signal again after its shutdown, so that the
    process would die by it; a supervisor should see exit code 0.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        OSError: when the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


async def serve(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Run until SIGTERM or SIGINT; ``ready`` is called once requests are served."""
    logging.basicConfig(level=settings.log_level.upper())
    config = uvicorn.Config(
        App(settings),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        access_log=False,
        log_level=settings.log_level,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
        backlog=_BACKLOG,
    )
    server = _Server(config, ready)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])
