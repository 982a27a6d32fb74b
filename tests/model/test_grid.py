"""Every failpoint under every kind of answer of the broker, at once and during recovery."""

import pytest

from torture.simulation import grid, points
from torture.simulation.faults import GetFault, PostFault

KINDS = (*PostFault, *(fault for fault in GetFault if fault is not GetFault.OK))
NOT_OF_THE_STORY = ("control.", "kill.", "operator.", "flatten.", "breaker.", "day.")
UNREACHED = frozenset(
    {"migration.before_commit", *(p for p in points.names() if p.startswith(NOT_OF_THE_STORY))}
)
"""Failpoints that the story of a cell does not come by; each needs a test of its own. The
simulation's ledger is always of the newest version, so see ``test_migrations.py``; and no operator
is part of it, nor a limit that trips: see the acceptance tests of those."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", points.names())
def test_no_answer_and_no_moment_break_an_invariant(point: str) -> None:
    """Whatever the broker answers and whenever the crash comes, everything ends once."""
    reached = False
    for fault in KINDS:
        for when in grid.When:
            cell = grid.run(point, fault, when)
            reached |= cell.hit
            shown = "\n".join((f"{point} {fault} {when}", cell.violation, *cell.trace))
            assert not cell.violation, shown
    assert reached is (point not in UNREACHED)
