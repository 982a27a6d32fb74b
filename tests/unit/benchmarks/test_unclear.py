"""The verdict of the benchmark of unclear POSTs, from made-up accounts of both sides."""

from typing import Any

import pytest

from benchmarks import unclear
from benchmarks.unclear import Known, Settled
from solution.domain.records import Note

RESOLVED, IN_TIME, AS_AT_BROKER, ONCE, SAME = (
    "every unclear POST was resolved",
    "within 5 s (p99)",
    "none stands otherwise than the broker says",
    "none that was there was sent again",
    "what was sent again was the same body",
)


class Run:
    """Thirty orders, ten of each fate, resolved within three seconds as they should be."""

    def __init__(self) -> None:
        fates = [fate for fate in unclear.FATES for _ in range(10)]
        self.known = {
            f"c{n}": Known(fate, there=True, posts=2 if fate == "unseen" else 1, bodies=1)
            for n, fate in enumerate(fates)
        }
        self.settled = {coid: Settled("FILLED", 1000, 4000) for coid in self.known}

    def missed(self) -> list[str]:
        """The goals that this run does not meet."""
        result = unclear.evaluate(self.known, self.settled, orders=30)
        return [text for text, met in unclear.judged(result) if not met]


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_run_as_it_should_be(run: Run) -> None:
    """Heard, looked up or sent again: each is told in figures of its own."""
    assert run.missed() == []
    result = unclear.evaluate(run.known, run.settled, orders=30)
    assert result["by_fate"]["unseen"] == {
        "orders": 10,
        "median_s": 3.0,
        "p99_s": 3.0,
        "max_s": 3.0,
    }


def test_one_of_thirty_that_takes_five_seconds_is_the_p99(run: Run) -> None:
    """Below five seconds, not at them."""
    run.settled["c3"] = Settled("FILLED", 1000, 5999)
    assert run.missed() == []
    run.settled["c3"] = Settled("FILLED", 1000, 6000)
    assert run.missed() == [IN_TIME]


@pytest.mark.parametrize("state", ["REJECTED", "EXPIRED_UNCONFIRMED", "NOT_SENT", "UNKNOWN"])
def test_an_order_that_is_there_and_ended_otherwise_was_a_guess(run: Run, state: str) -> None:
    """Whatever the word for it is."""
    run.settled["c3"] = Settled(state, 1000, None)
    assert run.missed() == [RESOLVED, AS_AT_BROKER]


def test_an_order_that_is_not_there_must_not_count_as_filled(run: Run) -> None:
    """Given up is no guess; but nothing was resolved either."""
    run.known["c25"] = Known("unseen", there=False, posts=1, bodies=1)
    assert run.missed() == [AS_AT_BROKER]
    run.settled["c25"] = Settled("EXPIRED_UNCONFIRMED", 1000, None)
    assert run.missed() == [RESOLVED]


def test_a_row_that_is_missing_or_too_many(run: Run) -> None:
    """Each order of the broker has its row, and each row its order."""
    row = run.settled.pop("c3")
    assert run.missed() == [RESOLVED, AS_AT_BROKER]
    run.settled["another"] = row
    assert run.missed() == [RESOLVED, AS_AT_BROKER]


@pytest.mark.parametrize(("coid", "posts"), [("c0", 2), ("c12", 2), ("c25", 3)])
def test_sent_more_often_than_the_broker_had_need_of(run: Run, coid: str, posts: int) -> None:
    """Once where it was there, twice where it never arrived."""
    run.known[coid] = Known(run.known[coid].fate, there=True, posts=posts, bodies=1)
    assert run.missed() == [ONCE]


def test_a_second_body_is_another_order(run: Run) -> None:
    """A size that was computed anew, for one."""
    run.known["c25"] = Known("unseen", there=True, posts=2, bodies=2)
    assert run.missed() == [SAME]


def test_a_run_without_an_order_proves_nothing() -> None:
    """No figure is no figure below five seconds."""
    result = unclear.evaluate({}, {}, orders=0)
    assert dict(unclear.judged(result))[IN_TIME] is False


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["unknown", "lookup", "adopted"], (0, 2)),
        (["unknown", "lookup", "lookup", "lookup", "resend", "answered"], (0, 5)),
        (["answered"], (None, 0)),
        (["unknown", "expired_unconfirmed"], (0, None)),
    ],
)
def test_the_history_tells_when(kinds: list[str], expected: Any) -> None:
    """From the unclear answer to the proof that the broker has the order."""
    notes = [Note("c", at_ms, kind, "") for at_ms, kind in enumerate(kinds)]
    found = unclear.settled("FILLED", notes)
    assert (found.unclear_ms, found.resolved_ms) == expected
