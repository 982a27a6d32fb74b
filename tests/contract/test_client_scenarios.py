"""Scenarios written once, and run over our client and over the official one behind the same seam.

Both meet the same exchange. ``official_client.py`` is the adapter; what passes here on both is what
the service may rely on if the official client took the place of ours.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

import pytest

from paper_exchange.testing import Running, running
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.clock import SystemClock
from solution.errors import DuplicateOrder, NotFound, Rejected, Unauthorized
from solution.rate_limiter import Priority, RateLimiter
from tests.contract.official_client import OfficialClient

Client = AlpacaAPIClient | OfficialClient
SECRET = "secret"
FAR = {"symbol": "AAPL", "qty": "2", "type": "limit", "limit_price": "1.5", "time_in_force": "gtc"}


OPTIONS = ("--seed", "9")


def _connect(kind: str, url: str, key: str) -> Client:
    if kind == "official":
        return OfficialClient(trading_url=url, key_id=key, secret_key=SECRET)
    return AlpacaAPIClient(trading_url=url, data_url=url, key_id=key, secret_key=SECRET)


@pytest.fixture(params=["ours", "official"])
def client(request: pytest.FixtureRequest, exchange: Running) -> Iterator[Client]:
    """A client on a fresh account, over one transport and then the other."""
    made = _connect(request.param, exchange.url, f"K{uuid4().hex}")
    yield made
    made.close()


def body(**fields: Any) -> bytes:
    """The bytes of an order: one NVDA at the market, with changes."""
    order = {"symbol": "NVDA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    return json.dumps(order | fields).encode()


def refusal(client: Client, **fields: Any) -> Rejected:
    """The error an order is refused with."""
    with pytest.raises(Rejected) as caught:
        client.submit_order(body(**fields))
    return caught.value


def test_place_and_look_up(client: Client) -> None:
    """An order is answered as accepted, and found by both of its ids in its final state."""
    sent: list[str] = []
    order = client.submit_order(
        body(client_order_id="mine"), before_send=lambda: sent.append("now")
    )
    assert (order["status"], order["client_order_id"], sent) == ("pending_new", "mine", ["now"])
    found = client.get_order_by_client_id("mine")
    assert (found["id"], found["status"], found["filled_qty"]) == (order["id"], "filled", "1")
    assert client.get_order(order["id"], nested=True) == found


def test_a_taken_id_is_refused(client: Client) -> None:
    """Under 422 as a duplicate, whatever became of the first; one order exists."""
    first = client.submit_order(body(client_order_id="twice", **FAR))
    client.cancel_order(first["id"])
    with pytest.raises(DuplicateOrder) as caught:
        client.submit_order(body(client_order_id="twice"))
    assert (caught.value.status, caught.value.code) == (422, 40010001)
    assert [one["id"] for one in client.list_orders(status="all")] == [first["id"]]


def test_absent_things_are_not_found(client: Client) -> None:
    """Orders by either id, positions and assets: each is NotFound and says so."""
    for ask in (
        lambda: client.get_order(str(uuid4())),
        lambda: client.get_order_by_client_id("nobody"),
        lambda: client.position("NVDA"),
        lambda: client.asset("NOPE"),
        lambda: client.cancel_order(str(uuid4())),
    ):
        with pytest.raises(NotFound) as caught:
            ask()
        assert (caught.value.status, caught.value.code) == (404, 40410000)


def test_cancel(client: Client) -> None:
    """A resting order is canceled; a filled one cannot be."""
    resting = client.submit_order(body(**FAR))
    client.cancel_order(resting["id"])
    assert client.get_order(resting["id"])["status"] == "canceled"
    filled = client.submit_order(body())
    with pytest.raises(Rejected) as caught:
        client.cancel_order(filled["id"])
    assert (caught.value.status, caught.value.code) == (422, 42210000)
    assert '"filled"' in caught.value.message


def test_lists(client: Client) -> None:
    """Open, closed and all; by symbol, in both directions, after a time, and cut to a page."""
    done = client.submit_order(body())
    rest = [client.submit_order(body(**FAR)) for _ in range(2)]
    ids = [done["id"], rest[0]["id"], rest[1]["id"]]

    def listed(**wanted: Any) -> list[str]:
        return [one["id"] for one in client.list_orders(**wanted)]

    assert listed() == ids[:0:-1]
    assert listed(status="closed") == ids[:1]
    assert listed(status="all", direction="asc") == ids
    assert listed(status="all", direction="asc", limit=2, nested=True) == ids[:2]
    assert listed(status="all", symbols=["NVDA", "SPY"]) == ids[:1]
    assert listed(status="all", after=datetime.now(UTC) + timedelta(hours=1)) == []
    assert set(listed(status="all", after=datetime.now(UTC) - timedelta(hours=1))) == set(ids)


def test_cancel_all(client: Client) -> None:
    """Every open order has its row, and nothing stays open."""
    wanted = {client.submit_order(body(**FAR))["id"] for _ in range(3)}
    rows = client.cancel_all_orders()
    assert {(row["id"], row["status"]) for row in rows} == {(one, 200) for one in wanted}
    assert client.list_orders() == []


def test_replace(client: Client) -> None:
    """A replacement is a new order; what has not changed, or has ended, is refused."""
    old = client.submit_order(body(**FAR))
    new = client.replace_order(old["id"], b'{"qty": "3", "limit_price": "1.6"}')
    assert (new["replaces"], new["qty"], new["limit_price"]) == (old["id"], "3", "1.6")
    assert client.get_order(old["id"])["replaced_by"] == new["id"]
    for order, changes in ((new, b'{"qty": "3"}'), (old, b'{"qty": "5"}')):
        with pytest.raises(Rejected) as caught:
            client.replace_order(order["id"], changes)
        assert (caught.value.status, caught.value.code) == (422, 42210000)


def test_stop_orders_rest(client: Client) -> None:
    """Every type of order with a stop is taken and waits."""
    stop = {"stop_price": "9000"}
    for fields in (
        {"type": "stop", **stop},
        {"type": "stop_limit", "limit_price": "9001", **stop},
        {"type": "trailing_stop", "trail_percent": "50"},
    ):
        order = client.submit_order(body(**fields))
        assert client.get_order(order["id"])["status"] == "new"


def test_positions(client: Client) -> None:
    """A long and a short, closed by quantity, by percentage, and with all others."""
    client.submit_order(body(qty="10"))
    client.submit_order(body(symbol="F", qty="3", side="sell"))
    held = {one["symbol"]: (one["qty"], one["side"]) for one in client.positions()}
    assert held == {"NVDA": ("10", "long"), "F": ("-3", "short")}
    client.close_position("NVDA", qty=Decimal(4))
    client.close_position("NVDA", percentage=Decimal(50))
    assert client.position("NVDA")["qty"] == "3"
    rows = client.close_all_positions(cancel_orders=True)
    assert {(row["symbol"], row["status"]) for row in rows} == {("NVDA", 200), ("F", 200)}
    assert client.positions() == []


def test_account_clock_and_calendar(client: Client) -> None:
    """Money is text, times carry New York's offset, days have their hours."""
    account = client.account()
    assert (account["cash"], account["status"], account["multiplier"]) == ("100000", "ACTIVE", "4")
    clock = client.clock()
    opens = datetime.fromisoformat(clock["next_open"])
    assert clock["is_open"] is True
    assert opens.utcoffset() in {timedelta(hours=-4), timedelta(hours=-5)}
    days = client.calendar(date(2026, 11, 20), date(2026, 11, 21))
    assert [day["date"] for day in days] == ["2026-11-20", "2026-11-21"]


def test_assets(client: Client) -> None:
    """By class, by symbol and by id."""
    found = {one["symbol"] for one in client.assets(asset_class="crypto")}
    assert "BTC/USD" in found
    assert "AAPL" not in found
    apple = client.asset("AAPL")
    assert client.asset(apple["id"]) == apple
    assert client.asset("BTC/USD")["class"] == "crypto"


def test_activities(client: Client) -> None:
    """Executions in the order they happened, page by page."""
    orders = [client.submit_order(body())["id"] for _ in range(3)]
    first = client.activities(page_size=2)
    rest = client.activities(page_token=first[-1]["id"])
    assert [row["order_id"] for row in first + rest] == orders


@pytest.mark.parametrize(
    ("fields", "status", "code", "extras"),
    [
        ({"symbol": "NOPE"}, 422, 42210000, ()),
        ({"qty": "0"}, 422, 40010001, ()),
        ({"type": "limit", "limit_price": "1.505"}, 422, 42210000, ()),
        ({"qty": "0.5", "time_in_force": "gtc"}, 422, 42210000, ()),
        ({"symbol": "SPY", "qty": "100000"}, 403, 40310000, ("buying_power", "cost_basis")),
        ({"symbol": "GME", "side": "sell"}, 403, 40310000, ()),
        ({"symbol": "BRK.A", "qty": "0.5"}, 403, 40310000, ()),
    ],
    ids=["asset", "size", "penny", "fraction", "money", "borrow", "whole"],
)
def test_refused_orders(
    client: Client, fields: dict[str, str], status: int, code: int, extras: tuple[str, ...]
) -> None:
    """Each cause keeps its status, its code, its words and the figures beside them."""
    error = refusal(client, **fields)
    assert (error.status, error.code) == (status, code)
    assert error.message
    assert set(extras) <= set(error.body)
    assert client.list_orders(status="all") == []


def test_refused_for_what_is_held(client: Client) -> None:
    """Shares promised to one order cannot be sold by another; opposite orders do not meet."""
    client.submit_order(body(qty="5"))
    client.submit_order(
        body(qty="4", side="sell", type="limit", limit_price="9000", time_in_force="gtc")
    )
    error = refusal(client, qty="2", side="sell")
    assert (error.body["available"], error.body["held_for_orders"]) == ("1", "4")
    wash = refusal(client, qty="1")
    assert (wash.code, "wash trade" in wash.message) == (40310000, True)
    assert wash.body["existing_order_id"]


@pytest.mark.parametrize("kind", ["ours", "official"])
def test_wrong_keys(kind: str) -> None:
    """Unauthorized, and not mistaken for anything else."""
    with running("--keys", "right:secret") as exchange:
        client = _connect(kind, exchange.url, "wrong")
        with pytest.raises(Unauthorized) as caught:
            client.account()
        client.close()
    assert caught.value.status == 401


def test_the_service_works_over_either(client: Client) -> None:
    """The wrapper that the service trades through: budget, portfolio, assets and market clock."""
    clock = SystemClock()
    limiter = RateLimiter(200, clock=clock)
    portfolio = Portfolio(clock)
    wrapper = AlpacaAPIWrapper(cast("AlpacaAPIClient", client), limiter, portfolio, clock)
    wrapper.connect()
    wrapper.load_assets()
    assert wrapper.find("NVDA") is not None
    assert wrapper.market().is_open is True
    slot = limiter.acquire(Priority.ENTRY, 1.0, wrapper.closing)
    assert slot is not None
    began = datetime.now(UTC) - timedelta(minutes=1)
    order = wrapper.send(slot, body(qty="3", client_order_id="service"), lambda: None).order()
    assert wrapper.lookup("service", Priority.ENTRY)["id"] == order["id"]
    assert [one["id"] for one in wrapper.orders_since(began, Priority.ENTRY) or ()] == [order["id"]]
    wrapper.refresh_account(Priority.ENTRY)
    assert portfolio.account() is not None
    resting = client.submit_order(body(**FAR))
    wrapper.cancel(resting["id"])
    assert wrapper.open_orders(Priority.ENTRY) == []
