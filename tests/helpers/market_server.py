"""A market-data websocket that behaves as a test wants it to."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

Script = Callable[["Visit"], None]

GREETING = {"T": "success", "msg": "connected"}
AUTHENTICATED = {"T": "success", "msg": "authenticated"}


class Visit:
    """One connection, seen from the server. When the script returns, it is closed."""

    def __init__(self, socket: ServerConnection, number: int) -> None:
        self._socket = socket
        self.number = number
        self.heard: list[dict[str, Any]] = []

    def say(self, *parts: object) -> None:
        """One message: an array of these."""
        self._socket.send(json.dumps(parts))

    def say_raw(self, message: str | bytes) -> None:
        """One message as it is."""
        self._socket.send(message)

    def hear(self) -> dict[str, Any]:
        """The client's next message."""
        said: dict[str, Any] = json.loads(self._socket.recv(timeout=10))
        self.heard.append(said)
        return said

    def error(self, code: int, text: str = "no") -> None:
        """An error, as Alpaca tells it."""
        self.say({"T": "error", "code": code, "msg": text})

    def welcome(self) -> dict[str, Any]:
        """Greet, authenticate and subscribe; returns what was subscribed to."""
        self.say(GREETING)
        self.hear()
        self.say(AUTHENTICATED)
        wanted = self.hear()
        self.say({"T": "subscription", **wanted})
        return wanted

    def stay(self) -> None:
        """Until the client leaves."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._socket.recv()


class MarketServer:
    """Runs a script per connection; the last one serves all further ones."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._mutex = threading.Lock()
        self.visits: list[Visit] = []
        self._server: Server = serve(self._serve, "127.0.0.1", 0, compression=None)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}/v2/iex"

    def _serve(self, socket: ServerConnection) -> None:
        with self._mutex:
            visit = Visit(socket, len(self.visits))
            self.visits.append(visit)
        # A client that leaves, or says something else than the script expects, ends the visit.
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            self._scripts[min(visit.number, len(self._scripts) - 1)](visit)

    def __enter__(self) -> "MarketServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)


@contextlib.contextmanager
def market_server(*scripts: Script) -> Iterator[MarketServer]:
    """A server that runs the scripts, one per connection."""
    with MarketServer(*scripts) as server:
        yield server
