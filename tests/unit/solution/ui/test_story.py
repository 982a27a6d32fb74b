"""A signal's way as lines: every stage once, in order, each with its time."""

from decimal import Decimal
from pathlib import Path

import pytest

from solution import trading
from solution.domain.reasons import Reason
from solution.domain.records import State
from solution.ui import story
from solution.ui.search import LegOfIt, LetterFacts, SignalFacts
from solution.ui.story import Tone
from tests.helpers.ledger_rows import make_dead_letter
from tests.helpers.stories import T0, leg, note, place, refused, sent, told, trade, unresolved

NOW = T0 + 60_000


def stages(facts: SignalFacts) -> list[tuple[int, str]]:
    """Milliseconds after the publication, and the stage."""
    return [(line.at_ms - T0, line.stage) for line in story.lines_of(facts, NOW)]


def line(facts: SignalFacts, stage: str) -> story.Line:
    """The only line of a stage."""
    (found,) = [one for one in story.lines_of(facts, NOW) if one.stage == stage]
    return found


def test_a_filled_order_from_publication_to_the_final_event() -> None:
    """Each stage with the time that the ledger, the broker or Redis gave it."""
    facts = SignalFacts(
        intent=sent(),
        trades=[trade()],
        told=[told(45, "submitted"), told(45, "fill", final=True)],
    )
    assert stages(facts) == [
        (0, "published"),
        (1, "read"),
        (3, "decided"),
        (3, "posted"),
        (12, "answered"),
        (20, "fill"),
        (40, "ended"),
        (45, "told"),
    ]
    assert line(facts, "ended").text == "FILLED, 10 of 10 at 135.34, 40 ms after its publication"
    assert line(facts, "told").text == "executions: submitted, fill (final)"
    assert line(facts, "ended").tone is Tone.GOOD


def test_a_refusal_is_decided_and_that_is_its_end() -> None:
    """No POST, no answer; the reason and its numbers in one line."""
    facts = SignalFacts(intent=refused())
    assert stages(facts) == [(0, "published"), (1, "read"), (3, "decided")]
    assert line(facts, "decided").text == "REFUSED, POSITION_CAP: the cap is 10000.00"


def test_notes_stand_where_they_happened_and_replace_the_rows_own_lines() -> None:
    """The note of the answer has the row's time; one of a POST is about a later one."""
    notes = [
        note(5, "unknown", "UNKNOWN, OUTCOME_UNKNOWN: reset"),
        note(250, "lookup", "HTTP 404"),
        note(260, "resend", "not found: the same body is sent if the gates pass"),
        note(270, "posted", "the stored request once more"),
        note(6_000, "recovered", "found UNKNOWN at the start"),
        note(12_000, "adopted", "ours by every field"),
    ]
    facts = SignalFacts(intent=sent(answered_ms=T0 + 12_000, ended_ms=T0 + 12_000), notes=notes)
    assert stages(facts) == [
        (0, "published"),
        (1, "read"),
        (3, "decided"),
        (3, "posted"),
        (5, "unknown"),
        (250, "looked up"),
        (260, "decided"),
        (270, "sent again"),
        (6_000, "recovered"),
        (12_000, "adopted"),
        (12_000, "ended"),
    ]
    assert line(facts, "recovered").tone is Tone.ATTENTION
    assert line(facts, "unknown").text == "OUTCOME_UNKNOWN: reset"


def test_stages_that_were_timed_have_lines_and_durations() -> None:
    """Kept at the end of the first line of the history, in microseconds, and not shown twice."""
    kept = "us: lane 400, budget 1200, gates 512, row 2088, send 31"
    facts = SignalFacts(intent=sent(), notes=[note(12, "answered", f"HTTP 200 in 6.1 ms; {kept}")])
    assert stages(facts) == [
        (0, "published"),
        (1, "read"),
        (2, "taken"),
        (3, "decided"),
        (5, "posted"),
        (12, "answered"),
        (40, "ended"),
    ]
    words = "by a worker, after 0.400 ms in its lane and 1.200 ms for rate budget"
    assert line(facts, "taken").text == words
    assert line(facts, "decided").text == (
        "buy 10 NVDA market ioc (gates and sizing took 0.512 ms); "
        "the row is durable within 2.088 ms"
    )
    assert line(facts, "posted").text == (
        "POST of the stored request, 0.031 ms after its row was durable"
    )
    assert line(facts, "answered").text == "HTTP 200 in 6.1 ms"


def test_the_time_of_taking_is_never_after_the_decision() -> None:
    """The time of reading is cut to a millisecond, the wait is not."""
    notes = [note(3, "timed", "us: lane 9000, budget 0, gates 300")]
    facts = SignalFacts(intent=refused(), notes=notes)
    assert stages(facts) == [(0, "published"), (1, "read"), (3, "taken"), (3, "decided")]
    assert line(facts, "decided").text == (
        "REFUSED, POSITION_CAP: the cap is 10000.00 (gates and sizing took 0.300 ms)"
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.UNKNOWN, "no usable answer: connection reset"),
        (State.REJECTED, "the broker says no: connection reset"),
        (State.NOT_SENT, "not reached: connection reset"),
        (State.OPEN, "the broker has it as order-1"),
    ],
)
def test_the_answer_is_worded_by_what_came_of_it(state: State, words: str) -> None:
    """Where no note tells it."""
    order_id = "order-1" if state is State.OPEN else ""
    facts = SignalFacts(intent=unresolved(state, alpaca_order_id=order_id))
    assert line(facts, "answered").text == words


def test_what_is_not_at_its_end_says_where_it_stands_now() -> None:
    """With the age of the signal, loud where the broker may or may not have the order."""
    found = line(SignalFacts(intent=unresolved()), "now")
    assert found.text == "still UNKNOWN, 1 min 0 s after its publication"
    assert found.tone is Tone.BAD
    given_up = SignalFacts(intent=unresolved(State.EXPIRED_UNCONFIRMED))
    assert line(given_up, "given up").text == "acknowledged, and watched: connection reset"


def test_a_row_made_of_an_order_at_the_broker_says_so() -> None:
    """It has no request of ours, and an orphan has no signal."""
    adopted = SignalFacts(intent=sent(body=b""))
    assert line(adopted, "decided").text.startswith("buy 10 NVDA was found at the broker")
    assert "posted" not in dict(map(reversed, stages(adopted)))  # type: ignore[arg-type]
    orphan = SignalFacts(intent=sent(body=b"", stream="", entry_id="", signal_id=""))
    assert [stage for _, stage in stages(orphan)] == ["decided", "answered", "ended"]


def test_shares_taken_back_and_repeated_entries() -> None:
    """A bust is bad news; what was told under another entry names it."""
    facts = SignalFacts(
        intent=sent(),
        trades=[trade("-4", cum_qty=Decimal(-1))],
        told=[told(50, "fill", entry_id="9-0", final=True)],
    )
    assert line(facts, "taken back").tone is Tone.BAD
    assert line(facts, "told").text == "executions: fill (final) under entry 9-0 of nvda"


def test_an_older_ts_of_the_producer_is_mentioned() -> None:
    """The age limit counts from it."""
    facts = SignalFacts(intent=sent(published_ms=T0 - 2_500))
    assert line(facts, "published").text == "to stream nvda; its own ts is 2.500 s older"


def test_a_dead_letters_lines() -> None:
    """Published, decided, told."""
    letter = make_dead_letter(7, entry_id=f"{T0}-0", at="2026-11-20T20:35:18.004Z")
    found = story.letter_lines(LetterFacts(letter=letter, told=[told(9, "dead_letter")]))
    assert [(one.at_ms - T0, one.stage) for one in found] == [
        (0, "published"),
        (4, "decided"),
        (9, "told"),
    ]
    assert found[1].text == "dead letter, NOT_UTF8: field 2 is not UTF-8"


def test_every_state_has_a_verdict_and_partial_fills_are_said() -> None:
    """Somebody has to decide by it."""
    assert set(story.VERDICTS) == set(State)
    partly = sent(state=State.CANCELED, filled_qty=Decimal(4))
    assert story.verdict(partly).endswith("Filled before: 4 of 10 at 135.34.")
    nothing = sent(state=State.EXPIRED, filled_qty=Decimal(0))
    assert story.verdict(nothing).endswith("Nothing was filled.")
    assert story.verdict(refused()) == "Ended: refused here. There is no order."


def test_the_way_through_trouble_at_a_glance() -> None:
    """Counted by kind, in a fixed order, once without a number."""
    notes = [note(1, "recovered"), note(2, "lookup"), note(3, "lookup"), note(4, "recovered")]
    assert story.passages(notes) == ["looked up 2 times", "recovered after a restart 2 times"]
    assert story.passages([note(1, "adopted")]) == ["adopted"]
    many = [note(1, "lookup", "no answer"), note(2, "lookup", "no answer (64 times by now)")]
    assert story.passages(many) == ["looked up at least 64 times"]


def test_every_kind_of_line_that_is_rendered_is_written_somewhere() -> None:
    """What never happens needs no colour."""
    source = "".join(path.read_text() for path in Path(trading.__file__).parent.glob("*.py"))
    rendered = {*story._NOTE_TONES, *story._NOTE_STAGES, *story._COUNTED, story._ONLY_TIMES}
    assert [kind for kind in sorted(rendered) if f'"{kind}"' not in source] == []


@pytest.mark.parametrize(
    ("changed", "ended", "text"),
    [
        ({}, True, "acknowledged by group solution"),
        ({"is_read": False}, False, "in the stream, not read yet by group solution"),
        ({"fields": None}, True, "no longer in the stream"),
        ({"fields": None}, False, "not in the stream: trimmed, or lost"),
    ],
)
def test_where_the_entry_is(changed: dict[str, object], ended: bool, text: str) -> None:
    """In words."""
    assert story.place_text(place(**changed), ended=ended) == text


def test_a_pending_entry_names_its_consumer() -> None:
    """How long, how often, and whether its content is gone."""
    found = place(consumer="trader-1", idle_ms=2_340, deliveries=3, fields=None)
    assert story.place_text(found, ended=False) == (
        "pending: with consumer trader-1 of group solution for 2.3 s, not acknowledged, delivered "
        "3 times; its content was trimmed or deleted"
    )


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (-3, "-3 ms"),
        (1_000, "1.000 s"),
        (60_000, "1 min 0 s"),
        (3_599_999, "59 min 59 s"),
        (3_600_000, "1 h 0 min"),
        (47 * 3_600_000, "47 h 0 min"),
        (49 * 3_600_000, "2 d 1 h"),
        (-61_000, "-1 min 1 s"),
    ],
)
def test_durations_for_people(ms: int, text: str) -> None:
    """Two units at most."""
    assert story.span(ms) == text


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    """Its sentences are not known here."""
    assert story.reason_of("AT_TARGET") is Reason.AT_TARGET
    assert story.reason_of("SOMETHING_NEW") is None


def test_legs_fill_and_end_in_the_signals_own_way() -> None:
    """Each line says which of them; the event of a leg is marked in what was told."""
    take, stop = leg(), leg("stop loss", state=State.OPEN, filled_qty=Decimal(0), ended_ms=0)
    sold = trade("10", at="2026-11-20T20:35:18.048Z", price=Decimal(150))
    facts = SignalFacts(
        intent=sent(),
        legs=[LegOfIt(row=take, trades=[sold]), LegOfIt(row=stop)],
        told=[told(45, "fill", final=True), told(55, "fill", client_order_id="leg-take profit")],
    )
    assert stages(facts)[-4:] == [(45, "told"), (48, "fill"), (50, "leg ended"), (55, "told")]
    lines = story.lines_of(facts, NOW)
    assert lines[-3].text == "take profit: 10 at 150, 10 of 10 filled (the broker's time)"
    assert line(facts, "leg ended").text == "take profit: sell 10 NVDA, FILLED, 10 of 10 at 150"
    assert [one.text for one in lines if one.stage == "told"] == [
        "executions: fill (final)", "executions: fill (take profit)",
    ]  # fmt: skip
    assert story.leg_text(stop) == "sell 10 NVDA, OPEN"
