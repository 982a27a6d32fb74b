"""``signalpaca why``: what became of one signal, stage by stage."""

import dataclasses
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import click

from solution.clock import SystemClock
from solution.commands import dead_letters, orders
from solution.commands.common import (
    FAILED,
    echo_json,
    json_option,
    reader_of,
    redis_trouble,
    say,
    settings_of,
)
from solution.commands.orders import at
from solution.config import Settings
from solution.domain.records import Note
from solution.feeds.entry_trace import Place, StreamTrace, Told
from solution.printable import visible
from solution.redis_client import make_client
from solution.security import Redactor
from solution.ui import story, story_text
from solution.ui.search import Found, LegOfIt, LetterFacts, SignalFacts, search
from solution.ui.story import Line, Tone

_COLORS = {Tone.GOOD: "green", Tone.ATTENTION: "yellow", Tone.BAD: "red"}


@click.command()
@click.argument("key", metavar="SIGNAL")
@json_option
@click.pass_obj
def why(overrides: Mapping[str, str], *, key: str, as_json: bool) -> None:
    """Tell a signal's whole way, every stage timed. SIGNAL is its entry id, its signal_id, the
    order's client_order_id (or the beginning of it) or the broker's order id. Exit code 1 when
    nothing is known of it.
    """
    key = key.strip()
    if not key:
        raise click.UsageError("SIGNAL is empty")
    settings = settings_of(overrides)
    with reader_of(settings) as reader, _streams(settings) as streams:
        found = search(key, reader, streams)
    redactor, now_ms = Redactor(settings.secrets), SystemClock().epoch_ms()
    if as_json:
        echo_json(redactor.values(_as_object(found, now_ms)))
    else:
        for line in _text(found, now_ms):
            click.echo(redactor.redact(line), color=None if settings.logging.color else False)
    if not found:
        ledger = str(settings.ledger.path or settings.ledger.name)
        names = settings.redis.streams
        say(redactor.redact(story_text.nowhere_text(found, names, ledger)), err=True)
        raise click.exceptions.Exit(FAILED)


@contextmanager
def _streams(settings: Settings) -> Iterator[StreamTrace]:
    """Redis, where it answers: what the ledger knows is told without it."""
    client = make_client(settings.redis.url)
    try:
        yield StreamTrace(
            client,
            streams=settings.redis.streams,
            group=settings.redis.group,
            executions=settings.redis.executions_stream,
            explain=lambda error: redis_trouble(settings, error),
        )
    finally:
        client.close()


# --- text ----------------------------------------------------------------------------------------


def _text(found: Found, now_ms: int) -> Iterator[str]:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    stories: list[Iterable[str]] = [
        story_text.story_text(facts, now_ms, width=width, paint=_paint) for facts in found.signals
    ]
    stories += [story_text.letter_text(facts, width=width, paint=_paint) for facts in found.letters]
    if len(stories) > 1:
        yield visible(f"{len(stories)} signals are known by {found.key}:")
    for i, lines in enumerate(stories):
        if i or len(stories) > 1:
            yield ""
        yield from lines
    if not found:
        return
    for place in found.undecided:
        yield visible(f"also: {story_text.undecided_text(place)}")
    if found.redis_trouble:
        yield visible(f"what was told and acknowledged is not shown: {found.redis_trouble}")


def _paint(text: str, tone: Tone) -> str:
    return click.style(text, fg=_COLORS[tone], bold=True) if tone in _COLORS else text


# --- JSON ----------------------------------------------------------------------------------------


def _as_object(found: Found, now_ms: int) -> dict[str, Any]:
    return {
        "key": found.key,
        "signals": [_signal(facts, now_ms) for facts in found.signals],
        "dead_letters": [_letter(facts) for facts in found.letters],
        "undecided": [_place(place) for place in found.undecided],
        "matching": found.matching,
        "redis_trouble": found.redis_trouble or None,
    }


def _leg(leg: LegOfIt) -> dict[str, Any]:
    """A bracket's leg: its row and its executions."""
    return {
        "role": leg.row.message,
        "order": orders.as_object(leg.row),
        "trades": [_plain(trade) for trade in leg.trades],
    }


def _signal(facts: SignalFacts, now_ms: int) -> dict[str, Any]:
    intent = facts.intent
    return {
        "verdict": story.verdict(intent),
        "reason": _reason(intent.reason, intent.message),
        "order": orders.as_object(intent),
        "trades": [_plain(trade) for trade in facts.trades],
        "legs": [_leg(leg) for leg in facts.legs],
        "stages_us": story.stages_of(facts.notes) or None,
        "history": [_note(note) for note in story.history_of(facts.notes)],
        "entry": _place(facts.place),
        "asked_as": _place(facts.asked_as),
        "repeats": [{"stream": stream, "entry_id": entry} for stream, entry in facts.repeats],
        "told": [_told(one) for one in facts.told],
        "timeline": _timeline(story.lines_of(facts, now_ms)),
    }


def _letter(facts: LetterFacts) -> dict[str, Any]:
    letter = facts.letter
    return {
        **dead_letters.as_object(letter),
        "reason": _reason(letter.reason, letter.message),
        "entry": _place(facts.place),
        "told": [_told(one) for one in facts.told],
        "timeline": _timeline(story.letter_lines(facts)),
    }


def _reason(code: str, message: str) -> dict[str, str | None] | None:
    if not code:
        return None
    known = story.reason_of(code)
    return {
        "code": code,
        "summary": known.summary if known else None,
        "advice": known.advice if known else None,
        "message": message,
    }


def _note(note: Note) -> dict[str, str]:
    return {"at": at(note.at_ms), "kind": note.kind, "detail": note.detail}


def _told(told: Told) -> dict[str, Any]:
    values = _plain(told)
    return {"at": at(values.pop("at_ms")), **values}


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {
        "stream": place.stream,
        "entry_id": place.entry_id,
        "group": place.group,
        "in_stream": place.fields is not None,
        "is_read": place.is_read,
        "pending_with": place.consumer or None,
        "idle_ms": place.idle_ms if place.consumer else None,
        "deliveries": place.deliveries if place.consumer else None,
    }


def _timeline(lines: Sequence[Line]) -> list[dict[str, Any]]:
    first = lines[0].at_ms if lines else 0
    return [
        {
            "at": at(line.at_ms),
            "ms": line.at_ms - first,
            "stage": line.stage,
            "text": line.text,
            "tone": str(line.tone),
        }
        for line in lines
    ]


def _plain(record: Any) -> dict[str, Any]:
    """A record's fields as JSON values; decimals as text."""
    values = ((field.name, getattr(record, field.name)) for field in dataclasses.fields(record))
    return {name: f"{v:f}" if isinstance(v, Decimal) else v for name, v in values}
