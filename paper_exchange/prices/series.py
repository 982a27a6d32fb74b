"""One asset's market: its tape, what was set by hand, and the quote that stands at an instant."""

from bisect import bisect_right
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from paper_exchange.assets import Asset
from paper_exchange.clock import SECOND
from paper_exchange.prices.exact import noise, scramble
from paper_exchange.prices.grid import Grid
from paper_exchange.prices.hand_set import HandSet, Rule
from paper_exchange.prices.quotes import Book, Quote
from paper_exchange.prices.tape import MINUTE_NS, TICK_NS, TICKS_PER_MINUTE, Prints, Tape
from paper_exchange.prices.trading_days import TradingDays

#: Trade ids are the minute's number times this, plus the trade's place within its minute.
IDS_PER_MINUTE = 100_000

#: Made-up prices have no past before 2015-01-01, where the table of sessions begins.
HISTORY_BEGINS_NS = 1_420_070_400 * SECOND


#: A minute, its trades, and the place of one of them.
Last = tuple[int, Prints, int]


class Offer(NamedTuple):
    """A bid and an ask since ``at_ns``; sizes in units of the asset's grid."""

    at_ns: int
    bid: Decimal
    ask: Decimal
    bid_units: int
    ask_units: int


class View:
    """The trades of one minute and the last one before it, ready to be looked up."""

    __slots__ = ("before", "minute", "prints", "standing")

    def __init__(self, tape: Tape, minute: int) -> None:
        self.minute = minute
        self.prints = tape.prints(minute)
        #: The minute whose last tick stands in this one: itself while it trades.
        self.standing = minute
        self.before: tuple[int, Prints] | None = None
        times = self.prints.times
        if not times or times[0] > minute * MINUTE_NS:
            earlier = tape.latest(minute - 1)
            if earlier is not None:
                self.before = (earlier, tape.prints(earlier))
                self.standing = minute if times else earlier

    def last(self, at_ns: int) -> Last | None:
        """Minute, its trades, and the place of the last one up to an instant."""
        place = bisect_right(self.prints.times, at_ns) - 1
        if place >= 0:
            return self.minute, self.prints, place
        if self.before is None:
            return None
        minute, prints = self.before
        return minute, prints, len(prints.times) - 1


class Series:
    """Everything the market knows of one asset."""

    def __init__(
        self,
        asset: Asset,
        days: TradingDays,
        tape: Tape,
        *,
        seed: int,
        unit: Decimal | None = None,
        book: Book | None = None,
        begins_ns: int = HISTORY_BEGINS_NS,
    ) -> None:
        self.asset = asset
        self.days = days
        self.tape = tape
        self.book = book
        #: Nothing is told of the time before.
        self.begins_ns = begins_ns
        self.grid = Grid(asset, unit)
        self._by_hand: HandSet | None = None
        self._key = int.from_bytes(noise(f"{seed}:{asset.id}", size=8), "big")
        self._view: View | None = None
        self.newest: Quote | None = None
        #: The tick of the newest quote, and the tick that stood then.
        self.tick = self._stood = -1

    # -- set by hand -----------------------------------------------------------------------------

    def set_price(self, price: Decimal | None, at_ns: int) -> None:
        """Hold a price from the running tick on; None lets the tape go on from there."""
        if self._by_hand is None:
            self.tape = self._by_hand = HandSet(self.tape)
        at_ns = at_ns // TICK_NS * TICK_NS
        if price is None:
            self._by_hand.let_go(at_ns)
        else:
            self._by_hand.hold(float(price), at_ns)
        self._view = self.newest = None
        self.tick = self._stood = -1

    def held(self, at_ns: int | None = None) -> float | None:
        """The price held by hand at an instant, or by what was done last."""
        return None if self._by_hand is None else self._by_hand.held_at(at_ns)

    def by_hand(self) -> list[Rule]:
        """All that was set by hand, for a state file."""
        return [] if self._by_hand is None else self._by_hand.rules()

    def restore_by_hand(self, rules: Iterable[Rule]) -> None:
        """Put back what ``by_hand`` told, before anything is asked."""
        self.tape = self._by_hand = HandSet(self.tape)
        self._by_hand.restore(rules)

    def changes(self) -> list[int]:
        """When prices were set by hand, each time once."""
        return [] if self._by_hand is None else self._by_hand.changes()

    # -- what stands -----------------------------------------------------------------------------

    def quote(self, now_ns: int) -> Quote:
        """The quote that stands now; the same object while nothing has changed."""
        tick = now_ns // TICK_NS
        if tick == self.tick and self.newest is not None:
            return self.newest
        minute = tick // TICKS_PER_MINUTE
        view = self._view
        if view is None or view.minute != minute:
            view = self._view = View(self.tape, minute)
        standing = self._standing(view, tick)
        if standing != self._stood or self.newest is None:
            self.newest = self.make_quote(view, standing)
            self._stood = standing
        self.tick = tick
        return self.newest

    def quote_at(self, at_ns: int) -> Quote:
        """The quote that stands at any instant; an earlier one leaves the current in place."""
        tick = at_ns // TICK_NS
        if self.newest is None or tick >= self.tick:
            return self.quote(at_ns)
        view = self.view(tick // TICKS_PER_MINUTE)
        return self.make_quote(view, self._standing(view, tick))

    def view(self, minute: int) -> View:
        """The trades of a minute and the last one before it."""
        view = self._view
        return view if view is not None and view.minute == minute else View(self.tape, minute)

    def price_at(self, at_ns: int) -> float:
        """The price of the last trade up to an instant."""
        found = self.view(at_ns // MINUTE_NS).last(at_ns)
        return self.tape.first_price if found is None else found[1].prices[found[2]]

    def make_quote(self, view: View, tick: int) -> Quote:
        """The quote of a tick that lies in the view's minute, or stands in it."""
        at_ns = tick * TICK_NS
        found = view.last(at_ns)
        if found is None:
            price, units, traded_ns, trade_id = self.tape.first_price, 0, at_ns, 0
        else:
            minute, prints, place = found
            price, units, traded_ns = prints.prices[place], prints.sizes[place], prints.times[place]
            trade_id = minute * IDS_PER_MINUTE + place
        offer = (self.book and self.recorded(at_ns)) or self._offer(found, price, tick)
        size = self.grid.size
        return Quote(
            symbol=self.asset.symbol,
            at_ns=offer.at_ns,
            bid=offer.bid,
            ask=offer.ask,
            bid_size=size(offer.bid_units),
            ask_size=size(offer.ask_units),
            last=self.grid.decimal(price),
            last_size=size(units),
            traded_ns=traded_ns,
            trade_id=trade_id,
        )

    def offer(self, view: View, tick: int) -> Offer:
        """The spread that is made up around the last trade at a tick."""
        found = view.last(tick * TICK_NS)
        price = self.tape.first_price if found is None else found[1].prices[found[2]]
        return self._offer(found, price, tick)

    def _offer(self, found: Last | None, price: float, tick: int) -> Offer:
        at_ns = tick * TICK_NS
        dice = scramble(self._key ^ tick)
        held = self._by_hand is not None and self._by_hand.held_at(at_ns) is not None
        bid, ask = self._spread(price, dice, held=held)
        # The busier the minute, the more is on display.
        most = 2 + (len(found[1].times) if found else 0) // 6
        return Offer(at_ns, bid, ask, 100 * (1 + dice % most), 100 * (1 + (dice >> 8) % most))

    def recorded(self, at_ns: int) -> Offer | None:
        """What the recorded book shows at an instant; None before it, and without one."""
        book = self.book
        return None if book is None else self.recorded_row(book, book.rank(at_ns + 1) - 1, at_ns)

    def recorded_row(self, book: Book, rank: int, at_ns: int) -> Offer | None:
        """A row of the book as it stands at an instant, after what was done by hand until then."""
        if rank < 0:
            return None
        row, by_hand, decimal = book.row(rank), self._by_hand, self.grid.decimal
        if by_hand is None:
            return Offer(row.at_ns, decimal(row.bid), decimal(row.ask), *row[3:])
        since = max(row.at_ns, by_hand.changed_ns(at_ns))
        held = by_hand.held_at(at_ns)
        if held is not None:
            return Offer(since, *self._spread(held, 0, held=True), *row[3:])
        bid, ask = by_hand.price(row.bid, at_ns), by_hand.price(row.ask, at_ns)
        return Offer(since, decimal(bid), decimal(ask), *row[3:])

    def _spread(self, price: float, dice: int, *, held: bool) -> tuple[Decimal, Decimal]:
        """Bid and ask around a price: one step to each side of one that is held by hand."""
        last, step = self.grid.decimal(price), self.grid.step(price)
        if held:
            return max(step, last - step), last + step
        # One to three basis points wide, at least one step, as liquid names are.
        width = self.grid.steps(price * (1 + (dice >> 60) % 3) * 1e-4, price)
        bid = max(step, last - step * (width // 2))
        return bid, bid + step * width

    def _standing(self, view: View, tick: int) -> int:
        """The tick itself, or while nothing trades the last one of the minute that did."""
        if view.standing == view.minute or self.book is not None:
            return tick
        return view.standing * TICKS_PER_MINUTE + TICKS_PER_MINUTE - 1
