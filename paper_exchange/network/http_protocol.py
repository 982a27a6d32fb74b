"""uvicorn's HTTP protocol with deadlines and limits: no client can hold or fill the exchange."""

import asyncio
from collections import deque
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from paper_exchange.network.http_io import LARGEST_BODY
from paper_exchange.network.line import FAREWELL_S, LINE, Line, Patience, Stall

#: Bytes of a request line with all its headers, beyond what arrives in one piece.
LARGEST_HEAD = 65_536
_LONGEST_URL = 16_384
_MOST_HEADERS = 128
#: Pipelined requests that wait for their turn before reading pauses.
_MOST_WAITING = 16

BAD_REQUEST, TIMED_OUT, TOO_LARGE, URL_TOO_LONG, HEAD_TOO_LARGE = 400, 408, 413, 414, 431
_REASONS = {
    BAD_REQUEST: b"bad request",
    TIMED_OUT: b"request timed out",
    TOO_LARGE: b"request body is too large",
    URL_TOO_LONG: b"request target is too long",
    HEAD_TOO_LARGE: b"request headers are too large",
}


class _Unacceptable(Exception):
    """Raised inside the parser for a request that is well-formed and too much."""


class _Flow(FlowControl):
    """Reads on only while few pipelined requests wait, or they would pile up in memory."""

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Resume, unless enough has been read ahead."""
        if len(self._waiting) < _MOST_WAITING:
            super().resume_reading()


class ExchangeHttp(Patience, HttpToolsProtocol):
    """One HTTP connection.

    Parameters:
        deadline_s: within which a request that has begun must have arrived
            whole, and within which a client must take some of what waits for it.
        keep_alive_s: for which a connection may be idle, its first request included.
    """

    def __init__(self, *args: Any, deadline_s: float, keep_alive_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self.timeout_keep_alive = keep_alive_s  # type: ignore[assignment]  # only ever added to a time
        self._deadline_s = deadline_s
        #: When the request that is being read began, None between requests.
        self._begun: float | None = None
        self._reading_head = False
        self._head_size = 0
        self._refusal = BAD_REQUEST
        #: The answered request after which something came that begins no new one.
        self._noise_after: object = None
        self._closing = False
        self._answered: RequestResponseCycle | None = None

    # -- the connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take note of the time, and watch from now on."""
        super().connection_made(transport)
        self.line = Line(transport)
        self._extensions = {LINE: self.line}
        self._stall = Stall(transport, self._deadline_s)
        self.flow = _Flow(transport, self.pipeline)
        self._connected = self.loop.time()
        self._watch = self.loop.call_later(
            min(self._deadline_s, self.timeout_keep_alive), self._look
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for it."""
        super().connection_lost(exc)
        answered = self._answered
        if answered is not None and not answered.response_complete:
            # uvicorn tells the newest request only, and this may be one of several in a row.
            answered.disconnected = True
            answered.message_event.set()
        self._watch.cancel()
        self._stall.end()
        self.line.lose()

    def shutdown(self) -> None:
        """Cut what is held on purpose; let the rest finish its answer, but not for long."""
        self.line.end()
        if self.line.held:
            self.transport.abort()
            return
        super().shutdown()
        self.loop.call_later(FAREWELL_S, self.transport.abort)

    # -- deadlines -------------------------------------------------------------------------------

    def _look(self) -> None:
        """End the connection if a deadline has passed; otherwise look again at the next one."""
        now = self.loop.time()
        if self._closing:
            # Closing waits until the client has taken everything. It has had its time for that.
            self.line.reset()
            return
        due = self._due(now)
        if due <= now:
            self._give_up()
            due = now + self._deadline_s
        self._closing = self.transport.is_closing()
        self._watch = self.loop.call_at(due, self._look)

    def _due(self, now: float) -> float:
        if self._begun is not None:
            ours = self.flow.read_paused or self._is_answering()
            return now + self._deadline_s if ours else self._begun + self._deadline_s
        cycle = self._newest
        if cycle is None:
            return self._connected + self.timeout_keep_alive
        idle = cycle.response_complete and self.timeout_keep_alive_task is None
        if idle and self._noise_after is cycle:
            return now
        self._noise_after = cycle if idle else None
        return now + min(self._deadline_s, self.timeout_keep_alive)

    @property
    def _newest(self) -> RequestResponseCycle | None:
        """The request that was begun last; uvicorn does not say that there may be none."""
        return self.cycle

    def _is_answering(self) -> bool:
        """Whether a request that has arrived whole still waits for its answer."""
        cycle = self._newest
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _give_up(self) -> None:
        if self._begun is None:
            self.transport.close()
        else:
            self._refuse(TIMED_OUT)

    # -- requests ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse; what cannot be parsed, or is too much, ends the connection."""
        self._unset_keepalive_if_required()
        if self._reading_head:
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self._refuse(HEAD_TOO_LARGE)
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self._upgrade()
        except httptools.HttpParserError:
            self._refuse(self._refusal)

    def _upgrade(self) -> None:
        cycle = self._newest
        if cycle is not None and not cycle.response_complete:
            # Two conversations on one connection: the answer and the socket would mix.
            self.transport.abort()
            return
        self._watch.cancel()
        self._stall.end()
        self.handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]
        self._begun = self.loop.time()
        self._reading_head = True
        self._head_size = 0

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._reading_head = False
        if len(self.headers) > _MOST_HEADERS:
            self._unacceptable(HEAD_TOO_LARGE)
        if len(self.url) > _LONGEST_URL:
            self._unacceptable(URL_TOO_LONG)
        if self.expect_100_continue and self._announced() > LARGEST_BODY:
            # A client that asks first is told before it sends megabytes.
            self._unacceptable(TOO_LARGE)
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """The request is there as a whole."""
        self._begun = None
        super().on_message_complete()

    def _announced(self) -> int:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        # The parser has refused lengths that are not numbers.
        return int(lengths[0]) if lengths and len(lengths[0]) < 20 else 0

    def _unacceptable(self, status: int) -> None:
        self._refusal = status
        raise _Unacceptable

    def _refuse(self, status: int) -> None:
        """Answer with an error and close, or only close if an answer is on its way already."""
        if self.transport.is_closing():
            return
        if self._is_answering():
            # What came before the nonsense is answered first.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        cycle = self._newest
        if cycle is None or cycle.response_complete or not cycle.response_started:
            reason = _REASONS[status]
            self.transport.write(
                b"%scontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (STATUS_LINE[status], len(reason), reason)
            )
        self.transport.close()
