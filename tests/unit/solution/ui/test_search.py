"""Everything known under one key."""

from collections.abc import Sequence

from solution.domain.records import Change, DeadLetter, Intent, Note
from solution.domain.signal import parse
from solution.feeds.entry_trace import Place, Told
from solution.ledger.sqlite import SqliteLedger
from solution.ui.search import Found, search
from tests.helpers.ledger_rows import make_dead_letter, make_intent
from tests.helpers.stories import COID, ENTRY, T0, leg, note, place, sent, told, trade

FIELDS = ((b"ticker", b"NVDA"), (b"direction", b"b"), (b"signal_id", b"mine"))


class Redis:
    """Entries and events as a test wants them."""

    def __init__(self, places: Sequence[Place] = (), events: Sequence[Told] = ()) -> None:
        self.trouble = ""
        self.since: list[int] = []
        self._places = list(places)
        self._events = events

    def places(self, entry_id: str) -> list[Place]:
        return [place for place in self._places if place.entry_id == entry_id]

    def place(self, stream: str, entry_id: str) -> Place | None:
        found = (p for p in self._places if (p.stream, p.entry_id) == (stream, entry_id))
        return next(found, None)

    def told_since(self, since_ms: int) -> Sequence[Told]:
        self.since.append(since_ms)
        return self._events


def found(
    key: str, *rows: Intent, letters: Sequence[DeadLetter] = (), redis: Redis | None = None
) -> Found:
    """Search a ledger that holds these."""
    ledger = SqliteLedger("sqlite://")
    ledger.apply(
        [
            *(Change(insert=row) for row in rows),
            *(Change(dead_letter=letter) for letter in letters),
            Change(client_order_id=COID, trades=(trade(),), notes=(note(1, "posted"),)),
        ]
    )
    with ledger.open_reader() as reader:
        return search(key, reader, redis or Redis())


def ids(found: Found) -> list[str]:
    """Whose way is shown."""
    return [facts.intent.client_order_id for facts in found.signals]


def test_every_name_of_a_signal_finds_it() -> None:
    """Entry id, signal_id, client_order_id, the broker's id, the beginning of ours."""
    for key in (ENTRY, "mine", COID, "order-1", COID[:12], f" {COID}".strip()):
        assert ids(found(key, sent(), make_intent(2))) == [COID], key


def test_what_belongs_to_it_comes_along() -> None:
    """Notes, executions, the entry, and its events from a little before it was published."""
    other = told(9, "fill", client_order_id="sp-other", entry_id="9-0")
    repeat = told(9, "fill", entry_id="9-9", final=True)
    redis = Redis([place()], [told(5, "submitted"), other, repeat])
    (facts,) = found("mine", sent(), redis=redis).signals
    assert [one.kind for one in facts.notes] == ["posted"]
    assert [one.execution_id for one in facts.trades] == ["e10"]
    assert facts.place == place()
    assert [one.event for one in facts.told] == ["submitted", "fill"]
    assert facts.repeats == (("nvda", "9-9"),)
    assert redis.since == [T0 - 1_000]


def test_one_signal_id_on_two_streams_is_two_signals() -> None:
    """Both are shown."""
    second = sent(stream="other", identity="other|id:mine", client_order_id="sp-2", entry_id="8-0")
    assert ids(found("mine", sent(), second)) == [COID, "sp-2"]


def test_a_beginning_must_be_of_one_order() -> None:
    """Several are named, none is shown; two letters are no beginning."""
    rows = (make_intent(1), make_intent(2))
    several = found("sp-test", *rows)
    assert (ids(several), sorted(several.matching)) == ([], ["sp-test-1", "sp-test-2"])
    assert not several
    assert found("sp", *rows).matching == []
    assert found("xy-test", *rows).matching == []


def test_dead_letters_of_every_stream() -> None:
    """One id may stand in two."""
    letters = [make_dead_letter(7), make_dead_letter(7, stream="other")]
    result = found("7-0", letters=letters)
    assert [facts.letter.stream for facts in result.letters] == ["nvda", "other"]
    assert result


def test_a_repeated_entry_leads_to_the_first_ones_way() -> None:
    """It has no row of its own: its content names the signal."""
    digest = parse("nvda", "9-0", FIELDS).digest
    again = place(entry_id="9-0", fields=FIELDS)
    result = found("9-0", sent(digest=digest), redis=Redis([again]))
    assert ids(result) == [COID]
    assert result.signals[0].asked_as == again
    assert result.undecided == []


def test_an_entry_that_nobody_decided_yet() -> None:
    """It is in Redis and nowhere else; other content under the same signal_id is not the same."""
    waiting = place(entry_id="9-0", fields=FIELDS)
    result = found("9-0", sent(digest="another"), redis=Redis([waiting]))
    assert (ids(result), result.undecided) == ([], [waiting])
    broken = place(entry_id="9-0", fields=((b"tickr", b"NVDA"),))
    assert found("9-0", redis=Redis([broken])).undecided == [broken]
    trimmed = place(entry_id="9-0", fields=None, consumer="dead")
    assert found("9-0", redis=Redis([trimmed])).undecided == [trimmed]


def test_milliseconds_alone_are_an_entry_id() -> None:
    """As Redis reads them."""
    waiting = place(entry_id="9-0", fields=None, consumer="dead")
    assert found("9", redis=Redis([waiting])).undecided == [waiting]


def test_nothing_at_all() -> None:
    """Is false; an orphan's row has no entry to ask for."""
    assert not found("nothing", sent())
    other = told(5, "fill", client_order_id="sp-other-orphan", stream="", entry_id="")
    redis = Redis([place()], [other])
    (orphan,) = found(COID, sent(stream="", entry_id=""), redis=redis).signals
    assert (orphan.place, list(orphan.told)) == (None, [])


def test_redis_trouble_is_passed_on() -> None:
    """The caller says what is therefore missing."""
    redis = Redis()
    redis.trouble = "away"
    assert found("mine", sent(), redis=redis).redis_trouble == "away"


def test_notes_of_another_order_stay_there() -> None:
    """History is per order."""
    (facts,) = found("2-0", make_intent(2)).signals
    assert facts.notes == [] and isinstance(note(1, "x"), Note)


def test_a_leg_is_shown_with_its_signal() -> None:
    """By its order id, its client_order_id and every name of the signal; told events included."""
    sold = trade("4", client_order_id="leg-take profit", order_id="order-take profit", side="sell")
    ledger = SqliteLedger("sqlite://")
    rows = (sent(), leg(), leg("stop loss", state="CANCELED"))
    ledger.apply([*(Change(insert=row) for row in rows), Change(trades=(trade(), sold))])
    heard = told(55, "fill", client_order_id="leg-take profit", stream="", entry_id="")
    with ledger.open_reader() as reader:
        for key in ("mine", ENTRY, COID, "order-1", "order-take profit", "leg-stop loss"):
            (facts,) = search(key, reader, Redis(events=[heard])).signals
            assert facts.intent.client_order_id == COID
            assert [one.row.message for one in facts.legs] == ["take profit", "stop loss"]
            assert [len(one.trades) for one in facts.legs] == [1, 0]
            assert [one.qty for one in facts.trades] == [10]
            assert facts.told == [heard]


def test_a_leg_of_a_lost_row_is_no_signal() -> None:
    """Nor is it found by the beginning of an id of ours."""
    assert not found("order-take profit", leg())
    assert not found(COID[:12], leg(client_order_id=COID))
