"""Tests of signal_generator.blocks.book."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_generator.blocks.book import SETTLING, Holding, PositionBook, moved
from signal_generator.executions import Execution
from signal_generator.hosting import Position
from tests.helpers.clocks import ManualClock

D = Decimal
IDS = count(1)


def fill(  # the facts of one fill
    order: str, qty: Any, price: Any, filled: Any, *, side: str = "buy", **more: Any
) -> Execution:
    """An event as the service tells it; the average is the price where not given."""
    return Execution(
        **{
            "event_id": next(IDS),
            "event": "fill",
            "status": "filled",
            "ticker": "AAPL",
            "side": side,
            "client_order_id": order,
            "qty": None if qty is None else D(str(qty)),
            "price": None if price is None else D(str(price)),
            "filled_qty": D(str(filled)),
            "filled_avg_price": D(str(more.pop("average", price or 0))),
            "own": {},
            **more,
        }
    )


def book(*held: Position, clock: ManualClock | None = None) -> PositionBook:
    """A book after its first reading."""
    made = PositionBook(["AAPL", "BTC/USD"], (clock or ManualClock()).monotonic)
    assert made.adopt(held, 0)
    return made


def quantity(made: PositionBook, symbol: str = "AAPL") -> Decimal:
    """Signed shares."""
    held = made.holdings().get(symbol)
    return held.qty if held else D(0)


def test_the_account_is_what_the_broker_says() -> None:
    """Positions in the shape that strategies know, with the newest quote beside them."""
    made = book(Position("AAPL", D(-2), D("10.5")))
    assert made.rows(lambda _: (11.0, 13.0)) == [
        {
            "ticker": "AAPL",
            "quantity": -2.0,
            "bought_at": 10.5,
            "cost_basis": -21.0,
            "pos_val": -24.0,
            "bid": 11.0,
            "ask": 13.0,
        }
    ]


def test_without_a_quote_a_position_is_worth_what_it_cost() -> None:
    """Never zero."""
    rows = book(Position("AAPL", D(2), D(10))).rows(lambda _: (0.0, 0.0))
    assert rows[0]["pos_val"] == 20.0


def test_pairs_are_spelled_as_the_strategy_does() -> None:
    """The broker's positions have no slash."""
    made = book(Position("BTCUSD", D(1), D(10)))
    assert [row["ticker"] for row in made.rows(lambda _: (0.0, 0.0))] == ["BTC/USD"]
    made.take(fill("o", 1, 10, 1, ticker="BTC/USD"), ours=True)
    assert quantity(made, "BTCUSD") == 2


def test_a_fill_told_twice_counts_once() -> None:
    """The same standing under another event id, as for a signal that was published twice."""
    made = book()
    assert made.take(fill("o", 5, 10, 5), ours=True)
    assert not made.take(fill("o", 5, 10, 5), ours=True)
    assert quantity(made) == 5


def test_partial_fills_add_up() -> None:
    """Two of three, then the third at another price."""
    made = book()
    made.take(fill("o", 2, 10, 2, event="partial_fill"), ours=True)
    made.take(fill("o", 1, 13, 3, average=11), ours=True)
    assert made.holdings()["AAPL"] == Holding(D(3), D(11))


def test_a_fill_that_only_a_later_event_tells() -> None:
    """The cumulative quantity of a cancel has two shares that no message was about."""
    made = book()
    made.take(fill("o", 1, 10, 1, event="partial_fill"), ours=True)
    made.take(fill("o", None, None, 3, event="canceled", average=12), ours=True)
    assert made.holdings()["AAPL"] == Holding(D(3), D(12))


def test_an_order_from_before_the_reading_moves_by_its_new_shares() -> None:
    """Four of five were filled before; the account's reading has them."""
    made = book(Position("AAPL", D(4), D(10)))
    made.take(fill("old", None, None, 4, event="new"), ours=False)
    made.take(fill("old", 1, 10, 5, position_qty=D(5)), ours=False)
    assert quantity(made) == 5


def test_a_correction_takes_shares_back() -> None:
    """The only event after which an order has fewer."""
    made = book()
    made.take(fill("o", 5, 10, 5), ours=True)
    made.take(fill("o", None, None, 3, average=10), ours=True)
    assert quantity(made) == 5
    made.take(fill("o", -2, 10, 3, event="corrected"), ours=True)
    assert made.holdings()["AAPL"] == Holding(D(3), D(10))


@pytest.mark.parametrize("event", ["submitted", "refused", "dead_letter", "dry_run"])
def test_what_is_no_fill_moves_nothing(event: str) -> None:
    """Not even where the answer to the order had a filled quantity: the fill follows."""
    made = book()
    assert not made.take(fill("o", 5, None, 5, event=event), ours=True)
    assert made.take(fill("o", 5, 10, 5), ours=True)
    assert quantity(made) == 5


def test_a_reading_is_refused_when_a_fill_came_meanwhile() -> None:
    """It was asked for before, and may or may not hold the fill."""
    made = book()
    version = made.version
    made.take(fill("o", 5, 10, 5), ours=True)
    assert not made.adopt([], version)
    assert quantity(made) == 5


def test_a_fill_that_the_reading_holds_is_not_counted_again() -> None:
    """Of others at the first reading, of ours too at a later one."""
    made = book(Position("AAPL", D(5), D(10)))
    assert not made.take(fill("theirs", 5, 10, 5, position_qty=D(5)), ours=False)
    assert made.take(fill("ours", 5, 10, 5, position_qty=D(10)), ours=True)
    assert made.adopt([Position("AAPL", D(12), D(10))], made.version)
    assert not made.take(fill("ours-2", 2, 10, 2, position_qty=D(12)), ours=True)
    assert quantity(made) == 12


def test_after_a_while_a_fill_always_counts() -> None:
    """What was made before the reading has been told by then."""
    clock = ManualClock()
    made = book(Position("AAPL", D(5), D(10)), clock=clock)
    clock.advance(SETTLING + 1)
    assert made.take(fill("theirs", 5, 10, 5, position_qty=D(5)), ours=False)


def test_what_cannot_be_followed_is_doubtful_until_the_next_reading() -> None:
    """The broker's standing is neither the one before nor the one after the fill."""
    made = book(Position("AAPL", D(5), D(10)))
    made.take(fill("theirs", 1, 10, 1, position_qty=D(99)), ours=False)
    assert made.doubtful
    made.adopt([Position("AAPL", D(99), D(10))], made.version)
    assert not made.doubtful


def test_profit_is_realised_by_reducing() -> None:
    """Three of five sold at two more."""
    made = book(Position("AAPL", D(5), D(10)))
    made.take(fill("o", 3, 12, 3, side="sell"), ours=True)
    assert made.realized == 6
    assert made.holdings()["AAPL"] == Holding(D(2), D(10))


def test_beyond_zero_the_cost_begins_anew() -> None:
    """From five long to two short."""
    assert moved(Holding(D(5), D(10)), D(-7), D(11)) == (Holding(D(-2), D(11)), D(5))


@dataclass
class _Story:
    """An order's executions as the broker made them, and what it took back of the last."""

    name: str
    side: str
    parts: list[tuple[int, int]]
    taken_back: int = 0

    @property
    def signed(self) -> int:
        """What is left of it."""
        filled = sum(qty for qty, _ in self.parts) - min(self.taken_back, self.parts[-1][0])
        return filled if self.side == "buy" else -filled


_PARTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 500)), min_size=1, max_size=4)


def _stories(taken_back: st.SearchStrategy[int]) -> st.SearchStrategy[list[_Story]]:
    return st.lists(
        st.builds(
            _Story,
            name=st.uuids().map(str),
            side=st.sampled_from(["buy", "sell"]),
            parts=_PARTS,
            taken_back=taken_back,
        ),
        max_size=6,
        unique_by=lambda story: story.name,
    )


def _told(story: _Story) -> list[Execution]:
    """Each execution with the standing after it, and the correction."""
    told, filled, value = [], 0, 0
    for qty, price in story.parts:
        filled, value = filled + qty, value + qty * price
        told.append(
            fill(story.name, qty, price, filled, side=story.side, average=D(value) / filled)
        )
    back = min(story.taken_back, story.parts[-1][0])
    if back:
        price = story.parts[-1][1]
        left = filled - back
        average = D(value - back * price) / left if left else D(0)
        facts: dict[str, Any] = {"side": story.side, "event": "corrected", "average": average}
        told.append(fill(story.name, -back, price, left, **facts))
    return told


@given(stories=_stories(st.integers(0, 9)), start=st.integers(-20, 20), data=st.data())
def test_interleaved_orders_with_repeats_and_corrections(
    stories: list[_Story], start: int, data: st.DataObject
) -> None:
    """Each order's events in their order, those of all mixed, any told twice: a simple model.

    Cash is its second witness: what was paid is what the position cost, less what was realised.
    """
    waiting = [list(_told(story)) for story in stories]
    made = book(*([Position("AAPL", D(start), D(10))] if start else []))
    while waiting := [events for events in waiting if events]:
        events = data.draw(st.sampled_from(waiting))
        for _ in range(data.draw(st.integers(1, 2))):
            made.take(events[0], ours=True)
        del events[0]
    assert quantity(made) == start + sum(story.signed for story in stories)
    paid = D(start) * 10
    for story in stories:
        sign, back = (1 if story.side == "buy" else -1), min(story.taken_back, story.parts[-1][0])
        value = sum(qty * price for qty, price in story.parts) - back * story.parts[-1][1]
        paid += sign * value
    held = made.holdings().get("AAPL", Holding(D(0), D(0)))
    assert abs(held.qty * held.cost - made.realized - paid) < D("0.0001")


@given(stories=_stories(st.just(0)), start=st.integers(-20, 20), data=st.data())
def test_any_order_of_events_gives_the_sum_of_the_fills(
    stories: list[_Story], start: int, data: st.DataObject
) -> None:
    """Interleaved, repeated, late, some missing before an order's last: the position is the sum."""
    events = [event for story in stories for event in _told(story)]
    shuffled = data.draw(st.permutations(events + data.draw(st.permutations(events))))
    made = book(*([Position("AAPL", D(start), D(10))] if start else []))
    # A broker's first word of an order may be any, but an order of this run is known from its
    # first share on; so its first event leads, and all others come as they like.
    for event in [*(_told(story)[0] for story in stories), *shuffled]:
        made.take(event, ours=True)
    assert quantity(made) == start + sum(story.signed for story in stories)
