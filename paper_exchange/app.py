"""The ASGI application: which connection goes where, and what runs beside them."""

import logging
import sqlite3
import time

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from paper_exchange.api.call import Reply
from paper_exchange.clock import Clock
from paper_exchange.desk import DATA_PREFIXES, TRADING_PREFIXES, Desk
from paper_exchange.engine.events import Feed
from paper_exchange.engine.matcher import Matcher
from paper_exchange.errors import ApiError
from paper_exchange.exchange import Exchange
from paper_exchange.faults.spec import DATA, STREAM
from paper_exchange.ids import IdSource
from paper_exchange.live.faults import StreamFaults, refuse
from paper_exchange.live.hub import DataStreams
from paper_exchange.live.trade_updates import TradeUpdates
from paper_exchange.network.credentials import credentials
from paper_exchange.network.http_faults import HttpFaults
from paper_exchange.network.http_io import (
    BodyTooLarge,
    ClientLeft,
    Request,
    read_body,
    send_reply,
)
from paper_exchange.network.line import has_ended
from paper_exchange.page.site import EVENTS_URL, Page
from paper_exchange.settings import Settings
from paper_exchange.storage.order_log import OrderLog
from paper_exchange.witness import ANSWERED

log = logging.getLogger(__name__)

#: What faults may strike: everything but the exchange's own pages.
_API_PREFIXES = (*DATA_PREFIXES, *TRADING_PREFIXES)


class App:
    """The exchange on the network.

    Attributes:
        lost: why the last changes could not be written to the state file when the exchange
            ended, None if they were.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        new_id: IdSource | None = None,
    ) -> None:
        self.lost: str | None = None
        self.feed = Feed()
        self.exchange = Exchange(settings, self.feed.publish, clock=clock, new_id=new_id)
        self._stream_faults = StreamFaults(self.exchange.faults)
        self.matcher = Matcher(self.exchange.engine, self.exchange.store.settle)
        self.desk = Desk(self.exchange, self.matcher, self._look)
        self._http_faults = HttpFaults(self.exchange.faults, self.desk)
        self.updates = TradeUpdates(
            self.desk.authenticate,
            frames=settings.stream_frames,
            connections_each=settings.stream_connections,
            faults=self._stream_faults,
            now_ns=self.exchange.clock.now_ns,
        )
        self.feed.subscribe(self.updates.publish)
        self._order_log = OrderLog(settings.order_log) if settings.order_log else None
        if self._order_log is not None:
            self.feed.subscribe(self._order_log.write)
        self.live = DataStreams(self.exchange, self.desk.authenticate, faults=self._stream_faults)
        self.page = Page(self.exchange, self.feed, hubs=(self.updates, self.live))
        self.page.add_routes(self.desk.admin)

    def _look(self) -> None:
        """The clock or a price has been set."""
        self.live.look()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any kind."""
        if scope["type"] == "http":
            try:
                await self._serve_http(scope, receive, send)
            except RuntimeError:
                # Between a reset and its notice uvloop refuses to write; uvicorn expects neither.
                if not await has_ended(scope):
                    raise
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            await self._serve_lifespan(receive, send)

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.matcher.start()
                self.live.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _stop(self) -> None:
        """End what runs by itself, then write what is left and close the files."""
        self._http_faults.stop()
        await self.live.stop()
        await self.matcher.stop()
        if self._order_log is not None:
            self._order_log.close()
        try:
            self.exchange.close()
        except sqlite3.Error as error:
            log.exception("state_not_written")
            self.lost = str(error)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in {"/stream", "/stream/"}:
            status = self._stream_faults.refuses(STREAM, scope)
            if status is not None:
                await refuse(scope, receive, send, status)
                return
            await self.updates.serve(WebSocket(scope, receive, send))
        elif self.live.serves(scope["path"]):
            status = self._stream_faults.refuses(DATA, scope)
            if status is not None:
                await refuse(scope, receive, send, status)
                return
            pair = credentials(dict(scope["headers"]))
            await self.live.serve(WebSocket(scope, receive, send), pair)
        else:
            # Closing before accepting answers the handshake with 403.
            await send({"type": "websocket.close", "code": 1000})

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        try:
            request = Request(scope, await read_body(receive), arrived)
        except ClientLeft:
            return
        except BodyTooLarge as error:
            await self._refuse_body(Request(scope, b"", arrived), send, error)
            return
        if self.exchange.faults.requests and scope["path"].startswith(_API_PREFIXES):
            await self._http_faults.serve(request, send)
            return
        if scope["path"] == EVENTS_URL and scope["method"] == "GET":
            if (refused := self.desk.refused(scope)) is None:
                await self.page.live.serve(receive, send)
            else:
                await send_reply(send, refused, [])
            return
        answer = self.desk.carry_out(request)
        if answer.witnessed:
            self.desk.record(request, answer, ANSWERED)
        await send_reply(send, answer.reply, answer.headers)

    async def _refuse_body(self, request: Request, send: Send, error: BodyTooLarge) -> None:
        refusal = ApiError(413, 41300000, str(error))
        if request.scope["path"].startswith(TRADING_PREFIXES):
            self.desk.record(request, None, ANSWERED, refusal.status)
        headers = [] if error.drained else [(b"connection", b"close")]
        await send_reply(send, Reply(refusal.body, refusal.status), headers)
