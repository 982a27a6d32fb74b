"""What happened to one asset between two instants: bars, trades and quotes, in either direction.

Each function yields rows in order, together with the place from which a later
call goes on. Nothing later than ``Window.now_ns`` is ever looked at, and a bar
is made of minutes that are over. Prices are JSON numbers here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge
from typing import NamedTuple

from paper_exchange.prices.quotes import Book
from paper_exchange.prices.series import IDS_PER_MINUTE, Offer, Series, View
from paper_exchange.prices.tape import MINUTE_NS, TICK_NS, TICKS_PER_MINUTE, Stretch, joined
from paper_exchange.prices.timeframes import Bucket, Timeframe


class Place(NamedTuple):
    """Where a row stands: its time, and its rank among rows that may share it."""

    at_ns: int
    rank: int


class BarRow(NamedTuple):
    """One bar, rounded."""

    at_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int
    average: float


class TradeRow(NamedTuple):
    """One trade, rounded; ``number`` is its id."""

    at_ns: int
    price: float
    size: float
    number: int


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: both ends included; rows from ``resume`` on in the order asked for.

    Attributes:
        now_ns: the exchange's time, taken down to its tick.
    """

    start_ns: int
    end_ns: int
    now_ns: int
    descending: bool = False
    resume: Place | None = None

    @property
    def first_ns(self) -> int:
        """The earliest instant that rows may have."""
        start = self.start_ns
        if self.resume is not None and not self.descending:
            start = max(start, self.resume.at_ns)
        return start

    @property
    def last_ns(self) -> int:
        """The latest instant that rows may have."""
        end = min(self.end_ns, self.now_ns)
        if self.resume is not None and self.descending:
            end = min(end, self.resume.at_ns)
        return end

    def of(self, series: Series) -> "Window":
        """The part of the window that an asset's history covers."""
        return replace(self, start_ns=max(self.start_ns, series.begins_ns))

    def begun(self, place: Place) -> bool:
        """Whether a row is at ``resume`` or after it, in the order asked for."""
        if self.resume is None:
            return True
        return place <= self.resume if self.descending else place >= self.resume


def finished_minute(now_ns: int) -> int:
    """The minute that is running: all before it are over."""
    return now_ns // MINUTE_NS


def bar_row(series: Series, start_ns: int, one: Stretch) -> BarRow:
    """A stretch as a bar that begins at ``start_ns``."""
    number = series.grid.number
    return BarRow(
        start_ns,
        number(one.open),
        number(one.high),
        number(one.low),
        number(one.close),
        series.grid.size(one.volume),
        one.trades,
        series.grid.average(one),
    )


def bars(
    series: Series, frame: Timeframe, window: Window
) -> Iterator[tuple[BarRow | None, Place, int]]:
    """Bars whose time lies in the window, each with its place and its cost.

    A bar is whole even if its end lies beyond the window's, as far as its
    minutes are over. None stands for one in which nothing has traded (yet).
    """
    window = window.of(series)
    until = finished_minute(window.now_ns)
    for bucket in _buckets(series, frame, window, until):
        parts = frame.parts(bucket, until, series.days)
        found = joined(series.tape.span(start, stop) for start, stop in parts)
        start_ns = bucket.start * MINUTE_NS
        row = None if found is None else bar_row(series, start_ns, found)
        yield row, Place(start_ns, 0), frame.cost(bucket)


def _buckets(series: Series, frame: Timeframe, window: Window, until: int) -> Iterator[Bucket]:
    """The stretches of a window that have trades, and those of the running bar."""
    first_ns, last_ns, tape, days = window.first_ns, window.last_ns, series.tape, series.days
    if first_ns > last_ns:
        return
    if window.descending:
        minute = tape.latest(min(_bucket_end(series, frame, last_ns), until) - 1)
        while minute is not None:
            bucket = frame.bucket(minute, days)
            if bucket.start * MINUTE_NS < first_ns:
                return
            yield bucket
            minute = tape.latest(bucket.start - 1)
        return
    minute = tape.following(_first_start(series, frame, first_ns))
    while minute is not None and minute < until:
        bucket = frame.bucket(minute, days)
        if bucket.start * MINUTE_NS > last_ns:
            return
        yield bucket
        minute = tape.following(bucket.stop)


def _first_start(series: Series, frame: Timeframe, first_ns: int) -> int:
    """The start of the first bar that does not begin before an instant."""
    bucket = frame.bucket(first_ns // MINUTE_NS, series.days)
    return bucket.start if bucket.start * MINUTE_NS >= first_ns else bucket.stop


def _bucket_end(series: Series, frame: Timeframe, last_ns: int) -> int:
    """The end of the last bar that begins up to an instant."""
    return frame.bucket(last_ns // MINUTE_NS, series.days).stop


def latest_bars(series: Series, frame: Timeframe, now_ns: int, count: int) -> list[BarRow]:
    """The newest bars, the newest first."""
    window = Window(series.begins_ns, now_ns, now_ns, descending=True)
    found: list[BarRow] = []
    for row, _, _ in bars(series, frame, window):
        if row is not None:
            found.append(row)
            if len(found) == count:
                break
    return found


def _minutes(series: Series, window: Window) -> Iterator[int]:
    """The minutes of a window that have trades, in the order asked for."""
    first, last = window.first_ns // MINUTE_NS, window.last_ns // MINUTE_NS
    tape = series.tape
    if window.descending:
        minute = tape.latest(last)
        while minute is not None and minute >= first:
            yield minute
            minute = tape.latest(minute - 1)
        return
    minute = tape.following(first)
    while minute is not None and minute <= last:
        yield minute
        minute = tape.following(minute + 1)


def trades(series: Series, window: Window) -> Iterator[tuple[TradeRow, Place]]:
    """The trades of a window, each with its place."""
    window = window.of(series)
    first_ns, last_ns = window.first_ns, window.last_ns
    if first_ns > last_ns:
        return
    number, size = series.grid.number, series.grid.size
    for minute in _minutes(series, window):
        prints = series.tape.prints(minute)
        places = range(len(prints.times))
        for n in reversed(places) if window.descending else places:
            at_ns = prints.times[n]
            place = Place(at_ns, minute * IDS_PER_MINUTE + n)
            if first_ns <= at_ns <= last_ns and window.begun(place):
                yield (
                    TradeRow(at_ns, number(prints.prices[n]), size(prints.sizes[n]), place.rank),
                    place,
                )


def quotes(series: Series, window: Window) -> Iterator[tuple[Offer, Place]]:
    """The quotes of a window, each with its place: the recorded ones, or one each tick."""
    window = window.of(series)
    if window.first_ns > window.last_ns:
        return
    if series.book is not None:
        yield from _recorded(series, series.book, window)
        return
    first = -(-window.first_ns // TICK_NS)
    last = window.last_ns // TICK_NS
    for minute in _minutes(series, window):
        view = View(series.tape, minute)
        begin = minute * TICKS_PER_MINUTE
        ticks = range(max(first, begin), min(last, begin + TICKS_PER_MINUTE - 1) + 1)
        for tick in reversed(ticks) if window.descending else ticks:
            yield series.offer(view, tick), Place(tick * TICK_NS, 0)


def _recorded(series: Series, book: Book, window: Window) -> Iterator[tuple[Offer, Place]]:
    """A book's rows, and between them what was done by hand."""
    first_ns, last_ns = window.first_ns, window.last_ns
    by_hand = [
        Place(at_ns, 2 * book.rank(at_ns + 1) - 1)
        for at_ns in series.changes()
        if first_ns <= at_ns <= last_ns
    ]
    ranks = range(book.rank(first_ns), book.rank(last_ns + 1))
    rows = (
        Place(book.row(rank).at_ns, 2 * rank)
        for rank in (reversed(ranks) if window.descending else ranks)
    )
    for place in merge(rows, sorted(by_hand, reverse=window.descending), reverse=window.descending):
        if window.begun(place):
            offer = series.recorded_row(book, place.rank // 2, place.at_ns)
            if offer is not None:
                yield offer, place
