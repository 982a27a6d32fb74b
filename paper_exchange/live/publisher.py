"""What a market data feed has to tell at a given time; no I/O, no waiting, no clock of its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

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
#: Assets of one frame.
_FRAME = 24
#: Assets dealt with before others get their turn on the event loop. The first look of a day
#: at an asset costs a millisecond.
_TURN = 4

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


def _in_turns(
    assets: list[Asset], tell: Callable[[Asset], Iterable[DataMessage]]
) -> Iterator[list[DataMessage]]:
    """What is told about the assets, in frames; empty ones only give way to others."""
    told: list[DataMessage] = []
    for number, asset in enumerate(assets, 1):
        told += tell(asset)
        if number % _FRAME == 0 or number == len(assets):
            yield told
            told = []
        elif number % _TURN == 0:
            yield []


class Publisher:
    """The messages of one feed.

    ``hours`` are those of stocks; None trades round the clock with days that
    begin at midnight UTC, as crypto's do.

    Ticks: a trade and a quote for each tick of the market that differs from
    the one told last. Bars: at the end of each minute that began while the
    market was open, however late that is noticed, up to ``MISSED_MINUTES``
    back. Nothing is told about the time before ``begin``.
    """

    def __init__(self, market: Market, hours: Hours | None) -> None:
        self._market = market
        self._hours = hours
        self._told: dict[str, Quote] = {}
        #: Minutes (since the epoch) up to which bars are told, and looked at again.
        self._minute = 0
        self._looked_again = 0
        self._bars: dict[str, Bar] = {}

    def begin(self, now_ns: int) -> None:
        """Somebody listens from now on; what happened while nobody did is not made up for.

        Called before the listener is told so. If the first round began
        instead, a clock moved before it would take a minute's bar away.
        """
        self._minute = now_ns // MINUTE_NS
        self._looked_again = (now_ns - _SECOND_LOOK_NS) // MINUTE_NS
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
        """What is to be told at ``now_ns``, a frame at a time; some are empty.

        Whoever iterates lets others work between the frames.
        """
        yield from self._bar_messages(demand, now_ns)
        yield from self._updates(demand, now_ns)
        if self._open(now_ns):
            yield from self._ticks(demand, now_ns)

    def _open(self, at_ns: int) -> bool:
        return self._hours is None or self._hours.phase(at_ns) is not Phase.CLOSED

    # -- ticks -------------------------------------------------------------------------------

    def _ticks(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        def tell(asset: Asset) -> list[DataMessage]:
            quote = self._market.quote_at(asset.symbol, now_ns)
            if quote == self._told.get(asset.symbol):
                return []
            self._told[asset.symbol] = quote
            return [
                make(asset, quote)
                for channel, make in _TICK_MESSAGES.items()
                if demand.wants(channel, asset)
            ]

        return _in_turns(demand.of(*_TICK_MESSAGES), tell)

    # -- bars --------------------------------------------------------------------------------

    def _bar_messages(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        current = now_ns // MINUTE_NS
        first = max(self._minute, current - MISSED_MINUTES)
        self._minute = current
        for minute in range(first, current):
            if self._open(minute * MINUTE_NS):
                yield from self._minute_bars(demand, minute)
                # Of a day so far, only the newest is of interest.
                if minute + 1 == current or not self._same_day(minute, minute + 1):
                    yield from self._daily_bars(demand, minute)

    def _minute_bars(self, demand: Demand, minute: int) -> Iterator[list[DataMessage]]:
        def tell(asset: Asset) -> list[DataMessage]:
            bar = self._market.minute_bar(asset.symbol, minute * MINUTE_NS)
            self._bars[asset.symbol] = bar
            return [messages.bar("bars", asset, bar)] if demand.wants("bars", asset) else []

        return _in_turns(demand.of("bars", "updatedBars"), tell)

    def _daily_bars(self, demand: Demand, minute: int) -> Iterator[list[DataMessage]]:
        start, end = self._day_start(minute * MINUTE_NS), (minute + 1) * MINUTE_NS

        def tell(asset: Asset) -> list[DataMessage]:
            bar = self._market.span_bar(asset.symbol, start, end)
            return [messages.bar("dailyBars", asset, bar)]

        return _in_turns(demand.of("dailyBars"), tell)

    def _updates(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        """The bars of the newest minute that are not what they were when they were told."""
        current = (now_ns - _SECOND_LOOK_NS) // MINUTE_NS
        looked, self._looked_again = self._looked_again, current

        def tell(asset: Asset) -> list[DataMessage]:
            before = self._bars.get(asset.symbol)
            if before is None or before.start_ns // MINUTE_NS != current - 1:
                return []
            bar = self._market.minute_bar(asset.symbol, before.start_ns)
            if bar == before:
                return []
            self._bars[asset.symbol] = bar
            return [messages.bar("updatedBars", asset, bar)]

        return _in_turns(demand.of("updatedBars") if looked != current else [], tell)

    def _same_day(self, one: int, other: int) -> bool:
        return self._day_start(one * MINUTE_NS) == self._day_start(other * MINUTE_NS)

    def _day_start(self, at_ns: int) -> int:
        """New York days for stocks, UTC days for crypto."""
        if self._hours is None:
            return at_ns // DAY_NS * DAY_NS
        return new_york_midnight(new_york(at_ns).date())
