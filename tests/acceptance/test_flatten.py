"""A flatten by the real service at the real exchange: crashes, faults, and signals meanwhile."""

import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from solution.domain.flattening import PREFIX, Flattening, flattening_of
from solution.domain.records import TERMINAL
from solution.ledger import beside, open_reader
from tests.helpers.clocks import eventually
from tests.helpers.service_process import World, world

PATIENCE = 60.0
PRICES = {"NVDA": "100", "F": "10", "AAPL": "50", "MSFT": "70"}
SYMBOLS = ",".join(PRICES)


@pytest.fixture
def made(redis_executable: str, tmp_path: Path) -> Iterator[World]:
    """A Redis, an exchange with prices held by hand, and nothing running yet."""
    with world(tmp_path, SYMBOLS=SYMBOLS) as one:
        one.admin("prices", PRICES)
        yield one


def fill_the_account(made: World) -> None:
    """A long, a short, a fraction, a bracket with its legs, and resting orders on both sides."""
    entries = [
        made.publish("NVDA", qty="10"),
        made.publish("AAPL", qty="5", take_profit="60", stop_loss="40"),
        made.publish("MSFT", "s", action="short_sell", qty="4"),
        made.publish("F", qty="2.5"),
    ]
    made.await_ends(entries)
    resting = {"order_type": "limit", "time_in_force": "gtc", "qty": "3"}
    made.publish("NVDA", "b", limit_price="50", **resting)
    made.publish("NVDA", "s", limit_price="150", **resting)
    assert eventually(lambda: len(open_orders(made)) == 4)
    assert eventually(lambda: sum(r.state not in TERMINAL for r in made.rows().values()) == 4)


def open_orders(made: World) -> list[str]:
    """Ids of what rests at the exchange."""
    over = {"filled", "canceled", "expired", "rejected", "replaced"}
    return [o["id"] for o in made.orders() if o["status"] not in over]


def positions(made: World) -> dict[str, str]:
    return {p["symbol"]: p["qty"] for p in made.broker("positions")}


def ask(made: World, *symbols: str, request_id: str = "one") -> None:
    """Somebody writes a request beside the service."""
    request = Flattening(request_id, symbols, "a test", 1)
    beside.keep(made.env()["LEDGER_URL"], {request.key: request.to_json()})


def request(made: World, request_id: str = "one") -> Flattening:
    """As it stands in the ledger."""
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        return flattening_of(request_id, reader.get_state(PREFIX + request_id) or "")


def check_flat(made: World, *, attempts: int = 1) -> Flattening:
    """Nothing is held, nothing rests, and each closing order is one POST's and one row's."""
    found = request(made)
    assert found.flat, found
    assert positions(made) == {}
    assert open_orders(made) == []
    ours = {o["client_order_id"]: o for o in made.orders() if o["client_order_id"] in found.orders}
    assert set(ours) == set(found.orders), "a closing order without an order at the exchange"
    rows = made.rows()
    by_symbol: dict[str, int] = {}
    for coid, order in ours.items():
        assert rows[coid].state in TERMINAL
        assert rows[coid].filled_qty == Decimal(order["filled_qty"])
        by_symbol[order["symbol"]] = by_symbol.get(order["symbol"], 0) + 1
    assert max(by_symbol.values(), default=0) <= attempts, by_symbol
    return found


def test_everything_is_closed_and_told(made: World) -> None:
    """The command follows it to its end: exit code 0 only when the account is flat."""
    made.start()
    fill_the_account(made)
    result = made.command("flatten")
    assert result.returncode == 0, result.stderr
    assert "MSFT: buy 4 FILLED, 4 filled" in result.stdout
    assert "F: sell 2.5 FILLED, 2.5 filled" in result.stdout
    assert "NVDA: order to sell 3 canceled" in result.stdout
    assert result.stdout.endswith("flat: 4 positions closed, 4 orders cancelled\n")
    assert positions(made) == {}
    assert open_orders(made) == []
    again = made.command("flatten", "--json")
    assert json.loads(again.stdout)["flat"] is True
    assert made.command("reconcile").returncode == 0


POINTS = (
    "flatten.restricted",
    "flatten.before_cancel",
    "flatten.cancelled",
    "flatten.read",
    "flatten.reserved",
    "flatten.row_kept",
    "submit.answered",
    "flatten.posted",
    "submit.row_durable",
    "flatten.resend",
    "flatten.ended",
    "flatten.before_done",
)
"""In an order in which four positions meet all of them in one flatten."""


def test_a_crash_at_every_step_ends_flat_with_one_order_per_position(made: World) -> None:
    """kill -9 again and again, each time one step further: the same request goes on at each start.

    A row whose POST was not made is sent once more under its id; nothing else is sent twice.
    """
    first = made.start()
    fill_the_account(made)
    first.stop()
    ask(made)
    for point in POINTS:
        crashing = made.launch(SIGNALPACA_FAILPOINTS=f"{point}=kill")
        assert eventually(lambda one=crashing: one.process.poll() is not None), point
        assert f"failpoint {point}: kill" in crashing.text, crashing.text
    made.start()
    assert eventually(lambda: bool(request(made).done_ms), PATIENCE), request(made)
    check_flat(made)
    assert set(made.posts().values()) == {1}


def test_it_works_while_everything_is_stopped(made: World) -> None:
    """The kill switch's file, and HALTED."""
    made.start()
    fill_the_account(made)
    assert made.command("kill").returncode == 0
    ask(made)
    assert eventually(lambda: bool(request(made).done_ms), PATIENCE)
    check_flat(made)


@pytest.mark.parametrize(
    "faults",
    [
        (
            "POST /v2/orders: reset_after next=1",
            "POST /v2/orders: reset_before next=1",
            "POST /v2/orders: html status=502 next=1",
            "DELETE /v2/orders/*: reset_after next=2",
            "GET /v2/positions: html status=502 next=2",
        ),
        ("*: storm ms=2000 next=1", "stream: drop event=fill", "stream: drop event=canceled"),
    ],
)
def test_faults_of_the_broker_cost_time_and_no_second_order(
    made: World, faults: tuple[str, ...]
) -> None:
    """Lost answers and lost requests; 429s and a stream that tells no end."""
    made.start()
    fill_the_account(made)
    for fault in faults:
        made.admin("faults", {"text": fault})
    ask(made)
    assert eventually(lambda: bool(request(made).done_ms), PATIENCE), request(made)
    check_flat(made)


def test_fills_in_parts_are_followed_to_the_last_share(
    make_world: Callable[..., World],
) -> None:
    """With a thin book an order takes several executions, or several orders."""
    made = make_world("--partial-fill-rate", "1", SYMBOLS=SYMBOLS)
    made.admin("prices", PRICES)
    made.start()
    made.await_ends([made.publish("NVDA", qty="100", time_in_force="day", order_type="market")])
    held = Decimal(positions(made)["NVDA"])
    ask(made)
    assert eventually(lambda: bool(request(made).done_ms), PATIENCE), request(made)
    found = check_flat(made, attempts=10)
    assert sum(Decimal(order.filled) for order in found.orders.values()) == held


def test_a_storm_of_signals_meanwhile_never_leaves_a_short(made: World) -> None:
    """Buys and sells of the same ticker by eight workers, before, while and after it is closed."""
    made.start(workers=8)
    made.await_ends([made.publish("NVDA", qty="20")])
    stop, shorts = threading.Event(), []

    def storm() -> None:
        while not stop.wait(0.004):
            made.publish("NVDA", "s", qty="2")
            made.publish("NVDA", "b", qty="1")

    def watch() -> None:
        while not stop.wait(0.02):
            shorts.extend(q for q in positions(made).values() if Decimal(q) < 0)

    threads = [threading.Thread(target=storm), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    try:
        ask(made, "NVDA")
        assert eventually(lambda: bool(request(made).done_ms), PATIENCE), request(made)
        flat_at = len(made.orders())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert shorts == []
    assert eventually(lambda: not made.pending(), PATIENCE)
    check_flat(made, attempts=10)
    assert len(made.orders()) == flat_at, "a signal traded after the ticker was closed"


def test_a_closed_market_is_told_and_waited_for(make_world: Callable[..., World]) -> None:
    """Exit code 1 while something is left; at the open the same request closes it."""
    clock = ("--session", "nyse", "--stepped", "--start", "2026-11-30T15:50:00-05:00")
    made = make_world(*clock, SYMBOLS="NVDA", MAX_QUOTE_AGE="0")
    made.admin("prices", {"NVDA": "100"})
    first = made.start()
    made.await_ends([made.publish("NVDA", qty="3")])
    first.stop()
    made.admin("clock", {"to": "2026-11-30T21:30:00Z"})
    second = made.start()
    told = made.command("flatten", "nvda")
    assert told.returncode == 1
    assert "left: NVDA 3: the market is closed until 2026-12-01 14:30 UTC" in told.stderr
    assert "the service closes what is left when the market opens" in told.stderr
    assert "flatten" in made.command("status").stdout
    second.stop()
    made.admin("clock", {"to": "2026-12-01T14:31:00Z"})
    made.start()
    assert eventually(lambda: positions(made) == {}, PATIENCE)


def test_the_extended_session_takes_a_limit_at_the_other_side(
    make_world: Callable[..., World],
) -> None:
    """ALLOW_EXTENDED_HOURS=true: after the close it is sold to the bid."""
    clock = ("--session", "nyse", "--stepped", "--start", "2026-11-30T15:50:00-05:00")
    made = make_world(*clock, SYMBOLS="NVDA", MAX_QUOTE_AGE="0", ALLOW_EXTENDED_HOURS="true")
    made.admin("prices", {"NVDA": "100"})
    first = made.start()
    made.await_ends([made.publish("NVDA", qty="3")])
    first.stop()
    made.admin("clock", {"to": "2026-11-30T21:30:00Z"})
    made.start()
    ask(made)
    assert eventually(lambda: bool(request(made).done_ms), PATIENCE), request(made)
    check_flat(made)
    (order,) = [o for o in made.orders() if o["side"] == "sell"]
    assert (order["type"], order["time_in_force"], order["extended_hours"]) == (
        "limit",
        "day",
        True,
    )
