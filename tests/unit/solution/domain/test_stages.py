"""What each stage took: measured from one end to the next, written at a line's end, read again."""

import pytest

from solution.domain.stages import Stages, shown, split


def test_each_stage_counts_from_the_end_of_the_one_before() -> None:
    """Whole microseconds."""
    stages = Stages(read=10.0, taken=10.000143, budget=0.0)
    stages.ends("gates", 10.000655)
    stages.ends("row", 10.000743)
    assert str(stages) == "us: lane 143, budget 0, gates 512, row 88"


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (0.4, "us: lane 100000, budget 400000"),
        (9.0, "us: lane 0, budget 500000"),
        (float("-inf"), "us: lane 500000, budget 0"),
    ],
)
def test_what_waited_for_budget_did_not_wait_for_its_lane(budget: float, words: str) -> None:
    """The budget is counted for all together: its part is never more than the whole wait."""
    assert str(Stages(read=1.0, taken=1.5, budget=budget)) == words


def test_a_line_is_read_back() -> None:
    """Its words, and the stages at its end."""
    stages = Stages(read=1.0, taken=1.0, budget=0.0)
    assert split(f"HTTP 200 in 8.120 ms; filled; {stages}") == (
        "HTTP 200 in 8.120 ms; filled", {"lane": 0, "budget": 0},
    )  # fmt: skip
    assert split(str(stages)) == ("", {"lane": 0, "budget": 0})


@pytest.mark.parametrize("detail", ["", "not found", "us: none", "the bus: lane 4 of 5"])
def test_a_line_without_stages_stays_as_it_is(detail: str) -> None:
    """Whatever the broker wrote into it."""
    assert split(detail) == (detail, {})


def test_microseconds_are_shown_as_milliseconds() -> None:
    """With what comes after the point."""
    assert [shown(0), shown(143), shown(8_120_400)] == ["0.000 ms", "0.143 ms", "8120.400 ms"]
