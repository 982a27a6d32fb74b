"""Signals by seed: good ones of several kinds, repeated ones, and nonsense.

Each good signal makes an order that nobody else's looks like (its size or its limit price is its
number), so that the broker's log tells which signal an order is of, whatever id it came under.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count, product
from random import Random
from string import ascii_uppercase

SYMBOLS = [
    "".join(pair) for pair, _ in zip(product("NQR", ascii_uppercase), range(36), strict=False)
]
RESTING = SYMBOLS[:6]
"""Where orders rest, and exits have them cancelled: those wait, so these orders overtake."""
OLD = SYMBOLS[10:12]
"""Where orders of yesterday stand under the ids of today's signals."""
TAKEN = SYMBOLS[12:16]
"""Where orders of another size do, so that the first signal of each halts it for good."""
SIZED = SYMBOLS[6:10]
"""Where the size is computed from what is held; nothing is at first."""
BUSY = SYMBOLS[16:32]
SCARCE = SYMBOLS[32:34]
"""Of which little is held; sales of it rest far from the market, each of more than half of it."""
LARGE = SYMBOLS[34:36]
"""Where buys rest far from the market, each of two fifths of all cash there is."""

FEW_HELD, FEW_SOLD = 1000, 600
LARGE_BOUGHT = 8_000_000_000
HELD = {
    **dict.fromkeys(RESTING + BUSY, Decimal(1_000_000)),
    **dict.fromkeys(SCARCE, Decimal(FEW_HELD)),
}
"""Shares at the beginning: enough of most for every sale."""

KINDS = {
    "market": 50,
    "short-lived": 12,
    "ioc limit": 8,
    "computed size": 8,
    "resting": 8,
    "exit": 3,
    "scarce shares": 8,
    "repeated": 6,
    "id reused": 2,
    "old id": 1,
    "taken id": 1,
    "nonsense": 5,
}
"""Kinds of signals and their weights."""
STANDING = frozenset({"old id", "taken id"})
"""Kinds under whose id an order stands at the broker before they are published."""
WITH_LITTLE_CASH = {**KINDS, "scarce cash": 8}
SHORT = 0.5
"""Seconds that a short-lived signal may be old."""

NONSENSE = (
    {"ticker": "NA"},
    {"ticker": "NOSUCH", "direction": "b"},
    {"ticker": "NA", "direction": "b", "qty": "NaN"},
    {"ticker": "NA", "direction": "b", "colour": "red"},
    {"json": "[" * 1000},
)


@dataclass(frozen=True, slots=True)
class Made:
    """One signal before it is published.

    Args:
        fields: of the entry.
        key: :func:`torture.book.key_of` of its order, "" when it must have none.
        identity: its ``signal_id``, "" when its entry id serves.
        kind: as it is counted.
        max_age: seconds after which no process may send it any more; 0 for the default.
    """

    fields: dict[str, str]
    key: str
    identity: str
    kind: str
    max_age: float = 0.0

    def moved_to(self, symbol: str) -> "Made":
        """The same of another asset."""
        _, _, rest = self.key.partition(" ")
        return replace(self, fields={**self.fields, "ticker": symbol}, key=f"{symbol} {rest}")


def signals(seed: str, kinds: Mapping[str, int] = KINDS) -> Iterator[Made]:
    """Without end."""
    draw = Random(f"{seed}/signals")
    named: list[Made] = []
    for number in count(1):
        made = _one(draw, number, named, kinds)
        if made.identity and made.kind not in {"repeated", "id reused", *STANDING}:
            named.append(made)
        yield made


def _one(draw: Random, number: int, named: list[Made], kinds: Mapping[str, int]) -> Made:
    kind = draw.choices(list(kinds), list(kinds.values()))[0]
    if kind == "nonsense":
        return Made(dict(draw.choice(NONSENSE)), "", "", kind)
    if kind in {"repeated", "id reused"} and named:
        earlier = draw.choice(named[-20:])
        if kind == "repeated":
            return Made(earlier.fields, earlier.key, earlier.identity, kind, earlier.max_age)
        fields = {"ticker": earlier.fields["ticker"], "direction": "b", "qty": str(number)}
        key = f"{fields['ticker']} buy {number}"
        return Made({**fields, "signal_id": earlier.identity}, key, earlier.identity, kind)
    return _order(draw, number, kind)


PLACES = {
    "resting": RESTING,
    "exit": RESTING,
    "computed size": SIZED,
    "old id": OLD,
    "taken id": TAKEN,
    "scarce shares": SCARCE,
    "scarce cash": LARGE,
}
"""Kinds that have symbols of their own."""
DIRECTIONS = {
    **dict.fromkeys(("resting", "computed size", *STANDING, "scarce cash"), "b"),
    **dict.fromkeys(("exit", "scarce shares"), "s"),
}
LIMITS = {
    "ioc limit": 100,
    "computed size": 100,
    "resting": 50,
    "scarce shares": 150,
    "scarce cash": 50,
}
"""The price that a signal's number is added to, in cents."""
RESTS = {"resting": "0.4", "scarce shares": "1.0", "scarce cash": "1.0"}
"""Seconds for which orders of a kind may rest."""
SIZES = {"scarce shares": FEW_SOLD, "scarce cash": LARGE_BOUGHT}
"""Kinds of one size; the others' is their number."""


def _order(draw: Random, number: int, kind: str) -> Made:
    direction = DIRECTIONS.get(kind) or draw.choice("bs")
    symbol = draw.choice(PLACES.get(kind, BUSY))
    fields = {"ticker": symbol, "direction": direction}
    side = "buy" if direction == "b" else "sell"
    key = f"{symbol} {side} {number}"
    if kind in LIMITS:
        price = f"{LIMITS[kind] + number / 100:.2f}"
        fields |= {"order_type": "limit", "limit_price": price}
        key = f"{symbol} {side} at {price}"
    if kind == "computed size":
        fields |= {
            "weight": f"{number / 10_000_000:.7f}"
        }  # ever more, so that there is a difference
    else:
        fields |= {"qty": str(SIZES.get(kind, number))}
    if kind in RESTS:
        fields |= {"time_in_force": "day", "cancel_after": RESTS[kind]}
    identity, max_age = "", 0.0
    if draw.random() < 0.4 or kind in STANDING:
        identity = fields["signal_id"] = f"signal-{number}"
    if kind == "short-lived":
        max_age = SHORT
        fields["max_age"] = str(SHORT)
    return Made(fields, key, identity, kind, max_age)
