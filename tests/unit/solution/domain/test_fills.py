"""How many shares are filled: chains of replacements in both readings, busts, corrections, prices.

The broker of these tests keeps its own books; what reaches us is shuffled, repeated and partly
lost, and at the end one poll tells how the order stands.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.executions import Correction, Execution
from solution.domain.fills import restored, total
from solution.domain.order_state import News, Progress, Step, amend, merge, news_of
from solution.domain.records import State

START = Progress(State.SUBMITTING)
ZERO = Decimal(0)
Message = News | Correction


def told(*messages: Message, start: Progress = START) -> list[Step]:
    """One step per message."""
    steps, progress = [], start
    for message in messages:
        step = merge(progress, message) if isinstance(message, News) else amend(progress, message)
        steps.append(step)
        progress = step.progress
    return steps


def rows_of(steps: list[Step]) -> list[Execution]:
    """Everything that was booked."""
    return [row for step in steps for row in step.executions]


@dataclass
class Broker:
    """One order and its replacements, with an independent record of every execution.

    Args:
        carries: whether a successor's filled_qty goes on where its predecessor's stood.
        nets: whether filled_qty is lowered by a bust.
    """

    carries: bool = False
    nets: bool = True
    qty: Decimal = Decimal(1000)
    ids: list[str] = field(default_factory=lambda: ["A"])
    shares: dict[str, list[Decimal]] = field(default_factory=lambda: {"A": []})
    taken: dict[str, Decimal] = field(default_factory=lambda: {"A": ZERO})
    heard: list[Message] = field(default_factory=list)
    now: int = 0

    def at(self) -> str:
        self.now += 1
        return f"2026-03-04T15:{self.now // 60:02d}:{self.now % 60:02d}Z"

    def stands_at(self, name: str) -> Decimal:
        """filled_qty of one order of the chain, as this broker states it."""
        until = self.ids[: self.ids.index(name) + 1] if self.carries else [name]
        return sum(
            (sum(self.shares[n], ZERO) - (self.taken[n] if self.nets else ZERO) for n in until),
            ZERO,
        )

    @property
    def net(self) -> Decimal:
        """Shares really bought."""
        return sum((sum(self.shares[n], ZERO) - self.taken[n] for n in self.ids), ZERO)

    def size(self, name: str) -> Decimal:
        before = self.ids[: self.ids.index(name)]
        gone = ZERO if self.carries else sum((sum(self.shares[n], ZERO) for n in before), ZERO)
        return self.qty - gone

    def news(self, status: str, name: str = "", **more: Any) -> News:
        name = name or self.ids[-1]
        place = self.ids.index(name)
        filled = self.stands_at(name)
        return News(
            status,
            name,
            filled,
            Decimal(100) if filled else None,
            qty=self.size(name),
            replaces=self.ids[place - 1] if place else "",
            at=self.at(),
        )._replace(**more)

    def fill(self, qty: Decimal) -> None:
        name = self.ids[-1]
        self.shares[name].append(qty)
        self.heard.append(
            self.news(
                "partially_filled",
                execution_id=f"{name}{len(self.shares[name])}",
                execution_qty=qty,
                execution_price=Decimal(100),
            )
        )

    def replace(self) -> None:
        old, new = self.ids[-1], chr(ord(self.ids[-1]) + 1)
        self.heard.append(self.news("replaced", old, replaced_by=new))
        self.ids.append(new)
        self.shares[new], self.taken[new] = [], ZERO
        self.heard.append(self.news("new"))

    def bust(self, number: int) -> Correction:
        """Take back one execution of the current order."""
        name = self.ids[-1]
        qty = self.shares[name][number]
        self.taken[name] += qty
        return Correction(
            id=f"bust-{name}{number + 1}",
            target=f"{name}{number + 1}",
            order_id=name,
            qty=qty,
            price=Decimal(100),
            stated=self.stands_at(name),
            at=self.at(),
            busts=True,
        )

    def poll(self) -> News:
        """What GET says of the current order now."""
        return self.news("partially_filled")


# --- a chain, in both readings --------------------------------------------------------------------


SHARES = st.integers(1, 50).map(Decimal)


@st.composite
def chains(draw: st.DrawFn) -> Broker:
    """Up to three orders in a chain, with polls in between."""
    broker = Broker(carries=draw(st.booleans()))
    for number in range(draw(st.integers(1, 3))):
        if number:
            broker.replace()
        for shares in draw(st.lists(SHARES, max_size=3)):
            broker.fill(shares)
            if draw(st.booleans()):
                broker.heard.append(broker.poll())
    return broker


@settings(deadline=None, derandomize=True, max_examples=150)
@given(chains(), st.data())
def test_a_chain_adds_up_in_both_readings(broker: Broker, data: st.DataObject) -> None:
    """Shuffled and repeated, nothing lost: the sum over the chain, however the broker counts."""
    again = data.draw(st.lists(st.sampled_from(broker.heard), max_size=4)) if broker.heard else []
    messages = data.draw(st.permutations([*broker.heard, *again]))
    end = [broker.poll(), broker.news("filled")]
    # A chain is followed id by id: that is how polls come to the last one.
    links = [m for m in broker.heard if isinstance(m, News) and m.replaced_by]
    steps = told(*messages, *links, *end)
    assert steps[-1].progress.filled_qty == broker.net
    assert steps[-1].progress.state is State.FILLED
    rows = rows_of(steps)
    assert sum((row.qty for row in rows), ZERO) == broker.net
    assert len({(row.order_id, row.cum_qty) for row in rows}) == len(rows)
    assert len({row.id for row in rows}) == len(rows)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(chains(), st.data())
def test_what_is_lost_of_a_chain_never_adds_shares(broker: Broker, data: st.DataObject) -> None:
    """With messages lost the smaller reading is taken: never more than what was bought."""
    kept = data.draw(st.lists(st.sampled_from(broker.heard), max_size=8)) if broker.heard else []
    links = [m for m in broker.heard if isinstance(m, News) and m.replaced_by]
    steps = told(*kept, *links, broker.poll())
    standing = [step.progress.filled_qty for step in steps]
    assert standing == sorted(standing)
    assert standing[-1] <= broker.net
    assert sum((row.qty for row in rows_of(steps)), ZERO) == standing[-1]


def test_a_successor_that_was_only_polled_counts_anew_by_its_size() -> None:
    """No message of the stream came: 10 wanted, 4 filled, a successor for 6, and 6 filled."""
    broker = Broker(qty=Decimal(10))
    broker.fill(Decimal(4))
    broker.replace()
    broker.shares["B"].append(Decimal(6))
    steps = told(broker.heard[0], broker.heard[1], broker.news("filled"))
    assert steps[-1].progress.filled_qty == 10
    standings = [(row.order_id, str(row.cum_qty)) for row in rows_of(steps)]
    assert standings == [("A", "4"), ("B", "6")]


def test_a_replacement_that_is_refused_leaves_its_order_alive() -> None:
    """The successor is heard of first, rejected, and the old order fills."""
    new = News("pending_new", "B", replaces="A", qty=Decimal(10))
    steps = told(News("new", "A"), new, new._replace(status="rejected"))
    assert steps[-1].progress.state is State.OPEN
    assert steps[-1].progress.order_id == "A"
    end = told(News("filled", "A", Decimal(10), Decimal(100)), start=steps[-1].progress)[-1]
    assert (end.progress.state, end.progress.filled_qty) == (State.FILLED, Decimal(10))


def test_a_successor_that_fills_is_followed_before_its_predecessor_says_so() -> None:
    """Its fills are real, whatever is still to be heard."""
    steps = told(
        News("partially_filled", "A", Decimal(4), Decimal(100), qty=Decimal(10)),
        News("filled", "B", Decimal(6), Decimal(101), replaces="A", qty=Decimal(6)),
    )
    end = steps[-1].progress
    assert (end.state, end.order_id, end.filled_qty) == (State.FILLED, "B", Decimal(10))
    assert end.filled_avg_price == Decimal("100.6")


# --- executions and their prices ------------------------------------------------------------------


def filled(cum: str, average: str, name: str = "", qty: str = "0", price: str = "0") -> News:
    return News(
        "partially_filled", "A", Decimal(cum), Decimal(average),
        execution_id=name, execution_qty=Decimal(qty) or None,
        execution_price=Decimal(price) or None,
    )  # fmt: skip


def test_the_executions_own_price_is_booked() -> None:
    """Not what two rounded averages say it was."""
    steps = told(filled("3", "100", "e1", "3", "100"), filled("10", "106.99", "e2", "7", "110"))
    assert [(r.id, r.qty, r.price) for r in rows_of(steps)] == [
        ("e1", Decimal(3), Decimal(100)),
        ("e2", Decimal(7), Decimal(110)),
    ]


def test_a_gap_is_a_row_of_its_own() -> None:
    """e1 was missed: four shares at what the averages leave for them, then e2 as it was."""
    [step] = told(filled("10", "106", "e2", "6", "110"))
    assert [(r.id, r.qty, r.price, r.cum_qty) for r in step.executions] == [
        ("A:4", Decimal(4), Decimal(100), Decimal(4)),
        ("e2", Decimal(6), Decimal(110), Decimal(10)),
    ]
    assert (step.filled, step.fill_price) == (Decimal(10), Decimal(106))


def test_an_execution_that_a_poll_overtook_is_not_booked_again() -> None:
    """Neither by its id nor by its quantity."""
    late = filled("4", "100", "e1", "4", "100")
    steps = told(filled("4", "100"), late, late)
    assert [row.id for row in rows_of(steps)] == ["A:4"]
    assert not steps[1].changed


def test_an_execution_without_a_price_takes_the_averages() -> None:
    """The message names the execution and its size, not its price."""
    [step] = told(filled("4", "100", "e1", "4"))
    assert [(r.id, r.price) for r in step.executions] == [("e1", Decimal(100))]


def test_an_order_without_an_id_gets_it_later() -> None:
    """A message that lacks the id is about the order that it was routed to."""
    first = filled("4", "100")._replace(order_id="")
    steps = told(first, filled("10", "100", "e2", "6", "100"))
    assert steps[-1].progress.filled_qty == 10
    assert [leg.order_id for leg in steps[-1].progress.legs] == ["A"]


def test_filled_without_a_quantity_means_all_of_it() -> None:
    """The word itself says so."""
    assert news_of({"id": "A", "status": "filled", "qty": "10"}).filled_qty == 10
    assert news_of({"id": "A", "status": "canceled", "qty": "10"}).counts is False


def test_a_row_alone_is_enough_to_go_on() -> None:
    """Without the executions of before: what was filled counts, what comes is booked."""
    row = Progress(State.OPEN, "partially_filled", "A", Decimal(4), Decimal(100))
    step = merge(row, filled("10", "106"))
    assert [(r.qty, r.price) for r in step.executions] == [(Decimal(6), Decimal(110))]


def test_without_an_average_the_executions_price_makes_one() -> None:
    """The order object lacks it, the message has the price."""
    [step] = told(filled("4", "100", "e1", "4", "99")._replace(filled_avg_price=None))
    assert step.progress.filled_avg_price == 99


# --- busts and corrections ------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.data())
def test_a_bust_is_taken_off_however_the_news_is_shuffled(data: st.DataObject) -> None:
    """A broker that states net quantities; every fill may be lost, the bust itself may not."""
    # Sizes that are sums of no others: a lost fill just as large as the bust is told apart by
    # nobody.
    sizes = data.draw(st.permutations([Decimal(1), Decimal(2), Decimal(4), Decimal(8)]))
    broker, cut = Broker(), data.draw(st.integers(1, 4))
    for shares in sizes[:cut]:
        broker.fill(shares)
    bust = broker.bust(data.draw(st.integers(0, cut - 1)))
    for shares in sizes[cut:]:
        broker.fill(shares)
    some = data.draw(st.lists(st.sampled_from(broker.heard), max_size=8))
    messages = data.draw(st.permutations([*some, bust, bust]))
    steps = told(*messages, broker.poll())
    assert steps[-1].progress.filled_qty == broker.net
    rows = rows_of(steps)
    assert sum((row.qty for row in rows), ZERO) == broker.net
    assert len({(row.order_id, row.cum_qty) for row in rows}) == len(rows)
    assert len({row.id for row in rows}) == len(rows)


@pytest.mark.parametrize("nets", [True, False])
def test_fills_after_a_bust_count_in_both_readings(nets: bool) -> None:
    """4, then 3 that are taken back, then 5: 9 shares, whatever filled_qty means from then on."""
    broker = Broker(nets=nets)
    broker.fill(Decimal(4))
    broker.fill(Decimal(3))
    steps = told(*broker.heard, broker.bust(1))
    assert steps[-1].progress.filled_qty == 4
    assert [(r.id, r.qty, r.cum_qty) for r in steps[-1].executions] == [
        ("bust-A2", Decimal(-3), Decimal(-1))
    ]
    broker.fill(Decimal(5))
    more = told(broker.heard[-1], broker.poll(), start=steps[-1].progress)
    assert more[-1].progress.filled_qty == 9
    assert [r.qty for r in rows_of(more)] == [Decimal(5)]


def test_a_bust_leaves_an_end_alone() -> None:
    """FILLED stays FILLED; the quantity and the average follow."""
    broker = Broker(qty=Decimal(7))
    broker.fill(Decimal(4))
    broker.fill(Decimal(3))
    end = told(*broker.heard, broker.news("filled"))[-1].progress
    step = amend(end, broker.bust(0))
    assert (step.progress.state, step.progress.filled_qty) == (State.FILLED, Decimal(3))
    assert (step.filled, step.corrected, step.late_fill) == (Decimal(-4), True, False)
    assert not amend(step.progress, broker.bust(0)._replace(id="bust-A1")).changed


def test_a_corrected_price_is_booked_as_two_rows() -> None:
    """The old execution goes, the right one comes; no share moves."""
    end = told(filled("4", "100", "e1", "4", "100"))[-1].progress
    new = Correction("c1", "e1", "A", Decimal(4), Decimal(99), Decimal(4), "", busts=False)
    step = amend(end, new)
    assert [(r.id, r.qty, r.price) for r in step.executions] == [
        ("c1:reversed", Decimal(-4), Decimal(100)),
        ("c1", Decimal(4), Decimal(99)),
    ]
    assert (step.filled, step.corrected) == (ZERO, True)
    assert (step.progress.filled_qty, step.progress.filled_avg_price) == (Decimal(4), Decimal(99))


def test_a_corrected_quantity_moves_the_difference() -> None:
    """Four shares were really three."""
    end = told(filled("4", "100", "e1", "4", "100"))[-1].progress
    step = amend(end, Correction("c1", "e1", "A", Decimal(3), None, Decimal(3), "", busts=False))
    assert (step.filled, step.progress.filled_qty) == (Decimal(-1), Decimal(3))


def test_a_bust_of_nothing_known_takes_back_what_the_order_says() -> None:
    """No execution named, no quantity given: the order's own standing tells."""
    end = told(filled("10", "100"))[-1].progress
    step = amend(end, Correction("b", "", "A", None, None, Decimal(7), "", busts=True))
    assert (step.filled, step.progress.filled_qty) == (Decimal(-3), Decimal(7))
    nothing = Correction("b2", "", "A", None, None, None, "", busts=True)
    assert not amend(step.progress, nothing).changed


def test_a_correction_that_adds_shares_is_booked() -> None:
    """Three were really four, and the message states the new total."""
    end = told(filled("3", "100", "e1", "3", "100"))[-1].progress
    step = amend(end, Correction("c", "e1", "A", Decimal(4), None, Decimal(4), "", busts=False))
    assert (step.filled, step.progress.filled_qty) == (Decimal(1), Decimal(4))


def test_a_bust_that_was_overtaken_by_later_news_counts_once() -> None:
    """What was said since, and heard first, was net of it already."""
    broker = Broker()
    broker.fill(Decimal(4))
    broker.fill(Decimal(3))
    bust = broker.bust(1)
    broker.fill(Decimal(5))
    steps = told(*broker.heard, bust)
    assert [str(step.progress.filled_qty) for step in steps] == ["4", "7", "9", "9"]
    assert sum(row.qty for row in rows_of(steps)) == 9


@pytest.mark.parametrize("at", ["", "yesterday", "2026-03-04T15:00:00"])
def test_a_time_that_cannot_be_read_is_before_everything(at: str) -> None:
    """News without a time of its own says nothing about what came after a bust."""
    broker = Broker()
    broker.fill(Decimal(4))
    broker.fill(Decimal(3))
    stale = broker.heard[-1]
    assert isinstance(stale, News)
    steps = told(*broker.heard, broker.bust(1), stale._replace(at=at, execution_id=""))
    assert steps[-1].progress.filled_qty == 4


# --- after a restart ------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=100)
@given(chains(), st.data())
def test_booked_rows_are_enough_to_go_on(broker: Broker, data: st.DataObject) -> None:
    """Stopped anywhere, begun again from the rows: the same sum at the end, no row twice."""
    stop = data.draw(st.integers(0, len(broker.heard)))
    before = told(*broker.heard[:stop])
    rows = rows_of(before)
    start = before[-1].progress if before else START
    fills = restored(start.order_id, rows) if rows else start.fills
    assert total(fills) == start.filled_qty
    start = start._replace(fills=fills if rows else type(fills)())
    after = told(*broker.heard[stop:], broker.poll(), start=start)
    booked = rows + rows_of(after)
    assert after[-1].progress.filled_qty == broker.net == sum((r.qty for r in booked), ZERO)
    assert len({(row.order_id, row.cum_qty) for row in booked}) == len(booked)


def test_a_bust_is_remembered_over_a_restart() -> None:
    """What the broker says net of it is not taken for stale news, and it is not booked again."""
    broker = Broker()
    broker.fill(Decimal(4))
    broker.fill(Decimal(3))
    bust = broker.bust(1)
    steps = told(*broker.heard, bust)
    fills = restored("A", rows_of(steps))
    again = steps[-1].progress._replace(fills=fills)
    assert total(fills) == 4
    assert not amend(again, bust).changed
    broker.fill(Decimal(5))
    assert told(broker.heard[-1], start=again)[-1].progress.filled_qty == 9
