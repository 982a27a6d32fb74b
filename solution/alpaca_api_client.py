"""Alpaca's REST interface, one thin method per endpoint, and one place that reads its verdicts.

Source: the OpenAPI documents of the Trading API v2 and the Market Data API v2. The client decides
nothing and repeats nothing: it sends once, and answers with decoded JSON or with one of the errors
of :mod:`solution.errors`, named by what the caller may do next.

*Two ways out.* What an order waits for (submit, look up, cancel) goes over an
:class:`~solution.order_connection.OrderConnection` that it has alone meanwhile; everything else,
and also these where the environment demands a proxy, over
:class:`~solution.http_transport.RequestsTransport`.

*Numbers.* The trading API writes money and quantities as text, so ``orjson`` is exact there; the
few JSON numbers (margin requirements of an asset) become floats and must not be used as money.
Market data has prices as JSON numbers: the standard library makes every one a ``Decimal`` from its
text. A latest quote costs 1.4 µs that way, against 0.65 µs as floats; only price polls pay it.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlencode

import orjson

from solution.alpaca_protocol import (
    Json,
    Params,
    by_market,
    decoded,
    list_of_objects,
    loads_exactly,
    member,
    object_of,
    query,
    segment,
    verdict,
    without_secrets,
)
from solution.clock import Clock, SystemClock
from solution.errors import NotSent
from solution.http_common import DEFAULT_MAX_BODY, Response
from solution.http_transport import RequestsTransport, proxy_for
from solution.order_connection import OrderConnection
from solution.order_connections import OrderConnections
from solution.order_request import OrderRequest
from solution.security import Redactor

HeadersHook = Callable[[int, Mapping[str, str]], None]
"""Called with status and lower-case headers of every answer of the trading API."""

LIST_MAX_BODY = 16_000_000
"""Bytes: 500 orders with their legs exceed a megabyte."""
LIST_TIMEOUT = 10.0
ASSETS_MAX_BODY = 64_000_000
ASSETS_TIMEOUT = 30.0

log = logging.getLogger(__name__)


class AlpacaAPIClient:
    """One account at Alpaca, or at a server that speaks its protocol. Safe from any thread.

    Args:
        trading_url: base URL of the trading API, without ``/v2``.
        data_url: base URL of the market data API, without ``/v2``.
        key_id: value of ``APCA-API-KEY-ID``.
        secret_key: value of ``APCA-API-SECRET-KEY``; never shown in an error or ``repr``.
        data_feed: source of stock prices (``iex``, ``sip``, ``delayed_sip`` …).
        clock: for deadlines, idle connections and ``X-RateLimit-Reset``.
        on_headers: hook for the rate limiter; what it raises is logged, since it must not lose the
            outcome of an order.
        user_agent: how we introduce ourselves.
        ca_file: PEM file of the trusted authorities; certifi's by default.

    Every method may raise :class:`~solution.errors.NotSent`, ``OutcomeUnknown``, ``RateLimited``,
    ``Rejected`` or one of its subclasses; see :func:`solution.alpaca_protocol.verdict`.
    """

    def __init__(  # noqa: PLR0913  # keyword-only: the seam at which settings come in
        self,
        *,
        trading_url: str,
        data_url: str,
        key_id: str,
        secret_key: str,
        data_feed: str = "iex",
        clock: Clock | None = None,
        on_headers: HeadersHook | None = None,
        user_agent: str = "signalpaca",
        ca_file: str | None = None,
    ) -> None:
        self._headers = {
            "APCA-API-KEY-ID": key_id,
            "APCA-API-SECRET-KEY": secret_key,
            "User-Agent": user_agent,
        }
        self._redactor = Redactor([key_id, secret_key])
        self._trading_url = trading_url
        self._data_feed = data_feed
        self._clock = clock or SystemClock()
        self._on_headers = on_headers
        self._ca_file = ca_file
        self._trading = RequestsTransport(trading_url, self._headers, ca_file=ca_file)
        self._data = RequestsTransport(data_url, self._headers, ca_file=ca_file)
        self._proxied = proxy_for(trading_url) is not None
        self._closed = False
        self._connections = OrderConnections(self._new_connection)

    def __repr__(self) -> str:
        return f"<AlpacaAPIClient {self._trading!r} {self._data!r}>"

    def close(self) -> None:
        """Close every connection. Call it when no thread is inside a request any more."""
        self._closed = True
        self._connections.close()
        self._trading.close()
        self._data.close()

    # --- orders: the short way ----------------------------------------------------------------

    def connect(self) -> None:
        """Have a connection ready for the next order; nothing is sent.

        Raises:
            NotSent: the broker cannot be reached.
        """
        self._check_open()
        if not self._proxied:
            with self._connection() as connection:
                connection.connect()

    def may_send_more(self, most: int) -> bool:
        """Whether another order could leave at once, over one of ``most`` connections in use."""
        return self._connections.may_take(most)  # over a proxy there is never one

    def submit_order(self, body: bytes, *, before_send: Callable[[], None] | None = None) -> Json:
        """``POST /v2/orders`` with exactly these bytes, once; the Order.

        Args:
            before_send: called once a connection stands, right before the first byte leaves; what
                it raises comes through, and nothing was sent.

        Raises:
            DuplicateOrder: the ``client_order_id`` is taken: the order exists, fetch it.
        """
        return self.send_order(body, before_send=before_send).order()

    def send_order(
        self, body: bytes, *, before_send: Callable[[], None] | None = None
    ) -> OrderRequest:
        """The first half of :meth:`submit_order`: sent, and its answer is still to come.

        Others may be sent meanwhile, each over a connection of its own. Over a proxy the answer is
        there when this returns.

        Raises:
            NotSent: no byte of the request left.
            OutcomeUnknown: part of it did.
        """
        path = "/v2/orders"
        self._check_open()
        if self._proxied:
            response = self._trading.request("POST", path, body, before_send=before_send)
            return OrderRequest(self._order, lambda: self._answered(response))
        connection = self._connections.take()
        try:
            connection.send("POST", path, body, before_send=before_send)
        except BaseException:
            self._connections.give_back(connection)
            raise

        def receive() -> Response:
            try:
                response = connection.receive()
            finally:
                self._connections.give_back(connection)
            return self._answered(response)

        return OrderRequest(self._order, receive, connection)

    def get_order(self, order_id: str, *, nested: bool = False) -> Json:
        """``GET /v2/orders/{id}``; ``nested`` puts the legs of a bracket under ``legs``."""
        path = f"/v2/orders/{segment(order_id)}"
        return self._order_call("GET", f"{path}?nested=true" if nested else path)

    def get_order_by_client_id(self, client_order_id: str) -> Json:
        """``GET /v2/orders:by_client_order_id``; the Order.

        Raises:
            NotFound: no such order *now*; soon after a POST this does not prove its absence.
        """
        query = urlencode({"client_order_id": client_order_id})
        return self._order_call("GET", f"/v2/orders:by_client_order_id?{query}")

    def cancel_order(self, order_id: str) -> None:
        """``DELETE /v2/orders/{id}``: the request is accepted, the cancel comes as an event.

        Raises:
            Rejected: 422, the order cannot be cancelled (any more).
        """
        path = f"/v2/orders/{segment(order_id)}"
        self._checked("DELETE", path, self._ask("DELETE", path))

    # --- orders: the rest ---------------------------------------------------------------------

    def list_orders(
        self,
        *,
        status: Literal["open", "closed", "all"] = "open",
        after: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int = 500,
        direction: Literal["asc", "desc"] = "desc",
        symbols: Sequence[str] | None = None,
        nested: bool = False,
    ) -> list[Json]:
        """``GET /v2/orders``, one page of at most 500 (the endpoint has no page token).

        ``after`` and ``until`` are exclusive bounds of the submission time: aware datetimes, or the
        broker's own text where its nanoseconds matter.
        """
        params: Params = {
            "status": status,
            "after": after,
            "until": until,
            "limit": limit,
            "direction": direction,
            "symbols": ",".join(symbols) if symbols else None,
            "nested": nested or None,
        }
        return self._list("GET", "/v2/orders", params)

    def replace_order(self, order_id: str, body: bytes) -> Json:
        """``PATCH /v2/orders/{id}``; a *new* Order that ``replaces`` the old one."""
        return self._object("PATCH", f"/v2/orders/{segment(order_id)}", body=body)

    def cancel_all_orders(self) -> list[Json]:
        """``DELETE /v2/orders`` (HTTP 207): per order ``{id, status}``."""
        return self._list("DELETE", "/v2/orders")

    # --- account, market, assets --------------------------------------------------------------

    def account(self) -> Json:
        """``GET /v2/account``."""
        return self._object("GET", "/v2/account")

    def clock(self) -> Json:
        """``GET /v2/clock``: timestamp, is_open, next_open, next_close (New York offset)."""
        return self._object("GET", "/v2/clock")

    def calendar(self, start: date | None = None, end: date | None = None) -> list[Json]:
        """``GET /v2/calendar``: sessions from ``start`` to ``end``, both inclusive."""
        return self._list("GET", "/v2/calendar", {"start": start, "end": end})

    def asset(self, symbol: str) -> Json:
        """``GET /v2/assets/{symbol or id}``."""
        return self._object("GET", f"/v2/assets/{segment(symbol)}")

    def assets(self, status: str = "active", asset_class: str | None = None) -> list[Json]:
        """``GET /v2/assets``, all of them in one answer: up to 64 MB and 30 s."""
        params = {"status": status, "asset_class": asset_class}
        response = self._answered(
            self._trading.request(
                "GET",
                "/v2/assets",
                params=query(params),
                max_body=ASSETS_MAX_BODY,
                total_timeout=ASSETS_TIMEOUT,
            )
        )
        return list_of_objects("/v2/assets", self._checked("GET", "/v2/assets", response))

    # --- positions and activities -------------------------------------------------------------

    def positions(self) -> list[Json]:
        """``GET /v2/positions``; ``qty`` is negative for a short."""
        return self._list("GET", "/v2/positions")

    def position(self, symbol: str) -> Json:
        """``GET /v2/positions/{symbol or asset id}``; ``NotFound`` when flat."""
        return self._object("GET", f"/v2/positions/{segment(symbol)}")

    def close_position(
        self, symbol: str, *, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> Json:
        """``DELETE /v2/positions/{symbol}``: the closing Order, for all of it by default."""
        params = {"qty": qty, "percentage": percentage}
        return self._object("DELETE", f"/v2/positions/{segment(symbol)}", params=params)

    def close_all_positions(self, *, cancel_orders: bool = False) -> list[Json]:
        """``DELETE /v2/positions`` (HTTP 207): per symbol ``{symbol, status, body}``."""
        return self._list("DELETE", "/v2/positions", {"cancel_orders": cancel_orders})

    def activities(
        self,
        activity_type: str = "FILL",
        *,
        after: datetime | str | None = None,
        page_token: str | None = None,
        page_size: int = 100,
        direction: Literal["asc", "desc"] = "asc",
    ) -> list[Json]:
        """``GET /v2/account/activities/{type}``, one page of at most 100.

        ``page_token`` is the id of the last row of the page before; ``after`` is exclusive.
        """
        path = f"/v2/account/activities/{segment(activity_type)}"
        params: Params = {
            "after": after,
            "page_token": page_token,
            "page_size": page_size,
            "direction": direction,
        }
        return self._list("GET", path, params)

    # --- market data --------------------------------------------------------------------------

    def latest_trades(self, symbols: Sequence[str]) -> Json:
        """``{"trades": {symbol: trade}}``, prices as ``Decimal``.

        Symbols with a slash are crypto and asked for at ``/v1beta3/crypto/us``, the others at
        ``/v2/stocks``; a mixed list takes two requests, and the failure of one is that of both.
        A symbol without data is absent.
        """
        return {"trades": self._latest("trades", symbols)}

    def latest_quotes(self, symbols: Sequence[str]) -> Json:
        """``{"quotes": {symbol: quote}}``; otherwise as :meth:`latest_trades`."""
        return {"quotes": self._latest("quotes", symbols)}

    def snapshots(self, symbols: Sequence[str], *, within: float | None = None) -> Json:
        """``{symbol: snapshot}`` (not wrapped); otherwise as :meth:`latest_trades`.

        Args:
            within: total seconds for each request, when a decision waits for the answer.
        """
        stocks, crypto = by_market(symbols)
        found: Json = {}
        if stocks:
            path = "/v2/stocks/snapshots"
            found.update(self._prices(path, stocks, within=within, feed=self._data_feed))
        if crypto:
            path = "/v1beta3/crypto/us/snapshots"
            found.update(member(path, self._prices(path, crypto, within=within), "snapshots"))
        return found

    def _latest(self, kind: Literal["trades", "quotes"], symbols: Sequence[str]) -> Json:
        stocks, crypto = by_market(symbols)
        found: Json = {}
        if stocks:
            path = f"/v2/stocks/{kind}/latest"
            found.update(member(path, self._prices(path, stocks, feed=self._data_feed), kind))
        if crypto:
            path = f"/v1beta3/crypto/us/latest/{kind}"
            found.update(member(path, self._prices(path, crypto), kind))
        return found

    def _prices(
        self, path: str, symbols: Sequence[str], *, within: float | None = None, **params: str
    ) -> Json:
        response = self._data.request(
            "GET",
            path,
            params={"symbols": ",".join(symbols), **params},
            max_body=LIST_MAX_BODY,
            total_timeout=within,
        )
        return object_of(path, self._checked("GET", path, response, loads=loads_exactly))

    # --- sending and judging ------------------------------------------------------------------

    def _order_call(self, method: str, path: str) -> Json:
        return object_of(path, self._checked(method, path, self._ask(method, path)))

    def _order(self, response: Response) -> Json:
        return object_of("/v2/orders", self._checked("POST", "/v2/orders", response))

    def _object(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: bytes | None = None,
    ) -> Json:
        response = self._trading.request(
            method, path, body, params=query(params or {}), max_body=DEFAULT_MAX_BODY
        )
        return object_of(path, self._checked(method, path, self._answered(response)))

    def _list(self, method: str, path: str, params: Params | None = None) -> list[Json]:
        response = self._trading.request(
            method,
            path,
            params=query(params or {}),
            max_body=LIST_MAX_BODY,
            total_timeout=LIST_TIMEOUT,
        )
        return list_of_objects(path, self._checked(method, path, self._answered(response)))

    def _ask(self, method: str, path: str) -> Response:
        """The answer to a request about an order."""
        self._check_open()
        if self._proxied:
            return self._answered(self._trading.request(method, path))
        with self._connection() as connection:
            response = connection.request(method, path)
        return self._answered(response)

    def _check_open(self) -> None:
        if self._closed:
            raise NotSent("not sent: the client is closed")

    @contextmanager
    def _connection(self) -> Iterator[OrderConnection]:
        connection = self._connections.take()
        try:
            yield connection
        finally:
            self._connections.give_back(connection)

    def _new_connection(self) -> OrderConnection:
        return OrderConnection(
            self._trading_url, self._headers, clock=self._clock, ca_file=self._ca_file
        )

    def _answered(self, response: Response) -> Response:
        """Tell the hook about an answer of the trading API, good or bad."""
        if self._on_headers is not None:
            try:
                self._on_headers(response.status, response.headers)
            except Exception:  # a failing hook must not lose the outcome of an order
                log.exception("headers_hook_failed")
        return response

    def _checked(
        self,
        method: str,
        path: str,
        response: Response,
        loads: Callable[[bytes], Any] = orjson.loads,
    ) -> Any:
        """The decoded value of a success; anything else raises."""
        what = f"{method} {path}"
        if not 200 <= response.status < 300:
            now = self._clock.epoch_ms() / 1000.0
            raise verdict(what, without_secrets(response, self._redactor), now=now)
        return decoded(what, response, loads)
