"""The exchange's clock: stepped by hand, scaled, and what can be repeated on it."""

import time
from pathlib import Path
from typing import Any

import requests

from paper_exchange.testing import Running, running

_ORDER = {"symbol": "NVDA", "qty": "400", "side": "buy", "type": "market", "time_in_force": "day"}


def _client(exchange: Running) -> requests.Session:
    session = requests.Session()
    session.headers.update({"APCA-API-KEY-ID": "k", "APCA-API-SECRET-KEY": "s"})
    session.headers["User-Agent"] = "test"
    return session


def _ask(client: requests.Session, exchange: Running, method: str, path: str, **args: Any) -> Any:
    answer = client.request(method, exchange.url + path, timeout=5, **args)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None


def _play(log: Path, seed: int) -> bytes:
    """One fixed conversation; the bytes of the order log."""
    options = (
        "--stepped",
        "--seed",
        str(seed),
        "--liquidity",
        "displayed",
        "--order-log",
        str(log),
    )
    with running(*options, "--partial-fill-rate", "0.3", "--cancel-delay-ms", "300") as exchange:
        client = _client(exchange)
        for n in range(6):
            body = _ORDER | {"client_order_id": f"id-{n}", "side": "sell" if n == 3 else "buy"}
            if n % 2:
                body |= {"type": "limit", "limit_price": "1000", "time_in_force": "ioc"}
            client.post(f"{exchange.url}/v2/orders", json=body, timeout=5)
            _ask(client, exchange, "POST", "/admin/clock", json={"advance": "1.5"})
        _ask(client, exchange, "DELETE", "/v2/orders")
        _ask(client, exchange, "POST", "/admin/clock", json={"advance": 86_400})
    return log.read_bytes()


def test_equal_seeds_write_equal_order_logs(tmp_path: Path) -> None:
    """Byte for byte, ids and times included; another seed writes another log."""
    first, second = _play(tmp_path / "a", 7), _play(tmp_path / "b", 7)
    assert first == second
    assert first.count(b"\n") > 10
    assert b'"event":"partial_fill"' in first
    assert first != _play(tmp_path / "c", 8)


def test_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    """Seeded as they are, none comes twice in the life of a state file; and so it does again."""

    def lives(folder: Path) -> list[str]:
        options = ("--stepped", "--seed", "7", "--state", str(folder / "state.db"))
        ids: list[str] = []
        for _ in range(2):
            with running(*options) as exchange:
                client = _client(exchange)
                answers = [
                    _ask(client, exchange, "POST", "/v2/orders", json=_ORDER) for _ in range(3)
                ]
                ids += [answer["id"] for answer in answers]
        return ids

    first = lives(tmp_path)
    assert len(set(first)) == 6
    (tmp_path / "again").mkdir()
    assert lives(tmp_path / "again") == first


def test_the_engine_works_on_the_way() -> None:
    """A long step fills a resting order at the price of the moment, not at that of the end."""
    with running("--stepped", "--start", "2026-03-02T15:00:00Z", "--volatility", "3") as exchange:
        client = _client(exchange)
        last = _ask(client, exchange, "GET", "/v2/stocks/NVDA/trades/latest")["trade"]["p"]
        order = _ORDER | {
            "qty": "1",
            "type": "limit",
            "limit_price": str(round(last * 0.999, 2)),
            "time_in_force": "gtc",
        }
        placed = _ask(client, exchange, "POST", "/v2/orders", json=order)
        assert placed["submitted_at"] == "2026-03-02T15:00:00.000000000Z"
        _ask(client, exchange, "POST", "/admin/clock", json={"to": "2026-03-02T19:00:00Z"})
        order = _ask(client, exchange, "GET", f"/v2/orders/{placed['id']}")
        assert order["status"] == "filled"
        assert "2026-03-02T15:00:00" < order["filled_at"] < "2026-03-02T18:59"
        assert float(order["filled_avg_price"]) <= float(order["limit_price"])


def test_a_clock_that_moves_by_itself_is_not_stepped() -> None:
    """And goes as fast as it is told to."""
    fast = ("--speed", "600", "--start", "2026-03-03T04:50:00Z", "--rate-limit", "0")
    with running(*fast) as exchange:
        client = _client(exchange)
        refusal = client.post(f"{exchange.url}/admin/clock", json={"advance": 1}, timeout=5)
        assert refusal.status_code == 422
        assert "--stepped" in refusal.json()["message"]
        began = time.monotonic()
        first = _ask(client, exchange, "GET", "/admin/clock")
        assert not first["stepped"]
        assert first["now"].startswith("2026-03-03T04:5")
        resting = _ORDER | {"qty": "1", "type": "limit", "limit_price": "1", "time_in_force": "day"}
        placed = _ask(client, exchange, "POST", "/v2/orders", json=resting)
        deadline = began + 60
        # Midnight in New York is ten minutes, or one second, away.
        while _ask(client, exchange, "GET", f"/v2/orders/{placed['id']}")["status"] == "new":
            assert time.monotonic() < deadline
        assert time.monotonic() - began > 0.5
