"""A snapshot of a running instance, as status, top and demo read it."""

from typing import Any

from hypothesis import strategies as st

UPDATES = [
    {"event": "submitted", "status": "pending_new", "side": "buy", "qty": "10", "symbol": "NVDA"},
    {"event": "new", "status": "new", "side": "buy", "qty": "10", "symbol": "NVDA"},
    {"event": "partial_fill", "side": "buy", "qty": "4", "price": "135.2", "symbol": "NVDA"},
    {"event": "fill", "final": True, "side": "buy", "qty": "6", "price": "135.2", "symbol": "NVDA"},
    {"event": "refused", "final": True, "side": "sell", "symbol": "AMD", "reason": "NOPE"},
]


def updates(count: int) -> list[dict[str, Any]]:
    """That many, one a second, each kind in turn; oldest first."""
    return [
        {"id": i, "at": f"2026-11-20T15:{i // 60:02}:{i % 60:02}.000Z", **UPDATES[i % 5]}
        for i in range(count)
    ]


def positions(count: int) -> list[dict[str, Any]]:
    """That many of 10 shares, each worth more than the one before; every second one has lost."""
    return [
        {
            "symbol": f"S{i:03}",
            "qty": "10",
            "avg_entry": f"{100 + i}.0000",
            "price": f"{100 + i + (-1) ** i}",
            "market_value": f"{10 * (100 + i + (-1) ** i)}.00",
            "unrealized_pl": f"{10 * (-1) ** i}.00",
        }
        for i in range(count)
    ]


def snapshot(**changed: Any) -> dict[str, Any]:
    """A healthy instance with one position, one open order and five updates."""
    return {
        "instance": "host-1",
        "at": "2026-11-20T15:00:07.123+00:00",
        "mode": "paper",
        "trading_state": "ACTIVE",
        "kill_switch": None,
        "account": {"equity": "100000.5", "cash": "90000", "buying_power": "380000"},
        "positions": [
            {
                "symbol": "NVDA",
                "qty": "10",
                "avg_entry": "135.2000",
                "price": "134",
                "market_value": "1340.00",
                "unrealized_pl": "-12.00",
            }
        ],
        "open_orders": [
            {"symbol": "AAPL", "side": "buy", "qty": "3", "state": "OPEN", "status": "new"}
        ],
        "updates": updates(5),
        "counts": {"FILLED": 1, "NOPE": 3},
        "latency_ms": {"p50": 3, "p99": 9},
        "signals": {"read": 4, "waiting": 1, "in_hand": 2, "dead_letters": 5},
        "rate": {"limit": 200, "used": 190, "left_for_entries": 0},
        "redis": {
            "connected": True,
            "trouble": "",
            "read_age_s": 0.2,
            "unpublished": 2,
            "uncommitted": 1,
        },
        "stream": {"connected": True, "state": "listening", "age_s": 1.5, "reconnects": 2},
        "prices": {"watched": 3, "newest_s": 0.1, "oldest_s": 0.9},
        "threads": {"workers": True, "listener": True},
        **changed,
    }


def of_earlier_version(**changed: Any) -> dict[str, Any]:
    """One whose instance tells orders on their way and ends, and no updates."""
    ends = [
        {
            "symbol": "NVDA",
            "side": "buy",
            "qty": "10",
            "state": "FILLED",
            "at": "2026-11-20T15:00:01Z",
        },
        {"symbol": "AMD", "side": "sell", "qty": "", "state": "REFUSED", "reason": "NOPE"},
    ]
    found = snapshot(recent=ends, **changed)
    del found["updates"]
    return found


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "1e999999", "NaN", "sNaN", "-Infinity", "open", "DONE", "[red]x[/]", "7"]),
    st.sampled_from(["a\nb", "\x1b[2J", "\u202egnp", "全角文字", "e\u0301", "x" * 500]),
    st.text(max_size=5),
)
NAMES = st.sampled_from(
    [
        *sorted({*snapshot(), *snapshot()["positions"][0], *snapshot()["rate"], "x", "limits"}),
        *("restrictions", "reducing", "kills", "control", "trouble", "alerts", "reason", "side"),
        *("breaker", "flips", "day", "failures", "why", "changes", "opening", "daily_loss"),
        *("flattening", "halted", "reserved_orders", "stage", "age_s", "p50", "unpublished"),
        *("state", "peak", "p99", "change", "event", "status", "final", "recent", "read_age_s"),
        *("watched", "newest_s"),
    ]
)
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
"""What a key in Redis may hold at the place of anything: it is anybody's to write."""
ODD = st.dictionaries(NAMES, JSON, max_size=8)
