"""Between the service and Redis: can lose a reply, break every connection, or go silent on it."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class RedisProxy:
    """Relays bytes until told otherwise; a context manager.

    Args:
        port: where Redis listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._upstream = ("127.0.0.1", port)
        self._mutex = threading.Lock()
        self._socks: set[socket.socket] = set()
        self._swallowed: set[socket.socket] = set()
        self._lose = b""
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def lose_next_reply(self, about: bytes) -> None:
        """The next reply that contains this never arrives: its connection ends instead."""
        self._lose = about

    def swallow(self) -> None:
        """On the connections of this moment nothing arrives any more; new ones are whole."""
        with self._mutex:
            self._swallowed |= self._socks

    def reset(self) -> None:
        """End every connection there is."""
        with self._mutex:
            ending = list(self._socks)
        for sock in ending:
            _end(sock)

    def _start(self, target: object, *args: object) -> None:
        threading.Thread(target=target, args=args, name="redis-proxy", daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._upstream, timeout=2)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._mutex:
            self._socks |= {client, server}
        self._start(self._relay, client, server)
        self._relay(server, client, replies=True)
        with self._mutex:
            self._socks -= {client, server}
            self._swallowed -= {client, server}
        client.close()
        server.close()

    def _relay(self, source: socket.socket, sink: socket.socket, *, replies: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if source in self._swallowed:
                    continue
                if replies and self._lose and self._lose in data:
                    self._lose = b""
                    self.lost += 1
                    break
                sink.sendall(data)
        _end(source)
        _end(sink)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
