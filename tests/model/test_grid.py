"""Every failpoint under every kind of answer of the broker, at once and during recovery."""

from pathlib import Path

import pytest

from torture.simulation import grid, points
from torture.simulation.faults import GetFault, PostFault

TESTS = Path(__file__).parents[1]
KINDS = (*PostFault, *(fault for fault in GetFault if fault is not GetFault.OK))
NOT_OF_THE_STORY = ("control.", "kill.", "operator.", "flatten.", "breaker.", "day.")
UNREACHED = frozenset({"migration.before_commit"})
"""A failpoint that the story of a cell does not come by: the simulation's ledger is always of the
newest version; see ``test_migrations.py``."""
TOLD = [point for point in points.names() if not point.startswith(NOT_OF_THE_STORY)]
"""No operator is part of the story, nor a limit that trips: see the acceptance tests of those."""
OF_A_BURST = (
    "pipeline.decided",
    "pipeline.last_look",
    "submit.before_row",
    "submit.row_durable",
    "submit.last_check",
    "post.in_flight",
    "submit.answered",
)
"""What a worker comes by with every order that it sends or books."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", TOLD)
def test_no_answer_and_no_moment_break_an_invariant(point: str) -> None:
    """Whatever the broker answers and whenever the crash comes, everything ends once."""
    reached = False
    for fault in KINDS:
        for when in (grid.When.FIRST, grid.When.RECOVERY):
            cell = grid.run(point, fault, when)
            reached |= cell.hit
            shown = "\n".join((f"{point} {fault} {when}", cell.violation, *cell.trace))
            assert not cell.violation, shown
    assert reached is (point not in UNREACHED)


@pytest.mark.parametrize("point", OF_A_BURST)
def test_no_moment_of_a_burst_breaks_an_invariant(point: str) -> None:
    """The worker that dies has sent two other orders, whose answers are not booked."""
    for fault in (
        PostFault.OK,
        PostFault.NOT_SENT,
        PostFault.RATE_LIMITED,
        PostFault.TIMEOUT_AFTER,
        PostFault.TIMEOUT_BEFORE,
    ):
        cell = grid.run(point, fault, grid.When.BURST)
        shown = "\n".join((f"{point} {fault} in a burst", cell.violation, *cell.trace))
        assert not cell.violation, shown
        assert cell.hit, shown


@pytest.mark.parametrize("point", sorted({*points.names()} - {*TOLD}))
def test_what_is_not_of_the_story_is_armed_by_a_test_of_its_own(point: str) -> None:
    """By its name, in a test of the real service, of a unit, or in the plans of kills."""
    sources = [*TESTS.rglob("*.py"), *TESTS.parent.joinpath("torture").glob("*.py")]
    here = Path(__file__)
    assert any(point in path.read_text() for path in sources if path != here)
