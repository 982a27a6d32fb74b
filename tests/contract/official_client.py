"""alpaca-py's ``TradingClient`` behind the interface of ``solution``'s ``AlpacaAPIClient``.

What it takes to put the official client in the place of ours: JSON bodies become its request
models, and its errors are judged by the same table (:func:`solution.alpaca_protocol.verdict`).
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetAssetsRequest,
    GetCalendarRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
    TrailingStopOrderRequest,
)

from solution import order_request
from solution.alpaca_protocol import Json, verdict
from solution.errors import NotSent, OutcomeUnknown
from solution.http_common import Response

_REQUESTS: dict[str, type[OrderRequest]] = {
    "market": MarketOrderRequest,
    "limit": LimitOrderRequest,
    "stop": StopOrderRequest,
    "stop_limit": StopLimitOrderRequest,
    "trailing_stop": TrailingStopOrderRequest,
}


@contextlib.contextmanager
def _judged(what: str) -> Iterator[None]:
    """alpaca-py's errors as ours."""
    try:
        yield
    except APIError as error:
        answer = error.response
        if answer is None:
            raise OutcomeUnknown(f"{what}: an error without an answer") from error
        headers = {name.lower(): value for name, value in answer.headers.items()}
        judged = Response(answer.status_code, headers, answer.content)
        raise verdict(what, judged, now=time.time()) from error
    except requests.ConnectTimeout as error:
        raise NotSent(f"{what}: no connection") from error
    except requests.RequestException as error:
        raise OutcomeUnknown(f"{what}: {type(error).__name__}") from error


def _changes(fields: Json) -> ReplaceOrderRequest:
    """alpaca-py compares the numbers of a replacement before it has converted them from text."""
    kinds = {"qty": int, "limit_price": float, "stop_price": float, "trail": float}
    return ReplaceOrderRequest(**{k: kinds.get(k, str)(v) for k, v in fields.items()})


class OfficialClient:
    """One account by way of alpaca-py; see ``AlpacaAPIClient`` for what each method means."""

    def __init__(self, *, trading_url: str, key_id: str, secret_key: str) -> None:
        # Raw: the seam is the API's own JSON, not somebody's model of it. Any, for the same reason.
        self._client: Any = TradingClient(
            key_id, secret_key, url_override=trading_url, raw_data=True
        )

    def close(self) -> None:
        """alpaca-py keeps one session and offers no way to close it."""
        self._client._session.close()

    def connect(self) -> None:
        """alpaca-py connects with the first request."""

    # --- orders -------------------------------------------------------------------------------

    def submit_order(self, body: bytes, *, before_send: Callable[[], None] | None = None) -> Json:
        """``POST /v2/orders``; alpaca-py does not tell of the first byte, so: just before."""
        fields = json.loads(body)
        request = _REQUESTS[fields["type"]](**fields)
        if before_send is not None:
            before_send()
        with _judged("POST /v2/orders"):
            order: Json = self._client.submit_order(request)
        return order

    def send_order(
        self, body: bytes, *, before_send: Callable[[], None] | None = None
    ) -> order_request.OrderRequest:
        """alpaca-py waits for the answer, so that it is there when this returns."""
        order = self.submit_order(body, before_send=before_send)
        return order_request.OrderRequest(lambda _: order, lambda: Response(200, {}, b""))

    def get_order(self, order_id: str, *, nested: bool = False) -> Json:
        """``GET /v2/orders/{id}``."""
        with _judged("GET /v2/orders/{id}"):
            order: Json = self._client.get_order_by_id(order_id, GetOrderByIdRequest(nested=nested))
        return order

    def get_order_by_client_id(self, client_order_id: str) -> Json:
        """``GET /v2/orders:by_client_order_id``."""
        with _judged("GET /v2/orders:by_client_order_id"):
            order: Json = self._client.get_order_by_client_id(client_order_id)
        return order

    def cancel_order(self, order_id: str) -> None:
        """``DELETE /v2/orders/{id}``."""
        with _judged("DELETE /v2/orders/{id}"):
            self._client.cancel_order_by_id(order_id)

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
        """``GET /v2/orders``."""
        wanted: dict[str, Any] = {
            "status": status,
            "after": after,
            "until": until,
            "limit": limit,
            "direction": direction,
            "symbols": symbols,
            "nested": nested or None,
        }
        with _judged("GET /v2/orders"):
            orders: list[Json] = self._client.get_orders(GetOrdersRequest(**wanted))
        return orders

    def replace_order(self, order_id: str, body: bytes) -> Json:
        """``PATCH /v2/orders/{id}``."""
        with _judged("PATCH /v2/orders/{id}"):
            order: Json = self._client.replace_order_by_id(order_id, _changes(json.loads(body)))
        return order

    def cancel_all_orders(self) -> list[Json]:
        """``DELETE /v2/orders``."""
        with _judged("DELETE /v2/orders"):
            rows: list[Json] = self._client.cancel_orders()
        return rows

    # --- account, market, assets ----------------------------------------------------------------

    def account(self) -> Json:
        """``GET /v2/account``."""
        with _judged("GET /v2/account"):
            account: Json = self._client.get_account()
        return account

    def clock(self) -> Json:
        """``GET /v2/clock``."""
        with _judged("GET /v2/clock"):
            clock: Json = self._client.get_clock()
        return clock

    def calendar(self, start: date | None = None, end: date | None = None) -> list[Json]:
        """``GET /v2/calendar``."""
        with _judged("GET /v2/calendar"):
            days: list[Json] = self._client.get_calendar(GetCalendarRequest(start=start, end=end))
        return days

    def asset(self, symbol: str) -> Json:
        """``GET /v2/assets/{symbol or id}``."""
        with _judged("GET /v2/assets/{symbol}"):
            asset: Json = self._client.get_asset(symbol)
        return asset

    def assets(self, status: str = "active", asset_class: str | None = None) -> list[Json]:
        """``GET /v2/assets``."""
        wanted: dict[str, Any] = {"status": status, "asset_class": asset_class}
        with _judged("GET /v2/assets"):
            assets: list[Json] = self._client.get_all_assets(GetAssetsRequest(**wanted))
        return assets

    # --- positions and activities ---------------------------------------------------------------

    def positions(self) -> list[Json]:
        """``GET /v2/positions``."""
        with _judged("GET /v2/positions"):
            positions: list[Json] = self._client.get_all_positions()
        return positions

    def position(self, symbol: str) -> Json:
        """``GET /v2/positions/{symbol}``."""
        with _judged("GET /v2/positions/{symbol}"):
            position: Json = self._client.get_open_position(symbol)
        return position

    def close_position(
        self, symbol: str, *, qty: Decimal | None = None, percentage: Decimal | None = None
    ) -> Json:
        """``DELETE /v2/positions/{symbol}``."""
        part = {"qty": qty, "percentage": percentage}
        given = {name: str(value) for name, value in part.items() if value is not None}
        with _judged("DELETE /v2/positions/{symbol}"):
            request = ClosePositionRequest(**given) if given else None
            order: Json = self._client.close_position(symbol, request)
        return order

    def close_all_positions(self, *, cancel_orders: bool = False) -> list[Json]:
        """``DELETE /v2/positions``."""
        with _judged("DELETE /v2/positions"):
            rows: list[Json] = self._client.close_all_positions(cancel_orders=cancel_orders)
        return rows

    def activities(
        self,
        activity_type: str = "FILL",
        *,
        after: datetime | str | None = None,
        page_token: str | None = None,
        page_size: int = 100,
        direction: Literal["asc", "desc"] = "asc",
    ) -> list[Json]:
        """``GET /v2/account/activities/{type}``, for which alpaca-py has no method of its own."""
        wanted: dict[str, Any] = {
            "after": after.isoformat() if isinstance(after, datetime) else after,
            "page_token": page_token,
            "page_size": page_size,
            "direction": direction,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        with _judged("GET /v2/account/activities"):
            rows: list[Json] = self._client.get(f"/account/activities/{activity_type}", given)
        return rows
