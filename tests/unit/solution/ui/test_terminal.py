"""The live screen."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.ui.terminal import screen
from tests.helpers.snapshots import ODD, of_earlier_version, positions, snapshot, updates


def drawn(*snapshots: dict[str, Any], width: int = 80, height: int = 24, **options: Any) -> str:
    """The screen as plain text."""
    lines = screen(snapshots, width=width, height=height, **options)
    assert all(line.cell_len == width for line in lines)
    return "\n".join(line.plain for line in lines)


def test_the_head_line_says_mode_state_and_money() -> None:
    """First of all, below the name."""
    first, second = drawn(snapshot(), width=120).splitlines()[:2]
    assert " host-1 · paper · 15:00:07 " in first
    assert second.startswith("│  paper  ACTIVE  equity 100,000.50 · cash 90,000.00 · buying power")


@pytest.mark.parametrize(
    ("state", "style"),
    [("ACTIVE", "green"), ("REDUCING", "yellow"), ("HALTED", "on red"), ("ODD", "bold")],
)
def test_the_trading_state_is_coloured_and_in_words(state: str, style: str) -> None:
    """So that neither the colour-blind nor a hurried eye misses it."""
    head = screen([snapshot(trading_state=state)], width=80, height=24)[1]
    at = head.plain.index(state)
    assert any(style in str(span.style) for span in head.spans if span.start <= at < span.end)


def test_real_money_is_not_overlooked() -> None:
    """The frame is red, and mode and name are white on red."""
    lines = screen([snapshot(mode="live")], width=80, height=24)
    assert "LIVE, REAL MONEY" in lines[0].plain
    assert lines[1].plain.startswith("│  LIVE  ACTIVE ")
    assert {"red", "bold white on red"} <= {str(span.style) for span in lines[0].spans}


def test_all_that_is_known_is_on_a_large_screen() -> None:
    """Positions beside updates."""
    text = drawn(snapshot(day={"change": "5"}), width=120, height=40)
    for part in (
        "signals  4 read · 1 waiting · 2 in hand · 5 dead letters",
        "█" * 19 + "░ 190 of 200 requests used in the last minute · 0 left for entries",
        "p50 3 ms · p99 9 ms",
        "streams  orders heard 1.5 s ago · prices 0.1 s ago · Redis read 0.2 s ago",
        "day      +5.00 · ",
        "orders   1 on their way",
        "ends     3 NOPE · 1 FILLED",
        "breaker  –",
        "flips    none",
        "threads  2 running",
    ):
        assert part in text
    [head] = [line for line in text.splitlines() if "position " in line]
    assert "update " in head


def test_on_a_small_screen_the_facts_that_matter_less_give_way() -> None:
    """The first five stay, positions and updates share the rest, what is cut is counted."""
    shown = snapshot(positions=positions(30), updates=updates(30))
    lines = drawn(shown, updates=30).splitlines()
    assert len(lines) == 24
    assert [line[2:9] for line in lines[2:7]] == [
        "signals",
        "rate   ",
        "latency",
        "streams",
        "day    ",
    ]
    assert sum(line.startswith("│ S0") for line in lines) == 4
    assert sum(line.startswith("│ 15:") for line in lines) == 5
    assert "│ … 26 more " in "\n".join(lines)
    assert "│ … 25 more " in "\n".join(lines)


def test_on_a_tiny_screen_there_is_no_frame() -> None:
    """Head, total, last update."""
    lines = drawn(snapshot(), width=40, height=5).splitlines()
    assert lines[0].startswith(" paper  ACTIVE ")
    assert lines[2].startswith("total")
    assert lines[4].startswith("… 5 more") or "✗" in lines[4]


def test_troubles_stand_below_the_head() -> None:
    """At most a few, the others counted."""
    lines = drawn(snapshot(halted={f"S{i}": "why" for i in range(9)})).splitlines()
    assert lines[2].startswith("│  ! S0 is halted: why")
    assert lines[5].startswith("│  ! … 6 more")


def test_every_instance_has_a_frame_of_its_own() -> None:
    """They share the height."""
    text = drawn(snapshot(), snapshot(instance="host-2"), snapshot(instance="host-3"))
    assert text.count("╭") == 3
    assert len(text.splitlines()) <= 24


def test_many_instances_have_a_line_each() -> None:
    """Those that want a person first, so that they are not among those cut."""
    crowd = [snapshot(instance=f"host-{i}") for i in range(9)]
    crowd.append(snapshot(instance="host-9", kill_switch="why"))
    lines = drawn(*crowd, height=6).splitlines()
    assert lines[0].startswith("host-9  paper  HALTED  ! KILL SWITCH: why ")
    assert lines[1].startswith("host-0  paper  ACTIVE ")
    assert lines[5].startswith("… 5 more")


def test_notes_and_an_alarm_stand_above() -> None:
    """Also where there is no instance."""
    text = drawn(snapshot(), notes=["a note"], alarm="Redis is away")
    assert text.splitlines()[0].startswith("a note")
    assert text.splitlines()[1].startswith(" ! Redis is away")
    assert len(text.splitlines()) <= 24
    assert drawn(notes=["a", "b"], height=1).strip() == "a"


def test_an_alarm_is_told_to_its_end() -> None:
    """A long address must not hide why Redis does not answer."""
    lines = drawn(alarm="Redis at a.very.long.name:6379 does not answer", width=30).splitlines()
    assert [line.split("! ")[1].strip() for line in lines] == [
        "Redis at",
        "a.very.long.name:6379 does",
        "not answer",
    ]


def test_as_many_updates_as_asked_for() -> None:
    """`--updates 1` shows the last one only."""
    text = drawn(snapshot(), updates=1)
    assert "NOPE" in text
    assert "✓" not in text


def test_a_snapshot_of_an_earlier_version() -> None:
    """Its order on its way and its ends."""
    text = drawn(of_earlier_version())
    assert "◌  buy     3  AAPL" in text
    assert "✗ sell AMD NOPE" in " ".join(text.split())


@settings(max_examples=50)
@given(
    changed=ODD,
    width=st.integers(1, 140),
    height=st.integers(1, 50),
    count=st.integers(1, 4),
    rows=st.integers(0, 60),
    note=st.text(max_size=5),
)
def test_any_json_fits_on_any_terminal(
    changed: dict[str, Any], width: int, height: int, count: int, rows: int, note: str
) -> None:
    """Never a line too many, never a cell too wide, and nothing that a terminal would act on."""
    shown = snapshot(positions=positions(rows), updates=updates(rows)) | changed
    lines = screen([shown] * count, width=width, height=height, notes=[note], alarm=note)
    assert len(lines) <= height
    assert all(line.cell_len == width and line.plain.isprintable() for line in lines)
