"""Every public method of alpaca-py's ``TradingClient``, unmodified, against a running exchange.

What the reference lists as not served must be answered as an unknown endpoint; everything else
must work, and give the model that alpaca-py promises. A method that a new version of alpaca-py
adds fails here until it has a line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading import models
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import CorporateActionType
from alpaca.trading.requests import (
    CancelOrderResponse,
    CreateWatchlistRequest,
    GetCalendarRequest,
    GetCorporateAnnouncementsRequest,
    GetOptionContractsRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    UpdateWatchlistRequest,
)

from paper_exchange.testing import Running
from tests.contract.openapi.documents import documented_as_not_served

#: Methods every alpaca-py client has for requests of one's own.
_PLUMBING = {"get", "post", "put", "patch", "delete", "response_wrapper"}


OPTIONS = ("--seed", "7")


@dataclass(frozen=True, slots=True)
class Desk:
    """A client on a fresh account that holds NVDA and has an order resting."""

    client: Any
    resting: UUID

    @classmethod
    def at(cls, url: str) -> "Desk":
        """Open one."""
        client: Any = TradingClient(f"K{uuid4().hex}", "secret", url_override=url)
        client.submit_order(_market())
        resting = client.submit_order(
            LimitOrderRequest(
                symbol="AAPL",
                qty=2,
                side="buy",
                limit_price=1.5,
                time_in_force="gtc",
                client_order_id="resting",
            )
        )
        return cls(client, resting.id)

    def watchlist(self) -> UUID:
        """A watchlist of one symbol, where they are served."""
        request = CreateWatchlistRequest(name=f"W{uuid4().hex}", symbols=["AAPL"])
        made: UUID = self.client.create_watchlist(request).id
        return made


def _market() -> MarketOrderRequest:
    return MarketOrderRequest(symbol="NVDA", qty=3, side="buy", time_in_force="day")


def _announcements() -> GetCorporateAnnouncementsRequest:
    return GetCorporateAnnouncementsRequest(
        ca_types=[CorporateActionType.DIVIDEND],
        since=date(2026, 11, 1),
        until=date(2026, 11, 20),
    )


def _same_configurations(desk: Desk) -> object:
    return desk.client.set_account_configurations(desk.client.get_account_configurations())


Call = Callable[[Desk], object]
_LIST = "/v2/watchlists/{watchlist_id}"
_CORPORATE = "/v2/corporate_actions/announcements"
_POSITION = "/v2/positions/{symbol_or_contract_id}"
#: By method: the operation it uses, how it is called, and what it gives (one, or one of a list).
METHODS: dict[str, tuple[str, Call, type[object]]] = {
    "submit_order": ("POST /v2/orders", lambda d: d.client.submit_order(_market()), models.Order),
    "get_orders": ("GET /v2/orders", lambda d: d.client.get_orders(), models.Order),
    "get_order_by_id": (
        "GET /v2/orders/{order_id}",
        lambda d: d.client.get_order_by_id(d.resting),
        models.Order,
    ),
    "get_order_by_client_id": (
        "GET /v2/orders:by_client_order_id",
        lambda d: d.client.get_order_by_client_id("resting"),
        models.Order,
    ),
    "replace_order_by_id": (
        "PATCH /v2/orders/{order_id}",
        lambda d: d.client.replace_order_by_id(d.resting, ReplaceOrderRequest(qty=5)),
        models.Order,
    ),
    "cancel_orders": (
        "DELETE /v2/orders",
        lambda d: d.client.cancel_orders(),
        CancelOrderResponse,
    ),
    "cancel_order_by_id": (
        "DELETE /v2/orders/{order_id}",
        lambda d: d.client.cancel_order_by_id(d.resting),
        type(None),
    ),
    "get_all_positions": (
        "GET /v2/positions",
        lambda d: d.client.get_all_positions(),
        models.Position,
    ),
    "get_open_position": (
        "GET /v2/positions/{symbol_or_asset_id}",
        lambda d: d.client.get_open_position("NVDA"),
        models.Position,
    ),
    "close_all_positions": (
        "DELETE /v2/positions",
        lambda d: d.client.close_all_positions(),
        models.ClosePositionResponse,
    ),
    "close_position": (
        "DELETE /v2/positions/{symbol_or_asset_id}",
        lambda d: d.client.close_position("NVDA"),
        models.Order,
    ),
    "exercise_options_position": (
        f"POST {_POSITION}/exercise",
        lambda d: d.client.exercise_options_position("AAPL261218C00200000"),
        type(None),
    ),
    "get_portfolio_history": (
        "GET /v2/account/portfolio/history",
        lambda d: d.client.get_portfolio_history(),
        models.PortfolioHistory,
    ),
    "get_all_assets": ("GET /v2/assets", lambda d: d.client.get_all_assets(), models.Asset),
    "get_asset": (
        "GET /v2/assets/{symbol_or_asset_id}",
        lambda d: d.client.get_asset("BTC/USD"),
        models.Asset,
    ),
    "get_clock": ("GET /v2/clock", lambda d: d.client.get_clock(), models.Clock),
    "get_calendar": (
        "GET /v2/calendar",
        lambda d: d.client.get_calendar(GetCalendarRequest(start=date(2026, 11, 1))),
        models.Calendar,
    ),
    "get_account": ("GET /v2/account", lambda d: d.client.get_account(), models.TradeAccount),
    "get_account_configurations": (
        "GET /v2/account/configurations",
        lambda d: d.client.get_account_configurations(),
        models.AccountConfiguration,
    ),
    "set_account_configurations": (
        "PATCH /v2/account/configurations",
        _same_configurations,
        models.AccountConfiguration,
    ),
    "create_watchlist": (
        "POST /v2/watchlists",
        lambda d: d.client.create_watchlist(CreateWatchlistRequest(name="W", symbols=["AAPL"])),
        models.Watchlist,
    ),
    "get_watchlists": (
        "GET /v2/watchlists",
        lambda d: (d.watchlist(), d.client.get_watchlists())[1],
        models.Watchlist,
    ),
    "get_watchlist_by_id": (
        f"GET {_LIST}",
        lambda d: d.client.get_watchlist_by_id(d.watchlist()),
        models.Watchlist,
    ),
    "update_watchlist_by_id": (
        f"PUT {_LIST}",
        lambda d: d.client.update_watchlist_by_id(
            d.watchlist(), UpdateWatchlistRequest(name="Other", symbols=["F"])
        ),
        models.Watchlist,
    ),
    "add_asset_to_watchlist_by_id": (
        f"POST {_LIST}",
        lambda d: d.client.add_asset_to_watchlist_by_id(d.watchlist(), "F"),
        models.Watchlist,
    ),
    "remove_asset_from_watchlist_by_id": (
        f"DELETE {_LIST}/{{symbol}}",
        lambda d: d.client.remove_asset_from_watchlist_by_id(d.watchlist(), "AAPL"),
        models.Watchlist,
    ),
    "delete_watchlist_by_id": (
        f"DELETE {_LIST}",
        lambda d: d.client.delete_watchlist_by_id(d.watchlist()),
        type(None),
    ),
    "get_corporate_announcements": (
        f"GET {_CORPORATE}",
        lambda d: d.client.get_corporate_announcements(_announcements()),
        models.CorporateActionAnnouncement,
    ),
    "get_corporate_announcement_by_id": (
        f"GET {_CORPORATE}/{{id}}",
        lambda d: d.client.get_corporate_announcement_by_id(uuid4()),
        models.CorporateActionAnnouncement,
    ),
    "get_option_contracts": (
        "GET /v2/options/contracts",
        lambda d: d.client.get_option_contracts(GetOptionContractsRequest()),
        models.OptionContractsResponse,
    ),
    "get_option_contract": (
        "GET /v2/options/contracts/{symbol_or_id}",
        lambda d: d.client.get_option_contract("AAPL261218C00200000"),
        models.OptionContract,
    ),
}
_NOT_SERVED = frozenset(documented_as_not_served())
_SERVED = [name for name, (operation, _, _) in METHODS.items() if operation not in _NOT_SERVED]
_UNKNOWN = [name for name, (operation, _, _) in METHODS.items() if operation in _NOT_SERVED]


def test_no_method_is_forgotten() -> None:
    """The table above has all public methods of the client."""
    public = {name for name in dir(TradingClient) if not name.startswith("_")}
    assert public - _PLUMBING == set(METHODS)


@pytest.mark.parametrize("method", _SERVED)
def test_served(exchange: Running, method: str) -> None:
    """The method works and gives what it says."""
    _, call, kind = METHODS[method]
    found = call(Desk.at(exchange.url))
    one = found[0] if isinstance(found, list) else found
    assert isinstance(one, kind)


@pytest.mark.parametrize("method", _UNKNOWN)
def test_not_served(exchange: Running, method: str) -> None:
    """The method meets an endpoint that says it does not exist."""
    desk = Desk.at(exchange.url)
    with pytest.raises(APIError) as caught:
        METHODS[method][1](desk)
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)
    assert caught.value.message == "endpoint not found"
