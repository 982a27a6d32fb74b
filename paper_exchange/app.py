"""The ASGI application: authentication, limits, headers and the record around the handlers.

Plain ASGI instead of Starlette's routing and middleware: an order costs the
engine some tens of microseconds, and the layers in between would cost more.
"""

import logging
import sqlite3
import time

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from paper_exchange.api import (
    account,
    activities,
    admin,
    data,
    faults,
    history,
    orders,
    portfolio,
    positions,
)
from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.api.refusals import too_many_requests, unauthorized
from paper_exchange.books.accounts import Account
from paper_exchange.clock import Clock
from paper_exchange.engine.events import Feed
from paper_exchange.engine.matcher import Matcher
from paper_exchange.errors import ApiError, endpoint_not_found, malformed_body
from paper_exchange.exchange import Exchange
from paper_exchange.faults.spec import DATA, STREAM
from paper_exchange.ids import IdSource
from paper_exchange.live.faults import StreamFaults, refuse
from paper_exchange.live.hub import DataStreams
from paper_exchange.live.trade_updates import TradeUpdates
from paper_exchange.network.credentials import credentials
from paper_exchange.network.guard import Guard
from paper_exchange.network.http_faults import HttpFaults, named_order
from paper_exchange.network.http_io import (
    Answer,
    BodyTooLarge,
    ClientLeft,
    Headers,
    Request,
    read_body,
    request_id,
    send_reply,
)
from paper_exchange.network.line import has_ended
from paper_exchange.page.site import EVENTS_URL, Page
from paper_exchange.rate_limit import Standing
from paper_exchange.settings import Settings
from paper_exchange.storage.order_log import OrderLog
from paper_exchange.witness import ANSWERED

log = logging.getLogger(__name__)

_DATA_PREFIXES = ("/v2/stocks/", "/v1beta3/")
_TRADING_PREFIXES = ("/v2/", "/v2beta1/", "/v3/")
#: What faults may strike: everything but the exchange's own pages.
_API_PREFIXES = (*_DATA_PREFIXES, *_TRADING_PREFIXES)
_NOT_ANSWERED = 0


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
        self._http_faults = HttpFaults(self.exchange.faults, self)
        self.updates = TradeUpdates(
            self._authenticate,
            frames=settings.stream_frames,
            connections_each=settings.stream_connections,
            faults=self._stream_faults,
            now_ns=self.exchange.clock.now_ns,
        )
        self.feed.subscribe(self.updates.publish)
        self._order_log = OrderLog(settings.order_log) if settings.order_log else None
        if self._order_log is not None:
            self.feed.subscribe(self._order_log.write)
        self.matcher = Matcher(self.exchange.engine, self.exchange.store.settle)
        self.live = DataStreams(self.exchange, self._authenticate, faults=self._stream_faults)
        self._trading, self._data, self._admin = Router(), Router(), Router()
        for module in (orders, positions, account, activities, portfolio):
            module.add_routes(self._trading)
        for module in (data, history):
            module.add_routes(self._data)
        admin.add_routes(self._admin)
        faults.add_routes(self._admin)
        self._guard = Guard(settings.host)
        self.page = Page(self.exchange, self.feed, hubs=(self.updates, self.live))
        self.page.add_routes(self._admin)

    def _authenticate(self, key_id: str, secret: str) -> Account | None:
        now = self.exchange.clock.now_ns()
        return self.exchange.accounts.authenticate(key_id, secret, now)

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
            if (refused := self._refused(scope)) is None:
                await self.page.live.serve(receive, send)
            else:
                await send_reply(send, refused, [])
            return
        answer = self.carry_out(request)
        if answer.witnessed:
            self.record(request, answer, ANSWERED)
        await send_reply(send, answer.reply, answer.headers)

    async def _refuse_body(self, request: Request, send: Send, error: BodyTooLarge) -> None:
        refusal = ApiError(413, 41300000, str(error))
        if request.scope["path"].startswith(_TRADING_PREFIXES):
            self.record(request, None, ANSWERED, refusal.status)
        headers = [] if error.drained else [(b"connection", b"close")]
        await send_reply(send, Reply(refusal.body, refusal.status), headers)

    # -- the desk: what a request does, and what the witness is told -----------------------------

    def carry_out(self, request: Request) -> Answer:
        """Do what a request asks."""
        path: str = request.scope["path"]
        if path.startswith(_DATA_PREFIXES):
            return self._answer_data(request)
        if path.startswith(_TRADING_PREFIXES):
            return self._answer_trading(request)
        if path.startswith("/admin/") or path == "/":
            return self._answer_admin(request)
        error = endpoint_not_found()
        return Answer(Reply(error.body, error.status), [])

    def record(
        self, request: Request, answer: Answer | None, outcome: str, status: int | None = None
    ) -> int:
        """Tell the witness of a request; without an answer it was not carried out.

        ``status`` is what the client is told if that is not the answer, 0 for
        nothing. Returns the entry's index.
        """
        scope = request.scope
        if answer is None:
            pair = credentials(dict(scope["headers"]))
            key_id, order_id = pair[0] if pair else "", named_order(request)
        else:
            key_id, order_id = answer.key_id, answer.client_order_id
        if status is None:
            status = answer.reply.status if answer else _NOT_ANSWERED
        return self.exchange.witness.note(
            arrived=request.arrived,
            at_ns=self.exchange.clock.now_ns(),
            key_id=key_id,
            method=scope["method"],
            path=scope["path"],
            status=status,
            client_order_id=order_id,
            outcome=outcome,
            taken=answer is not None and answer.reply.status < 300,
        )

    def amend(self, index: int, answer: Answer) -> None:
        """Tell the witness that a recorded request was carried out after all."""
        self.exchange.witness.amend(
            index, taken=answer.reply.status < 300, client_order_id=answer.client_order_id
        )

    def _who(self, scope: Scope) -> tuple[tuple[str, str] | None, Account | None]:
        pair = credentials(dict(scope["headers"]))
        return pair, self._authenticate(*pair) if pair else None

    def _answer_trading(self, request: Request) -> Answer:
        scope = request.scope
        pair, who = self._who(scope)
        call = Call(self.exchange, scope, {}, request.body, who)
        key_id = pair[0] if pair else ""
        standing = self.exchange.limiter.take(key_id) if who else None
        if standing is None:
            reply = unauthorized(pair)
        elif not standing.allowed:
            reply = too_many_requests()
        else:
            reply = self._run(self._trading, call)
        self.matcher.look()
        headers = _trading_headers(standing)
        return Answer(reply, headers, True, key_id, call.client_order_id)  # noqa: FBT003  -- hot path

    def _answer_data(self, request: Request) -> Answer:
        """Crypto data is open to all, but a wrong key is refused even there (observed)."""
        scope = request.scope
        pair, who = self._who(scope)
        open_to_all = scope["path"].startswith("/v1beta3/crypto/") and pair is None
        if who is None and not open_to_all:
            reply = unauthorized(pair)
        else:
            reply = self._run(self._data, Call(self.exchange, scope, {}, request.body, who))
        return Answer(reply, [request_id()], witnessed=True, key_id=pair[0] if pair else "")

    def _answer_admin(self, request: Request) -> Answer:
        if (refused := self._refused(request.scope)) is not None:
            return Answer(refused, [])
        reply = self._run(self._admin, Call(self.exchange, request.scope, {}, request.body, None))
        self.matcher.look()
        self.live.look()
        return Answer(reply, [])

    def _run(self, router: Router, call: Call) -> Reply:
        """The answer, which leaves only after everything behind it has been written."""
        reply = _handle(router, call)
        try:
            self.exchange.store.settle()
        except Exception:  # the client must not believe what a restart would have forgotten
            log.exception("state_not_written")
            self.matcher.retry()
            return _defect()
        return reply

    def _refused(self, scope: Scope) -> Reply | None:
        reason = self._guard.refusal(scope)
        return None if reason is None else Reply({"code": 40310000, "message": reason}, 403)


def _handle(router: Router, call: Call) -> Reply:
    try:
        handler, call.params = router.find(call.scope["method"], call.scope["path"])
        return handler(call)
    except ApiError as refusal:
        return Reply(refusal.body, refusal.status, refusal.headers)
    except RecursionError:
        # JSON may be nested more deeply than Python can walk (or quote) it.
        error = malformed_body()
        return Reply(error.body, error.status)
    except Exception:  # a defect of ours must look like a broker's, and not end the connection
        log.exception("request_failed", extra={"path": call.scope["path"]})
        return _defect()


def _defect() -> Reply:
    return Reply({"code": 50010000, "message": "internal server error occurred"}, 500)


def _trading_headers(standing: Standing | None) -> Headers:
    return [request_id()] + (standing.headers() if standing else [])
