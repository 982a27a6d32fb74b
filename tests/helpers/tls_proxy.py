"""TLS in front of a server without it, as stunnel does; and a throw-away CA."""

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_TICK = 0.05
_CHUNK = 65_536
MAKE = Path(__file__).parents[2] / "deploy" / "redis" / "make-certificates"


def make_certificates(directory: Path, *hosts: str) -> Path:
    """As the how-to says; the directory."""
    subprocess.run([MAKE, directory, *hosts], check=True, capture_output=True, timeout=60)
    return directory


class TLSProxy:
    """Speaks TLS and forwards to a port of 127.0.0.1; a context manager.

    Args:
        upstream: the port behind it.
        certificates: as :func:`make_certificates` makes them.
        ask: clients must show a certificate of that CA.
    """

    def __init__(self, upstream: int, certificates: Path, *, ask: bool = True) -> None:
        self._upstream = upstream
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates / "redis.crt", certificates / "redis.key")
        if ask:
            self._context.load_verify_locations(certificates / "ca.crt")
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TICK)
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
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

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(5.0)
        with plain, contextlib.suppress(OSError):
            client = self._handshake(plain)
            with client, socket.create_connection(("127.0.0.1", self._upstream), 5.0) as server:
                self._forward(client, server)

    def _handshake(self, plain: socket.socket) -> ssl.SSLSocket:
        client = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            client.do_handshake()
        except ssl.SSLError:
            # Closed with something unread, the connection is reset and the alert may be lost.
            bare = socket.socket(fileno=client.detach())
            with bare:
                bare.shutdown(socket.SHUT_WR)
                while bare.recv(_CHUNK):
                    pass
            raise
        return client

    def _forward(self, client: ssl.SSLSocket, server: socket.socket) -> None:
        while not self._stop.is_set():
            # What TLS has read already shows on no socket.
            ready = (
                [client] if client.pending() else select.select([client, server], [], [], _TICK)[0]
            )
            for one in ready:
                data = one.recv(_CHUNK)
                if not data:
                    return
                (server if one is client else client).sendall(data)
