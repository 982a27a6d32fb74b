"""A bracket's leg beside a real service: filled at once, ended while nobody ran, agreed upon."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from solution.domain.records import State
from solution.ledger import open_reader
from tests.helpers.clocks import eventually
from tests.helpers.fault_broker import Answer, Fault, FaultBroker, Request
from tests.helpers.service_process import KEY, ROOT, SECRET, World, world

PATIENCE = 60.0


def ask(request: Request, method: str, path: str, body: object = None) -> Any:
    """A request of the broker's own to the exchange behind it."""
    raw = b"" if body is None else json.dumps(body).encode()
    seen = replace(request.seen, method=method, path=path, body=raw)
    return json.loads(request.broker.ask(seen, request.upstream).body)


def with_a_leg(limit_price: str) -> Fault:
    """The exchange has no brackets: the entry goes there alone, and its leg beside it.

    Args:
        limit_price: at which the leg sells, whatever the signal says.
    """

    def run(request: Request) -> bool:
        body = {n: v for n, v in request.body.items() if n not in {"take_profit", "order_class"}}
        entry = ask(request, "POST", "/v2/orders", body)
        path = f"/v2/orders/{entry['id']}"
        assert eventually(lambda: ask(request, "GET", path)["status"] == "filled")
        leg = {
            "symbol": body["symbol"], "qty": body["qty"], "side": "sell", "type": "limit",
            "limit_price": limit_price, "time_in_force": "gtc",
            "client_order_id": f"leg-of-{body['symbol']}",
        }  # fmt: skip
        placed = ask(request, "POST", "/v2/orders", leg)
        answer = entry | {"order_class": "oto", "legs": [placed]}
        headers = {"Content-Type": "application/json"}
        request.send(Answer(200, headers, json.dumps(answer).encode()).message())
        return True

    return run


@pytest.fixture
def made(redis_executable: str, tmp_path: Path) -> Iterator[World]:
    """A Redis, an exchange, a broker that makes legs, and nothing running yet."""
    with ExitStack() as stack:
        yield stack.enter_context(world(tmp_path, proxy=FaultBroker, SYMBOLS="F,NVDA"))


def command(made: World, *words: str) -> "subprocess.CompletedProcess[str]":
    """`signalpaca WORDS…` with the service's settings."""
    return subprocess.run(
        [sys.executable, "-m", "solution", *words],
        cwd=made.directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **made.env()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def cancel_at_the_exchange(made: World, order_id: str) -> None:
    """By hand, past the service."""
    request = urllib.request.Request(  # noqa: S310  # our own exchange
        f"{made.exchange.url}/v2/orders/{order_id}",
        headers={"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET},
        method="DELETE",
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310  # our own exchange
        pass


def state(made: World, symbol: str) -> State | None:
    """Where a leg stands; None while its row is not there: the stream may be faster."""
    row = made.rows().get(f"leg-of-{symbol}")
    return row.state if row else None


def of_leg(made: World, symbol: str) -> list[tuple[str, str, str, str]]:
    """What was told of a leg: event, signal_id, message, final."""
    told = (e for e in made.events() if e["client_order_id"] == f"leg-of-{symbol}")
    return [(e["event"], e["signal_id"], e["message"], e["final"]) for e in told]


def test_legs_are_followed_through_a_crash(made: World) -> None:
    """One sells at once, one is cancelled while no service runs; then both sides agree."""
    made.proxy.on_post("NVDA", with_a_leg("1.00"))
    made.proxy.on_post("F", with_a_leg("500.00"))
    service = made.start()
    bracket = {"qty": "2", "take_profit": "900"}
    entries = [
        made.publish("NVDA", signal_id="sold", **bracket),
        made.publish("F", signal_id="kept", **bracket),
    ]
    made.await_ends(entries)
    assert eventually(lambda: state(made, "NVDA") is State.FILLED)
    assert eventually(lambda: state(made, "F") is State.OPEN)
    service.kill()
    cancel_at_the_exchange(made, made.rows()["leg-of-F"].alpaca_order_id)
    made.start()
    assert eventually(lambda: state(made, "F") is State.CANCELED, PATIENCE)
    assert eventually(lambda: of_leg(made, "F")[-1:] == [("canceled", "kept", "take profit", "0")])
    assert of_leg(made, "NVDA")[-1] == ("fill", "sold", "take profit", "0")
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        assert sum(t.qty for t in reader.list_trades("leg-of-NVDA")) == 2
        assert sum(t.qty for t in reader.list_trades(made.coid("sold"))) == 2
    made.check(entries, orders=4)
    shown = command(made, "why", made.rows()["leg-of-NVDA"].alpaca_order_id).stdout
    assert "leg       take profit: sell 2 NVDA, FILLED, 2 of 2 at" in shown
    assert "fill (take profit)" in shown
    agreed = command(made, "reconcile")
    assert agreed.returncode == 0, agreed.stdout
