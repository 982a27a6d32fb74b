"""Crypto over our client and over the official one: both spellings, fees, refusals, prices."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

import pytest

from paper_exchange.testing import Running
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.clock import SystemClock
from solution.errors import Rejected
from solution.feeds.price_poller import quotes_from_snapshots
from solution.rate_limiter import Priority, RateLimiter
from tests.contract.official_client import OfficialClient
from tests.contract.openapi.documents import operations

Client = AlpacaAPIClient | OfficialClient
SECRET = "secret"


@pytest.fixture(params=["ours", "official"])
def client(request: pytest.FixtureRequest, exchange: Running) -> Iterator[Client]:
    """A client on a fresh account, over one transport and then the other."""
    url, key = exchange.url, f"K{uuid4().hex}"
    made: Client = (
        OfficialClient(trading_url=url, key_id=key, secret_key=SECRET)
        if request.param == "official"
        else AlpacaAPIClient(trading_url=url, data_url=url, key_id=key, secret_key=SECRET)
    )
    yield made
    made.close()


@pytest.fixture
def ours(exchange: Running) -> Iterator[AlpacaAPIClient]:
    """Our client alone: market data is not the official trading client's business."""
    made = AlpacaAPIClient(
        trading_url=exchange.url, data_url=exchange.url, key_id=uuid4().hex, secret_key=SECRET
    )
    yield made
    made.close()


def body(**fields: Any) -> bytes:
    """A hundredth of a coin at the market, with changes."""
    order = {"symbol": "BTC/USD", "side": "buy", "type": "market", "time_in_force": "ioc"}
    size = {} if "notional" in fields else {"qty": "0.01"}
    return json.dumps(order | size | fields).encode()


def test_orders_and_positions_spell_a_pair_differently(client: Client) -> None:
    """With the slash in orders, without in positions, whichever was sent."""
    for symbol in ("BTC/USD", "BTCUSD"):
        assert client.submit_order(body(symbol=symbol))["symbol"] == "BTC/USD"
    [held] = client.positions()
    assert (held["symbol"], held["asset_class"]) == ("BTCUSD", "crypto")
    assert client.position("BTC/USD") == client.position("BTCUSD")


def test_the_wrapper_files_both_under_one_symbol(client: Client) -> None:
    """And knows the pair, its steps, and that it is not bought on margin."""
    clock = SystemClock()
    portfolio = Portfolio(clock)
    wrapper = AlpacaAPIWrapper(
        cast("AlpacaAPIClient", client), RateLimiter(200, clock=clock), portfolio, clock
    )
    wrapper.load_assets()
    client.submit_order(body(qty="1"))
    wrapper.refresh_account(Priority.ENTRY)
    assert portfolio.quantities() == {"BTC/USD": Decimal("0.9975")}
    pair = wrapper.find("btcusd")
    assert pair is not None
    assert (pair.symbol, pair.is_crypto, pair.min_trade_increment) == (
        "BTC/USD",
        True,
        Decimal("1E-9"),
    )
    assert portfolio.view("BTC/USD").buying_power < portfolio.view("NVDA").buying_power


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"qty": "0.00001"}, 403, "minimal qty of order"),
        ({"notional": "9.99"}, 403, "minimal amount of order 10"),
        ({"side": "sell"}, 403, "insufficient balance for BTC"),
        ({"qty": "100"}, 403, "insufficient buying power"),
        ({"time_in_force": "day"}, 422, "invalid crypto time_in_force"),
        ({"type": "limit", "limit_price": "50000.001"}, 422, "increment"),
    ],
)
def test_what_is_refused(client: Client, fields: dict[str, str], status: int, words: str) -> None:
    """Everything here is refused by our own gates before it is sent."""
    with pytest.raises(Rejected) as caught:
        client.submit_order(body(**fields))
    assert caught.value.status == status
    assert words in caught.value.message


def test_prices_of_both_classes(ours: AlpacaAPIClient) -> None:
    """One shape for the caller; prices are exact, and they have the exchange's time."""
    quotes = quotes_from_snapshots(ours.snapshots(["NVDA", "BTC/USD", "ETH/USD"]), 1.0)
    assert set(quotes) == {"NVDA", "BTC/USD", "ETH/USD"}
    btc = quotes["BTC/USD"]
    assert btc.bid is not None
    assert btc.ask is not None
    assert btc.bid < btc.ask
    assert btc.quote_at is not None
    assert set(ours.latest_quotes(["BTC/USD"])["quotes"]) == {"BTC/USD"}
    assert set(ours.latest_trades(["BTC/USD", "NVDA"])["trades"]) == {"BTC/USD", "NVDA"}


def test_an_unknown_pair_is_left_out(ours: AlpacaAPIClient) -> None:
    """An empty map, no refusal."""
    assert ours.snapshots(["NO/USD"]) == {}
    assert ours.latest_quotes(["NO/USD"]) == {"quotes": {}}
    assert set(ours.snapshots(["NO/USD", "BTC/USD"])) == {"BTC/USD"}


@pytest.mark.parametrize("kind", ["snapshots", "latest/quotes", "latest/trades"])
def test_the_places_that_are_asked_are_documented(kind: str) -> None:
    """In Alpaca's OpenAPI document of the market data."""
    assert ("GET", f"/v1beta3/crypto/{{loc}}/{kind}") in set(operations("data"))
