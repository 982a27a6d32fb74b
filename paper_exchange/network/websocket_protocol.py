"""uvicorn's websocket protocol, made fit for clients that are rude."""

from asyncio.transports import BaseTransport
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from paper_exchange.network.line import FAREWELL_S, LINE, Line, Patience, Stall

_NOT_TEXT = 1007


class ExchangeWebSocket(Patience, WebSocketsSansIOProtocol):
    """One websocket connection.

    Parameters:
        deadline_s: within which a client must take some of what waits for it.
    """

    def __init__(self, *args: Any, deadline_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline_s = deadline_s

    def connection_made(self, transport: BaseTransport) -> None:
        """Keep the connection's line."""
        super().connection_made(transport)
        self.line = Line(self.transport)
        self._stall = Stall(self.transport, self._deadline_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for it."""
        super().connection_lost(exc)
        self._stall.end()
        self.line.lose()

    def handle_connect(self, event: Request) -> None:
        """Hand the line to the application, whose task begins only after this."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[LINE] = self.line

    def data_received(self, data: bytes) -> None:
        """A handshake that cannot be read ends the connection; uvicorn would wait for more."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Close on text that is not UTF-8; uvicorn would write a stack trace as well."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            self.frames = []
            self.conn.send_close(_NOT_TEXT)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """Close, and cut if the client does not even take the close frame."""
        super().keepalive_timeout()
        self.loop.call_later(FAREWELL_S, self.line.reset)

    def shutdown(self) -> None:
        """Close, and cut whoever does not take even that."""
        self.line.end()
        super().shutdown()
        self.loop.call_later(FAREWELL_S, self.line.reset)


def _is_text(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
