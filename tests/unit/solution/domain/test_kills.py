"""A kill's row and what it says."""

from dataclasses import replace

import pytest

from solution.domain.kills import Kill, Stage, told


def test_a_row_says_what_was_written() -> None:
    """Text of the ledger, or the object in a snapshot."""
    kill = Kill(id="k", by="me", at_ms=7, cancel_orders=True, stage=Stage.CANCELLING, open=3)
    assert Kill.read("k", kill.written()) == kill
    assert Kill.read("k", kill.shown()) == kill
    odd = {"a later version": 1, "left": "many", "waits": 1, "by": None}
    assert Kill.read("k", kill.shown() | odd) == replace(kill, by="")


@pytest.mark.parametrize("value", ["", "x", "[1]", "7", '{"stage": "elsewhere"}', None])
def test_what_cannot_be_read_is_a_kill_without_cancels(value: object) -> None:
    """It is carried out all the same."""
    found = Kill.read("k", value)
    assert (found.id, found.stage, found.cancels) == ("k", Stage.NEW, False)
    assert "cannot be read" in found.trouble


def test_closing_positions_needs_the_cancels() -> None:
    """Orders hold the shares."""
    assert Kill(id="k", close_positions=True).cancels
    assert not Kill(id="k").cancels


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "new"),
        (
            {"stage": Stage.DRAINING, "in_flight": 2},
            "draining: 2 requests on their way are awaited",
        ),
        ({"stage": Stage.CANCELLING}, "cancelling: 0 cancels asked for"),
        (
            {"stage": Stage.CANCELLING, "asked": 5, "left": 3, "waits": True, "open": 8},
            "cancelling: 5 cancels asked for, 3 wait for the rate budget, 8 open in the last list",
        ),
        (
            {"stage": Stage.CANCELLING, "left": 3, "unclear": 1, "trouble": "no answer"},
            "cancelling: 0 cancels asked for, 3 to go, 1 unclear, being looked up, no answer",
        ),
        (
            {"stage": Stage.DONE, "one_request": True, "open": 0},
            "done: all open orders cancelled in one request, 0 open in the last list",
        ),
    ],
)
def test_what_it_says(changes: dict[str, object], line: str) -> None:
    """One line, with the numbers that there are."""
    assert told(Kill(id="k", **changes)) == line  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["[]", [], {}])
def test_an_empty_row_is_a_kill_without_cancels(value: object) -> None:
    """As what cannot be read; and no traceback."""
    assert not Kill.read("k", value).cancels
