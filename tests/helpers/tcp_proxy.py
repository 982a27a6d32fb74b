"""A TCP proxy on loopback whose connections can be made to hang, as a dead way does."""

import contextlib
import select
import socket
import threading
from types import TracebackType
from typing import Self

from tests.helpers.redis_server import free_port

_TICK = 0.05
_CHUNK = 65_536


class TcpProxy:
    """Forwards to a port of 127.0.0.1; a context manager.

    Args:
        upstream: the port behind it.
    """

    def __init__(self, upstream: int) -> None:
        self.port = free_port()
        self.accepted = 0
        self._upstream = upstream
        self._stop = threading.Event()
        self._mutex = threading.Lock()
        self._hanging: list[threading.Event] = []
        self._hang_new = False
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(_TICK)

    def hang(self, *, also_new: bool) -> None:
        """Forward nothing more over the connections of now, without closing them.

        Args:
            also_new: nor over those to come, until :meth:`heal`.
        """
        with self._mutex:
            self._hang_new = also_new
            for hangs in self._hanging:
                hangs.set()

    def heal(self) -> None:
        """New connections work again; what hangs goes on hanging."""
        with self._mutex:
            self._hang_new = False

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in list(self._threads):
            thread.join(5.0)
        self._listener.close()

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                with self._mutex:
                    self.accepted += 1
                    hangs = threading.Event()
                    if self._hang_new:
                        hangs.set()
                    self._hanging.append(hangs)
                self._spawn(self._forward, client, hangs)

    def _forward(self, client: socket.socket, hangs: threading.Event) -> None:
        with client, contextlib.suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._upstream), timeout=5.0)
            with server:
                other = {client: server, server: client}
                while not self._stop.is_set():
                    ready, _, _ = select.select([client, server], [], [], _TICK)
                    if hangs.is_set():
                        self._stop.wait(_TICK)
                        continue
                    for one in ready:
                        data = one.recv(_CHUNK)
                        if not data:
                            return
                        other[one].sendall(data)
