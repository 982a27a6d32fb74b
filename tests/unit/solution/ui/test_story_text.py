"""Stories as text: whole in a pipe, broken in a terminal, never a command to it."""

from decimal import Decimal

import pytest

from solution.domain.records import State
from solution.printable import shortened
from solution.ui.search import Found, LegOfIt, LetterFacts, SignalFacts
from solution.ui.story import Tone
from solution.ui.story_text import letter_text, nowhere_text, story_text
from tests.helpers.ledger_rows import make_dead_letter
from tests.helpers.stories import COID, ENTRY, T0, leg, note, place, refused, sent, told, unresolved


def bare(text: str, _tone: Tone) -> str:
    """No colour."""
    return text


def marked(text: str, tone: Tone) -> str:
    """Colours as a test can see them."""
    return f"<{tone}>{text}</>"


def shown(facts: SignalFacts, width: int | None = None) -> list[str]:
    """The lines."""
    return list(story_text(facts, T0 + 60_000, width=width, paint=bare))


def test_a_pipe_gets_one_line_per_fact() -> None:
    """Head, verdict, ids, request, times; no line is broken or padded."""
    lines = shown(SignalFacts(intent=sent(), place=place(), notes=[note(250, "lookup")]))
    assert lines[0] == "buy 10 NVDA: FILLED, 10 of 10 at 135.34"
    assert f"  signal    entry {ENTRY} of stream nvda, signal_id mine" in lines
    assert f"  order     {COID}" in lines
    assert "  at broker order-1, filled" in lines
    assert '  request   {"symbol":"NVDA","qty":"10"}' in lines
    assert "  history   looked up" in lines
    assert "  redis     acknowledged by group solution" in lines
    assert "  2026-11-20 UTC" in lines
    assert "  20:35:18.001        +1 ms  read        by the service" in lines
    assert all(line == line.rstrip() for line in lines)


def test_a_refusal_says_why_and_what_to_do() -> None:
    """The code's sentence, the numbers that decided, the advice."""
    lines = shown(SignalFacts(intent=refused()))
    start = next(i for i, line in enumerate(lines) if line.startswith("  reason"))
    assert [line.strip() for line in lines[start : start + 3]] == [
        "reason    POSITION_CAP: The position would exceed `MAX_POSITION_PCT` of equity.",
        "the cap is 10000.00",
        "what now  Ask for less, or raise the cap.",
    ]


def test_every_width_keeps_every_word_within_it() -> None:
    """From a telephone's terminal on; what is too long is broken."""
    facts = SignalFacts(
        intent=unresolved(State.EXPIRED_UNCONFIRMED),
        notes=[note(5, "unknown", "UNKNOWN: the connection was reset while waiting")],
        told=[told(7, "unknown")],
    )
    whole = "".join("".join(shown(facts)).split())
    for width in (40, 79, 80, 120):
        lines = shown(facts, width)
        assert max(map(len, lines)) <= width
        assert sorted("".join("".join(lines).split())) == sorted(whole)


def test_colour_marks_the_head_and_the_stages_only() -> None:
    """And never moves a column."""
    facts = SignalFacts(intent=sent())
    lines = list(story_text(facts, T0, width=None, paint=marked))
    assert lines[0] == "<good>buy 10 NVDA: FILLED, 10 of 10 at 135.34</>"
    assert "  20:35:18.040       +28 ms  <good>ended      </> FILLED, " in lines[-1]


def test_unresolved_orders_show_what_they_hold() -> None:
    """Buying power or shares."""
    assert any(
        "1353.40 of buying power" in line for line in shown(SignalFacts(intent=unresolved()))
    )
    selling = unresolved(side="sell", reserved_cash=Decimal(0), reserved_qty=Decimal(3))
    assert any("3 shares, until" in line for line in shown(SignalFacts(intent=selling)))


def test_producers_cannot_command_the_terminal() -> None:
    """Control characters are escaped, endless values are cut."""
    facts = SignalFacts(intent=sent(extra=(("x_a", "\x1b[2J"),), strategy="s" * 5_000))
    text = "\n".join(shown(facts))
    assert "\x1b" not in text
    assert f"… ({5_000 + len(' x_a=#[2J')} characters)" in text
    assert "x_a" not in text  # beyond the cut
    assert shortened("a\x1bb") == "a\\x1bb"


def test_a_repetition_says_whose_way_is_shown() -> None:
    """The entry asked for made no second order."""
    facts = SignalFacts(intent=sent(), asked_as=place(entry_id="9-0"), repeats=[("nvda", "9-0")])
    lines = shown(facts)
    assert any(line.startswith("  asked for entry 9-0 of nvda published a known") for line in lines)
    assert any(line.startswith("  repeated  entry 9-0 of nvda") for line in lines)


def test_an_orphan_has_no_signal() -> None:
    """The order was found at the broker."""
    facts = SignalFacts(intent=sent(stream="", entry_id="", reason="ORPHAN"))
    assert "  signal    none: the order was found at the broker" in shown(facts)


def test_a_dead_letter_with_its_content() -> None:
    """Raw bytes are escaped."""
    facts = LetterFacts(letter=make_dead_letter(7, entry_id=ENTRY), place=place())
    lines = list(letter_text(facts, width=None, paint=bare))
    assert lines[0] == "dead letter: NOT_UTF8"
    assert "  fields    ticker = NVDA" in lines
    assert "            \\xff = \\xfe\\x00" in lines
    empty = LetterFacts(letter=make_dead_letter(7, fields=()))
    assert any("lost with the entry" in x for x in letter_text(empty, width=None, paint=bare))


@pytest.mark.parametrize("entry_id", ["999999999999999-0", "18446744073709551615-1"])
def test_an_entry_id_beyond_the_calendar(entry_id: str) -> None:
    """A producer may choose any id; its dead letter, FUTURE_TIMESTAMP, can still be looked at."""
    facts = LetterFacts(letter=make_dead_letter(7, entry_id=entry_id))
    lines = list(letter_text(facts, width=80, paint=bare))
    assert "  9999-12-31 UTC" in lines


def test_found_nowhere_says_where_was_looked() -> None:
    """Ledger, dead letters, streams; and what Redis knows of an entry that nobody decided."""

    def text(**changed: object) -> str:
        return nowhere_text(Found(key="1-0", **changed), ["nvda"], "data/x.db")  # type: ignore[arg-type]

    head = "neither a row nor a dead letter in the ledger data/x.db has '1-0'"
    assert text().startswith(f"{head}, and no entry with this id is in nvda")
    assert text(redis_trouble="no answer") == f"{head}; Redis was not asked: no answer"
    waiting = place(entry_id="1-0", consumer="trader-1", idle_ms=1_000, deliveries=1)
    assert text(undecided=[waiting]) == (
        f"{head}; entry 1-0 of nvda is pending: with consumer trader-1 of group solution for 1.0 s,"
        " not acknowledged: it waits for a worker or rate budget, or is being decided"
    )
    unread = place(entry_id="1-0", is_read=False)
    assert text(undecided=[unread]).endswith("is in the stream, not read yet by group solution")
    many = Found(key="sp-", matching=[f"sp-{n}" for n in range(7)])
    assert nowhere_text(many, [], "x") == (
        "7 orders begin with sp-: sp-0, sp-1, sp-2, sp-3, sp-4 and 2 more"
    )


def test_each_leg_has_a_line_of_its_own() -> None:
    """What it is for, where it stands, and under which id the broker has it."""
    lines = shown(SignalFacts(intent=sent(), legs=[LegOfIt(row=leg())]))
    wanted = "take profit: sell 10 NVDA, FILLED, 10 of 10 at 150; order order-take profit"
    assert f"  leg       {wanted}" in lines
