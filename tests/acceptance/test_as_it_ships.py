"""Every safety setting at its default: a newcomer's first signal trades, and it is protected."""

from collections.abc import Callable

from solution.config import describe
from tests.helpers.service_process import World

FIRST = {"Ticker": "NVDA", "Direction": "b"}
NEEDED = ("ALPACA_", "REDIS_URL", "LEDGER_URL", "LOG_DIR")


def shipped(made: World) -> dict[str, str]:
    """What a world sets besides addresses and keys, back at its default."""
    mine = {name for name in made.env() if not name.startswith(NEEDED)}
    return {option.name: option.default for option in describe() if option.name in mine}


def test_the_first_signal_of_the_readme_trades(make_world: Callable[..., World]) -> None:
    """``XADD nvda * Ticker NVDA Direction b``, and then a bare ``s``."""
    made = make_world("--rate-limit", "200")
    made.start(**shipped(made))
    bought = made.publish_raw(FIRST)
    made.await_ends([bought])
    assert made.final(bought)["event"] == "fill"
    sold = made.publish_raw({"Ticker": "NVDA", "Direction": "s"})
    made.await_ends([bought, sold])
    assert made.final(sold)["event"] == "fill"
    assert made.broker("positions") == []


def test_and_a_mistake_of_a_producer_does_not(make_world: Callable[..., World]) -> None:
    """A size beyond the caps, a limit price with a digit too many, a loop that buys."""
    made = make_world("--rate-limit", "0")
    made.start(**{**shipped(made), "RATE_LIMIT_PER_MINUTE": "0"})
    entries = [
        made.publish("F", "b", qty="100000"),
        made.publish("NVDA", "b", qty="1", order_type="limit", limit_price="9999"),
    ]
    loop = [made.publish("F", "b", qty="1") for _ in range(70)]
    made.await_ends(entries + loop)
    reasons = [made.final(entry).get("reason", "") for entry in entries + loop]
    assert reasons[:2] == ["ORDER_NOTIONAL_CAP", "PRICE_COLLAR"]
    assert reasons[2:62] == [""] * 60
    assert reasons[62:] == ["ORDERS_PER_MINUTE"] * 10
