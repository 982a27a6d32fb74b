"""What a market data feed has to tell at a given time; no I/O, no waiting, no clock of its own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND, new_york, new_york_midnight
from paper_exchange.hours import Hours, Phase
from paper_exchange.live import messages
from paper_exchange.live.messages import DataMessage
from paper_exchange.prices.history import BarRow, Place, TradeRow, Window, bars, trades
from paper_exchange.prices.market import DAY_NS, MINUTE_NS, TICK_NS, Market, Quote
from paper_exchange.prices.rows import last_trade
from paper_exchange.prices.timeframes import Timeframe

#: Half a minute after its end a bar is computed anew, as Alpaca does for late trades.
_SECOND_LOOK_NS = 30 * SECOND
#: Minutes told at most after the clock has been moved.
MISSED_MINUTES = 60
#: Assets of one frame.
_FRAME = 24
#: Assets dealt with before others get their turn on the event loop. The first look of a day
#: at an asset costs a millisecond.
_TURN = 4

_TICK_CHANNELS = ("trades", "quotes", "orderbooks")
#: How far back trades are told that a tick brought together; behind a moved clock, only the last.
_TRADES_NS = SECOND
_MINUTE = Timeframe(1, "Min")
_DAY = Timeframe(1, "Day")


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

    Ticks: the new trades, and the quote, at each tick of the market at which
    they differ from those told last. Bars: at the end of each minute that began while the
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
        self._bars: dict[str, BarRow] = {}

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
        if demand.of(*_TICK_CHANNELS):
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
            before, self._told[asset.symbol] = self._told.get(asset.symbol), quote
            told: list[DataMessage] = []
            if demand.wants("trades", asset):
                told += [messages.trade(asset, one) for one in self._trades(before, quote)]
            if demand.wants("quotes", asset):
                told.append(messages.quote(asset, quote))
            if demand.wants("orderbooks", asset):
                told.append(messages.orderbook(asset, quote))
            return told

        return _in_turns(demand.of(*_TICK_CHANNELS), tell)

    def _trades(self, before: Quote | None, now: Quote) -> Iterable[TradeRow]:
        """The trades since the quote told before; the last one where that is long ago."""
        if before is not None and before.trade_id == now.trade_id:
            # Set by hand once more within the tick, it is the same trade at another price.
            return () if before.last == now.last else (last_trade(now),)
        if before is None or now.at_ns - before.at_ns > _TRADES_NS:
            return (last_trade(now),)
        after = Place(before.traded_ns, before.trade_id + 1)
        window = Window(before.traded_ns, now.traded_ns, now.traded_ns, resume=after)
        return (row for row, _ in trades(self._market.series(now.symbol), window))

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
            bar = self._bar(asset, _MINUTE, minute * MINUTE_NS, minute + 1)
            if bar is None:
                return []
            self._bars[asset.symbol] = bar
            return [messages.bar("bars", asset, bar)] if demand.wants("bars", asset) else []

        return _in_turns(demand.of("bars", "updatedBars"), tell)

    def _daily_bars(self, demand: Demand, minute: int) -> Iterator[list[DataMessage]]:
        start = self._day_start(minute * MINUTE_NS)

        def tell(asset: Asset) -> list[DataMessage]:
            bar = self._bar(asset, _DAY, start, minute + 1)
            return [] if bar is None else [messages.bar("dailyBars", asset, bar)]

        return _in_turns(demand.of("dailyBars"), tell)

    def _updates(self, demand: Demand, now_ns: int) -> Iterator[list[DataMessage]]:
        """The bars of the newest minute that are not what they were when they were told."""
        current = (now_ns - _SECOND_LOOK_NS) // MINUTE_NS
        looked, self._looked_again = self._looked_again, current

        def tell(asset: Asset) -> list[DataMessage]:
            before = self._bars.get(asset.symbol)
            if before is None or before.at_ns // MINUTE_NS != current - 1:
                return []
            bar = self._bar(asset, _MINUTE, before.at_ns, current)
            if bar is None or bar == before:
                return []
            self._bars[asset.symbol] = bar
            return [messages.bar("updatedBars", asset, bar)]

        return _in_turns(demand.of("updatedBars") if looked != current else [], tell)

    def _bar(self, asset: Asset, frame: Timeframe, start_ns: int, until: int) -> BarRow | None:
        """The bar that begins at ``start_ns`` as it is when minute ``until`` begins."""
        series = self._market.series(asset.symbol)
        window = Window(start_ns, start_ns, until * MINUTE_NS)
        return next((row for row, _, _ in bars(series, frame, window)), None)

    def _same_day(self, one: int, other: int) -> bool:
        return self._day_start(one * MINUTE_NS) == self._day_start(other * MINUTE_NS)

    def _day_start(self, at_ns: int) -> int:
        """New York days for stocks, UTC days for crypto."""
        if self._hours is None:
            return at_ns // DAY_NS * DAY_NS
        return new_york_midnight(new_york(at_ns).date())
