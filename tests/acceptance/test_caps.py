"""I5: side by side, and across a takeover, no limit is exceeded by a share, a cent or an order.

The exchange's own record is the witness. Its prices stand still, and a share costs what it brings,
so that what a position is worth does not depend on who looks when.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from solution.domain.records import Intent
from tests.helpers.clocks import eventually
from tests.helpers.service_process import World

SEED = 20260306
PRICES = {"AAA": 10, "BBB": 25, "CCC": 40, "DDD": 100, "EEE": 250, "FFF": Decimal("33.33")}
CALM = "GGG"
"""A ticker that no storm touches."""
EQUITY = 100_000
POSITION, NOTIONAL, QTY, GROSS = 10_000, 3_000, 150, 30_000
TICKER = {"AAA": 4_000, "DDD": 5_000}
STRATEGY = {"one": 6_000, "two": 5_000}
A_DAY, A_MINUTE, A_TICKER_MINUTE = 140, 40, 8
CAPS = {
    "MAX_POSITION_PCT": "0.10",
    "MAX_ORDER_NOTIONAL": str(NOTIONAL),
    "MAX_ORDER_QTY": str(QTY),
    "MAX_GROSS_EXPOSURE_PCT": "0.3",
    "TICKER_CAPS": "AAA:4000,DDD:5%",
    "STRATEGY_CAPS": "one:6000,two:5%",
    "MAX_TRADES_PER_DAY": str(A_DAY),
    "MAX_ORDERS_PER_MINUTE": str(A_MINUTE),
    "MAX_ORDERS_PER_MINUTE_PER_TICKER": str(A_TICKER_MINUTE),
    "MAX_QUOTE_AGE": "0",
    "ORDERING": "none",
}
UNHURRIED = {"MAX_ORDERS_PER_MINUTE": "0", "MAX_ORDERS_PER_MINUTE_PER_TICKER": "0"}


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """A recording in which every price stands still and bid is ask."""
    still = {**PRICES, CALM: 1}
    rows = [f"2026-03-06T14:30:00Z,{ticker},{p},{p}" for ticker, p in still.items()]
    path = tmp_path / "quotes.csv"
    path.write_text("\n".join(["timestamp,symbol,bid_price,ask_price", *rows]) + "\n")
    return str(path)


EVERY_KIND = ("bare", "bare", "qty", "notional", "weight", "target", "short", "sell")
BUYS = ("bare", "qty", "notional", "weight")


def adversarial(
    count: int,
    kinds: Sequence[str] = EVERY_KIND,
    strategies: Sequence[str] = ("one", "two", "three"),
) -> Iterator[dict[str, str]]:
    """Signals of a producer gone mad: every way to ask for a size, mostly for too much."""
    draw = random.Random(SEED)
    sizes = {
        "qty": ["1", "7", "60", "150", "151", "100000"],
        "notional": ["100", "2999", "3000", "3000.01", "1000000000"],
        "weight": ["0.01", "0.05", "1"],
        "target": ["0", "5", "50", "99999"],
        "short": ["5", "40", "149", "5000"],
    }
    fields = {"target": "target_qty", "short": "qty"}
    for _ in range(count):
        kind = draw.choice(kinds)
        signal = {"ticker": draw.choice(list(PRICES)), "direction": "b"}
        signal["strategy"] = draw.choice(strategies)
        if kind in sizes:
            signal[fields.get(kind, kind)] = draw.choice(sizes[kind])
        if kind == "target":
            del signal["direction"]
        if kind in {"short", "sell"}:
            signal["direction"] = "s"
        if kind == "short":
            signal["action"] = "short_sell"
        yield signal


class Witness:
    """What the exchange executed, one fill after the other, and what stood after each."""

    def __init__(self, made: World) -> None:
        self.rows: dict[str, Intent] = made.rows()
        self.orders = made.orders()
        self.fills = sorted(
            (o for o in self.orders if Decimal(o["filled_qty"])), key=lambda o: str(o["filled_at"])
        )

    def positions(self) -> Iterator[dict[str, Decimal]]:
        """Shares by ticker after each order."""
        held: dict[str, Decimal] = defaultdict(Decimal)
        for order in self.fills:
            signed = Decimal(order["filled_qty"]) * (1 if order["side"] == "buy" else -1)
            held[order["symbol"]] += signed
            yield held

    def bought(self) -> dict[str, Decimal]:
        """What each strategy has bought in all, in dollars."""
        total: dict[str, Decimal] = defaultdict(Decimal)
        for order in self.fills:
            assert order["side"] == "buy"
            strategy = self.rows[order["client_order_id"]].strategy
            total[strategy] += value(order["symbol"], Decimal(order["filled_qty"]))
        return total

    def opened(self) -> list[tuple[float, str]]:
        """When and in which ticker orders were sent that open or add."""
        found = [
            (datetime.fromisoformat(o["submitted_at"]).timestamp(), str(o["symbol"]))
            for o in self.orders
            if self.rows[o["client_order_id"]].reserved_cash > 0
        ]
        return sorted(found)


def value(symbol: str, qty: Decimal) -> Decimal:
    return abs(qty) * PRICES[symbol]


def most_within(times: list[float], seconds: float) -> int:
    """The largest number of moments in any such stretch."""
    return max((sum(t <= x < t + seconds for x in times) for t in times), default=0)


def check_caps(made: World, *, hurried: bool = False) -> None:
    """Every limit, after every fill and over every stretch of time."""
    witness = Witness(made)
    for order in witness.orders:
        row: Any = witness.rows[order["client_order_id"]]
        if row.reserved_cash > 0:
            asked = Decimal(order["qty"] or order["filled_qty"])
            assert asked <= QTY, order
            assert value(order["symbol"], asked) <= NOTIONAL, order
    for held in witness.positions():
        for symbol, qty in held.items():
            assert value(symbol, qty) <= TICKER.get(symbol, POSITION), (symbol, qty)
        assert sum(value(s, q) for s, q in held.items()) <= GROSS, dict(held)
    opened = witness.opened()
    times = [at for at, _ in opened]
    assert len(opened) <= A_DAY
    if hurried:
        return  # no limit per minute is set
    assert most_within(times, 59.5) <= A_MINUTE
    for ticker in PRICES:
        assert most_within([at for at, of in opened if of == ticker], 59.5) <= A_TICKER_MINUTE
    assert all(earlier <= later for earlier, later in pairwise(times))


@pytest.mark.timeout(180)
def test_sixty_four_workers_exceed_no_limit(make_world: Callable[..., World], prices: str) -> None:
    """A storm of signals over six tickers, in any order: no limit is passed."""
    made = make_world("--replay", prices, SYMBOLS=",".join(PRICES), SIZING="weight", **CAPS)
    made.start(workers=64)
    entries = [made.publish_raw(signal) for signal in adversarial(700)]
    made.await_ends(entries, 90)
    check_caps(made)
    # What the others refuse depends on which signal comes first; they have the test below.
    refused = Counter(reason for _, reason, _ in made.unsent())
    assert {"ORDER_QTY_CAP", "ORDER_NOTIONAL_CAP"} <= set(refused), refused
    assert Witness(made).fills
    made.check(entries, orders=len(made.orders()))


@pytest.mark.timeout(180)
def test_each_limit_is_met_and_not_passed(make_world: Callable[..., World], prices: str) -> None:
    """Orders of one size crowd at each limit: as many pass as have room, whichever they are."""
    made = make_world("--replay", prices, SYMBOLS=",".join(PRICES), SIZING="weight", **CAPS)
    made.start(workers=64)
    crowd(
        made,
        Crowd("AAA", "100", passed=4, reason="TICKER_CAP"),
        Crowd("BBB", "100", passed=4, reason="POSITION_CAP"),
        Crowd("CCC", "25", passed=6, reason="STRATEGY_CAP", strategy="one"),
        Crowd("DDD", "31", passed=0, reason="ORDER_NOTIONAL_CAP"),
        Crowd("DDD", "151", passed=0, reason="ORDER_QTY_CAP"),
        Crowd("EEE", "1", passed=A_TICKER_MINUTE, reason="ORDERS_PER_MINUTE"),
    )
    # They leave 8,000 of what all positions together may be worth.
    crowd(made, Crowd("FFF", "60", passed=4, reason="GROSS_EXPOSURE_CAP"))
    check_caps(made)


@dataclass(frozen=True)
class Crowd:
    """Twelve signals to buy the same, of which so many have room."""

    ticker: str
    qty: str
    passed: int
    reason: str
    strategy: str = "three"

    def signals(self) -> list[dict[str, str]]:
        """Each as it is published."""
        asked = {"ticker": self.ticker, "direction": "b", "qty": self.qty}
        return [{**asked, "strategy": self.strategy}] * 12


def crowd(made: World, *crowds: Crowd) -> None:
    """All at once and mixed; each ends as it must."""
    published = defaultdict(list)
    for together in zip(*(of.signals() for of in crowds), strict=True):
        for of, signal in zip(crowds, together, strict=True):
            published[of].append(made.publish_raw(signal))
    # Within a minute, or MAX_ORDERS_PER_MINUTE would begin anew.
    made.await_ends([entry for entries in published.values() for entry in entries], 50)
    reasons = {entry: reason for entry, reason, _ in made.unsent()}
    for of, entries in published.items():
        ends = Counter(reasons.get(entry, "sent") for entry in entries)
        assert ends == +Counter({"sent": of.passed, of.reason: 12 - of.passed}), of


@pytest.mark.timeout(180)
def test_no_strategy_buys_beyond_its_cap(make_world: Callable[..., World], prices: str) -> None:
    """A storm of buys alone, so that what each strategy holds is what it bought.

    Only strategies that have a cap: together they come near no other limit but a ticker's.
    """
    made = make_world(
        "--replay", prices, SYMBOLS=",".join(PRICES), SIZING="weight", **(CAPS | UNHURRIED)
    )
    made.start(workers=64)
    entries = [made.publish_raw(signal) for signal in adversarial(300, BUYS, tuple(STRATEGY))]
    made.await_ends(entries, 90)
    check_caps(made, hurried=True)
    bought = Witness(made).bought()
    assert all(3_000 < bought[name] <= cap for name, cap in STRATEGY.items()), bought
    assert "STRATEGY_CAP" in {reason for _, reason, _ in made.unsent()}


@pytest.mark.timeout(180)
def test_a_takeover_begins_with_what_is_used_up(
    make_world: Callable[..., World], prices: str, postgres_url: str
) -> None:
    """kill -9 in the middle of the storm: the standby knows what the other one sent and holds."""
    made = make_world(
        *("--replay", prices),
        **{**CAPS, "MAX_TRADES_PER_DAY": "40", **UNHURRIED},
        SYMBOLS=",".join([*PRICES, CALM]),
        SIZING="weight",
        LEDGER_URL=postgres_url,
    )
    active = made.start(workers=64)
    standby = made.launch(workers=64)
    assert eventually(lambda: "standby" in standby.text)
    signals = list(adversarial(400))
    entries = [made.publish_raw(signal) for signal in signals[:200]]
    assert eventually(lambda: len(made.orders()) > 10)
    active.kill()
    entries += [made.publish_raw(signal) for signal in signals[200:]]
    standby.await_start()
    assert eventually(lambda: settled(made, entries), 90)
    check_caps(made, hurried=True)
    # What is left of the day's orders is used up as well, with room under every other limit.
    entries = [made.publish_raw({"ticker": t, "direction": "s"}) for t in PRICES]
    made.await_ends(entries)
    entries = [made.publish_raw({"ticker": CALM, "direction": "b", "qty": "1"}) for _ in range(41)]
    made.await_ends(entries)
    assert len(Witness(made).opened()) <= 40
    # One that the broker refused, or that may not be sent again, has used up its place.
    assert sum(row.reserved_cash > 0 and row.submitted_ms > 0 for row in made.rows().values()) >= 40
    assert "TRADES_PER_DAY" in {made.final(entry).get("reason") for entry in entries}


def settled(made: World, entries: list[str]) -> bool:
    """Ended, or given up: what was on its way in the kill and may not be sent again for a limit."""
    last = {entry: told[-1] for entry, told in made.told().items()}
    ends = [last.get(entry, "") for entry in entries]
    over = all(end.endswith("!") or end == "expired_unconfirmed" for end in ends)
    return over and not made.pending()
