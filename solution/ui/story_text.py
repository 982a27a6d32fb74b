"""Stories as text: for terminals of any width, and one line per fact where nobody watches."""

import textwrap
from collections.abc import Callable, Iterator, Sequence

from solution.clock import moment_of
from solution.domain.records import TERMINAL, DeadLetter, Intent
from solution.feeds.entry_trace import Place
from solution.printable import shortened, visible
from solution.ui.search import Found, LetterFacts, SignalFacts
from solution.ui.story import (
    Line,
    Tone,
    filled_text,
    leg_text,
    letter_lines,
    lines_of,
    order_text,
    passages,
    place_text,
    reason_of,
    span,
    tone_of,
    verdict,
)

Paint = Callable[[str, Tone], str]
"""Colours a text; returns it as it is where there is no colour."""

LABEL = 9
STAGE = 11
CLOCK = len("12:00:00.000")
AFTER = 12
NARROW = 80
"""Columns below which what happened goes under its time instead of beside it."""


def story_text(
    facts: SignalFacts, now_ms: int, *, width: int | None, paint: Paint
) -> Iterator[str]:
    """One signal.

    Args:
        now_ms: epoch milliseconds.
        width: columns of the terminal; None never breaks a line.
    """
    intent = facts.intent
    head = f"{order_text(intent)}: {intent.state}"
    if intent.filled_qty:
        head += f", {filled_text(intent)}"
    yield paint(visible(head.strip()), tone_of(intent.state))
    yield from _fact("", verdict(intent), width)
    for label, text in _facts(facts):
        yield from _fact(label, text, width)
    yield from _timeline(lines_of(facts, now_ms), width, paint)


def letter_text(facts: LetterFacts, *, width: int | None, paint: Paint) -> Iterator[str]:
    """One dead letter, with its content."""
    letter = facts.letter
    yield paint(visible(f"dead letter: {letter.reason}"), Tone.BAD)
    yield from _fact("", "Ended: the entry was no valid signal. There is no order.", width)
    yield from _fact("signal", f"entry {letter.entry_id} of stream {letter.stream}", width)
    yield from _reason_facts(letter.reason, letter.message, width)
    if facts.place:
        yield from _fact("redis", place_text(facts.place, ended=True), width)
    for i, field in enumerate(_fields(letter)):
        yield from _fact("fields" if i == 0 else "", field, width)
    yield from _timeline(letter_lines(facts), width, paint)


def nowhere_text(found: Found, streams: Sequence[str], ledger: str) -> str:
    """Where was looked in vain, and what Redis says of an entry that nobody has decided."""
    if found.matching:
        ids = ", ".join(found.matching[:5])
        more = f" and {len(found.matching) - 5} more" if len(found.matching) > 5 else ""
        return f"{len(found.matching)} orders begin with {found.key}: {ids}{more}"
    where = f"neither a row nor a dead letter in the ledger {ledger} has {found.key!r}"
    if found.redis_trouble:
        return f"{where}; Redis was not asked: {found.redis_trouble}"
    if found.undecided:
        return "; ".join([where, *(undecided_text(place) for place in found.undecided)])
    return (
        f"{where}, and no entry with this id is in {', '.join(streams)} "
        "(looked for: entry id, signal_id, client_order_id or its beginning, order id)"
    )


def undecided_text(place: Place) -> str:
    """An entry in Redis without a row: what it is waiting for."""
    text = f"entry {place.entry_id} of {place.stream} is {place_text(place, ended=False)}"
    if place.consumer:
        return f"{text}: it waits for a worker or rate budget, or is being decided"
    return text


# --- facts ---------------------------------------------------------------------------------------


def _facts(facts: SignalFacts) -> Iterator[tuple[str, str]]:
    intent = facts.intent
    if facts.asked_as:
        yield "asked for", _repetition(facts.asked_as)
    yield from _names(intent)
    yield from (
        ("leg", f"{leg.row.message}: {leg_text(leg.row)}; order {leg.row.alpaca_order_id}")
        for leg in facts.legs
    )
    if intent.reason:
        yield from _reasons(intent.reason, intent.message)
    elif intent.message:
        yield "note", intent.message
    if passed := passages(facts.notes):
        yield "history", ", ".join(passed)
    if intent.state not in TERMINAL and (intent.reserved_cash or intent.reserved_qty):
        yield "reserved", _reserved(intent)
    if facts.place:
        yield "redis", place_text(facts.place, ended=intent.state in TERMINAL)
    for stream, entry_id in facts.repeats:
        yield "repeated", f"entry {entry_id} of {stream} published it again, and was told the same"


def _repetition(asked: Place) -> str:
    return (
        f"entry {asked.entry_id} of {asked.stream} published a known signal again, which makes no "
        "second order; this is the first one's way"
    )


def _names(intent: Intent) -> Iterator[tuple[str, str]]:
    named = f", signal_id {intent.signal_id}" if intent.signal_id else ""
    entry = f"entry {intent.entry_id} of stream {intent.stream}{named}"
    yield "signal", entry if intent.entry_id else "none: the order was found at the broker"
    extra = [f"{name}={value}" for name, value in intent.extra]
    if intent.strategy or extra:
        yield "producer", " ".join([intent.strategy, *extra]).strip()
    yield "order", intent.client_order_id
    if intent.alpaca_order_id:
        status = f", {intent.status}" if intent.status else ""
        yield "at broker", f"{intent.alpaca_order_id}{status}"
    if intent.body:
        yield "request", intent.body.decode(errors="backslashreplace")


def _reserved(intent: Intent) -> str:
    if intent.reserved_cash:
        return f"{intent.reserved_cash:.2f} of buying power, until it is resolved"
    return f"{intent.reserved_qty:f} shares, until it is resolved"


def _reasons(code: str, message: str) -> Iterator[tuple[str, str]]:
    known = reason_of(code)
    yield "reason", f"{code}: {known.summary}" if known else code
    if message:
        yield "", message
    if known:
        yield "what now", known.advice


def _reason_facts(code: str, message: str, width: int | None) -> Iterator[str]:
    for label, text in _reasons(code, message):
        yield from _fact(label, text, width)


def _fields(letter: DeadLetter) -> Iterator[str]:
    if not letter.fields:
        yield "lost with the entry"
    for name, value in letter.fields:
        yield f"{_text(name)} = {_text(value)}"


def _text(raw: bytes) -> str:
    return shortened(raw.decode(errors="backslashreplace"))


# --- layout --------------------------------------------------------------------------------------


def _fact(label: str, text: str, width: int | None) -> Iterator[str]:
    yield from _hanging(f"  {label:<{LABEL}} ", shortened(text), width)


def _timeline(lines: Sequence[Line], width: int | None, paint: Paint) -> Iterator[str]:
    """Time of day, time since the line before, stage, what happened; a new day gets a line."""
    day, before = "", None
    for line in lines:
        moment = moment_of(line.at_ms)
        if f"{moment:%Y-%m-%d}" != day:
            day = f"{moment:%Y-%m-%d}"
            yield f"  {day} UTC"
        clock = f"{moment:%H:%M:%S}.{line.at_ms % 1000:03d}"
        after = "" if before is None else f"+{span(line.at_ms - before)}"
        before = line.at_ms
        head = f"  {clock} {after:>{AFTER}}  "
        stage = f"{line.stage:<{STAGE}}"
        first, *rest = _beside(head, stage, shortened(line.text), width)
        begin, end = len(head), len(head) + len(stage)
        yield first[:begin] + paint(first[begin:end], line.tone) + first[end:]
        yield from rest


def _beside(head: str, stage: str, text: str, width: int | None) -> list[str]:
    if width is not None and width < NARROW:
        return [f"{head}{stage}".rstrip(), *_hanging(" " * 8, text, width)]
    return list(_hanging(f"{head}{stage} ", text, width))


def _hanging(head: str, text: str, width: int | None) -> Iterator[str]:
    """The text behind its head, broken at the width with what follows under its beginning."""
    if width is None:
        yield f"{head}{text}".rstrip()
        return
    indent = len(head)
    # Ids and requests have no spaces: they are broken where the terminal would break them.
    rows = textwrap.wrap(text, max(width - indent, 16), break_on_hyphens=False) or [""]
    yield f"{head}{rows[0]}".rstrip()
    yield from (" " * indent + row for row in rows[1:])
