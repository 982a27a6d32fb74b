"""Snapshots as text and as a screen."""

from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from solution.ui import terminal


def snapshot(**changed: Any) -> dict[str, Any]:
    """A healthy instance with one position, one open order and two ends."""
    return {
        "instance": "host-1",
        "at": "2026-11-20T15:00:07.123+00:00",
        "mode": "paper",
        "kill_switch": None,
        "account": {"equity": "100000.5", "cash": "90000", "buying_power": "380000"},
        "positions": [
            {
                "symbol": "NVDA",
                "qty": "10",
                "avg_entry": "135.2000",
                "price": "134",
                "unrealized_pl": "-12.00",
            }
        ],
        "open_orders": [
            {"symbol": "AAPL", "side": "buy", "qty": "3", "state": "OPEN", "filled_qty": "0"}
        ],
        "recent": [
            {"symbol": "NVDA", "side": "buy", "qty": "10", "state": "FILLED", "at": "T15:00:01"},
            {"symbol": "AMD", "side": "sell", "qty": "", "state": "REFUSED", "reason": "NOPE"},
        ],
        "counts": {"FILLED": 1, "NOPE": 3},
        "latency_ms": {"p50": 3, "p99": 9},
        "signals": {"read": 4, "waiting": 1, "in_hand": 2, "dead_letters": 5},
        "rate": {"limit": 200, "used": 190, "left_for_entries": 0},
        "redis": {"connected": True, "trouble": "", "unpublished": 2, "uncommitted": 1},
        "stream": {"connected": True, "state": "listening", "age_s": 1.5, "reconnects": 2},
        "threads": {"workers": True, "listener": True},
        **changed,
    }


def drawn(*snapshots: dict[str, Any], **options: Any) -> str:
    """The screen as plain text, 120 columns wide."""
    console = Console(width=120, file=StringIO(), color_system=None)
    console.print(terminal.screen(snapshots, **options))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("100000.5", "100,000.50"), ("-0.1", "-0.10"), (None, "–"), ("", "–"), ("x", "–")],
)
def test_money(text: object, shown: str) -> None:
    """Thousands and cents; a dash for what is no number."""
    assert terminal.money(text) == shown


@pytest.mark.parametrize(
    ("state", "mark"),
    [("FILLED", "✓"), ("OPEN", "◌"), ("UNKNOWN", "◌"), ("REFUSED", "✗"), ("CANCELED", "✗")],
)
def test_marks(state: str, mark: str) -> None:
    """Filled, on its way, or ended otherwise."""
    assert terminal.mark_of(state) == mark


def test_a_healthy_instance_has_no_troubles() -> None:
    """Nothing to look at."""
    assert terminal.troubles(snapshot()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kill_switch": "the file exists"}, "KILL SWITCH: the file exists"),
        ({"threads": {"workers": False, "listener": True}}, "threads not running: workers"),
        ({"redis": {"connected": False}}, "Redis: not connected"),
        ({"redis": {"connected": True, "trouble": "OOM"}}, "Redis: OOM"),
        (
            {"redis": {"connected": True, "alerts": {"REDIS_UNREAD_LOST": 2}}},
            "Redis: REDIS_UNREAD_LOST since the start, 2 in all: see the log",
        ),
        ({"stream": {"connected": False, "state": "refused: keys"}}, "order stream: refused: keys"),
    ],
)
def test_every_trouble_is_named(changed: dict[str, Any], said: str) -> None:
    """In words a person can act on, in text and on the screen."""
    one = snapshot(**changed)
    assert terminal.troubles(one) == [said]
    assert f"  ! {said}" in terminal.text_lines(one)
    assert said in drawn(one)
    assert said in terminal.short_line(one)


def test_the_text_says_everything() -> None:
    """One line per fact, positions and orders below."""
    text = "\n".join(terminal.text_lines(snapshot()))
    assert text.startswith("host-1 · paper · 15:00:07\n")
    for part in (
        "equity 100,000.50 · cash 90,000.00 · buying power 380,000.00",
        "4 read · 1 waiting · 2 in hand · 5 dead letters",
        "3 NOPE · 1 FILLED",
        "190 of 200 requests used in the last minute · 0 left for entries",
        "p50 3 ms · p99 9 ms",
        "connected · 3 events waiting to be written",
        "listening · heard 1.5 s ago · 2 reconnects",
        "2 running",
        "10 at 135.20 · now 134.00 · unrealised -12.00",
    ):
        assert part in text


def test_real_money_is_not_overlooked() -> None:
    """In every form of the picture; another mode is named plainly."""
    live = snapshot(mode="live")
    assert terminal.text_lines(live)[0] == "host-1 · LIVE, REAL MONEY · 15:00:07"
    assert terminal.short_line(live).startswith("15:00:07 · LIVE · ")
    assert "LIVE, REAL MONEY" in drawn(live)
    console = Console(width=120, file=StringIO(), color_system="standard", force_terminal=True)
    console.print(terminal.screen([live]))
    assert "\x1b[1;37;41m host-1 · LIVE" in console.file.getvalue()  # type: ignore[attr-defined]
    assert terminal.short_line(snapshot(mode="shadow")).startswith("15:00:07 · shadow · ")


def test_orders_on_their_way_come_first_then_the_newest_end() -> None:
    """At most as many as asked for."""
    rows = terminal.updates_of(snapshot(), 2)
    assert [row["symbol"] for row in rows] == ["AAPL", "AMD"]
    assert terminal.updates_of(snapshot(), 0) == []


def test_an_update_is_one_line() -> None:
    """Empty parts leave no gap."""
    row = {"symbol": "AMD", "side": "sell", "qty": "", "state": "REFUSED", "reason": "NOPE"}
    assert terminal.update_line(row) == "✗ sell AMD REFUSED NOPE"


def test_an_empty_snapshot_is_shown_with_dashes() -> None:
    """Another version's snapshot, or one of the first second, never raises."""
    text = "\n".join(terminal.text_lines({}))
    assert "account    not known yet" in text
    assert "positions  none" in text
    assert "no orders yet" in text
    assert "–" in terminal.short_line({})
    assert "none yet" in drawn({})


def test_unusual_states_are_said() -> None:
    """No limit, reserved money, a stream that is quiet for too long."""
    one = snapshot(
        rate={"limit": 0},
        account={"equity": "1", "reserved_orders": 2, "reserved_buying_power": "12.5"},
        stream={"connected": True, "state": "listening", "age_s": 31.0, "reconnects": 0},
    )
    facts = dict(terminal.facts(one))
    assert facts["rate"] == "unlimited"
    assert facts["account"].endswith("12.50 reserved")
    assert facts["stream"] == "listening · heard 31.0 s ago (QUIET)"
    assert "unlimited" in drawn(one)


def test_the_screen_shows_every_instance_and_the_notes() -> None:
    """One panel each, the bar filled as far as the budget is used."""
    text = drawn(snapshot(), snapshot(instance="host-2"), notes=["hello"], updates=3)
    assert text.startswith("hello")
    assert "host-1" in text
    assert "host-2" in text
    assert "█" * 19 + "░" in text
    assert "✓" in text


def test_the_screen_limits_the_updates() -> None:
    """`--updates 1` shows the order on its way only."""
    text = drawn(snapshot(), updates=1)
    assert "◌" in text
    assert "✓" not in text


def test_a_flatten_that_is_under_way_is_shown() -> None:
    """With what is left, if that is known yet."""
    found = terminal.troubles({"flattening": {"one": "NVDA 10: why", "two": ""}})
    assert found == ["flatten one is under way: NVDA 10: why", "flatten two is under way"]


def test_halted_tickers_want_a_person() -> None:
    """Each with its reason, beside the kill switch; a snapshot without the key has none."""
    found = terminal.troubles({"halted": {"NVDA": "an orphan", "F": "another"}})
    assert found == ["NVDA is halted: an orphan", "F is halted: another"]
    assert terminal.troubles({}) == []


@pytest.mark.parametrize(
    ("breaker", "shown"),
    [
        ({}, "–"),
        ({"state": "off", "limit": 0, "failures": 0}, "off"),
        ({"state": "closed", "limit": 5, "failures": 0}, "closed · 0 failures in a row, 5 open it"),
        (
            {"state": "closed", "limit": 5, "failures": 2, "why": "HTTP 500"},
            "closed · 2 failures in a row, 5 open it · last: HTTP 500",
        ),
    ],
)
def test_the_breaker(breaker: dict[str, Any], shown: str) -> None:
    """Its state and how far it is from opening."""
    assert dict(terminal.facts(snapshot(breaker=breaker)))["breaker"] == shown
    assert terminal.troubles(snapshot(breaker=breaker)) == []


@pytest.mark.parametrize("state", ["open", "half-open"])
def test_an_open_breaker_is_trouble(state: str) -> None:
    """In red on the screen, and in the one line."""
    shown = snapshot(breaker={"state": state, "limit": 5, "failures": 5, "why": "HTTP 500"})
    assert terminal.troubles(shown) == [f"circuit breaker {state}: HTTP 500"]
    assert f"circuit breaker {state}: HTTP 500" in terminal.short_line(shown)


def test_flips() -> None:
    """The tickers with most changes first; what halts one beside them."""
    changes = {"A": 1, "B": 7, "C": 2, "D": 1, "E": 1, "F": 1}
    shown = dict(terminal.facts(snapshot(flips={"limit": 30, "changes": changes})))["flips"]
    assert shown == "B 7 · C 2 · A 1 · D 1 · E 1 · 30 halt a ticker"
    assert dict(terminal.facts(snapshot()))["flips"] == "none · no limit"


def test_the_day() -> None:
    """Change since the opening, distance to the peak, limits."""
    day = {
        "opening": "100000.00",
        "peak": "103000.00",
        "change_pct": "-1.00",
        "below_peak_pct": "4.00",
        "limits": {"daily_loss": "5.00"},
    }
    shown = dict(terminal.facts(snapshot(day=day)))["day"]
    assert shown == "-1.00 % since 100,000.00 · 4.00 % below 103,000.00 · loss limit 5.00 %"
    assert dict(terminal.facts(snapshot(day={})))["day"] == "not known yet"
    bare = dict(terminal.facts(snapshot(day={"change_pct": "x"})))["day"]
    assert bare == "– % since – · – % below – · no limit"


def test_restrictions_are_for_a_person_to_see() -> None:
    """Who set them and why; kills that are not at their end; a control stream that is away."""
    shown = {
        "restrictions": {"daily_loss": {"state": "REDUCING", "message": "5% lost"}},
        "reducing": {"NVDA": "by hand"},
        "kills": {
            "0123456789": {"stage": "cancelling", "asked": 3, "left": 1},
            "done": {"stage": "done"},
        },
        "control": {"trouble": "REDIS_NOPERM"},
    }
    assert terminal.troubles(shown) == [
        "REDUCING by daily_loss: 5% lost",
        "NVDA only reduces: by hand",
        "kill 01234567: cancelling: 3 cancels asked for, 1 to go",
        "control stream: REDIS_NOPERM",
    ]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "1e999999", "NaN", "sNaN", "-Infinity", "open", "DONE", "[red]x[/]", "7"]),
    st.text(max_size=5),
)
NAMES = st.sampled_from(
    [
        *sorted({*snapshot(), *snapshot()["positions"][0], *snapshot()["rate"], "x", "limits"}),
        *("restrictions", "reducing", "kills", "control", "trouble", "alerts", "reason", "side"),
        *("breaker", "flips", "day", "failures", "why", "changes", "opening", "daily_loss"),
        *("flattening", "halted", "reserved_orders", "stage", "age_s", "p50", "unpublished"),
        *("state", "peak", "p99"),
    ]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(changed=st.dictionaries(NAMES, JSON, max_size=8))
def test_any_json_is_shown(changed: dict[str, Any]) -> None:
    """Who writes a key in Redis must not end `status` and `top` for the other instances."""
    shown = snapshot(**changed)
    lines = [*terminal.text_lines(shown), terminal.short_line(shown), drawn(shown)]
    lines += map(terminal.update_line, terminal.ends_of(shown))
    assert all(isinstance(line, str) and len(line) < 20_000 for line in lines)


@pytest.mark.parametrize(
    "odd", [{"positions": 5}, {"positions": {"NVDA": 4}}, {"counts": {"x": []}}]
)
def test_an_odd_snapshot_still_has_its_other_lines(odd: dict[str, Any]) -> None:
    """What can be read is shown."""
    lines = terminal.text_lines(snapshot(**odd))
    assert any("equity 100,000.50" in line for line in lines)
