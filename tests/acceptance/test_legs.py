"""A bracket between a real service and the exchange: filled, canceled meanwhile, agreed upon."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from solution.domain.records import Intent, State
from solution.ledger import open_reader
from tests.helpers.clocks import eventually
from tests.helpers.service_process import KEY, SECRET, World, world

PATIENCE = 60.0
TARGET, STOP = "take profit", "stop loss"
EXITS = {"take_profit": "200", "stop_loss": "50"}


@pytest.fixture
def made(redis_executable: str, tmp_path: Path) -> Iterator[World]:
    """A Redis, an exchange with two prices held by hand, and nothing running yet."""
    with world(tmp_path, SYMBOLS="F,NVDA") as one:
        one.admin("prices", {"NVDA": "100", "F": "10"})
        yield one


def cancel_at_the_exchange(made: World, order_id: str) -> None:
    """By hand, past the service."""
    request = urllib.request.Request(  # noqa: S310  # our own exchange
        f"{made.exchange.url}/v2/orders/{order_id}",
        headers={"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET},
        method="DELETE",
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310  # our own exchange
        pass


def leg(made: World, symbol: str, role: str) -> Intent | None:
    """The row of a leg; None while it is not there: the stream may be faster."""
    kind = "limit" if role == TARGET else "stop"
    orders = [o for o in made.orders() if o["symbol"] == symbol and o["order_class"] == "bracket"]
    ids = {o["client_order_id"] for o in orders if o["type"] == kind and o["side"] == "sell"}
    return next((row for coid, row in made.rows().items() if coid in ids), None)


def state(made: World, symbol: str, role: str) -> State | None:
    """Where a leg stands."""
    row = leg(made, symbol, role)
    return row.state if row else None


def of_leg(made: World, symbol: str, role: str) -> list[tuple[str, str, str, str]]:
    """What was told of a leg: event, signal_id, message, final."""
    row = leg(made, symbol, role)
    told = (e for e in made.events() if row and e["client_order_id"] == row.client_order_id)
    return [(e["event"], e["signal_id"], e["message"], e["final"]) for e in told]


def test_legs_are_followed_through_a_crash(made: World) -> None:
    """One position is sold at its target, one bracket is canceled while no service runs."""
    service = made.start()
    entries = [
        made.publish("NVDA", signal_id="sold", qty="2", take_profit="120", stop_loss="80"),
        made.publish("F", signal_id="kept", qty="2", take_profit="12", stop_loss="8"),
    ]
    made.await_ends(entries)
    for symbol in ("NVDA", "F"):
        for role in (TARGET, STOP):
            assert eventually(lambda s=symbol, r=role: state(made, s, r) is State.OPEN), symbol
    made.admin("prices", {"NVDA": "121"})
    assert eventually(lambda: state(made, "NVDA", TARGET) is State.FILLED)
    assert eventually(lambda: state(made, "NVDA", STOP) is State.CANCELED)
    service.kill()
    kept = leg(made, "F", TARGET)
    assert kept is not None
    cancel_at_the_exchange(made, kept.alpaca_order_id)
    made.start()
    for role in (TARGET, STOP):
        assert eventually(lambda r=role: state(made, "F", r) is State.CANCELED, PATIENCE), role
        ended = [("canceled", "kept", role, "0")]
        assert eventually(lambda r=role, e=ended: of_leg(made, "F", r)[-1:] == e)
    assert of_leg(made, "NVDA", TARGET)[-1] == ("fill", "sold", "take profit", "0")
    sold = leg(made, "NVDA", TARGET)
    assert sold is not None
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        assert sum(t.qty for t in reader.list_trades(sold.client_order_id)) == 2
        assert sum(t.qty for t in reader.list_trades(made.coid("sold"))) == 2
    made.check(entries, orders=6)
    shown = made.command("why", sold.alpaca_order_id).stdout
    assert "leg       take profit: sell 2 NVDA, FILLED, 2 of 2 at" in shown
    assert "leg       stop loss: sell 2 NVDA, CANCELED" in shown
    assert "fill (take profit)" in shown
    agreed = made.command("reconcile")
    assert agreed.returncode == 0, agreed.stdout


@pytest.mark.parametrize("after", [0.0, 1.0, 3.0])
def test_an_exit_right_after_a_bracket_ends_flat(made: World, after: float) -> None:
    """No account snapshot tells of the legs yet. What is free beside them is sold first."""
    made.start()
    entries = [made.publish("NVDA", qty="2"), made.publish("NVDA", "b", **EXITS, qty="5")]
    made.await_ends(entries)
    filled_at = time.monotonic()
    partial = made.publish("NVDA", "s", qty="2")
    made.await_ends([partial])
    assert made.final(partial)["event"] == "fill"
    legs = [o for o in made.orders() if o["order_class"] == "bracket" and o["side"] == "sell"]
    assert {leg["status"] for leg in legs} == {"new"}
    assert eventually(lambda: time.monotonic() - filled_at >= after)
    rest = made.publish("NVDA", "s")
    made.await_ends([rest])
    assert made.final(rest)["event"] == "fill"
    assert eventually(lambda: made.broker("positions") == [])
    for role in (TARGET, STOP):
        assert eventually(lambda r=role: state(made, "NVDA", r) is State.CANCELED), role
    assert {o["status"] for o in made.orders() if o["id"] in {leg["id"] for leg in legs}} == {
        "canceled"
    }
    made.check([*entries, partial, rest], orders=6)
