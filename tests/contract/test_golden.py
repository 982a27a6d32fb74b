"""Both sides against what Alpaca is documented, or was observed, to answer; see ``golden/``."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from paper_exchange.settings import Settings
from paper_exchange.testing import Running
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import account_of
from solution.book.assets import Asset
from solution.book.broker_clock import BrokerClock
from solution.domain.order_state import STATE_OF_STATUS
from solution.domain.records import State
from solution.errors import DuplicateOrder, NotFound, Rejected
from solution.feeds.price_poller import quotes_from_snapshots
from solution.feeds.trade_updates import TradeUpdates
from tests.contract.raw_http import Http
from tests.helpers.fault_http_server import FaultHTTPServer, answer
from tests.unit.paper_exchange.conftest import NOON, World

Sample = dict[str, Any]
_FOLDER = Path(__file__).parent / "golden"
_FRIDAY_AFTER_EIGHT = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
#: How text is written, most particular first.
_FORMATS = {
    "decimal": r"-?\d+(\.\d+)?",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "time in UTC": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z",
    "time with offset": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?[+-]\d\d:\d\d",
    "date": r"\d{4}-\d\d-\d\d",
    "time of day": r"\d\d:\d\d",
    "activity id": r"\d{17}::[0-9a-f-]{36}",
    "ULID": r"[0-9A-HJKMNP-TV-Z]{26}",
}


def _samples(name: str) -> list[Any]:
    samples = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(sample, id=sample["name"].replace(" ", "-")) for sample in samples]


def _kind(value: object) -> str:
    """What sort of JSON value this is, and for text in which format."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    if not isinstance(value, str):
        return "number"
    found = (name for name, form in _FORMATS.items() if re.fullmatch(form, value))
    return next(found, "text")


def differences(sample: object, found: object, also: list[str], at: str = "") -> list[str]:
    """Where two values differ in keys, types or formats; values themselves may differ."""
    if isinstance(sample, dict) and isinstance(found, dict):
        missing = [f"{at}.{name} is missing" for name in sample.keys() - found.keys()]
        more = [f"{at}.{name} is not known" for name in found.keys() - sample.keys() - set(also)]
        inner = [
            line
            for name in sample.keys() & found.keys()
            for line in differences(sample[name], found[name], also, f"{at}.{name}")
        ]
        return sorted(missing + more + inner)
    if isinstance(sample, list) and isinstance(found, list):
        if not sample or not found:
            return [] if not sample else [f"{at} is empty"]
        return differences(sample[0], found[0], also, f"{at}[0]")
    kinds = _kind(sample), _kind(found)
    return [] if kinds[0] == kinds[1] else [f"{at} is {kinds[1]}, not {kinds[0]}: {found!r}"]


# --- the exchange -----------------------------------------------------------------------------


OPTIONS = ("--seed", "3")


class Caller:
    """Sends a sample's requests on a fresh account."""

    def __init__(self, url: str) -> None:
        self.http = Http(url)
        self.order = ""

    def send(self, request: Sample) -> requests.Response:
        """One request; ``{order}`` is the order made last, unless a request said to keep it."""
        path = request["path"].replace("{order}", self.order)
        found = self.http(request["method"], path, json=request.get("body"))
        content = found.json() if found.content else None
        if isinstance(content, dict) and "id" in content and not request.get("keep"):
            self.order = content["id"]
        return found


@pytest.fixture
def caller(exchange: Running) -> Iterator[Caller]:
    """One whose connection ends with the test."""
    made = Caller(exchange.url)
    yield made
    made.http.session.close()


@pytest.mark.parametrize("sample", _samples("errors"))
def test_exchange_refuses_in_the_same_words(caller: Caller, sample: Sample) -> None:
    """Status, code, message and the fields beside them are the sample's, to the letter."""
    for request in sample["given"]:
        caller.send(request).raise_for_status()
    before = caller.order
    found = caller.send(sample["request"])
    expected = json.loads(json.dumps(sample["body"]).replace("{order}", before))
    assert (found.status_code, found.json()) == (sample["status"], expected)


@pytest.mark.parametrize("sample", _samples("answers"))
def test_exchange_answers_in_the_same_form(caller: Caller, sample: Sample) -> None:
    """Keys, types and formats are the sample's."""
    for request in sample["given"]:
        caller.send(request).raise_for_status()
    found = caller.send(sample["request"])
    assert found.status_code == sample["status"]
    assert differences(sample["body"], found.json(), sample["also"]) == []


def _partly(world: World) -> None:
    world.send(qty="2", time_in_force="day")


def _replaced(world: World) -> None:
    world.replace(world.rest("90"), qty="3")


def _rejected(world: World) -> None:
    world.send(time_in_force="day", qty="3000")
    world.price("150")
    world.later(61 * 3600)


#: By event: the settings, when it begins, and what brings the event about.
_BRINGS: dict[str, tuple[dict[str, Any], datetime, Callable[[World], object]]] = {
    "new": ({}, NOON, lambda world: world.rest("90")),
    "fill": ({}, NOON, lambda world: world.send(time_in_force="day")),
    "partial_fill": ({"partial_fill_rate": 1.0}, NOON, _partly),
    "canceled": ({}, NOON, lambda world: world.engine.cancel(world.account, world.rest("90"))),
    "replaced": ({}, NOON, _replaced),
    "accepted": ({"session": "nyse"}, _FRIDAY_AFTER_EIGHT, lambda world: world.rest("90")),
    "expired": (
        {},
        NOON,
        lambda world: (world.rest("90", time_in_force="day"), world.later(86_400)),
    ),
    "rejected": ({"session": "nyse"}, _FRIDAY_AFTER_EIGHT, _rejected),
}


@pytest.mark.parametrize("sample", _samples("trade_updates"))
def test_exchange_tells_events_in_the_same_form(sample: Sample) -> None:
    """The data of each event has the sample's keys, types and formats."""
    settings, start, bring = _BRINGS[sample["name"]]
    world = World(Settings(seed=1, **settings), start)
    bring(world)
    told = next(one for one in world.told if one["event"] == sample["name"])
    expected = sample["message"]["data"]
    # What an order is at any time (a limit or none, an expiry) depends on the order, not the event.
    order = {
        name: told["order"][name] for name in ("limit_price", "expires_at", "filled_avg_price")
    }
    expected["order"] |= {name: value for name, value in order.items() if name in expected["order"]}
    assert differences(expected, told, sample["also"]) == []
    assert told["order"]["status"] == expected["order"]["status"]


# --- the service's client -----------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FaultHTTPServer]:
    """A server that says what it is told to, trading and data API at once."""
    with FaultHTTPServer() as started:
        yield started


@pytest.fixture
def client(server: FaultHTTPServer) -> Iterator[AlpacaAPIClient]:
    """The service's client of that server."""
    made = AlpacaAPIClient(
        trading_url=server.url, data_url=server.url, key_id="golden-key", secret_key="golden-secret"
    )
    yield made
    made.close()


#: How each method is called to get what a sample holds.
_CALLS: dict[str, Callable[[AlpacaAPIClient], Any]] = {
    "account": lambda it: it.account(),
    "submit_order": lambda it: it.submit_order(b"{}"),
    "get_order": lambda it: it.get_order("o1"),
    "get_order_by_client_id": lambda it: it.get_order_by_client_id("mine"),
    "replace_order": lambda it: it.replace_order("o1", b"{}"),
    "cancel_order": lambda it: it.cancel_order("o1"),
    "list_orders": lambda it: it.list_orders(),
    "cancel_all_orders": lambda it: it.cancel_all_orders(),
    "position": lambda it: it.position("AAPL"),
    "positions": lambda it: it.positions(),
    "close_all_positions": lambda it: it.close_all_positions(),
    "activities": lambda it: it.activities(),
    "clock": lambda it: it.clock(),
    "calendar": lambda it: it.calendar(),
    "asset": lambda it: it.asset("AAPL"),
    "latest_trades": lambda it: it.latest_trades(["AAPL"]),
    "latest_quotes": lambda it: it.latest_quotes(["AAPL"]),
    "snapshots": lambda it: it.snapshots(["AAPL", "TSLA"]),
}
_METHOD_OF = {
    ("POST", "/v2/orders"): "submit_order",
    ("PATCH", "/v2/orders/"): "replace_order",
    ("DELETE", "/v2/orders/"): "cancel_order",
    ("GET", "/v2/orders/"): "get_order",
    ("GET", "/v2/positions/"): "position",
    ("GET", "/v2/assets/"): "asset",
}


def _method_of(request: Sample) -> str:
    return next(
        name
        for (method, prefix), name in _METHOD_OF.items()
        if request["method"] == method and request["path"].startswith(prefix)
    )


@pytest.mark.parametrize("sample", _samples("errors"))
def test_client_understands_refusals(
    client: AlpacaAPIClient, server: FaultHTTPServer, sample: Sample
) -> None:
    """Every documented refusal is a definite no of the right kind, with its words and figures."""
    server.script(answer(sample["body"], sample["status"]))
    with pytest.raises(Rejected) as caught:
        _CALLS[_method_of(sample["request"])](client)
    error, body = caught.value, sample["body"]
    kinds = {"duplicate id": DuplicateOrder}
    kind = kinds.get(sample["name"], NotFound if sample["status"] == 404 else Rejected)
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (
        sample["status"],
        body["code"],
        body["message"],
    )
    assert error.body == body


@pytest.mark.parametrize("sample", [one for one in _samples("answers") if "call" in one.values[0]])
def test_client_returns_answers_unchanged(
    client: AlpacaAPIClient, server: FaultHTTPServer, sample: Sample
) -> None:
    """The decoded answer is the sample; prices of market data are exact decimals."""
    server.script(answer(sample["body"], sample["status"]))
    found = _CALLS[sample["call"][0]](client)
    if not sample["request"]["path"].startswith("/v2/stocks/"):
        assert found == sample["body"]
        return
    text = json.dumps(sample["body"])
    assert found == json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.parametrize("sample", _samples("trade_updates"))
def test_client_understands_events(sample: Sample) -> None:
    """Each message becomes an update whose status the service knows, in text and in binary."""
    message, data = json.dumps(sample["message"]), sample["message"]["data"]
    for frame in (message, message.encode()):
        conversation = TradeUpdates("k", "s", monotonic=lambda: 1.5)
        (update,) = conversation.receive(frame)
        assert (update.event, update.order) == (sample["name"], data["order"])
        assert (update.order_id, update.execution_id, update.at) == (
            data["order"]["id"],
            data["execution_id"],
            data["timestamp"],
        )
        assert update.status in STATE_OF_STATUS
        figures = {"qty": update.qty, "price": update.price, "position_qty": update.position_qty}
        assert figures == {name: Decimal(data[name]) if name in data else None for name in figures}
        assert conversation.malformed == conversation.ignored == 0


def _sample(name: str) -> Any:
    found = next(one.values[0] for one in _samples("answers") if one.values[0]["name"] == name)
    return found["body"]  # type: ignore[index]  # parameters of pytest are objects


def test_client_reads_account_asset_and_clock() -> None:
    """The figures that decisions are made of, from the documented samples."""
    account = account_of(_sample("account"))
    assert (account.cash, account.buying_power) == (Decimal("-23140.2"), Decimal("262113.632"))
    assert (account.blocked, account.shorting_enabled) == (False, True)
    asset = Asset.of(_sample("asset"))
    assert (asset.symbol, asset.tradable, asset.shortable, asset.fractionable) == (
        "AAPL", True, True, True,
    )  # fmt: skip
    at = datetime(2025, 6, 24, 18, 15, 22, tzinfo=UTC)
    clock = BrokerClock.of(_sample("clock"), 0.0, at)
    assert (clock.is_open, clock.changes_at) == (True, datetime(2025, 6, 24, 20, tzinfo=UTC))


def test_client_reads_prices() -> None:
    """Bid, ask and last of each symbol of the documented snapshots."""
    text = json.dumps(_sample("snapshots of stocks"))
    quotes = quotes_from_snapshots(json.loads(text, parse_float=Decimal), 1.0)
    found = {symbol: (one.bid, one.ask, one.last) for symbol, one in quotes.items()}
    assert found["AAPL"] == (Decimal("172.6"), Decimal("172.7"), Decimal("172.61"))
    assert set(found) == {"AAPL", "TSLA"}


def test_every_status_of_an_order_has_a_meaning() -> None:
    """The states of the order samples are those the service makes of their statuses."""
    meanings = {
        "limit order accepted": State.OPEN,
        "market order filled": State.FILLED,
        "canceled order": State.CANCELED,
        "replaced order": State.REPLACED,
    }
    for name, state in meanings.items():
        assert STATE_OF_STATUS[_sample(name)["status"]] is state
