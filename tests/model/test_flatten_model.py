"""A flatten under partial fills, lost answers, cancels from outside, signals and crashes.

Whatever comes in between: a position is never closed beyond nothing, each closing order goes out
under one id with one body, and once the faults stop everything is flat.
"""

from collections.abc import Iterator
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution import failpoints
from solution.errors import NotSent, OutcomeUnknown, RateLimited, Rejected
from tests.helpers.flatten import OPEN, FlattenRig
from tests.helpers.trading import accept, accept_then, fail

POINTS = (
    "flatten.before_cancel",
    "flatten.cancelled",
    "flatten.read",
    "flatten.reserved",
    "flatten.row_kept",
    "flatten.posted",
    "flatten.resend",
    "flatten.ended",
    "flatten.before_done",
    "submit.row_durable",
    "submit.answered",
)
ANSWERS = {
    "lost answer": accept_then(OutcomeUnknown("HTTP 504")),
    "lost order": fail(OutcomeUnknown("reset")),
    "refused": fail(Rejected(403, 1, "no")),
    "too many": fail(RateLimited("too many requests")),
    "not sent": fail(NotSent("no route")),
}
ACTIONS = st.sampled_from(
    [
        *POINTS,
        *ANSWERS,
        *("round", "wait", "fill one", "fill one unseen", "fill all", "cancel"),
        *("signal sells", "signal buys"),
    ]
)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


class World:
    """One position at the broker, a resting order on either side, and a request to close it."""

    def __init__(self, held: int) -> None:
        self.held = Decimal(held)
        self.made = FlattenRig(NVDA=str(held))
        self.made.desk.default = accept("new")
        resting = {"order_type": "limit", "time_in_force": "gtc", "qty": "2"}
        self.made.rig.send("s" if held > 0 else "b", limit_price="120", **resting)
        self.made.ask()
        self.made.service.step()  # until it is taken up, a signal may open what it likes

    @property
    def position(self) -> Decimal:
        return self.made.desk.positions["NVDA"]

    def open(self) -> list[str]:
        """Orders that may still trade, oldest first."""
        orders = self.made.desk.orders
        return [coid for coid, order in orders.items() if order["status"] in OPEN]

    def act(self, action: str) -> None:
        if action in POINTS:
            self.crash_at(action)
        elif action in ANSWERS:
            self.made.answers(ANSWERS[action])
        elif action == "round":
            self.rounds(1)
        elif action == "wait":
            self.rounds(15)
        elif action.startswith("signal"):
            self.made.rig.send("s" if action == "signal sells" else "b", qty="1")
        else:
            for coid in self.open()[-1:]:
                self.trade(coid, action)

    def trade(self, coid: str, action: str) -> None:
        """Something happens to an order at the broker; unseen: only polls can tell."""
        order, rig = self.made.desk.orders[coid], self.made.rig
        if action == "cancel":
            order["status"] = "canceled"
            rig.hear(rig.update(coid, "canceled"))
            return
        left = Decimal(order["qty"]) - Decimal(order["filled_qty"])
        qty = left if action == "fill all" else min(Decimal(1), left)
        self.made.desk.fill(coid, qty=str(Decimal(order["filled_qty"]) + qty))
        if action != "fill one unseen":
            name = "fill" if order["status"] == "filled" else "partial_fill"
            rig.hear(rig.update(coid, name, position_qty=self.position))

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.made.rig.work_all()
            self.made.rig.advance(self.made.service.step())

    def crash_at(self, point: str) -> None:
        """The process dies there, if it comes there within a second or two."""
        failpoints.arm([failpoints.Rule(name=point, action="raise")])
        try:
            self.rounds(15)
        except failpoints.Crash:
            failpoints.disarm()
            self.made = self.made.after_a_crash()
        failpoints.disarm()

    def check(self) -> None:
        """Never beyond nothing; and no id with two bodies, nor two orders."""
        assert 0 <= self.position / self.held <= 1 or not self.position, self.position
        bodies: dict[str, set[bytes]] = {}
        for body in self.made.desk.posts:
            bodies.setdefault(orjson.loads(body)["client_order_id"], set()).add(body)
        assert all(len(each) == 1 for each in bodies.values())

    def settle(self) -> None:
        """No faults any more; what rests is filled at once.

        An order that is given up unconfirmed holds its shares until the session is over, when two
        complete lists tell that it does not exist.
        """
        self.made.desk.script.clear()
        self.go_on(30)
        if not self.made.request().done_ms:
            self.made.rig.advance(8 * 3600)
            self.go_on(60)

    def go_on(self, times: int) -> None:
        """Some seconds each time, until the request is done."""
        for _ in range(times):
            if self.made.request().done_ms:
                return
            for coid in self.open():
                self.trade(coid, "fill all")
            self.rounds(10)
            self.check()


@settings(max_examples=100, deadline=None)
@given(st.integers(-8, 8).filter(bool), st.lists(ACTIONS, max_size=25))
def test_nothing_is_closed_beyond_nothing(held: int, actions: list[str]) -> None:
    """Total sold is what was held, to the share."""
    world = World(held)
    for action in actions:
        world.act(action)
        world.check()
    world.settle()
    found = world.made.request()
    assert found.done_ms, found
    assert world.position == 0 or found.left["NVDA"].why.startswith("refused 5 times")
    assert found.flat is (world.position == 0)
