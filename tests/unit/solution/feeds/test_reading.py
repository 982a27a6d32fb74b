"""The mark of the entry that is being read: what it counts, and what it must not."""

from collections.abc import Iterator

import pytest

from solution.domain.reasons import Reason
from solution.domain.records import EntryRef
from solution.errors import LedgerError, SignalError
from solution.feeds.reading import MARK, Reading
from solution.ledger.sqlite import SqliteLedger
from solution.trading.turnstile import Turnstile

POISON, INNOCENT = EntryRef("nvda", "5-0"), EntryRef("a stream", "4-0")


class Death(BaseException):
    """The process dies here."""


@pytest.fixture
def ledger() -> Iterator[SqliteLedger]:
    """Outlives every process of a test."""
    made = SqliteLedger("sqlite://")
    yield made
    made.close()


def process(ledger: SqliteLedger) -> Reading:
    """A new one on the same ledger."""
    return Reading(ledger, Turnstile())


def read(reading: Reading, *refs: EntryRef, dies: EntryRef | None = None) -> list[bool]:
    """Read these; returns whether the content of each may be looked at."""
    found = []
    with reading.pending() as granted:
        assert granted
        for ref in refs:
            found.append(reading.begin(ref))
            if ref == dies:
                raise Death
            reading.check(ref)
    return found


def dies(ledger: SqliteLedger, *refs: EntryRef) -> None:
    """A process reads these and dies of the last."""
    with pytest.raises(Death):
        read(process(ledger), *refs, dies=refs[-1])


def test_what_is_read_without_harm_leaves_no_mark(ledger: SqliteLedger) -> None:
    """While it is read the ledger names it, and how often it was begun."""
    reading = process(ledger)
    with reading.pending():
        reading.begin(INNOCENT)
        assert ledger.get_state(MARK) == "1 4-0 a stream"
    assert ledger.get_state(MARK) is None


def test_the_third_death_is_poison(ledger: SqliteLedger) -> None:
    """The first one was uncounted: the entry was new then."""
    dies(ledger, INNOCENT, POISON)
    dies(ledger, INNOCENT, POISON)
    reading = process(ledger)
    with pytest.raises(SignalError, match="died 3 times while it read") as caught:
        read(reading, INNOCENT, POISON)
    assert caught.value.reason == Reason.POISON


def test_what_kills_before_it_can_be_parsed_is_not_even_looked_at(ledger: SqliteLedger) -> None:
    """Its dead letter is to hold its content, unless that is what kills."""
    for _ in range(3):
        dies(ledger, POISON)
    reading = process(ledger)
    with pytest.raises(SignalError, match="4 times"), reading.pending():
        assert reading.begin(POISON) is False
        reading.check(POISON)


def test_those_beside_it_are_never_counted(ledger: SqliteLedger) -> None:
    """Read before it or after it, in any number of lives."""
    for _ in range(2):
        dies(ledger, INNOCENT, POISON)
    assert ledger.get_state(MARK) == "2 5-0 nvda"
    reading = process(ledger)
    assert read(reading, INNOCENT) == [True]
    dies(ledger, INNOCENT)
    assert ledger.get_state(MARK) == "1 4-0 a stream"


def test_one_that_was_survived_is_forgotten(ledger: SqliteLedger) -> None:
    """Whatever killed the process then, it was not this entry."""
    for _ in range(2):
        dies(ledger, POISON)
        assert read(process(ledger), POISON) == [True]
    reading = process(ledger)
    assert [read(reading, POISON) for _ in range(5)] == [[True]] * 5


def test_an_error_is_no_death(ledger: SqliteLedger) -> None:
    """Redis is away, the ledger fails: this reading does not count, and those before it stay."""
    for before in (None, "1 5-0 nvda"):
        reading = process(ledger)
        with pytest.raises(ConnectionError), reading.pending():
            reading.begin(POISON)
            raise ConnectionError
        assert ledger.get_state(MARK) == before
        dies(ledger, POISON)
    assert ledger.get_state(MARK) == "2 5-0 nvda"


def test_a_ledger_that_is_away_hides_no_error(ledger: SqliteLedger) -> None:
    """The mark cannot be withdrawn then: one death too many at most."""
    reading = process(ledger)
    with pytest.raises(LedgerError, match="closed"), reading.pending():
        ledger.close()
        reading.begin(POISON)


def test_a_suspect_that_is_decided_and_a_reading_take_turns(ledger: SqliteLedger) -> None:
    """Or the entry that is read beside it would be counted with it, life after life."""
    turn = Turnstile()
    reading = Reading(ledger, turn)
    with reading.pending() as granted:
        assert granted
        assert not turn.enter("suspect", alone=True, patience=0.0)
    assert turn.enter("suspect", alone=True)
    turn.enter = lambda identity: Turnstile.enter(turn, identity, patience=0.0)  # type: ignore[method-assign, assignment, misc]
    with reading.pending() as granted:
        assert not granted
    turn.leave("suspect")
    with reading.pending() as granted:
        assert granted
