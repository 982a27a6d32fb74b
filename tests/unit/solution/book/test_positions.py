"""Positions, cash and decisions of one account. The model beside this file tries all orders."""

import threading
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

import pytest

from solution.book.positions import Account, Holdings, Portfolio, Position, weights
from solution.book.reservations import Reservation
from solution.domain.orders import Side
from tests.helpers.clocks import ManualClock

ZERO = Decimal(0)
ACCOUNT = Account("acc", Decimal(50_000), Decimal(10_000), Decimal(20_000))


class Book:
    """A portfolio whose clock moves between any two things that happen."""

    def __init__(self, **held: int) -> None:
        self.clock = ManualClock()
        self.portfolio = Portfolio(self.clock)
        self.apply({s: position(s, qty, qty) for s, qty in held.items()})

    def now(self) -> float:
        self.clock.advance(1.0)
        return self.clock.monotonic()

    def snapshot(
        self, *, asked_at: float | None = None, account: Account = ACCOUNT, **held: int
    ) -> dict[str, tuple[Decimal, Decimal]]:
        """All of ``held`` is free; shorts are negative."""
        return self.apply({s: position(s, qty, qty) for s, qty in held.items()}, asked_at, account)

    def apply(
        self,
        positions: dict[str, Position],
        asked_at: float | None = None,
        account: Account = ACCOUNT,
    ) -> dict[str, tuple[Decimal, Decimal]]:
        asked_at = self.now() if asked_at is None else asked_at
        self.now()
        return self.portfolio.apply_snapshot(account, positions, asked_at)

    def reserve(self, coid: str, side: Side, qty: int, price: int = 100, *, opens: bool) -> None:
        self.now()
        order = Reservation(coid, "NVDA", side, Decimal(qty), Decimal(price), opens)
        self.portfolio.reserve("NVDA", promising(order))

    def buy(self, coid: str, qty: int) -> None:
        self.reserve(coid, Side.BUY, qty, opens=True)

    def sell(self, coid: str, qty: int) -> None:
        self.reserve(coid, Side.SELL, qty, opens=False)

    def accept(self, coid: str) -> None:
        self.now()
        self.portfolio.accepted(coid)

    def fill(self, coid: str, qty: int, price: str = "100", position: int | None = None) -> None:
        """Told by the stream with a position, by poll without."""
        self.now()
        standing = None if position is None else Decimal(position)
        self.portfolio.filled(coid, "NVDA", Decimal(qty), Decimal(price), standing)

    def end(self, coid: str) -> None:
        self.now()
        self.portfolio.ended(coid)

    @property
    def nvda(self) -> Holdings:
        return self.portfolio.view("NVDA")


def of(*values: object) -> tuple[object, ...]:
    """Numbers to compare with plain ones."""
    return values


def promising(order: Reservation) -> Callable[[Holdings], tuple[Reservation, None]]:
    """A decision that was made before."""
    return lambda _: (order, None)


def position(symbol: str, qty: int, available: int, entry: int = 80) -> Position:
    return Position(symbol, Decimal(qty), Decimal(available), Decimal(entry))


# --- snapshots ------------------------------------------------------------------------------------


def test_no_decision_without_an_account() -> None:
    """Before the first snapshot there are no numbers, and none are invented."""
    portfolio = Portfolio(ManualClock())
    assert portfolio.account() is None
    with pytest.raises(RuntimeError, match="no account snapshot"):
        portfolio.view("NVDA")


def test_a_snapshot_is_what_the_broker_says() -> None:
    """Amounts and positions as they are, and an unknown symbol has nothing."""
    book = Book(NVDA=10)
    assert book.nvda == Holdings(
        equity=Decimal(50_000),
        cash=Decimal(10_000),
        buying_power=Decimal(20_000),
        qty=Decimal(10),
        available_qty=Decimal(10),
        pending_qty=ZERO,
        pending_buy_qty=ZERO,
        avg_entry=Decimal(80),
        gross=Decimal(800),
    )
    assert book.portfolio.view("AAPL").qty == 0
    assert book.portfolio.account() == ACCOUNT


def test_a_position_that_is_gone_is_gone() -> None:
    """A symbol that the answer lacks is no longer held, and the difference is told."""
    book = Book(NVDA=10, AAPL=5)
    assert of(book.snapshot(AAPL=7)) == ({"NVDA": (10, 0), "AAPL": (5, 7)},)
    assert of(book.nvda.qty, book.nvda.avg_entry) == (ZERO, ZERO)
    assert book.portfolio.quantities() == {"AAPL": 7}


def test_an_overtaken_snapshot_is_dropped() -> None:
    """An answer to an older question does not undo a newer one."""
    book = Book(NVDA=10)
    old = book.now()
    book.snapshot(NVDA=20)
    assert book.snapshot(asked_at=old, NVDA=10) == {}
    assert book.nvda.qty == 20


def test_a_fill_during_the_question_keeps_our_number() -> None:
    """The event carried the broker's own standing; the answer may be from before it."""
    book = Book(NVDA=10)
    book.buy("a", 5)
    asked = book.now()
    book.fill("a", 5, position=15)
    assert book.snapshot(asked_at=asked, NVDA=10) == {}
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(15), False)


def test_shares_held_for_somebody_else_are_not_for_sale() -> None:
    """A manual order at the broker holds four of ten."""
    book = Book()
    book.apply({"NVDA": position("NVDA", 10, 6)})
    assert of(book.nvda.qty, book.nvda.available_qty) == (Decimal(10), Decimal(6))


def test_shares_held_for_our_own_order_are_not_taken_off_twice() -> None:
    """The snapshot's hold and our reservation are one and the same."""
    book = Book(NVDA=10)
    book.sell("s", 4)
    book.accept("s")
    book.apply({"NVDA": position("NVDA", 10, 6)})
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (Decimal(6), False)


def test_a_sale_on_its_way_does_not_hide_another_s_hold() -> None:
    """Six are held by a stranger and our sale of three is not there yet: one is free, not four."""
    book = Book(NVDA=10)
    book.sell("s", 3)
    book.apply({"NVDA": position("NVDA", 10, 4)})
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (Decimal(1), True)
    book.accept("s")
    book.apply({"NVDA": position("NVDA", 10, 1)})
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (Decimal(1), False)


def test_a_cancelled_sale_does_not_set_another_s_shares_free() -> None:
    """Ours had ended when the broker answered; the four held then were a stranger's."""
    book = Book(NVDA=10)
    book.sell("s", 4)
    book.accept("s")
    book.apply({"NVDA": position("NVDA", 10, 6)})
    book.end("s")
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (Decimal(6), True)
    book.apply({"NVDA": position("NVDA", 10, 10)})
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (Decimal(10), False)


# --- executions -----------------------------------------------------------------------------------


def test_the_stream_s_standing_is_taken_over() -> None:
    """The broker's own position after the execution."""
    book = Book(NVDA=10)
    book.buy("a", 5)
    book.fill("a", 2, position=12)
    assert of(book.nvda.qty, book.nvda.pending_qty, book.nvda.uncertain) == (12, 3, False)


def test_a_polled_fill_of_a_fresh_order_is_counted() -> None:
    """No snapshot since it was reserved, so none can contain it."""
    book = Book(NVDA=10)
    book.buy("a", 5)
    book.fill("a", 5)
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(15), False)


def test_a_polled_fill_that_a_snapshot_may_contain_is_in_doubt() -> None:
    """Accepted before the snapshot was asked for, filled before or after: nobody knows."""
    book = Book(NVDA=10)
    book.buy("a", 5)
    book.accept("a")
    book.snapshot(NVDA=15)
    book.fill("a", 5)
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(15), True)
    assert book.portfolio.is_uncertain("NVDA")
    book.snapshot(NVDA=15)
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(15), False)


def test_a_slow_answer_is_not_counted_on_top_of_the_snapshot() -> None:
    """The POST was on its way when the broker was asked; the lookup finds it filled later."""
    book = Book()
    book.buy("a", 10)
    book.snapshot(NVDA=10)
    book.accept("a")
    book.fill("a", 10)
    book.end("a")
    assert of(book.nvda.qty, book.nvda.available_qty, book.nvda.uncertain) == (10, 10, True)


def test_a_doubt_outlives_a_snapshot_that_was_asked_for_before_it() -> None:
    """Answer from before the fill, fill learned, answer applied: still in doubt."""
    book = Book()
    book.buy("a", 10)
    book.accept("a")
    book.snapshot()
    asked = book.now()
    book.fill("a", 10)
    book.snapshot(asked_at=asked)
    assert book.nvda.uncertain
    book.snapshot(NVDA=10)
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(10), False)


def test_shares_sold_in_doubt_are_not_sold_again() -> None:
    """Ten held by the snapshot, ten sold by poll: available is the least it can be."""
    book = Book(NVDA=10)
    book.sell("s", 10)
    book.accept("s")
    book.snapshot(NVDA=10)
    book.fill("s", -10)
    book.end("s")
    assert of(book.nvda.qty, book.nvda.available_qty, book.nvda.uncertain) == (10, 0, True)


def test_shares_bought_in_doubt_are_not_covered_again() -> None:
    """Ten short by the snapshot, ten covered by poll: they count as being bought."""
    book = Book(NVDA=-10)
    book.reserve("c", Side.BUY, 10, opens=False)
    book.accept("c")
    book.snapshot(NVDA=-10)
    book.fill("c", 10)
    book.end("c")
    assert of(book.nvda.pending_buy_qty, book.nvda.most_long) == (Decimal(10), ZERO)


def test_a_standing_that_does_not_add_up_is_doubted() -> None:
    """The snapshot had it already, or it is older than a fill learned by poll: ask again."""
    book = Book(NVDA=10)
    book.sell("s", 5)
    book.accept("s")
    book.snapshot(NVDA=5)
    book.fill("s", -5, position=5)
    assert of(book.nvda.qty, book.nvda.available_qty, book.nvda.uncertain) == (5, 0, True)


def test_an_old_standing_does_not_free_shares_sold_since() -> None:
    """The stream lags: its 90 is from before the twenty that the POST's answer told of."""
    book = Book(NVDA=100)
    book.sell("a", 10)
    book.sell("b", 20)
    book.fill("b", -20)
    book.fill("a", -10, position=90)
    assert of(book.nvda.qty, book.nvda.available_qty) == (Decimal(90), Decimal(70))
    assert book.nvda.uncertain


@pytest.mark.parametrize(("standing", "free"), [(100, 80), (90, 80), (60, 60), (0, 0)])
def test_an_execution_of_nobody_s_order_frees_nothing(standing: int, free: int) -> None:
    """A leg or a sale by hand moves the position; it may be told late, so never upwards."""
    book = Book(NVDA=100)
    book.sell("a", 20)
    book.fill("a", -20)
    book.now()
    book.portfolio.moved_elsewhere("NVDA", Decimal(standing))
    assert of(book.nvda.qty, book.nvda.available_qty) == (standing, free)
    assert book.nvda.uncertain
    assert book.portfolio.stale_since() is not None
    book.snapshot(NVDA=standing)
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (standing, False)


def held_by_a_stranger(qty: int) -> dict[str, Position]:
    """The broker's answer: nothing of ours is open, seven shares are held all the same."""
    return {"NVDA": position("NVDA", qty, qty - 7)}


def test_old_standings_of_both_sides_free_nothing() -> None:
    """A buy and a sale filled before the snapshot; the buy is heard of first, in two parts."""
    book = Book(NVDA=19)
    book.buy("b", 36)
    book.sell("s", 5)
    book.accept("b")
    book.accept("s")
    book.apply(held_by_a_stranger(50))
    book.fill("b", 18, position=37)
    assert book.nvda.available_qty <= 43
    book.fill("b", 18, position=55)
    assert book.nvda.available_qty <= 43


def test_an_old_standing_above_the_snapshot_frees_nothing() -> None:
    """Bought three, sold six, asked; then only the buy is heard of, with the standing it made."""
    book = Book(NVDA=35)
    book.buy("b", 3)
    book.sell("s", 6)
    book.accept("b")
    book.accept("s")
    book.apply(held_by_a_stranger(32))
    book.fill("b", 3, position=38)
    assert book.nvda.available_qty <= 25


def test_executions_that_cancel_out_do_not_hide_the_age_of_a_standing() -> None:
    """Five bought and five sold in one snapshot: 50 + 5 = 55 adds up, and is old all the same."""
    book = Book(NVDA=50)
    book.buy("b", 5)
    book.sell("s", 5)
    book.accept("b")
    book.accept("s")
    book.apply(held_by_a_stranger(50))
    book.fill("b", 5, position=55)
    assert of(book.nvda.available_qty, book.nvda.uncertain) == (43, True)


def test_a_late_fill_of_a_forgotten_order_is_in_doubt() -> None:
    """The snapshot after its end has settled it: booking it again would count it twice."""
    book = Book(NVDA=10)
    book.fill("long-gone", 5)
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(10), True)
    assert book.portfolio.stale_since() is not None


def test_a_late_fill_before_the_next_snapshot_is_charged() -> None:
    """The reservation of a cancelled order still stands until then."""
    book = Book()
    book.buy("a", 10)
    book.end("a")
    book.fill("a", 4, position=4)
    assert of(book.nvda.qty, book.nvda.cash, book.nvda.buying_power) == (4, 9_600, 19_600)


@pytest.mark.parametrize("price", ["0", "-1"])
def test_a_fill_without_a_price_costs_what_was_reserved(price: str) -> None:
    """Shares are never booked as free: that money would be spent again."""
    book = Book()
    book.buy("a", 10)
    book.fill("a", 10, price)
    assert of(book.nvda.cash, book.nvda.avg_entry) == (Decimal(9_000), Decimal(100))


@pytest.mark.parametrize(
    ("held", "moves", "entry"),
    [
        (0, [(10, "100")], "100"),
        (10, [(10, "100")], "90"),
        (10, [(-4, "100")], "80"),
        (10, [(-10, "100")], "0"),
        (-10, [(-10, "100")], "90"),
        (-10, [(10, "100")], "0"),
        (10, [(-15, "100")], "100"),
        (-10, [(15, "100")], "100"),
        (0, [(10, "100"), (-10, "120"), (5, "90")], "90"),
    ],
)
def test_the_entry_price_is_of_what_is_still_held(
    held: int, moves: list[tuple[int, str]], entry: str
) -> None:
    """Averaged when a position grows, kept when it shrinks, new when it turns."""
    book = Book(NVDA=held)
    standing = held
    for number, (qty, price) in enumerate(moves):
        standing += qty
        book.fill(f"o{number}", qty, price, position=standing)
    assert book.nvda.avg_entry == Decimal(entry)


# --- promises -------------------------------------------------------------------------------------


def test_what_raises_reserves_nothing() -> None:
    """A refusal inside the decision leaves no trace, and the mutex is free."""
    book = Book(NVDA=10)

    def refuse(_: Holdings) -> tuple[Reservation, None]:
        raise LookupError

    with pytest.raises(LookupError):
        book.portfolio.reserve("NVDA", refuse)
    assert book.portfolio.reserved() == (0, ZERO)


def test_a_decision_sees_what_was_promised_before() -> None:
    """Held ten, six promised: four are free; a buy is pending and holds its cash."""
    book = Book(NVDA=10)
    book.sell("s", 6)
    book.buy("b", 10)
    held = book.nvda
    assert of(held.available_qty, held.pending_qty, held.pending_buy_qty) == (4, 4, 10)
    assert of(held.cash, held.buying_power) == (9_000, 19_000)
    assert book.portfolio.reserved() == (2, Decimal(1_000))


def test_a_picture_without_some_orders_leaves_all_of_them_reserved() -> None:
    """Shares that another's order holds count as free in it; an ended order is no longer asked."""
    book = Book()
    book.apply({"NVDA": position("NVDA", 10, 7)})
    book.sell("stop", 4)
    book.buy("lower", 2)
    book.buy("ended", 1)
    book.end("ended")
    before = book.nvda
    freed = book.portfolio.view_freed("NVDA", ["stop", "lower", "ended", "unknown"])
    assert of(freed.qty, freed.available_qty, freed.pending_qty) == (10, 10, 0)
    assert book.nvda == before
    assert of(before.available_qty, before.pending_qty) == (3, -2)


def test_the_worst_cases_count_no_pending_reduction() -> None:
    """A resting sale may never fill, nor may a resting cover."""
    book = Book(NVDA=10)
    book.sell("s", 6)
    book.buy("b", 5)
    assert of(book.nvda.most_long, book.nvda.most_short) == (15, -4)


def test_a_short_position_has_nothing_for_sale() -> None:
    """Available shares are never negative."""
    book = Book(NVDA=-10)
    assert of(book.nvda.qty, book.nvda.available_qty) == (Decimal(-10), ZERO)


@pytest.mark.parametrize(("qty", "side"), [(10, Side.SELL), (-10, Side.BUY)])
def test_legs_hold_what_a_decided_reduction_would_trade(qty: int, side: Side) -> None:
    """A snapshot that shows the same shares held does not count them twice."""
    portfolio, clock = Portfolio(ManualClock()), ManualClock()
    free = qty * 6 // 10
    account = Account("a", Decimal(1000), Decimal(1000), Decimal(2000))
    positions = {"NVDA": position("NVDA", qty, free)}
    portfolio.apply_snapshot(account, positions, clock.monotonic())
    order = Reservation("x", "NVDA", side, Decimal(6), Decimal(0), opens=False)
    portfolio.reserve("NVDA", promising(order))
    portfolio.held_by_legs("NVDA", "one", Decimal(free - qty) * -1)
    assert portfolio.covers("x")
    portfolio.held_by_legs("NVDA", "two", Decimal(1 if qty > 0 else -1))
    assert not portfolio.covers("x")
    portfolio.held_by_legs("NVDA", "two", Decimal(0))
    assert portfolio.covers("x")


def test_a_released_order_gives_its_shares_back() -> None:
    """It provably never existed."""
    book = Book(NVDA=10)
    book.sell("s", 10)
    book.portfolio.released("s")
    assert book.nvda.available_qty == 10


def test_news_of_an_unknown_order_is_harmless() -> None:
    """Acceptance and end of an order whose reservation is gone."""
    book = Book(NVDA=10)
    book.accept("x")
    book.end("x")
    assert book.portfolio.reserved() == (0, ZERO)


def restored(side: Side, qty: int, *, accepted: bool, opens: bool = False) -> Reservation:
    return Reservation(
        "r",
        "NVDA",
        side,
        Decimal(qty),
        Decimal(100),
        opens,
        accepted_at=float("-inf") if accepted else None,
    )


def test_a_restored_sale_explains_the_shares_held_at_start() -> None:
    """The start's snapshot comes before the ledger is read: four are ours, not another's."""
    book = Book()
    book.apply({"NVDA": position("NVDA", 10, 6)})
    book.portfolio.restore(restored(Side.SELL, 4, accepted=True))
    assert book.nvda.available_qty == 6


def test_a_restored_sale_that_may_not_exist_explains_nothing() -> None:
    """Its shares stay promised, and those held at the broker may be another's."""
    book = Book()
    book.apply({"NVDA": position("NVDA", 10, 6)})
    book.portfolio.restore(restored(Side.SELL, 4, accepted=False))
    assert book.nvda.available_qty == 2


@pytest.mark.parametrize(("accepted", "power"), [(True, 20_000), (False, 19_000)])
def test_a_restored_buy_is_charged_unless_the_start_s_snapshot_has_it(
    accepted: bool, power: int
) -> None:
    """Open at the broker: in its number. Unresolved: held in full."""
    book = Book()
    book.portfolio.restore(restored(Side.BUY, 10, accepted=accepted, opens=True))
    assert book.nvda.buying_power == power


def test_a_fill_of_a_restored_order_is_in_doubt() -> None:
    """It may have filled while we were down, before the start's snapshot."""
    book = Book(NVDA=10)
    book.portfolio.restore(restored(Side.BUY, 10, accepted=True, opens=True))
    book.fill("r", 10)
    assert of(book.nvda.qty, book.nvda.uncertain) == (Decimal(10), True)


# --- for status and schedules ---------------------------------------------------------------------


def test_movements_make_the_picture_stale_until_a_later_snapshot() -> None:
    """Also one that happened while the snapshot was on its way."""
    book = Book()
    assert book.portfolio.stale_since() is None
    book.buy("a", 10)
    asked = book.now()
    book.fill("a", 10, position=10)
    book.snapshot(asked_at=asked)
    assert book.portfolio.snapshot_at == asked
    assert book.portfolio.stale_since() is not None
    book.snapshot(NVDA=10)
    assert book.portfolio.stale_since() is None


def test_positions_are_listed_without_the_empty_ones() -> None:
    """Sorted by symbol, shorts negative."""
    book = Book(NVDA=10, AAPL=-5, AMD=0)
    assert book.portfolio.quantities() == {"AAPL": -5, "NVDA": 10}
    assert of(book.portfolio.entries()) == ({"AAPL": (-5, 80), "NVDA": (10, 80)},)


@pytest.mark.parametrize(
    ("values", "cash", "expected"),
    [
        ({"NVDA": "300", "AAPL": "100"}, "600", {"NVDA": "0.3", "AAPL": "0.1"}),
        ({"NVDA": "300", "AAPL": "-100"}, "800", {"NVDA": "0.3", "AAPL": "-0.1"}),
        ({"NVDA": "300"}, "-300", {"NVDA": "0"}),
        ({"NVDA": "300"}, "-600", {"NVDA": "0"}),
        ({}, "5", {}),
    ],
)
def test_weights_are_parts_of_everything(
    values: dict[str, str], cash: str, expected: dict[str, str]
) -> None:
    """w = value / (all values + cash); all zero where that is not positive."""
    found = weights({s: Decimal(v) for s, v in values.items()}, Decimal(cash))
    assert found == {s: Decimal(v) for s, v in expected.items()}


# --- many threads ---------------------------------------------------------------------------------


def at_once(count: int, run: Callable[[int], None]) -> None:
    """The same in many threads, all let go together."""
    gate = threading.Barrier(count)

    def wait_and_run(number: int) -> None:
        gate.wait(30)
        run(number)

    threads = [threading.Thread(target=wait_and_run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("side", list(Side))
def test_sixty_four_threads_neither_oversell_nor_overspend(side: Side) -> None:
    """Each takes up to three of what it sees, ten times over: in the end all is promised, once."""
    price = Decimal("33.33")
    book = Book(NVDA=1_000)
    held = book.nvda
    there = held.available_qty if side is Side.SELL else held.buying_power // price
    taken: list[Decimal] = []

    def take(number: int) -> None:
        for turn in range(10):

            def decide(
                held: Holdings, coid: str = f"{number}.{turn}"
            ) -> tuple[Reservation, Decimal]:
                free = held.available_qty if side is Side.SELL else held.buying_power / price
                qty = min(Decimal(3), free.to_integral_value(ROUND_DOWN))
                return Reservation(coid, "NVDA", side, qty, price, side is Side.BUY), qty

            taken.append(book.portfolio.reserve("NVDA", decide))

    at_once(64, take)
    assert sum(taken) == there
    left = book.nvda.available_qty if side is Side.SELL else book.nvda.buying_power // price
    assert left == 0


def test_news_and_decisions_in_many_threads_add_up() -> None:
    """Reserve, accept, fill and end a thousand orders in parallel: positions and cash are exact."""
    book = Book()

    def trade(number: int) -> None:
        for turn in range(20):
            coid = f"{number}.{turn}"
            order = Reservation(coid, "NVDA", Side.BUY, Decimal(2), Decimal(5), opens=True)
            book.portfolio.reserve("NVDA", promising(order))
            book.portfolio.accepted(coid)
            book.portfolio.filled(coid, "NVDA", Decimal(1), Decimal(4), None)
            book.portfolio.ended(coid)

    at_once(50, trade)
    held = book.nvda
    assert of(held.qty, held.pending_qty, held.avg_entry) == (1_000, 0, 4)
    assert of(held.cash, held.buying_power) == (6_000, 16_000)
    book.snapshot(NVDA=1_000)
    assert book.portfolio.reserved() == (0, ZERO)
