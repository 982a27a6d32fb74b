"""Tests of signal_generator.account.broker_reader and of the requests beneath it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from paper_exchange.testing import Running, running
from signal_generator.account import broker_http, broker_reader
from signal_generator.account.broker_http import BrokerHttp
from signal_generator.account.broker_reader import AccountReader, of_symbol
from signal_generator.connection import Connection
from signal_generator.hosting import BrokerUnavailable, Position
from tests.helpers.fault_http_server import (
    Behaviour,
    FaultHTTPServer,
    answer,
    cut_off,
    hang_up,
    html,
    huge,
    raw,
    reset_after_reading,
    silence,
    slow_body,
)


def keys(url: str) -> Connection:
    """Everything at one server, with keys that must not be seen."""
    return Connection(key="KEY-CANARY", secret="SECRET-CANARY", trading_url=url, data_url=url)


def _order(number: int, moment: str = "", **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"id-{number:04}",
        "client_order_id": f"c-{number}",
        "symbol": "AAPL",
        "side": "buy",
        "type": "limit",
        "qty": "3",
        "filled_qty": "1",
        "limit_price": "181.5",
        "submitted_at": moment or f"2026-03-06T15:{number // 60:02}:{number % 60:02}.123456789Z",
        "created_at": "2026-03-06T14:59:00Z",
    }
    return row | changes


@pytest.fixture
def server() -> Iterator[FaultHTTPServer]:
    with FaultHTTPServer() as made:
        yield made


@pytest.fixture
def reader(server: FaultHTTPServer) -> Iterator[AccountReader]:
    made = AccountReader(keys(server.url))
    yield made
    made.close()


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    with running("--stepped", "--start", "2026-03-06T10:00:00-05:00", "--volatility", "0") as made:
        yield made


def test_an_account_as_the_exchange_tells_it(exchange: Running) -> None:
    """Position, resting order and last trade, in exact decimals."""
    http = BrokerHttp(keys(exchange.url))
    reader = AccountReader(keys(exchange.url), http)
    assert (reader.positions(), reader.open_orders()) == ([], [])
    order = {"side": "buy", "time_in_force": "day", "symbol": "AAPL"}
    for more in (
        {"qty": "10", "type": "market"},
        {"qty": "4", "type": "limit", "limit_price": "1.25", "client_order_id": "resting"},
    ):
        http._session.post(f"{exchange.url}/v2/orders", json=order | more, timeout=5)
    http._session.post(f"{exchange.url}/admin/clock", json={"advance": 1}, timeout=5)
    (position,) = reader.positions()
    assert (position.symbol, position.qty) == ("AAPL", Decimal(10))
    assert position.avg_entry_price > 0
    (resting,) = reader.open_orders()
    assert (resting.client_order_id, resting.side, resting.order_type) == (
        "resting",
        "buy",
        "limit",
    )
    assert (resting.qty, resting.filled_qty, resting.limit_price) == (4, 0, Decimal("1.25"))
    assert resting.submitted_at == datetime(2026, 3, 6, 15, 0, tzinfo=UTC)
    assert reader.last_trade("AAPL") > 0
    assert reader.last_trade("BTC/USD") > 0
    reader.close()


def test_pages_follow_until_one_is_not_full(
    server: FaultHTTPServer, reader: AccountReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders of one moment on both sides of a page's edge are there once, none is left out."""
    monkeypatch.setattr(broker_reader, "PAGE", 3)
    same = "2026-03-06T15:00:01.000000500Z"
    rows = [_order(0), _order(1, same), _order(2, same), _order(3, same), _order(4)]
    server.script(answer(rows[:3]), answer(rows[1:4]), answer(rows[3:]))
    assert [o.order_id for o in reader.open_orders()] == [r["id"] for r in rows]
    assert "nested=false" in server.seen[0].path
    assert "after=2026-03-06T15%3A00%3A00.999999Z" in server.seen[1].path


def test_a_page_that_leads_nowhere_is_an_error(
    server: FaultHTTPServer, reader: AccountReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More orders of one moment than a page holds: said, not asked for ever, nothing left out."""
    monkeypatch.setattr(broker_reader, "PAGE", 2)
    same = [_order(n, "2026-03-06T15:00:01Z") for n in range(2)]
    server.script(answer(same), answer(same))
    with pytest.raises(BrokerUnavailable, match="no way past"):
        reader.open_orders()
    assert len(server.seen) == 2


def test_an_order_by_amount_and_one_that_was_not_submitted_yet(
    server: FaultHTTPServer, reader: AccountReader
) -> None:
    """Both have nulls where others have values."""
    server.script(answer([_order(1, qty=None, limit_price=None, submitted_at=None)]))
    (order,) = reader.open_orders()
    assert (order.qty, order.limit_price) == (0, None)
    assert order.submitted_at == datetime(2026, 3, 6, 14, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (html(502), "answered 502"),
        (
            answer({"message": "SECRET-CANARY KEY-CANARY\n no"}, 401),
            r"answered 401, so check the keys: .*\*\*\*",
        ),
        (answer(b"", 302, headers={"Location": "/v2/positions"}), "answered 302"),
        (answer({"message": "not a list"}), "not a list"),
        (answer([{"symbol": "AAPL"}]), "not understood: KeyError"),
        (answer([{"symbol": "A", "qty": "NaN", "avg_entry_price": "1"}]), "not a finite number"),
        (answer([{"symbol": "A", "qty": "x", "avg_entry_price": "1"}]), "not understood"),
        (answer([7]), "not understood"),
        (answer(b"[{"), "not JSON"),
        (cut_off(b"[]  ", 1), "no answer"),
        (hang_up(), "no answer"),
        (reset_after_reading(), "no answer"),
        (raw(b"nonsense\r\n\r\n", close=True), "no answer"),
    ],
)
def test_whatever_is_wrong_is_one_error_without_secrets(
    server: FaultHTTPServer, reader: AccountReader, behaviour: Behaviour, words: str
) -> None:
    """Asked once, and the sentence names the request and never a key."""
    server.script(behaviour)
    with pytest.raises(BrokerUnavailable, match=rf"^GET /v2/positions: .*{words}") as caught:
        reader.positions()
    assert "CANARY" not in str(caught.value)
    assert len(server.seen) == 1


def test_an_answer_without_an_end_is_given_up(
    server: FaultHTTPServer, reader: AccountReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many bytes end it."""
    monkeypatch.setattr(broker_http, "MAX_BODY", 100_000)
    server.script(huge(400_000))
    with pytest.raises(BrokerUnavailable, match="longer than 100000 bytes"):
        reader.positions()


def test_an_answer_that_drips_is_given_up(
    server: FaultHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte is in time, the whole is not."""
    monkeypatch.setattr(broker_http, "_CHUNK", 1)
    ticks = iter(range(0, 1000, 4))
    at = keys(server.url)
    reader = AccountReader(at, BrokerHttp(at, lambda: float(next(ticks))))
    server.script(slow_body(0.005))
    with pytest.raises(BrokerUnavailable, match="no whole answer in 10 s"):
        reader.positions()
    reader.close()


def test_a_server_that_never_answers_is_given_up(
    server: FaultHTTPServer, reader: AccountReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read timeout ends it."""
    monkeypatch.setattr(broker_http, "READ_TIMEOUT", 0.05)
    server.script(silence())
    with pytest.raises(BrokerUnavailable, match=r"ReadTimeout|ConnectionError"):
        reader.positions()


@pytest.mark.parametrize("trade", [{}, {"AAPL": {"p": 0}}, {"AAPL": {}}, {"AAPL": None}, None])
def test_a_last_trade_without_a_price_is_an_error(
    server: FaultHTTPServer, reader: AccountReader, trade: object
) -> None:
    """No made-up price, no zero."""
    server.script(answer({"trades": trade}))
    with pytest.raises(BrokerUnavailable, match="not understood"):
        reader.last_trade("AAPL")


def test_the_rows_of_one_asset() -> None:
    """A pair has its slash in one list and not in the other."""
    rows = [Position(name, Decimal(1), Decimal(1)) for name in ("BTCUSD", "BTC/USD", "AAPL")]
    assert of_symbol(rows, "BTC/USD") == rows[:2]
