"""Tests of signal_generator.producer."""

from datetime import UTC, datetime, timedelta

import pytest

from signal_generator import sessions
from signal_generator.producer import Fields, Hours, Producer, Tally
from signal_generator.publisher import NotPublished, OutcomeUnclear, Refused

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
SATURDAY = NOON + timedelta(days=1)
NVDA = {"Ticker": "NVDA", "Direction": "b"}
NYSE = Hours(sessions.is_open, sessions.next_open)


class Recorder:
    """The producer's surroundings: what it was given and what it said."""

    def __init__(self, *outcomes: str | Exception, fields: dict[str, str] | None = NVDA) -> None:
        self.outcomes = list(outcomes)
        self.fields = fields
        self.draws = 0
        self.shown: list[tuple[str, Fields]] = []
        self.lines: list[str] = []

    def draw(self) -> Fields | None:
        """Count the draw and return the fields."""
        self.draws += 1
        return self.fields

    def publish(self, _fields: Fields) -> str:
        """Return the next entry id, or raise the next error."""
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def producer(self, hours: Hours | None = None) -> Producer:
        """Return a producer in these surroundings."""
        return Producer(
            self.draw,
            self.publish,
            hours=hours,
            show=lambda entry_id, fields: self.shown.append((entry_id, fields)),
            report=self.lines.append,
        )


def test_published_signal_is_shown_and_counted() -> None:
    """The entry id and the fields reach the output."""
    around = Recorder("1-0", "2-0")
    producer = around.producer()
    producer.step(NOON)
    producer.step(NOON)
    assert around.shown == [("1-0", NVDA), ("2-0", NVDA)]
    assert (producer.tally, around.lines) == (Tally(published=2), [])


def test_no_signal_no_publishing() -> None:
    """An empty draw is the usual case and does nothing."""
    around = Recorder(fields=None)
    producer = around.producer()
    producer.step(NOON)
    assert (around.draws, producer.tally) == (1, Tally())


@pytest.mark.parametrize(
    ("error", "tally", "words"),
    [
        (OutcomeUnclear("timed out"), Tally(unclear=1), "may or may not be in the stream"),
        (NotPublished("refused"), Tally(dropped=1), "was not published"),
    ],
)
def test_a_lost_signal_is_reported_and_the_run_goes_on(
    error: Exception, tally: Tally, words: str
) -> None:
    """The line names the signal, what became of it and why; the next one is published."""
    around = Recorder(error, "2-0")
    producer = around.producer()
    producer.step(NOON)
    assert producer.tally == tally
    assert around.lines == [f"NVDA b {words}: {error}"]
    producer.step(NOON)
    assert around.shown == [("2-0", NVDA)]


def test_refused_ends_the_run() -> None:
    """What Redis will refuse every time is not swallowed."""
    producer = Recorder(Refused("WRONGTYPE")).producer()
    with pytest.raises(Refused, match="WRONGTYPE"):
        producer.step(NOON)


def test_closed_market_draws_nothing() -> None:
    """Outside the session chance is not asked: a seed's sequence is that of open seconds."""
    around = Recorder()
    around.producer(NYSE).step(SATURDAY)
    assert around.draws == 0


def test_closing_and_opening_are_said_once() -> None:
    """One line at each change, however many ticks pass."""
    around = Recorder(fields=None)
    producer = around.producer(NYSE)
    for at in (NOON, NOON, SATURDAY, SATURDAY, NOON + timedelta(days=3)):
        producer.step(at)
    assert around.lines == [
        "the market is closed, it opens at 2026-11-23T14:30:00+00:00",
        "the market is open",
    ]


@pytest.mark.parametrize(
    ("tally", "text"),
    [
        (Tally(), "published 0 signals"),
        (Tally(published=1), "published 1 signal"),
        (Tally(2, 1, 3), "published 2 signals, 1 may or may not be in the stream, 3 not published"),
    ],
)
def test_tally_text(tally: Tally, text: str) -> None:
    """The closing line names exceptions only when there were any."""
    assert str(tally) == text


def test_a_pair_has_no_hours() -> None:
    """On a Saturday pairs are published; a share that was drawn is let go."""
    hours = Hours(sessions.is_open, sessions.next_open, frozenset({"BTC/USD"}))
    pair = Recorder("1-0", fields={"Ticker": "BTC/USD", "Direction": "b"})
    pair.producer(hours).step(SATURDAY)
    share = Recorder("1-0")
    producer = share.producer(hours)
    producer.step(SATURDAY)
    producer.step(NOON)
    assert len(pair.shown) == 1
    assert (share.draws, len(share.shown)) == (2, 1)
