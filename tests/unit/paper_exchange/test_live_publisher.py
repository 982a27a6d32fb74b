"""What the feeds tell and when, by a clock moved by hand."""

from datetime import UTC, datetime

import pytest

from paper_exchange.clock import SECOND, to_ns
from paper_exchange.hours import NyseHours
from paper_exchange.live.messages import DataMessage
from paper_exchange.live.publisher import MISSED_MINUTES, Demand, Publisher
from paper_exchange.prices.history import Window, trades
from paper_exchange.prices.market import MINUTE_NS
from tests.unit.paper_exchange.conftest import NOON, Make, World

#: A Friday: the bell rings at 16:00 in New York, and the evening session ends at 20:00.
CLOSE = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)


class Listener:
    """A publisher with somebody who listens."""

    def __init__(self, world: World, *, nyse: bool = False, crypto: bool = False) -> None:
        self.world = world
        hours = None if crypto else NyseHours() if nyse else world.exchange.hours
        self.publisher = Publisher(world.market, hours)
        self.publisher.begin(world.clock.now_ns())
        self.demand = Demand({})

    def listen(self, **channels: str) -> None:
        """Want these symbols, one per channel, and take no notice of what is told at once."""
        found = {name: self.world.exchange.assets.find(text) for name, text in channels.items()}
        self.demand = Demand({name: {one.symbol: one} for name, one in found.items() if one})
        self.hear()

    def messages(self) -> list[DataMessage]:
        """What is told now."""
        chunks = self.publisher.due(self.demand, self.world.clock.now_ns())
        return [message for chunk in chunks for message in chunk]

    def hear(self, seconds: float = 0) -> list[str]:
        """The types of what is told after some time."""
        self.world.clock.advance(seconds)
        return [str(message.row["T"]) for message in self.messages()]

    @property
    def pause(self) -> float:
        """Seconds until there may be more."""
        return self.publisher.pause_ns(self.demand, self.world.clock.now_ns()) / SECOND


@pytest.fixture
def listener(world: World) -> Listener:
    """Somebody on a feed that never closes."""
    return Listener(world)


def starts(told: list[DataMessage], kind: str) -> list[str]:
    """The times of all messages of a type."""
    return [str(message.row["t"]) for message in told if message.row["T"] == kind]


def test_a_quote_with_every_tick(listener: Listener) -> None:
    """Each tick is told once, and only on the channels somebody listens to."""
    listener.listen(quotes="NVDA")
    assert listener.hear() == []
    assert listener.hear(0.25) == ["q"]
    assert listener.hear(0.24) == []
    assert listener.hear(0.01) == ["q"]
    assert listener.pause == 0.25


def test_every_trade_once(listener: Listener) -> None:
    """The trades of two minutes, as history lists them."""
    listener.listen(trades="KO")
    begin = listener.world.clock.now_ns()
    told: list[DataMessage] = []
    for _ in range(480):
        listener.world.clock.advance(0.25)
        told += listener.messages()
    series = listener.world.market.series("KO")
    window = Window(begin + 1, listener.world.clock.now_ns(), listener.world.clock.now_ns())
    assert [message.row["i"] for message in told] == [
        row.number for row, _ in trades(series, window)
    ]
    assert len(told) > 20


def test_a_price_set_by_hand_is_told_at_once(listener: Listener) -> None:
    """Even though the clock stands still."""
    listener.listen(trades="KO")
    listener.world.price("123.45")
    (message,) = listener.messages()
    assert message.row["p"] == 123.45


def test_crypto_books(world: World) -> None:
    """Order books come with every tick too."""
    listener = Listener(world, crypto=True)
    listener.listen(orderbooks="BTC/USD", quotes="BTC/USD")
    assert sorted(listener.hear(1)) == ["o", "q"]


def test_bars_at_the_end_of_the_minute(listener: Listener) -> None:
    """The minute that ended and the day so far, as REST has them."""
    listener.listen(bars="KO", dailyBars="KO")
    assert listener.pause == 60
    assert listener.hear(59.9) == []
    listener.world.clock.advance(0.1)
    minute, day = listener.messages()
    assert (minute.row["T"], day.row["T"]) == ("b", "d")
    assert starts([minute], "b") == ["2026-11-20T17:00:00Z"]
    assert starts([day], "d") == ["2026-11-20T05:00:00Z"]
    midnight = to_ns(datetime(2026, 11, 20, 5, tzinfo=UTC))
    series = listener.world.market.series("KO")
    so_far = series.tape.span(midnight // MINUTE_NS, to_ns(NOON) // MINUTE_NS + 1)
    assert so_far is not None
    assert day.row["v"] == series.grid.size(so_far.volume)
    assert listener.hear() == []


def test_crypto_days_begin_at_midnight_utc(world: World) -> None:
    """As in REST."""
    listener = Listener(world, crypto=True)
    listener.listen(dailyBars="BTC/USD")
    world.clock.advance(60)
    assert starts(listener.messages(), "d") == ["2026-11-20T00:00:00Z"]


def test_a_clock_that_jumps(listener: Listener) -> None:
    """Every minute passed over is told, the day only once, and ticks only as they are now."""
    listener.listen(bars="KO", dailyBars="KO", trades="KO")
    listener.world.clock.advance(5 * 60)
    told = listener.messages()
    assert [message.row["T"] for message in told] == ["b"] * 5 + ["d", "t"]
    assert len(set(starts(told, "b"))) == 5


def test_a_long_jump_over_midnight(listener: Listener) -> None:
    """At most an hour is made up for; a day that ended is told to its end."""
    start = datetime(2026, 11, 21, 4, 50, tzinfo=UTC)
    listener.world.clock.ns = to_ns(start)
    listener.publisher.begin(to_ns(start))
    listener.listen(bars="KO", dailyBars="KO")
    listener.world.clock.advance(20 * 60)
    days = starts(listener.messages(), "d")
    assert days == ["2026-11-20T05:00:00Z", "2026-11-21T05:00:00Z"]
    listener.world.clock.advance(7 * 3600)
    assert len(starts(listener.messages(), "b")) == MISSED_MINUTES


def test_nothing_is_made_up_for_after_a_rest(listener: Listener) -> None:
    """Minutes in which nobody listened are gone."""
    listener.listen(bars="KO", trades="KO")
    listener.world.clock.advance(600)
    listener.publisher.begin(listener.world.clock.now_ns())
    assert listener.hear() == ["t"]
    assert listener.hear(60) == ["b", "t"]


def test_closed_market(make: Make) -> None:
    """After the evening session there is neither trade nor quote, and no bar but the last."""
    listener = Listener(make(start=CLOSE), nyse=True)
    listener.world.clock.advance(-1)
    listener.publisher.begin(listener.world.clock.now_ns())
    listener.listen(trades="KO", quotes="KO", bars="KO")
    assert listener.hear(0.5) == ["t", "q"]
    assert listener.hear(0.5) == ["b"]
    assert listener.hear(3600) == []


def test_updated_bar_when_it_has_changed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute after its end a bar is looked at again, and told if it is another."""
    listener.listen(bars="KO", updatedBars="KO")
    assert listener.pause == 30
    assert listener.hear(60) == ["b"]
    known = listener.publisher._bars["KO"]
    monkeypatch.setitem(listener.publisher._bars, "KO", known._replace(volume=known.volume + 1))
    assert listener.hear(29.9) == []
    assert listener.hear(0.1) == ["u"]
    assert listener.hear(1) == []


def test_no_updated_bar_when_nothing_has_changed(listener: Listener) -> None:
    """Which is how it usually is."""
    listener.listen(updatedBars="KO")
    assert [listener.hear(30) for _ in range(6)] == [[]] * 6


def test_many_assets_come_in_pieces(world: World) -> None:
    """So that the exchange answers others in between; empty pieces are only for that."""
    listener = Listener(world)
    everything = {asset.symbol: asset for asset in world.exchange.assets if not asset.crypto}
    listener.demand = Demand({"trades": everything})
    pieces = list(listener.publisher.due(listener.demand, world.clock.now_ns()))
    assert max(map(len, pieces)) <= 24
    assert sum(map(len, pieces)) == len(everything)


def test_demand() -> None:
    """Empty lists are no demand."""
    assert not Demand({})
    assert not Demand({"trades": {}})
