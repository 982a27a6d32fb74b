"""Everything that ledger and Redis know under one key; read only."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from solution.domain import legs
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX
from solution.domain.records import DeadLetter, Intent, Note, Trade
from solution.domain.signal import parse
from solution.errors import SignalError
from solution.feeds.entry_trace import Place, Told

PREFIX_AMONG = 20_000
"""Rows, newest first, among which the beginning of a client_order_id is looked for."""
SHORTEST_PREFIX = len(CLIENT_ORDER_ID_PREFIX) + 1
EARLIER_MS = 1_000
"""Redis's clock may be behind ours: events are looked for from a little earlier on."""

_ENTRY_ID = re.compile(r"[0-9]{1,15}(-[0-9]{1,10})?", re.ASCII)


class Reader(Protocol):
    """What is asked of the ledger."""

    def find_intents(self, key: str, limit: int = 20) -> list[Intent]: ...

    def find_dead_letters(self, entry_id: str) -> list[DeadLetter]: ...

    def list_intents(self, limit: int = 50) -> list[Intent]: ...

    def list_legs(self, client_order_id: str) -> list[Intent]: ...

    def list_trades(self, client_order_id: str = "", limit: int = 500) -> list[Trade]: ...

    def notes(self, client_order_id: str) -> list[Note]: ...


class Streams(Protocol):
    """What is asked of Redis; nothing of it raises: where Redis does not answer, ``trouble`` says
    so and the answers are empty."""

    trouble: str

    def places(self, entry_id: str) -> list[Place]:
        """The streams that know an entry of this id."""
        ...

    def place(self, stream: str, entry_id: str) -> Place | None: ...

    def told_since(self, since_ms: int) -> Sequence[Told]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LegOfIt:
    """A bracket's leg: its row, and what it filled."""

    row: Intent
    trades: Sequence[Trade] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFacts:
    """One row, with all that belongs to it.

    Args:
        told: the events under its client_order_id or its entry, those of its legs among them.
        legs: where it is a bracket, the orders that the broker made beside its own.
        repeats: entries that published the same signal_id again, as far as they were told.
        asked_as: the repeated entry that was asked for, None when it was the row's own key.
    """

    intent: Intent
    notes: Sequence[Note] = ()
    trades: Sequence[Trade] = ()
    legs: Sequence[LegOfIt] = ()
    place: Place | None = None
    told: Sequence[Told] = ()
    repeats: Sequence[tuple[str, str]] = ()
    asked_as: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFacts:
    """One dead letter, with what Redis knows of its entry."""

    letter: DeadLetter
    place: Place | None = None
    told: Sequence[Told] = ()


@dataclass(slots=True, kw_only=True)
class Found:
    """What is known under a key.

    Args:
        undecided: entries that are in Redis and have neither row nor dead letter.
        matching: client_order_ids that all begin with the key: too many to show one.
        redis_trouble: why Redis could not be asked; empty when it was.
    """

    key: str
    signals: list[SignalFacts] = field(default_factory=list)
    letters: list[LetterFacts] = field(default_factory=list)
    undecided: list[Place] = field(default_factory=list)
    matching: list[str] = field(default_factory=list)
    redis_trouble: str = ""

    def __bool__(self) -> bool:
        return bool(self.signals or self.letters)


def search(key: str, reader: Reader, streams: Streams) -> Found:
    """Look for a signal by entry id, signal_id, client_order_id (or its beginning) or order id.

    A leg is shown with its signal.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    rows, letters, matching = _rows(key, reader), reader.find_dead_letters(key), list[str]()
    entry_id = key if "-" in key else f"{key}-0"
    places = streams.places(entry_id) if _ENTRY_ID.fullmatch(key) else []
    if not rows and not letters:
        rows, matching = _by_prefix(key, reader)
    found = Found(key=key, matching=matching)
    found.signals += [_signal(row, reader, streams) for row in rows]
    found.letters += [_letter(letter, streams) for letter in letters]
    decided = {(row.stream, row.entry_id) for row in rows}
    decided |= {(letter.stream, letter.entry_id) for letter in letters}
    for place in places:
        if (place.stream, place.entry_id) not in decided:
            _repeated(place, found, reader, streams)
    found.redis_trouble = streams.trouble
    return found


def _rows(key: str, reader: Reader) -> list[Intent]:
    """The signals known by a key; a leg stands for the one that it belongs to."""
    found: dict[str, Intent] = {}
    for row in reader.find_intents(key):
        if not legs.is_leg(row):
            found[row.client_order_id] = row
            continue
        parent = legs.parent_of(row)
        if parent not in found:
            found |= {one.client_order_id: one for one in reader.find_intents(parent)}
    return [row for row in found.values() if not legs.is_leg(row)]


def _by_prefix(key: str, reader: Reader) -> tuple[list[Intent], list[str]]:
    """The one row whose client_order_id begins so; or the ids, where there are several."""
    if len(key) < SHORTEST_PREFIX or not key.startswith(CLIENT_ORDER_ID_PREFIX):
        return [], []
    newest = reader.list_intents(limit=PREFIX_AMONG)
    rows = [r for r in newest if r.client_order_id.startswith(key) and not legs.is_leg(r)]
    return (rows, []) if len(rows) == 1 else ([], [row.client_order_id for row in rows])


def _repeated(place: Place, found: Found, reader: Reader, streams: Streams) -> None:
    """An entry without a row of its own: it may have published a known signal_id again."""
    row = _row_of(place, reader)
    if row is None:
        found.undecided.append(place)
        return
    facts = _signal(row, reader, streams)
    found.signals.append(replace(facts, asked_as=place))


def _row_of(place: Place, reader: Reader) -> Intent | None:
    try:
        signal = parse(place.stream, place.entry_id, place.fields or ())
    except SignalError:
        return None
    rows = reader.find_intents(signal.identity)  # never a leg's: that has no digest
    return next((row for row in rows if row.digest == signal.digest), None)


def _signal(intent: Intent, reader: Reader, streams: Streams) -> SignalFacts:
    coid, entry = intent.client_order_id, (intent.stream, intent.entry_id)
    times = (entry_ms(intent.entry_id), intent.received_ms)
    since = min((ms for ms in times if ms), default=0)
    # An orphan has no entry, and neither have the events of other orphans.
    has_entry = bool(intent.entry_id)
    family = [
        LegOfIt(row=leg, trades=reader.list_trades(leg.client_order_id))
        for leg in reader.list_legs(coid)
    ]
    ids = {coid, *(leg.row.client_order_id for leg in family)}
    told = _told(
        streams,
        since,
        lambda one: one.client_order_id in ids or (has_entry and one.entry == entry),
    )
    others = dict.fromkeys(one.entry for one in told)
    return SignalFacts(
        intent=intent,
        notes=reader.notes(coid),
        trades=reader.list_trades(coid),
        legs=family,
        place=streams.place(*entry) if has_entry else None,
        told=told,
        repeats=tuple(other for other in others if other != entry),
    )


def _letter(letter: DeadLetter, streams: Streams) -> LetterFacts:
    entry = (letter.stream, letter.entry_id)
    told = _told(streams, entry_ms(letter.entry_id), lambda one: one.entry == entry)
    return LetterFacts(letter=letter, place=streams.place(*entry), told=told)


def _told(streams: Streams, since_ms: int, is_ours: Callable[[Told], bool]) -> list[Told]:
    return [one for one in streams.told_since(since_ms - EARLIER_MS) if is_ours(one)]


def entry_ms(entry_id: str) -> int:
    """The time in an entry id, epoch milliseconds; 0 where it holds none."""
    head = entry_id.partition("-")[0]
    return int(head) if head.isdecimal() else 0
