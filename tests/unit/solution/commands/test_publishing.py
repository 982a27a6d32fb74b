"""One signal in, its events out, over a real Redis."""

import threading
from typing import Any

import pytest
import redis

from solution.clock import Deadline
from solution.commands import publishing
from tests.unit.solution.commands.conftest import event

FIELDS = {"ticker": "NVDA", "direction": "b", "signal_id": "s-1"}


class Flaky:
    """A client whose first answers are errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sent: list[dict[str, str]] = []

    def xadd(self, _stream: str, fields: dict[str, str]) -> bytes:
        """Record, then fail or confirm."""
        self.sent.append(fields)
        if self.errors:
            raise self.errors.pop(0)
        return b"5-0"


def test_the_entry_id_is_returned(client: Any) -> None:
    """And the fields are in the stream."""
    entry_id = publishing.add(client, "nvda", FIELDS)
    [(found, fields)] = client.xrange("nvda")
    assert found.decode() == entry_id
    assert fields == {b"ticker": b"NVDA", b"direction": b"b", b"signal_id": b"s-1"}


def test_an_unclear_answer_is_repeated_with_the_same_id() -> None:
    """The service recognises the second entry by its signal_id."""
    flaky: Any = Flaky(redis.TimeoutError(), redis.ConnectionError())
    assert publishing.add(flaky, "nvda", FIELDS) == "5-0"
    assert flaky.sent == [FIELDS] * 3


def test_without_a_signal_id_nothing_is_sent() -> None:
    """A repeat would be a second signal."""
    flaky: Any = Flaky()
    with pytest.raises(ValueError, match="signal_id"):
        publishing.add(flaky, "nvda", {"ticker": "NVDA"})
    assert flaky.sent == []


@pytest.mark.parametrize("error", [redis.AuthenticationError(), redis.ResponseError("WRONGTYPE")])
def test_a_refusal_is_not_repeated(error: Exception) -> None:
    """The next try would be refused as well."""
    flaky: Any = Flaky(error)
    with pytest.raises(type(error)):
        publishing.add(flaky, "nvda", FIELDS)
    assert len(flaky.sent) == 1


def test_giving_up_in_time() -> None:
    """The last error is the caller's."""
    flaky: Any = Flaky(*[redis.TimeoutError()] * 3)
    with pytest.raises(redis.TimeoutError):
        publishing.add(flaky, "nvda", FIELDS, retry_for=0.06)
    assert len(flaky.sent) == 2


def test_the_newest_id(client: Any) -> None:
    """Of an empty stream it is the beginning."""
    assert publishing.newest(client, "executions") == "0-0"
    client.xadd("executions", {"a": "b"}, id="7-1")
    assert publishing.newest(client, "executions") == "7-1"


def test_following_an_entry_to_its_end(client: Any) -> None:
    """Only its own events, each once, although they come at least once."""
    entry = ("nvda", "5-0")
    for fields in (
        event("nvda", "4-0", 1, event="fill", final="1"),
        event("nvda", "5-0", 2, event="submitted", final="0"),
        event("nvda", "5-0", 2, event="submitted", final="0"),
        event("nvda", "5-0", 3, event="fill", final="1"),
        event("nvda", "5-0", 4, event="corrected", final="0"),
    ):
        client.xadd("executions", fields)
    found = publishing.follow(client, "executions", entry, after="0-0", deadline=Deadline(5.0))
    assert [e["event"] for e in found] == ["submitted", "fill"]


def test_events_that_come_later_are_awaited(client: Any) -> None:
    """The reader blocks, and what was there before is not told."""
    client.xadd("executions", event("nvda", "5-0", 1, event="submitted", final="0"))
    after = publishing.newest(client, "executions")
    end = event("nvda", "5-0", 2, event="fill", final="1")
    timer = threading.Timer(0.1, lambda: client.xadd("executions", end))
    timer.start()
    found = list(
        publishing.follow(client, "executions", ("nvda", "5-0"), after=after, deadline=Deadline(5))
    )
    timer.join()
    assert [e["event"] for e in found] == ["fill"]


def test_following_ends_at_the_deadline(client: Any) -> None:
    """Nothing happened."""
    entry, deadline = ("nvda", "5-0"), Deadline(0.05)
    assert not list(publishing.follow(client, "e", entry, after="0-0", deadline=deadline))


@pytest.mark.parametrize(
    ("name", "final", "word", "good"),
    [
        ("fill", "1", "filled", True),
        ("canceled", "1", "accepted", True),
        ("new", "0", "accepted", True),
        ("dry_run", "1", "dry_run", True),
        ("refused", "1", "refused", False),
        ("rejected", "1", "refused", False),
        ("dead_letter", "1", "dead_letter", False),
        ("unknown", "0", "unknown", False),
        ("expired_unconfirmed", "0", "unknown", False),
    ],
)
def test_the_outcome_is_that_of_the_last_event(
    name: str, final: str, word: str, good: bool
) -> None:
    """Good is what the broker took, or a dry run would have sent."""
    outcome = publishing.outcome_of([{"event": "submitted"}, {"event": name, "final": final}])
    assert (outcome.word, outcome.good, outcome.final) == (word, good, final == "1")


def test_no_event_is_no_outcome() -> None:
    """Neither good nor final."""
    assert publishing.outcome_of([]) == publishing.Outcome("none", final=False)
