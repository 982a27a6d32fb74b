"""Snapshots as lines."""

from typing import Any

import pytest
from hypothesis import given

from solution.ui import text
from solution.ui.updates import told_by, update_line
from tests.helpers.snapshots import ODD, snapshot


def test_the_text_says_everything() -> None:
    """One line per fact, positions and orders below."""
    shown = "\n".join(text.text_lines(snapshot()))
    assert shown.startswith("host-1 · paper · 15:00:07\n")
    for part in (
        "equity 100,000.50 · cash 90,000.00 · buying power 380,000.00",
        "  trading    ACTIVE",
        "4 read · 1 waiting · 2 in hand · 5 dead letters",
        "3 NOPE · 1 FILLED",
        "190 of 200 requests used in the last minute · 0 left for entries",
        "p50 3 ms · p99 9 ms",
        "connected · read 0.2 s ago · 3 events waiting to be written",
        "listening · heard 1.5 s ago · 2 reconnects",
        "3 watched · newest 0.1 s ago · oldest 0.9 s ago",
        "2 running",
        "10 at 135.20 · now 134.00 · unrealised -12.00",
        "  orders     15:00:04 ✗ sell AMD refused · NOPE",
    ):
        assert part in shown


def test_real_money_is_not_overlooked() -> None:
    """In every form of the picture; another mode is named plainly."""
    live = snapshot(mode="live")
    assert text.text_lines(live)[0] == "host-1 · LIVE, REAL MONEY · 15:00:07"
    assert text.short_line(live).startswith("15:00:07 · LIVE · ")
    assert text.short_line(snapshot(mode="shadow")).startswith("15:00:07 · shadow · ")


def test_the_one_line_says_when_trading_is_restricted() -> None:
    """ACTIVE goes without saying."""
    line = text.short_line(snapshot(trading_state="REDUCING"))
    assert line.startswith("15:00:07 · paper · REDUCING · 4 signals")
    assert "ACTIVE" not in text.short_line(snapshot())


def test_an_empty_snapshot_is_shown_with_dashes() -> None:
    """Another version's snapshot, or one of the first second, never raises."""
    shown = "\n".join(text.text_lines({}))
    assert "account    not known yet" in shown
    assert "positions  none" in shown
    assert "no orders yet" in shown
    assert "–" in text.short_line({})


@given(changed=ODD)
def test_any_json_is_shown(changed: dict[str, Any]) -> None:
    """Who writes a key in Redis must not end `status` and `top` for the other instances."""
    shown = snapshot(**changed)
    lines = [*text.text_lines(shown), text.short_line(shown)]
    lines += map(update_line, told_by(shown))
    assert all(isinstance(line, str) and len(line) < 20_000 for line in lines)


@pytest.mark.parametrize(
    "odd", [{"positions": 5}, {"positions": {"NVDA": 4}}, {"counts": {"x": []}}]
)
def test_an_odd_snapshot_still_has_its_other_lines(odd: dict[str, Any]) -> None:
    """What can be read is shown."""
    lines = text.text_lines(snapshot(**odd))
    assert any("equity 100,000.50" in line for line in lines)
