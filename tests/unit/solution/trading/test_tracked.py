"""One order on its way: the change that a merge makes."""

from decimal import Decimal

import pytest

from solution.domain.order_state import News, Progress, merge
from solution.domain.records import Intent, State
from solution.trading.tracked import Source, Tracked, merged
from solution.trading.work import FreeLane


@pytest.mark.parametrize(
    ("submitted_ms", "tail"), [(1000, "order A, 250 ms after its row"), (0, "order A")]
)
def test_the_first_proof_says_how_long_it_took_if_that_is_known(
    submitted_ms: int, tail: str
) -> None:
    """A row without the time of its sending has an answer all the same."""
    intent = Intent(
        identity="i",
        digest="d",
        stream="s",
        entry_id="1-0",
        client_order_id="c",
        state=State.SUBMITTING,
        side="buy",
        submitted_ms=submitted_ms,
    )
    step = merge(Progress(State.SUBMITTING), News("new", "A", Decimal(0)))
    tracked = Tracked(intent, step.progress, FreeLane())
    change = merged(tracked, step, Source(note=("answered", "by the POST")), 1250, first=True)
    [note] = change.notes
    assert note.detail == f"by the POST; new, {tail}"
