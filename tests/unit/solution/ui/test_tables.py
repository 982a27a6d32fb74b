"""Positions and order updates as lines."""

from typing import Any

import pytest
from rich.text import Text

from solution.ui import tables
from tests.helpers.snapshots import positions, snapshot, updates


def plain(lines: list[Text]) -> list[str]:
    return [" ".join(line.plain.split()) for line in lines]


def styles(line: Text, word: str) -> set[str]:
    """Of the spans that cover a word."""
    at = line.plain.index(word)
    return {str(span.style) for span in line.spans if span.start <= at < span.end}


def test_positions_with_their_total() -> None:
    """Worth, gain and per cent of what it cost; losses red, gains green, both with a sign."""
    lines = tables.positions(snapshot(positions=positions(2)), 100, 9)
    assert plain(lines) == [
        "position qty entry price value unrealised %",
        "S000 10 100.00 101.00 1,010.00 +10.00 +1.00",
        "S001 10 101.00 100.00 1,000.00 -10.00 -0.99",
        "total of 2 2,010.00 +0.00 +0.00",
    ]
    assert styles(lines[1], "+10.00") == {"green"}
    assert styles(lines[2], "-10.00") == {"red"}
    assert tables.positions_height(snapshot(positions=positions(2))) == 4


def test_where_there_is_no_room_for_all_the_largest_are_shown() -> None:
    """By symbol; the others are counted, with what they are worth together."""
    shown = snapshot(positions=positions(200))
    lines = tables.positions(shown, 100, 6)
    assert [line.split()[0] for line in plain(lines)] == [
        *("position", "S196", "S198", "S199", "…", "total"),
    ]
    assert plain(lines)[4].startswith("… 197 more 390,")
    assert plain(lines)[5].startswith("total of 200 ")


@pytest.mark.parametrize("height", range(12))
def test_the_height_is_kept(height: int) -> None:
    """From nothing at all; the total stays longest."""
    shown = snapshot(positions=positions(8), updates=updates(9))
    lines = tables.positions(shown, 80, height)
    assert len(lines) == min(height, 10)
    assert not lines or plain(lines)[-1].startswith("total of 8")
    assert len(tables.updates(shown, 9, 80, height)) == min(height, 10)


def test_a_short_position_is_worth_less_than_nothing() -> None:
    """It costs all the same: the per cent of a hedge are of both its halves."""
    rows = [
        {"symbol": "A", "qty": "10", "market_value": "1100", "unrealized_pl": "100"},
        {"symbol": "B", "qty": "-10", "market_value": "-1100", "unrealized_pl": "-100"},
    ]
    lines = plain(tables.positions(snapshot(positions=rows), 100, 9))
    assert lines[1].endswith("1,100.00 +100.00 +10.00")
    assert lines[2].endswith("-1,100.00 -100.00 -10.00")
    assert lines[3] == "total of 2 0.00 +0.00 +0.00"


def test_a_position_without_a_price_counts_for_nothing() -> None:
    """And the total says so."""
    bare = {"symbol": "X", "qty": "3", "avg_entry": "0.0000812", "price": None}
    lines = plain(tables.positions(snapshot(positions=[*positions(1), bare]), 100, 9))
    assert lines[2] == "X 3 0.0000812 – – –"
    assert lines[3].startswith("total of 2, 1…")
    assert lines[3].endswith("1,010.00 +10.00 +1.00")


def test_an_earlier_version_tells_no_value() -> None:
    """Quantity and price do."""
    row = {"symbol": "X", "qty": "3", "price": "2", "unrealized_pl": "1"}
    assert (
        plain(tables.positions(snapshot(positions=[row]), 100, 9))[1]
        == "X 3 – 2.00 6.00 +1.00 +20.00"
    )


def test_no_position() -> None:
    """Is said in a line."""
    assert plain(tables.positions(snapshot(positions=[]), 80, 9)) == ["no position"]
    assert tables.positions_height(snapshot(positions=[])) == 1


def test_updates() -> None:
    """The newest first: time, mark, side, quantity, symbol, price, state, reason."""
    lines = tables.updates(snapshot(), 15, 80, 9)
    assert plain(lines) == [
        "update side qty symbol price",
        "15:00:04 ✗ sell AMD NOPE",
        "15:00:03 ✓ buy 6 NVDA 135.20 fill",
        "15:00:02 ◌ buy 4 NVDA 135.20 partial_fill",
        "15:00:01 ◌ buy 10 NVDA new",
        "15:00:00 ◌ buy 10 NVDA pending_new",
    ]
    assert styles(lines[1], "✗") == {"red"}
    assert styles(lines[2], "✓") == {"green"}


def test_updates_that_have_no_room_are_counted() -> None:
    """Of as many as were asked for."""
    lines = plain(tables.updates(snapshot(updates=updates(20)), 15, 80, 5))
    assert lines[-1] == "… 12 more"
    assert len(lines) == 5
    assert tables.updates_height(snapshot(updates=updates(20)), 15) == 16


@pytest.mark.parametrize(("most", "said"), [(15, ["no order yet"]), (0, [""])])
def test_no_updates(most: int, said: list[str]) -> None:
    """Not said to somebody who asked for none."""
    assert plain(tables.updates(snapshot(updates=[]), most, 80, 9)) == said


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", "\x1b[2J", "a\nb"])
def test_no_text_commands_the_terminal(text: str) -> None:
    """Neither by markup nor by an escape."""
    row: dict[str, Any] = dict.fromkeys(("symbol", "qty", "side", "event", "reason"), text)
    shown = snapshot(positions=[row], updates=[row])
    lines = [*tables.positions(shown, 80, 9), *tables.updates(shown, 9, 80, 9)]
    assert all(line.plain.isprintable() for line in lines)
    assert any(text[:3].strip("\x1b\n")[:1] in line.plain for line in lines)
