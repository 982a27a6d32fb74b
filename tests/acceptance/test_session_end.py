"""EOS_BEHAVIOR=liquidate at the exchange's clock: a normal day and a half day."""

import json
from collections.abc import Callable

import pytest

from solution.domain.flattening import PREFIX, Flattening, flattening_of
from solution.ledger import open_reader
from tests.helpers.clocks import eventually
from tests.helpers.service_process import World

PATIENCE = 60.0
SETTINGS = {
    "SYMBOLS": "NVDA,F",
    "MAX_QUOTE_AGE": "0",
    "EOS_BEHAVIOR": "liquidate",
    "EOS_MINUTES": "5",
}
"""The exchange's days are not ours, so its quotes have no age by our clock."""
DAYS = {"2026-11-30": "21:00", "2026-11-27": "18:00"}
"""A normal day and the one after Thanksgiving: when the session closes, UTC."""


def states(made: World, prefix: str) -> dict[str, str]:
    with open_reader(made.env()["LEDGER_URL"]) as reader:
        return reader.states(prefix)


def requests(made: World) -> list[Flattening]:
    """Every request to flatten."""
    rows = states(made, PREFIX)
    return [flattening_of(key.removeprefix(PREFIX), text) for key, text in rows.items()]


def is_done(made: World) -> bool:
    found = requests(made)
    return bool(found) and all(one.done_ms for one in found)


def positions(made: World) -> dict[str, str]:
    return {p["symbol"]: p["qty"] for p in made.broker("positions")}


def before(close: str, minutes: int) -> str:
    """A time of day so many minutes before the close, UTC."""
    hours, at = divmod(int(close[:2]) * 60 + int(close[3:]) - minutes, 60)
    return f"{hours:02d}:{at:02d}"


@pytest.mark.parametrize(("day", "close"), DAYS.items())
def test_stocks_are_closed_once_before_the_real_close(
    make_world: Callable[..., World], day: str, close: str
) -> None:
    """By a start within the window; not before it, not twice, and crypto stays."""
    start = f"{day}T{before(close, 20)}:00Z"
    made = make_world("--session", "nyse", "--stepped", "--start", start, **SETTINGS)
    made.admin("prices", {"NVDA": "100", "F": "10", "BTC/USD": "50000"})
    coin = {"symbol": "BTC/USD", "side": "buy", "type": "market", "time_in_force": "gtc"}
    made.broker("orders", {**coin, "qty": "0.1"})
    first = made.start()
    made.await_ends([made.publish("NVDA", qty="10"), made.publish("F", qty="1.5")])
    made.publish("NVDA", qty="1", order_type="limit", limit_price="50", time_in_force="day")
    assert eventually(lambda: any(o["status"] == "new" for o in made.orders()))
    assert requests(made) == []
    first.stop()
    made.admin("clock", {"to": f"{day}T{before(close, 3)}:00Z"})
    second = made.start()
    assert eventually(lambda: is_done(made), PATIENCE), requests(made)
    (found,) = requests(made)
    assert (found.id, found.flat) == (f"eos-{day}", True)
    assert {one.end for one in found.cancelled.values()} == {"canceled"}
    assert list(positions(made)) == ["BTCUSD"]
    (row,) = states(made, "trading_state:").values()
    assert json.loads(row)["state"] == "REDUCING"
    late = made.publish("NVDA", qty="1")
    assert eventually(lambda: made.ended([late]))
    assert made.final(late)["reason"] == "REDUCING_ONLY"
    count = len(made.orders())
    second.stop()
    made.start()
    assert [one.id for one in requests(made)] == [f"eos-{day}"]
    assert len(made.orders()) == count


def test_a_running_service_notices_the_window(make_world: Callable[..., World]) -> None:
    """The exchange's clock runs; half a minute before the close of a half day it begins."""
    start = "2026-11-27T12:59:16-05:00"
    made = make_world("--session", "nyse", "--start", start, **SETTINGS | {"EOS_MINUTES": "0.5"})
    made.start()
    made.await_ends([made.publish("NVDA", qty="10")])
    assert requests(made) == []
    assert eventually(lambda: is_done(made), PATIENCE), requests(made)
    (found,) = requests(made)
    assert found.flat
    assert positions(made) == {}


def test_a_crash_between_the_restriction_and_the_request(
    make_world: Callable[..., World],
) -> None:
    """The next start asks; nothing is asked for twice."""
    start = "2026-11-30T20:50:00Z"
    made = make_world("--session", "nyse", "--stepped", "--start", start, **SETTINGS)
    made.admin("prices", {"NVDA": "100"})
    first = made.start()
    made.await_ends([made.publish("NVDA", qty="10")])
    first.stop()
    made.admin("clock", {"to": "2026-11-30T20:57:00Z"})
    for point in ("flatten.session_restricted", "flatten.session_asked"):
        crashing = made.launch(SIGNALPACA_FAILPOINTS=f"{point}=kill")
        assert eventually(lambda one=crashing: one.process.poll() is not None), point
    made.start()
    assert eventually(lambda: is_done(made), PATIENCE), requests(made)
    assert [one.flat for one in requests(made)] == [True]
    assert positions(made) == {}
