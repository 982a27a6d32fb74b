"""One signal's way from publication to its end, as lines with times. Pure: facts in, lines out.

The row of the ledger holds one time per stage, in milliseconds. Its history (:class:`Note`) holds
what each stage here took, in microseconds, and every request, answer and crash that was not the
usual one. Where a note tells the same thing in more detail, the row's own line is left out.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from solution.domain.reasons import Reason
from solution.domain.records import TERMINAL, Intent, Note, State, Trade
from solution.domain.stages import shown, split
from solution.feeds.entry_trace import Place, Told
from solution.ui.search import LegOfIt, LetterFacts, SignalFacts, entry_ms


class Tone(StrEnum):
    """How a line is to be read."""

    PLAIN = "plain"
    GOOD = "good"
    ATTENTION = "attention"
    """Not the usual way, and dealt with."""
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that happened. ``at_ms`` is epoch milliseconds, by whoever's clock saw it."""

    at_ms: int
    stage: str
    text: str = ""
    tone: Tone = Tone.PLAIN


VERDICTS = {
    State.SUBMITTING: "On its way: its row is durable, and no answer to its POST is on record yet. "
    "After a crash the next start asks the broker before anything else is sent.",
    State.UNKNOWN: "Unclear: the POST got no usable answer and is being looked up. Do not publish "
    "it again under another signal_id meanwhile: that would be another order.",
    State.OPEN: "At the broker, and not at its end.",
    State.EXPIRED_UNCONFIRMED: "No order of its own was found at the broker, and it is not sent "
    "again. It is watched: should the order appear it is adopted, and what is open of it is "
    "cancelled. Until then only reductions of this asset are let through.",
    State.FILLED: "Ended: filled completely.",
    State.CANCELED: "Ended: cancelled at the broker.",
    State.EXPIRED: "Ended: expired at the broker.",
    State.REPLACED: "Ended: replaced at the broker by an order of somebody else.",
    State.REJECTED: "Ended: the broker said no.",
    State.REFUSED: "Ended: refused here. There is no order.",
    State.DRY_RUN: "Ended: a dry run, everything but the POST.",
    State.NOT_SENT: "Ended: the broker could not be reached. There is no order.",
    State.ABSENT_CONFIRMED: "Ended: the broker never had the order.",
}
"""What each state means to somebody who has to decide what to do."""

_TONES = {
    State.FILLED: Tone.GOOD,
    State.OPEN: Tone.PLAIN,
    State.DRY_RUN: Tone.PLAIN,
    State.SUBMITTING: Tone.ATTENTION,
    State.UNKNOWN: Tone.BAD,
    State.EXPIRED_UNCONFIRMED: Tone.BAD,
}
_NOTE_TONES = {
    "posted": Tone.ATTENTION,
    "not_taken": Tone.ATTENTION,
    "resend": Tone.ATTENTION,
    "unknown": Tone.ATTENTION,
    "absent": Tone.ATTENTION,
    "recovered": Tone.ATTENTION,
    "redelivered": Tone.ATTENTION,
    "adopted": Tone.ATTENTION,
    "corrected": Tone.ATTENTION,
    "late_fill": Tone.ATTENTION,
    "suspect": Tone.ATTENTION,
    "cancel_refused": Tone.ATTENTION,
    "not_sent": Tone.ATTENTION,
    "refused": Tone.ATTENTION,
    "crashed": Tone.BAD,
    "expired_unconfirmed": Tone.BAD,
    "conflict": Tone.BAD,
}
_NOTE_STAGES = {
    "expired_unconfirmed": "given up",
    "lookup": "looked up",
    "posted": "sent again",
    "resend": "decided",
}
_ONLY_TIMES = "timed"
"""The line of a signal that made no order: only what its stages took."""
_BY_NOW = re.compile(r"\((\d+) times by now\)")
# How often these happened is said at the top: the way through trouble at a glance.
_COUNTED = {
    "posted": "sent again",
    "not_taken": "not taken",
    "lookup": "looked up",
    "cancel": "cancel requested",
    "adopted": "adopted",
    "recovered": "recovered after a restart",
    "redelivered": "redelivered",
    "corrected": "corrected",
}
_LATER, _END = 10, 30
_RANKS = {"published": 0, "read": 1, "taken": 2, "decided": 3, "posted": 4, "answered": 5} | {
    "given up": 5
}


def tone_of(state: State) -> Tone:
    """How to show a state."""
    return _TONES.get(state, Tone.ATTENTION)


def verdict(intent: Intent) -> str:
    """What the state means, with what was filled where that is not said by the state."""
    text = VERDICTS[intent.state]
    if intent.state is State.FILLED or intent.state not in TERMINAL:
        return text
    if intent.filled_qty:
        return f"{text} Filled before: {filled_text(intent)}."
    if intent.alpaca_order_id and intent.state is not State.REJECTED:
        return f"{text} Nothing was filled."
    return text


def reason_of(code: str) -> Reason | None:
    """The reason with its sentences; None for a code this version does not know."""
    return Reason.__members__.get(code)


def order_text(intent: Intent) -> str:
    """``buy 10 NVDA``, as far as it is known."""
    size = f"${intent.notional:f} of" if intent.notional is not None else _number(intent.qty)
    return " ".join(word for word in (intent.side, size, intent.symbol) if word)


def filled_text(intent: Intent) -> str:
    """``4 of 10 at 135.34``."""
    of = "" if intent.qty is None else f" of {intent.qty:f}"
    price = intent.filled_avg_price
    return f"{intent.filled_qty:f}{of}" + ("" if price is None else f" at {price:f}")


def leg_text(leg: Intent) -> str:
    """``sell 10 NVDA, FILLED, 10 of 10 at 150``."""
    filled = f", {filled_text(leg)}" if leg.filled_qty else ""
    return f"{order_text(leg)}, {leg.state}{filled}"


def passages(notes: Sequence[Note]) -> list[str]:
    """``["sent again", "looked up 3 times", "recovered after a restart"]``."""
    counts = Counter(note.kind for note in notes)
    # Of what happened hundreds of times not each has a line.
    at_least: dict[str, int] = {}
    for note in notes:
        by_now = _BY_NOW.search(note.detail)
        if by_now:
            at_least[note.kind] = max(int(by_now[1]), at_least.get(note.kind, 0))
    found = []
    for kind, words in _COUNTED.items():
        if kind in at_least:
            found.append(f"{words} at least {max(counts[kind], at_least[kind])} times")
        elif counts[kind]:
            found.append(words if counts[kind] == 1 else f"{words} {counts[kind]} times")
    return found


def stages_of(notes: Sequence[Note]) -> dict[str, int]:
    """What the stages up to the first POST took, microseconds; empty where it is not known."""
    return next((took for note in notes if (took := split(note.detail)[1])), {})


def history_of(notes: Sequence[Note]) -> list[Note]:
    """The lines about what happened, without the times of the stages."""
    kept = (note for note in notes if note.kind != _ONLY_TIMES)
    return [replace(note, detail=split(note.detail)[0]) for note in kept]


def place_text(place: Place, *, ended: bool) -> str:
    """Where the entry is in Redis, in a sentence."""
    if place.consumer:
        again = f", delivered {place.deliveries} times" if place.deliveries > 1 else ""
        gone = "" if place.fields is not None else "; its content was trimmed or deleted"
        return (
            f"pending: with consumer {place.consumer} of group {place.group} for"
            f" {place.idle_ms / 1000:.1f} s, not acknowledged{again}{gone}"
        )
    if place.fields is None:
        return "no longer in the stream" if ended else "not in the stream: trimmed, or lost"
    if place.is_read:
        return f"acknowledged by group {place.group}"
    return f"in the stream, not read yet by group {place.group}"


def lines_of(facts: SignalFacts, now_ms: int) -> list[Line]:
    """The whole way, in order of time; stages of one moment stand in their natural order.

    Args:
        now_ms: epoch milliseconds; where a signal that is not at its end stands now.
    """
    intent, notes = facts.intent, history_of(facts.notes)
    ranked = [
        (_RANKS[line.stage], line) for line in _row_lines(intent, notes, stages_of(facts.notes))
    ]
    ranked += [(_LATER, _note_line(note)) for note in notes]
    ranked += [(_LATER, line) for line in _trade_lines(intent, facts.trades)]
    for leg in facts.legs:
        ranked += [(_LATER, _of_leg(leg, line)) for line in _trade_lines(leg.row, leg.trades)]
        if leg.row.ended_ms:
            ranked.append((_END, _leg_end(leg)))
    if intent.ended_ms and intent.submitted_ms:
        ranked.append((_END, _end_line(intent)))
    own = (intent.stream, intent.entry_id)
    roles = {leg.row.client_order_id: leg.row.message for leg in facts.legs}
    ranked += [(_END + 1, line) for line in _told_lines(facts.told, own, roles)]
    if intent.state not in TERMINAL:
        ranked.append((_END + 2, _now_line(intent, now_ms)))
    return [line for _, line in sorted(ranked, key=lambda one: (one[1].at_ms, one[0]))]


def letter_lines(facts: LetterFacts) -> list[Line]:
    """From publication to the dead letter and its event."""
    letter = facts.letter
    published = entry_ms(letter.entry_id)
    lines = [Line(at_ms=published, stage="published", text=f"to stream {letter.stream}")]
    text = f"dead letter, {letter.reason}: {letter.message}"
    lines.append(Line(at_ms=_epoch_ms(letter.at), stage="decided", text=text, tone=Tone.BAD))
    lines += _told_lines(facts.told, (letter.stream, letter.entry_id))
    return [line for line in lines if line.at_ms]


# --- from the row --------------------------------------------------------------------------------


def _row_lines(intent: Intent, notes: Sequence[Note], stages: Mapping[str, int]) -> Iterator[Line]:
    """What the row's own times say, without what a note says better.

    The note of an answer was committed with it, so both have the same time.
    """
    published = entry_ms(intent.entry_id)
    if published:
        yield Line(at_ms=published, stage="published", text=_published_text(intent, published))
    if intent.received_ms and intent.entry_id:
        yield Line(at_ms=intent.received_ms, stage="read", text="by the service")
    if stages:
        yield _taken(intent, stages)
    if intent.created_ms:
        yield _decided(intent, stages)
    if intent.submitted_ms and intent.body:
        yield _posted(intent, stages)
    told = any(note.at_ms == intent.answered_ms for note in notes)
    if intent.answered_ms and intent.submitted_ms and not told:
        yield _answered(intent)


def _published_text(intent: Intent, published: int) -> str:
    text = f"to stream {intent.stream}"
    if intent.published_ms and intent.published_ms < published:
        return f"{text}; its own ts is {(published - intent.published_ms) / 1000:.3f} s older"
    return text


def _taken(intent: Intent, stages: Mapping[str, int]) -> Line:
    lane, budget = stages.get("lane", 0), stages.get("budget", 0)
    # A millisecond's fraction was cut off the time of reading.
    at_ms = min(intent.received_ms + (lane + budget) // 1000, intent.created_ms)
    text = f"by a worker, after {shown(lane)} in its lane and {shown(budget)} for rate budget"
    return Line(at_ms=at_ms, stage="taken", text=text)


def _posted(intent: Intent, stages: Mapping[str, int]) -> Line:
    text = "POST of the stored request"
    if "send" not in stages:
        return Line(at_ms=intent.submitted_ms, stage="posted", text=text)
    at_ms = intent.submitted_ms + (stages.get("row", 0) + stages["send"]) // 1000
    text += f", {shown(stages['send'])} after its row was durable"
    return Line(at_ms=at_ms, stage="posted", text=text)


def _decided(intent: Intent, stages: Mapping[str, int]) -> Line:
    after = f" (gates and sizing took {shown(stages['gates'])})" if "gates" in stages else ""
    if intent.submitted_ms and intent.body:
        words = (order_text(intent), intent.order_type, intent.time_in_force)
        row = f" within {shown(stages['row'])}" if "row" in stages else ""
        text = f"{' '.join(word for word in words if word)}{after}; the row is durable{row}"
        return Line(at_ms=intent.created_ms, stage="decided", text=text)
    if intent.submitted_ms:
        text = f"{order_text(intent)} was found at the broker, so the row was made of it"
        return Line(at_ms=intent.created_ms, stage="decided", text=text, tone=Tone.ATTENTION)
    why = f", {intent.reason}" if intent.reason else ""
    message = f": {intent.message}" if intent.message else ""
    text = f"{intent.state}{why}{message}{after}"
    return Line(at_ms=intent.created_ms, stage="decided", text=text, tone=tone_of(intent.state))


_ANSWERS = {
    State.SUBMITTING: "nothing certain yet",
    State.UNKNOWN: "no usable answer",
    State.EXPIRED_UNCONFIRMED: "acknowledged, and watched",
    State.REJECTED: "the broker says no",
    State.NOT_SENT: "not reached",
    State.REFUSED: "not taken, and refused before the next try",
    State.ABSENT_CONFIRMED: "not found in complete lists",
}


def _answered(intent: Intent) -> Line:
    words = _ANSWERS.get(intent.state)
    if words is None:
        text = f"the broker has it as {intent.alpaca_order_id or 'an order without id'}"
        return Line(at_ms=intent.answered_ms, stage="answered", text=text)
    text = f"{words}: {intent.message}" if intent.message else words
    stage = "given up" if intent.state is State.EXPIRED_UNCONFIRMED else "answered"
    return Line(at_ms=intent.answered_ms, stage=stage, text=text, tone=Tone.ATTENTION)


def _end_line(intent: Intent) -> Line:
    parts = [str(intent.state)]
    if intent.filled_qty:
        parts.append(filled_text(intent))
    if intent.reason:
        parts.append(intent.reason)
    published = entry_ms(intent.entry_id)
    if published:
        parts.append(f"{span(intent.ended_ms - published)} after its publication")
    text = ", ".join(parts)
    return Line(at_ms=intent.ended_ms, stage="ended", text=text, tone=tone_of(intent.state))


def _now_line(intent: Intent, now_ms: int) -> Line:
    since = entry_ms(intent.entry_id) or intent.created_ms
    text = f"still {intent.state}, {span(now_ms - since)} after its publication"
    return Line(at_ms=now_ms, stage="now", text=text, tone=tone_of(intent.state))


# --- from history, executions and events ---------------------------------------------------------


def _note_line(note: Note) -> Line:
    tone = _NOTE_TONES.get(note.kind, Tone.PLAIN)
    stage = _NOTE_STAGES.get(note.kind) or note.kind.replace("_", " ")
    # A change of state says its name twice: as the kind and in the sentence.
    name = note.kind.upper()
    text = note.detail.removeprefix(f"{name}: ").removeprefix(f"{name}, ")
    return Line(at_ms=note.at_ms, stage=stage, text=text, tone=tone)


def _trade_lines(intent: Intent, trades: Sequence[Trade]) -> Iterator[Line]:
    for trade in trades:
        if trade.qty < 0:
            text = f"{trade.qty:f} at {trade.price:f}: the broker took shares back"
            at_ms = _epoch_ms(trade.at)
            yield Line(at_ms=at_ms, stage="taken back", text=text, tone=Tone.BAD)
            continue
        of = "" if intent.qty is None else f" of {intent.qty:f}"
        text = f"{trade.qty:f} at {trade.price:f}, {trade.cum_qty:f}{of} filled (the broker's time)"
        yield Line(at_ms=_epoch_ms(trade.at), stage="fill", text=text, tone=Tone.GOOD)


def _of_leg(leg: LegOfIt, line: Line) -> Line:
    return replace(line, text=f"{leg.row.message}: {line.text}")


def _leg_end(leg: LegOfIt) -> Line:
    text = f"{leg.row.message}: {leg_text(leg.row)}"
    return Line(at_ms=leg.row.ended_ms, stage="leg ended", text=text)


def _told_lines(
    told: Sequence[Told], own: tuple[str, str], roles: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Line]:
    """One line per moment and entry: events that left together were one commit."""
    grouped: dict[tuple[str, str, int], list[Told]] = {}
    for one in told:
        grouped.setdefault((one.stream, one.entry_id, one.at_ms), []).append(one)
    for (stream, entry_id, at_ms), events in grouped.items():
        names = ", ".join(_told_name(one, roles) for one in events)
        to = "" if (stream, entry_id) == own else f" under entry {entry_id} of {stream}"
        yield Line(at_ms=at_ms, stage="told", text=f"executions: {names}{to}")


def _told_name(one: Told, roles: Mapping[str, str]) -> str:
    about = "final" if one.final else roles.get(one.client_order_id, "")
    return f"{one.event} ({about})" if about else one.event


def _number(value: Decimal | None) -> str:
    return "" if value is None else f"{value:f}"


def _epoch_ms(text: str) -> int:
    """RFC 3339 to epoch milliseconds; 0 when unreadable."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return 0


def span(ms: int) -> str:
    """A duration for people: ``12 ms``, ``3.214 s``, ``2 min 3 s``, ``5 h 2 min``, ``3 d 4 h``."""
    if abs(ms) < 1_000:
        return f"{ms} ms"
    if abs(ms) < 60_000:
        return f"{ms / 1000:.3f} s"
    sign, seconds = ("-" if ms < 0 else ""), abs(ms) // 1000
    for unit, below, size, part in (("min", "s", 60, 1), ("h", "min", 3_600, 60)):
        if seconds < size * (60 if unit == "min" else 48):
            return f"{sign}{seconds // size} {unit} {seconds % size // part} {below}"
    return f"{sign}{seconds // 86_400} d {seconds % 86_400 // 3_600} h"
