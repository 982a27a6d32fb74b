"""What a market data feed has to tell at a given time; no I/O, no waiting, no clock of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND, new_york, new_york_midnight
from paper_exchange.hours import Hours, Phase
from paper_exchange.live import messages
from paper_exchange.live.messages import DataMessage
from paper_exchange.market import DAY_NS, MINUTE_NS, TICK_NS, Bar, Market, Quote

#: Half a minute after its end a bar is computed anew, as Alpaca does for late trades.
_SECOND_LOOK_NS = 30 * SECOND
#: Minutes told at most after the clock has been moved.
MISSED_MINUTES = 60
#: Assets dealt with before others get their turn on the event loop.
_CHUNK = 24

_TICK_MESSAGES = {
    "trades": messages.trade,
    "quotes": messages.quote,
    "orderbooks": messages.orderbook,
}


@dataclass(frozen=True, slots=True)
class Demand:
    """Which assets somebody listens to, by channel."""

    by_channel: dict[str, dict[str, Asset]]

    def of(self, *channels: str) -> list[Asset]:
        """The assets wanted on any of the channels, each once."""
        wanted: dict[str, Asset] = {}
        for channel in channels:
            wanted |= self.by_channel.get(channel, {})
        return list(wanted.values())

    def wants(self, channel: str, asset: Asset) -> bool:
        """Whether a message of this channel about this asset would reach anybody."""
        return asset.symbol in self.by_channel.get(channel, {})

    def __bool__(self) -> bool:
        return any(self.by_channel.values())


def _in_chunks(assets: Iterable[Asset]) -> Iterator[list[Asset]]:
    rest = iter(assets)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


class Publisher:
    """The messages of one feed.

    ``hours`` are those of stocks; None trades round the clock with days that
    begin at midnight UTC, as crypto's do.

    Ticks: a trade and a quote for each tick of the market that differs from
    the one told last. Bars: at the end of each minute that began while the
    market was open, however late that is noticed, up to ``MISSED_MINUTES``
    back. Nothing is told about the time before the first call.
    """

    def __init__(self, market: Market, hours: Hours | None) -> None:
        self._market = market
        self._hours = hours
        self._told: dict[str, Quote] = {}
        #: Minutes (since the epoch) up to which bars are told, and looked at again.
        self._minute: int | None = None
        self._looked_again: int | None = None
        self._bars: dict[str, Bar] = {}

    def rest(self) -> None:
        """Nobody listens any more: what happens from now on is not made up for later."""
        self._minute = self._looked_again = None
        self._told.clear()
        self._bars.clear()

    def pause_ns(self, demand: Demand, now_ns: int) -> int:
        """How long until there may be something to tell."""
        due = []
        if demand.of(*_TICK_MESSAGES):
            due.append(TICK_NS - now_ns % TICK_NS)
        due.append(MINUTE_NS - now_ns % MINUTE_NS)
        if demand.of("updatedBars"):
            due.append(MINUTE_NS - (now_ns - _SECOND_LOOK_NS) % MINUTE_NS)
        return min(due)

    def due(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        """What is to be told at ``now_ns``, in pieces that each take about a millisecond."""
        yield from self._bar_messages(demand, now_ns)
        yield from self._updates(demand, now_ns)
        if self._open(now_ns):
            yield from self._ticks(demand, now_ns)

    def _open(self, at_ns: int) -> bool:
        return self._hours is None or self._hours.phase(at_ns) is not Phase.CLOSED

    # -- ticks -------------------------------------------------------------------------------

    def _ticks(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        for chunk in _in_chunks(demand.of(*_TICK_MESSAGES)):
            told = []
            for asset in chunk:
                quote = self._market.quote_at(asset.symbol, now_ns)
                if quote != self._told.get(asset.symbol):
                    self._told[asset.symbol] = quote
                    told += [
                        make(asset, quote)
                        for channel, make in _TICK_MESSAGES.items()
                        if demand.wants(channel, asset)
                    ]
            yield told

    # -- bars --------------------------------------------------------------------------------

    def _bar_messages(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        current = now_ns // MINUTE_NS
        first = current if self._minute is None else max(self._minute, current - MISSED_MINUTES)
        self._minute = current
        for minute in range(first, current):
            if self._open(minute * MINUTE_NS):
                yield from self._minute_bars(demand, minute)
                # Of a day so far, only the newest is of interest.
                if minute + 1 == current or not self._same_day(minute, minute + 1):
                    yield from self._daily_bars(demand, minute)

    def _minute_bars(self, demand: Demand, minute: int) -> Iterator[list[DataMessage]]:
        for chunk in _in_chunks(demand.of("bars", "updatedBars")):
            told = []
            for asset in chunk:
                bar = self._market.minute_bar(asset.symbol, minute * MINUTE_NS)
                self._bars[asset.symbol] = bar
                if demand.wants("bars", asset):
                    told.append(messages.bar("bars", asset, bar))
            yield told

    def _daily_bars(self, demand: Demand, minute: int) -> Iterator[list[DataMessage]]:
        start, end = self._day_start(minute * MINUTE_NS), (minute + 1) * MINUTE_NS
        for chunk in _in_chunks(demand.of("dailyBars")):
            yield [
                messages.bar(
                    "dailyBars", asset, self._market.span_bar(asset.symbol, start, end)
                )
                for asset in chunk
            ]  # fmt: skip

    def _updates(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        """The bars of the newest minute that are not what they were when they were told."""
        current = (now_ns - _SECOND_LOOK_NS) // MINUTE_NS
        looked, self._looked_again = self._looked_again, current
        if looked is None or looked == current:
            return
        for chunk in _in_chunks(demand.of("updatedBars")):
            told = []
            for asset in chunk:
                before = self._bars.get(asset.symbol)
                if before is None or before.start_ns // MINUTE_NS != current - 1:
                    continue
                bar = self._market.minute_bar(asset.symbol, before.start_ns)
                if bar != before:
                    self._bars[asset.symbol] = bar
                    told.append(messages.bar("updatedBars", asset, bar))
            yield told

    def _same_day(self, one: int, other: int) -> bool:
        return self._day_start(one * MINUTE_NS) == self._day_start(other * MINUTE_NS)

    def _day_start(self, at_ns: int) -> int:
        """New York days for stocks, UTC days for crypto."""
        if self._hours is None:
            return at_ns // DAY_NS * DAY_NS
        return new_york_midnight(new_york(at_ns).date())
