"""Whether the broker's order under an id of ours is the one that was sent."""

from typing import Any

import pytest

from solution.domain.records import Intent, State
from solution.trading.likeness import differs, is_older


@pytest.mark.parametrize(
    ("created_at", "older"),
    [
        ("2026-03-04T15:00:00Z", False),
        ("2026-03-04T14:59:01Z", False),
        ("2026-03-04T14:58:59Z", True),
        ("not a time", False),
        ("2026-03-04T14:50:00", False),
        (None, False),
    ],
)
def test_a_minute_between_two_clocks_is_forgiven(created_at: str | None, older: bool) -> None:
    """Older by more than that is not this signal's order; the unreadable is no proof."""
    intent = Intent(
        identity="i",
        digest="d",
        stream="s",
        entry_id="1-0",
        client_order_id="c",
        state=State.UNKNOWN,
        published_ms=1_772_636_400_000,
    )
    assert is_older(intent, {"created_at": created_at}) is older


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"symbol": "NVDA", "qty": "5.0"}, ""),
        ({"symbol": "NVDA", "qty": "6"}, "qty"),
        ({"symbol": "AMD", "qty": "5"}, "symbol"),
        ({"qty": "5"}, "symbol"),
        ({"symbol": "NVDA", "qty": None, "notional": "500"}, "qty"),
    ],
)
def test_what_counts_as_a_difference(order: dict[str, Any], expected: str) -> None:
    """Numbers by value; what the broker leaves out is a difference where it was sent."""
    intent = Intent(
        identity="i",
        digest="d",
        stream="s",
        entry_id="1-0",
        client_order_id="c",
        state=State.UNKNOWN,
        body=b'{"symbol":"NVDA","qty":"5"}',
    )
    why = differs(intent, order)
    assert (why.split()[0] if why else "") == expected


@pytest.mark.parametrize(
    ("symbol", "same"), [("BTC/USD", True), ("BTCUSD", True), ("ETH/USD", False), ("", False)]
)
def test_a_pair_is_one_symbol_in_two_spellings(symbol: str, same: bool) -> None:
    """A broker that echoes the other one has no other order."""
    intent = Intent(
        identity="i",
        digest="d",
        stream="s",
        entry_id="1-0",
        client_order_id="c",
        state=State.UNKNOWN,
        body=b'{"symbol":"BTC/USD"}',
    )
    assert (differs(intent, {"symbol": symbol}) == "") is same
