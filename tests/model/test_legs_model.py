"""A bracket's legs under lost, repeated and shuffled messages and under crashes, in one process.

Whatever happens between the broker and us: each execution is booked once under its own order, the
entry order's executions add up to its row, each share of a leg is told once, and ``final`` stands
on one event.
"""

import random
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.records import Change, State
from solution.trading import recovery
from solution.trading.legs import MARK, LegFinder
from solution.trading.open_orders import EVERY, OpenOrders
from tests.helpers.trading import Answer, FakeDesk, Rig, Update, accept, fill

BRACKET = {"qty": "10", "take_profit": "150", "stop_loss": "90"}
TAKE, STOP = "take_profit-of-order-1", "stop_loss-of-order-1"


class World:
    """One bracket at a broker that outlives the processes."""

    def __init__(self, draw: random.Random, *, answers_legs: bool) -> None:
        self.draw = draw
        self.rig = Rig()
        self.rig.desk.answers_legs = answers_legs
        self.events: list[dict[str, str]] = []
        self.waiting: list[Update] = []
        self.uncommitted: list[Change] | None = None
        self._watch(self.rig)

    def _watch(self, rig: Rig) -> None:
        """Commits come late, or with a crash never."""
        apply = rig.outcomes.put

        def put(change: Change) -> None:
            if self.uncommitted is None:
                apply(change)
            else:
                self.uncommitted.append(change)

        rig.outcomes.put = put  # type: ignore[method-assign]

    def post(self) -> None:
        """The order stream may be faster than the answer."""
        self.at_once = self.draw.random() < 0.5
        answer: Answer = fill("100") if self.at_once else accept("new")
        if self.draw.random() < 0.5:
            self.uncommitted = []

        def run(desk: FakeDesk, body: dict[str, str]) -> object:
            found = answer(desk, body)
            if self.draw.random() < 0.5:
                coid = str(body["client_order_id"])
                self.rig.hear(self.rig.update(coid, "fill" if self.at_once else "new"))
            return found

        self.rig.desk.script.append(run)  # type: ignore[arg-type]
        self.rig.send("b", **BRACKET)
        self.parent = self.rig.only_coid()
        if self.draw.random() < 0.5:
            self.crash()

    def trade(self, coid: str, price: str, total: str, number: int) -> None:
        rig = self.rig
        done = Decimal(rig.desk.orders[coid]["filled_qty"])
        rig.desk.fill(coid, price, total)
        whole = rig.desk.orders[coid]["status"] == "filled"
        update = rig.update(
            coid,
            "fill" if whole else "partial_fill",
            execution_id=f"x{number}",
            qty=Decimal(total) - done,
            price=Decimal(price),
        )
        self.waiting += [update] * self.draw.choice((0, 1, 1, 2))

    def cancel(self, coid: str) -> None:
        self.rig.desk.orders[coid]["status"] = "canceled"
        self.waiting += [self.rig.update(coid, "canceled")] * self.draw.choice((0, 1, 2))

    def hear(self) -> None:
        """Some of what is on its way arrives, in any order."""
        self.draw.shuffle(self.waiting)
        cut = self.draw.randrange(len(self.waiting) + 1)
        now, self.waiting = self.waiting[:cut], self.waiting[cut:]
        self.rig.hear(*now)

    def commit(self) -> None:
        held, self.uncommitted = self.uncommitted or (), None
        for change in held:
            self.rig.outcomes.put(change)

    def crash(self) -> None:
        """Of what was not committed, a first part was."""
        held, self.uncommitted = self.uncommitted or [], None
        for change in held[: self.draw.randrange(len(held) + 1)]:
            self.rig.outcomes.put(change)
        dead = self.rig
        self.events += dead.outcomes.events
        rig = self.rig = Rig(ledger=dead.ledger)
        rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
        rig.desk.orders, rig.desk.legs = dead.desk.orders, dead.desk.legs
        rig.desk.posts, rig.desk.answers_legs = dead.desk.posts, dead.desk.answers_legs
        self._watch(rig)
        rig.snapshot()
        recovery.restore(
            ledger=rig.ledger,
            tracker=rig.tracker,
            portfolio=rig.portfolio,
            schedule=rig.schedule,
            clock=rig.clock,
        )
        if self.draw.random() < 0.5:
            rig.advance(self.draw.choice((0, 1)))

    def settle(self) -> None:
        """Faults stop: two minutes of what the service does by itself."""
        self.commit()
        finder = LegFinder(self.rig.desk, self.rig.tracker)
        compare = OpenOrders(
            self.rig.desk,
            self.rig.tracker,
            self.rig.schedule,
            self.rig.clock,
            is_ours=lambda coid: coid.startswith("sp-"),
            has_row=lambda coid: self.rig.ledger.find_by_client_order_id(coid) is not None,
            on_stranger=lambda _: None,
        )
        for _ in range(3):
            self.rig.advance(EVERY)
            finder.step()
            compare.step()
            self.rig.advance(1)
        self.events += self.rig.outcomes.events

    def told(self, coid: str) -> list[dict[str, str]]:
        """What was told of shares that an order traded."""
        own = (e for e in self.events if e["client_order_id"] == coid)
        return [e for e in own if e["event"] in {"fill", "partial_fill"}]


@given(seed=st.integers(0, 1_000_000), answers_legs=st.booleans())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_each_execution_of_a_leg_is_booked_and_told_once(seed: int, *, answers_legs: bool) -> None:
    """Any news may be missing, doubled or late, and any process may die before its commit."""
    world = World(random.Random(seed), answers_legs=answers_legs)
    world.post()
    entry = [
        lambda: world.trade(world.parent, "100", "4", 1),
        lambda: world.trade(world.parent, "100", "10", 2),
    ]
    steps = [
        *([] if world.at_once else entry),
        lambda: world.trade(TAKE, "150", "3", 3),
        lambda: world.trade(TAKE, "151", "10", 4),
        lambda: world.cancel(STOP),
    ]
    for step in steps:
        step()
        if world.uncommitted is None and world.draw.random() < 0.3:
            world.uncommitted = []
        world.hear()
        if world.draw.random() < 0.3:
            world.crash()
        elif world.draw.random() < 0.5:
            world.commit()
    world.settle()
    rig, parent = world.rig, world.parent
    for coid, state in ((parent, State.FILLED), (TAKE, State.FILLED), (STOP, State.CANCELED)):
        row = rig.row(coid)
        assert row.state is state
        assert sum(t.qty for t in rig.trades(coid)) == row.filled_qty
        assert sum(Decimal(e["qty"]) for e in world.told(coid)) == row.filled_qty
    assert [e["client_order_id"] for e in world.events if e["final"] == "1"] == [parent]
    assert {e["order_id"] for e in world.told(TAKE)} == {"order-2"}
    assert {e["entry_id"] for e in world.events} == {rig.row(parent).entry_id}
    assert rig.ledger.states(MARK) == {}
    assert len(rig.desk.posts) == 1
