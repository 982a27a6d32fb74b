"""The portfolio against a broker: whatever is heard, in whatever order, nothing is promised twice.

A cash account at a simulated broker receives, fills and cancels our orders. We hear of it by the
POSTs' answers, by a stream that may break off, and by polls whose answers may be old; snapshots
are asked for, answered (account first, positions later) and applied at any time between. After
every step our numbers must be covered by the broker's, and once everything is heard and a
snapshot was taken they must be equal.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from solution.book.positions import Account, Holdings, Portfolio, Position
from solution.book.reservations import Reservation
from solution.domain.order_state import News, Progress, merge
from solution.domain.orders import Side
from solution.domain.records import State
from tests.helpers.clocks import ManualClock

ZERO = Decimal(0)
SYMBOLS = ("NVDA", "AAPL")
OTHERS_HOLD = {"NVDA": Decimal(7), "AAPL": ZERO}
"""Shares that a resting order of somebody else holds all the time."""
ROUNDING = Decimal("0.001")
"""The broker's average prices are quotients, and are told rounded."""


@dataclass(eq=False)
class Order:
    coid: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    at_broker: bool = False
    answered: bool = False
    status: str = "new"
    filled: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        return self.qty - self.filled if self.status in {"new", "partially_filled"} else ZERO

    def news(self) -> News:
        average = self.cost / self.filled if self.filled else None
        return News(self.status, f"id-{self.coid}", self.filled, average)


@dataclass
class Broker:
    """A cash account: an open buy holds its limit's worth, an open sale its shares."""

    cash: Decimal
    positions: dict[str, Decimal]
    orders: list[Order] = field(default_factory=list)

    def held_cash(self) -> Decimal:
        return sum((o.left * o.price for o in self.orders if o.side is Side.BUY), ZERO)

    def held_shares(self, symbol: str) -> Decimal:
        return sum((o.left for o in self.orders if (o.side, o.symbol) == (Side.SELL, symbol)), ZERO)

    def power(self) -> Decimal:
        return self.cash - self.held_cash()

    def available(self, symbol: str) -> Decimal:
        return self.positions[symbol] - self.held_shares(symbol) - OTHERS_HOLD[symbol]

    def receive(self, order: Order) -> None:
        """It must never have to refuse one of ours."""
        if order.side is Side.BUY:
            assert order.qty * order.price <= self.power() + ROUNDING, "overspent"
        else:
            assert order.qty <= self.available(order.symbol), "oversold"
        order.at_broker = True
        self.orders.append(order)

    def execute(self, order: Order, qty: Decimal, price: Decimal) -> None:
        signed = qty if order.side is Side.BUY else -qty
        order.filled += qty
        order.cost += qty * price
        order.status = "filled" if order.filled == order.qty else "partially_filled"
        self.positions[order.symbol] += signed
        self.cash -= signed * price

    def account(self) -> Account:
        return Account("acc", self.cash, self.cash, self.power())

    def snapshot(self) -> dict[str, Position]:
        return {
            s: Position(s, qty, self.available(s), Decimal(50))
            for s, qty in self.positions.items()
            if qty
        }


class World:
    """The broker, what is on its way to us and from us, and our portfolio.

    Each public method is one thing that happens somewhere; ``pick`` chooses the order or message
    it happens to. A method to which nothing applies does nothing and says so.
    """

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.portfolio = Portfolio(self.clock)
        self.broker = Broker(Decimal(1000), {"NVDA": Decimal(50), "AAPL": ZERO})
        self.progress: dict[str, Progress] = {}
        self.on_their_way: list[Order] = []
        self.stream: deque[tuple[Order, News, Decimal | None]] = deque()
        self.replies: list[tuple[Order, News]] = []
        self.asked_at: float | None = None
        self.account: Account | None = None
        self.positions: dict[str, Position] | None = None
        self.count = 0
        self.full_snapshot()

    def tick(self) -> None:
        self.clock.advance(0.01)

    # --- we decide and send -------------------------------------------------------------------

    def send(self, pick: int, part: int, cents: int) -> bool:
        """Reserve up to all there is, and POST."""
        self.tick()
        symbol, side = SYMBOLS[pick % 2], list(Side)[pick // 2 % 2]
        coid, price = f"o{self.count}", Decimal(4000 + cents) / 100
        self.count += 1

        def decide(held: Holdings) -> tuple[Reservation, Decimal]:
            most = held.buying_power / price if side is Side.BUY else held.available_qty
            qty = max(ZERO, most * part / 4).quantize(Decimal(1), ROUND_DOWN)
            return Reservation(coid, symbol, side, qty, price, side is Side.BUY), qty

        qty = self.portfolio.reserve(symbol, decide)
        if qty == 0:
            self.portfolio.released(coid)
            return False
        self.progress[coid] = Progress(state=State.SUBMITTING)
        self.on_their_way.append(Order(coid, symbol, side, qty, price))
        return True

    def arrive(self, pick: int) -> bool:
        """The broker takes an order; it must never have to refuse one of ours."""
        self.tick()
        if not self.on_their_way:
            return False
        order = self.on_their_way.pop(pick % len(self.on_their_way))
        self.broker.receive(order)
        self.stream.append((order, order.news(), None))
        return True

    def never_arrive(self, pick: int) -> bool:
        """An order provably never left: everything is given back."""
        self.tick()
        if not self.on_their_way:
            return False
        order = self.on_their_way.pop(pick % len(self.on_their_way))
        self.portfolio.released(order.coid)
        return True

    # --- what happens there ---------------------------------------------------------------------

    def execute(self, pick: int, part: int, cents: int) -> bool:
        """At the limit or better, a part or all that is left."""
        self.tick()
        open_orders = [o for o in self.broker.orders if o.left]
        if not open_orders:
            return False
        order = open_orders[pick % len(open_orders)]
        qty = max(Decimal(1), (order.left * part / 4).quantize(Decimal(1), ROUND_DOWN))
        off = Decimal(cents) / 100
        price = order.price - off if order.side is Side.BUY else order.price + off
        self.broker.execute(order, qty, price)
        self.stream.append((order, order.news(), self.broker.positions[order.symbol]))
        return True

    def cancel(self, pick: int) -> bool:
        self.tick()
        open_orders = [o for o in self.broker.orders if o.left]
        if not open_orders:
            return False
        order = open_orders[pick % len(open_orders)]
        order.status = "canceled"
        self.stream.append((order, order.news(), None))
        return True

    # --- how we hear of it ----------------------------------------------------------------------

    def learn(self, order: Order, news: News, position_qty: Decimal | None = None) -> None:
        """As the order tracker does it."""
        before = self.progress[order.coid]
        step = merge(before, news)
        self.progress[order.coid] = step.progress
        if before.state is State.SUBMITTING:
            self.portfolio.accepted(order.coid)
        if step.filled > 0:
            signed = step.filled if order.side is Side.BUY else -step.filled
            price = step.fill_price or ZERO
            self.portfolio.filled(order.coid, order.symbol, signed, price, position_qty)
        if step.progress.ended and not before.ended:
            self.portfolio.ended(order.coid)

    def hear(self) -> bool:
        """The next message of the stream."""
        self.tick()
        if self.stream:
            self.learn(*self.stream.popleft())
            return True
        return False

    def lose_the_stream(self) -> bool:
        """No replay: what was in it is never heard."""
        lost = bool(self.stream)
        self.stream.clear()
        return lost

    def ask_for(self, pick: int) -> bool:
        """A poll, a lookup, or the POST's own answer: true when it is written."""
        self.tick()
        recent = self.broker.orders[-6:]
        if not recent:
            return False
        order = recent[pick % len(recent)]
        self.replies.append((order, order.news()))
        return True

    def read_a_reply(self, pick: int) -> bool:
        """It may be old by now."""
        self.tick()
        if not self.replies:
            return False
        self.learn(*self.replies.pop(pick % len(self.replies)))
        return True

    # --- snapshots ------------------------------------------------------------------------------

    def go_on_with_the_snapshot(self) -> bool:
        """Ask, account, positions, apply: one step of it each time."""
        self.tick()
        if self.asked_at is None:
            self.asked_at = self.clock.monotonic()
        elif self.account is None:
            self.account = self.broker.account()
        elif self.positions is None:
            self.positions = self.broker.snapshot()
        else:
            self.portfolio.apply_snapshot(self.account, self.positions, self.asked_at)
            self.asked_at = self.account = self.positions = None
        return True

    def full_snapshot(self) -> bool:
        """All at once; one that was on its way is lost, as after a timeout."""
        self.asked_at = self.account = self.positions = None
        for _ in range(4):
            self.go_on_with_the_snapshot()
        return True

    # --- what must hold -------------------------------------------------------------------------

    def check(self) -> None:
        """Ours is covered by theirs, orders on their way included."""
        buys = [o.qty * o.price for o in self.on_their_way if o.side is Side.BUY]
        free_cash = self.broker.power() - sum(buys, ZERO) + ROUNDING
        for symbol in SYMBOLS:
            held = self.portfolio.view(symbol)
            sales = [o for o in self.on_their_way if (o.side, o.symbol) == (Side.SELL, symbol)]
            free = self.broker.available(symbol) - sum((o.qty for o in sales), ZERO)
            assert held.available_qty <= max(ZERO, free)
            assert held.buying_power <= free_cash
            assert held.cash <= free_cash

    def settle(self) -> None:
        """All that is on its way arrives and is heard, then a snapshot: our numbers are theirs."""
        while self.on_their_way:
            self.arrive(0)
        self.stream.clear()
        for order in self.broker.orders:
            self.tick()
            self.learn(order, order.news())
        self.full_snapshot()
        left = [o for o in self.broker.orders if o.left]
        for symbol in SYMBOLS:
            held = self.portfolio.view(symbol)
            signed = [o.left if o.side is Side.BUY else -o.left for o in left if o.symbol == symbol]
            assert held.qty == self.broker.positions[symbol]
            assert held.available_qty == max(ZERO, self.broker.available(symbol))
            assert held.pending_qty == sum(signed, ZERO)
            assert held.buying_power == self.broker.power()
            assert abs(held.cash - self.broker.power()) <= ROUNDING
            assert not held.uncertain
        assert self.portfolio.reserved() == (len(left), ZERO)
        assert self.portfolio.stale_since() is None


PICK, PART, CENTS = st.integers(0, 7), st.integers(1, 4), st.integers(0, 2000)


class PortfolioModel(RuleBasedStateMachine):
    """The world in Hypothesis's hands, which finds a shortest way to whatever breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(pick=PICK, part=PART, cents=CENTS)
    def send(self, pick: int, part: int, cents: int) -> None:
        self.world.send(pick, part, cents)

    @precondition(lambda self: self.world.on_their_way)
    @rule(pick=PICK)
    def arrive(self, pick: int) -> None:
        self.world.arrive(pick)

    @precondition(lambda self: self.world.on_their_way)
    @rule(pick=PICK)
    def never_arrive(self, pick: int) -> None:
        self.world.never_arrive(pick)

    @precondition(lambda self: self.world.broker.orders)
    @rule(pick=PICK, part=PART, cents=CENTS)
    def execute(self, pick: int, part: int, cents: int) -> None:
        self.world.execute(pick, part, cents)

    @precondition(lambda self: self.world.broker.orders)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        self.world.cancel(pick)

    @precondition(lambda self: self.world.stream)
    @rule()
    def hear(self) -> None:
        self.world.hear()

    @precondition(lambda self: self.world.stream)
    @rule()
    def lose_the_stream(self) -> None:
        self.world.lose_the_stream()

    @precondition(lambda self: self.world.broker.orders)
    @rule(pick=PICK)
    def ask_for(self, pick: int) -> None:
        self.world.ask_for(pick)

    @precondition(lambda self: self.world.replies)
    @rule(pick=PICK)
    def read_a_reply(self, pick: int) -> None:
        self.world.read_a_reply(pick)

    @rule()
    def go_on_with_the_snapshot(self) -> None:
        self.world.go_on_with_the_snapshot()

    @invariant()
    def nothing_is_promised_twice(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        self.world.settle()


TestPortfolioModel = PortfolioModel.TestCase
TestPortfolioModel.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, derandomize=True
)


@pytest.mark.parametrize("seed", range(40))
def test_long_random_walks_promise_nothing_twice(seed: int) -> None:
    """The same world, five hundred steps at a time, settled every hundred."""
    draw = random.Random(seed)
    world = World()
    moves: tuple[Callable[[], bool], ...] = (
        lambda: world.send(draw.randrange(8), draw.randint(1, 4), draw.randrange(2000)),
        lambda: world.arrive(draw.randrange(8)),
        lambda: world.arrive(draw.randrange(8)),
        lambda: world.execute(draw.randrange(8), draw.randint(1, 4), draw.randrange(500)),
        lambda: world.execute(draw.randrange(8), draw.randint(1, 4), draw.randrange(500)),
        lambda: world.cancel(draw.randrange(8)),
        world.hear,
        world.hear,
        lambda: world.ask_for(draw.randrange(8)),
        lambda: world.read_a_reply(draw.randrange(8)),
        world.go_on_with_the_snapshot,
        world.go_on_with_the_snapshot,
    )
    rare: tuple[Callable[[], bool], ...] = (
        world.lose_the_stream,
        lambda: world.never_arrive(0),
        world.full_snapshot,
    )
    done = 0
    for step in range(500):
        move = draw.choice(rare if draw.random() < 0.05 else moves)
        done += move()
        world.check()
        if step % 100 == 99:
            world.settle()
    assert done > 150
