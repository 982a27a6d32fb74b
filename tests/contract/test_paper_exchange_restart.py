"""A real exchange is killed in the middle of orders, and nothing it has answered is lost."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from paper_exchange.testing import Running, running

KEYS = {"APCA-API-KEY-ID": "k", "APCA-API-SECRET-KEY": "s"}
CLIENTS = 4
ENOUGH = 80


class Client(threading.Thread):
    """Posts orders one after another until the exchange is gone."""

    def __init__(self, url: str, number: int, enough: threading.Semaphore) -> None:
        super().__init__()
        self.url = f"{url}/v2/orders"
        self.number = number
        self.enough = enough
        self.sent: list[str] = []
        self.answered: dict[str, str] = {}

    def run(self) -> None:
        """Every third order rests, the others are filled at once."""
        with requests.Session() as session:
            session.headers.update(KEYS)
            while True:
                name = f"{self.number}-{len(self.sent)}"
                self.sent.append(name)
                try:
                    answer = session.post(self.url, json=self._order(name), timeout=5)
                except requests.RequestException:
                    return
                assert answer.status_code == 200, answer.text
                self.answered[name] = answer.json()["id"]
                self.enough.release()

    def _order(self, name: str) -> dict[str, str]:
        order = {"symbol": "KO", "qty": "2", "side": "buy", "client_order_id": name}
        if len(self.sent) % 3:
            return order | {"type": "market", "time_in_force": "ioc"}
        return order | {"type": "limit", "limit_price": "1", "time_in_force": "gtc"}


def get(exchange: Running, path: str) -> Any:
    """A GET's body."""
    answer = requests.get(exchange.url + path, headers=KEYS, timeout=5)
    assert answer.status_code == 200
    return answer.json()


@contextlib.contextmanager
def hear(exchange: Running) -> Iterator[ClientConnection]:
    """A listening stream."""
    with connect(exchange.stream_url, open_timeout=5) as socket:
        socket.send(json.dumps({"action": "auth", "key": "k", "secret": "s"}))
        socket.send('{"action":"listen","data":{"streams":["trade_updates"]}}')
        socket.recv(timeout=15)
        socket.recv(timeout=15)
        yield socket


def rest_of(socket: ClientConnection) -> list[str]:
    """The ids of all events that still come before the connection breaks."""
    told = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            told.append(json.loads(socket.recv(timeout=15))["data"]["event_id"])
    return told


def check_money(exchange: Running) -> None:
    """Cash and positions are what the executions add up to."""
    fills = get(exchange, "/v2/account/activities?page_size=100")
    while page := get(exchange, f"/v2/account/activities?page_token={fills[-1]['id']}"):
        fills += page
    spent = sum(Decimal(fill["qty"]) * Decimal(fill["price"]) for fill in fills)
    assert Decimal(get(exchange, "/v2/account")["cash"]) == round(100_000 - spent, 2)
    bought = sum(Decimal(fill["qty"]) for fill in fills)
    assert Decimal(get(exchange, "/v2/positions/KO")["qty"]) == bought


def test_kill_in_the_middle_of_orders(tmp_path: Path) -> None:
    """What was answered is there, once; what is there was sent; and all of it adds up."""
    options = ["--state", str(tmp_path / "state.db"), "--rate-limit", "0", "--keep-closed", "20"]
    enough = threading.Semaphore(0)
    with running(*options) as exchange, hear(exchange) as socket:
        clients = [Client(exchange.url, number, enough) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(ENOUGH):
            assert enough.acquire(timeout=10)
        exchange.process.send_signal(signal.SIGKILL)
        for client in clients:
            client.join(10)
        told = rest_of(socket)
    answered = {name: found for client in clients for name, found in client.answered.items()}
    unanswered = {client.sent[-1] for client in clients}
    with running(*options) as exchange:
        orders = get(exchange, "/v2/orders?status=all&limit=500")
        while len(page := get(exchange, older(orders))) > 0:
            orders += page
        names = Counter(order["client_order_id"] for order in orders)
        assert set(names.values()) == {1}
        assert set(answered) <= set(names) <= set(answered) | unanswered
        assert all(answered.get(o["client_order_id"], o["id"]) == o["id"] for o in orders)
        statuses = {order["type"]: order["status"] for order in orders}
        assert statuses == {"market": "filled", "limit": "new"}
        check_money(exchange)
        for name in answered:
            body = {
                "symbol": "KO", "qty": "1", "side": "buy", "type": "market",
                "time_in_force": "ioc", "client_order_id": name,
            }  # fmt: skip
            again = requests.post(f"{exchange.url}/v2/orders", json=body, headers=KEYS, timeout=5)
            assert (again.status_code, again.json()["code"]) == (422, 40010001)
        with hear(exchange) as socket:
            resting = next(order for order in orders if order["status"] == "new")
            requests.delete(
                f"{exchange.url}/v2/orders/{resting['id']}", headers=KEYS, timeout=5
            ).raise_for_status()
            assert json.loads(socket.recv(timeout=15))["data"]["event_id"] > max(told)


def older(orders: list[dict[str, Any]]) -> str:
    """The page behind what has been listed."""
    return f"/v2/orders?status=all&limit=500&before_order_id={orders[-1]['id']}"


def test_a_file_in_use(tmp_path: Path) -> None:
    """A second exchange on the same file says so in one line and ends with 1."""
    path = tmp_path / "state.db"
    with running("--state", str(path)):
        command = [sys.executable, "-m", "paper_exchange", "--port", "0", "--state", str(path)]
        second = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"Error: the state file {path} is in use by another exchange\n"


def test_an_end_in_order(tmp_path: Path) -> None:
    """SIGTERM leaves one file, without SQLite's log beside it, and nothing is missing in it."""
    options = ("--state", str(tmp_path / "state.db"))
    order = {"symbol": "KO", "qty": "2", "side": "buy", "type": "market", "time_in_force": "ioc"}
    with running(*options) as exchange:
        requests.post(f"{exchange.url}/v2/orders", json=order, headers=KEYS, timeout=5)
        before = get(exchange, "/v2/orders?status=all")
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]
    with running(*options) as exchange:
        assert get(exchange, "/v2/orders?status=all") == before
