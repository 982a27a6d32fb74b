"""The kill barrier: awaits, cancels, lists until nothing is open, and survives a crash anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from solution import failpoints
from solution.domain.kills import Kill, Stage
from solution.errors import LedgerError, NoBudget, NotFound, OutcomeUnknown, Rejected
from solution.rate_limiter import Priority
from solution.trading import kill_barrier
from solution.trading.kill_barrier import AGAIN_AFTER, KillKeeper, KillPorts
from tests.helpers.clocks import ManualClock
from tests.unit.solution.trading.test_operator import Ledger

Order = dict[str, Any]


def order(name: str, status: str = "new", **more: Any) -> Order:
    """One at the broker."""
    return {"id": f"o-{name}", "client_order_id": name, "status": status, **more}


class Desk:
    """A broker: what is cancelled is gone, unless it is told otherwise."""

    def __init__(self, *orders: Order) -> None:
        self.orders = list(orders)
        self.cancels: list[str] = []
        self.lists = 0
        self.budget = 10_000
        self.errors: dict[str, Exception] = {}
        self.deaf = False
        self.all_at_once = 0
        self.on_cancel: list[Any] = []

    def open_orders(
        self, priority: Priority, *, nested: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        assert nested
        self.lists += 1
        if "list" in self.errors:
            raise self.errors["list"]
        return [dict(one) for one in self.orders]

    def cancel(self, order_id: str) -> None:
        if self.budget <= len(self.cancels):
            raise NoBudget("no slot")
        self.cancels.append(order_id)
        if order_id in self.errors:
            raise self.errors[order_id]
        if not self.deaf:
            self.orders = [o for o in self.orders if o["id"] != order_id]
        for act in self.on_cancel:
            act()

    def cancel_all(self) -> object:
        self.all_at_once += 1
        self.orders = []
        return []


class Scene:
    """A keeper, its ledger, and what it asks."""

    def __init__(self, desk: Desk, **ports: Any) -> None:
        self.clock, self.ledger, self.desk = ManualClock(), Ledger(), desk
        self.flying: list[str] = []
        self.unclear = 0
        self.halted = True
        self.sent: dict[str, int] = {}
        self.noted: list[str] = []
        self.ports = KillPorts(
            in_flight=lambda: self.flying,
            unclear=lambda: self.unclear,
            is_ours=lambda o: not str(o["client_order_id"]).startswith("their"),
            sent_ms=lambda coid: self.sent.get(coid, 0),
            stands=lambda: self.halted,
            note=lambda coid, kill: self.noted.append(f"{coid} {kill}"),
            **ports,
        )
        self.start()

    def start(self) -> None:
        """A new process on the same ledger."""
        self.keeper = KillKeeper(self.desk, self.ledger, self.ports, self.clock)

    def kill(self, name: str = "k", **wanted: Any) -> None:
        """Its row."""
        self.ledger.rows[f"kill:{name}"] = Kill(id=name, by="me", **wanted).written()

    def run(self, steps: int = 12) -> Kill:
        """So many steps, the time between them included; the kill as its row has it."""
        for _ in range(steps):
            self.clock.advance(max(0.001, self.keeper.step()))
        return self.row()

    def row(self, name: str = "k") -> Kill:
        return Kill.read(name, self.ledger.rows[f"kill:{name}"])


def test_a_kill_without_cancels_awaits_what_is_on_its_way() -> None:
    """Nothing at the broker is touched."""
    scene = Scene(Desk(order("a")))
    scene.flying = ["c1", "c2"]
    scene.kill()
    waiting = scene.run(3)
    assert (waiting.stage, waiting.in_flight) == (Stage.DRAINING, 2)
    scene.flying.clear()
    assert scene.run(3).stage is Stage.DONE
    assert (scene.desk.cancels, scene.desk.lists) == ([], 0)


def test_every_open_order_of_ours_is_cancelled() -> None:
    """Somebody else's stays; the list is empty twice before it is done."""
    scene = Scene(Desk(order("a"), order("their-b"), order("c")))
    scene.kill(cancel_orders=True)
    done = scene.run()
    assert (done.stage, done.asked, done.open, done.left) == (Stage.DONE, 2, 0, 0)
    assert sorted(scene.desk.cancels) == ["o-a", "o-c"]
    assert scene.desk.lists == 3
    assert sorted(scene.noted) == ["a k", "c k"]
    assert done.ended_ms > 0


def test_legs_go_with_their_entry_order_or_by_themselves() -> None:
    """A bracket whose entry is filled has only its legs left."""
    legs = [order("leg-1", "held"), order("leg-2"), order("leg-3", "canceled")]
    desk = Desk(order("open", legs=[order("leg-0", "held")]), order("full", "filled", legs=legs))
    desk.deaf = True
    scene = Scene(desk)
    scene.kill(cancel_orders=True)
    scene.run(3)
    assert sorted(desk.cancels) == ["o-leg-1", "o-leg-2", "o-open"]


def test_an_order_that_ended_meanwhile_is_no_trouble() -> None:
    """422 and 404 count as asked for."""
    desk = Desk(order("a"), order("b"))
    desk.errors = {"o-a": Rejected(422, 0, "too late"), "o-b": NotFound(404, 0, "gone")}
    scene = Scene(desk)
    scene.kill(cancel_orders=True)
    scene.run(3)
    desk.orders.clear()
    done = scene.run()
    assert (done.stage, done.asked, done.refused) == (Stage.DONE, 2, 2)


def test_a_broker_that_does_not_answer_is_asked_again() -> None:
    """The trouble is told while it lasts."""
    desk = Desk(order("a"))
    desk.errors = {"list": OutcomeUnknown("no answer")}
    scene = Scene(desk)
    scene.kill(cancel_orders=True)
    scene.run(3)
    assert scene.keeper.shown()["k"]["trouble"] == "no answer"
    desk.errors = {"o-a": OutcomeUnknown("cut off")}
    scene.run(3)
    assert scene.keeper.shown()["k"]["trouble"] == "cut off"
    desk.errors = {}
    done = scene.run()
    assert (done.stage, done.trouble) == (Stage.DONE, "")


def test_a_cancel_without_effect_is_asked_for_again() -> None:
    """Not at once: a cancel takes its time."""
    desk = Desk(order("a"))
    desk.deaf = True
    scene = Scene(desk)
    scene.kill(cancel_orders=True)
    scene.run(4)
    assert len(desk.cancels) == 1
    scene.clock.advance(AGAIN_AFTER)
    scene.run(1)
    assert len(desk.cancels) == 2


def test_the_end_waits_for_what_is_unclear() -> None:
    """It may turn up in the next list."""
    scene = Scene(Desk())
    scene.unclear = 1
    scene.kill(cancel_orders=True)
    waiting = scene.run(8)
    assert (waiting.stage, waiting.unclear, waiting.open) == (Stage.CANCELLING, 1, 0)
    scene.desk.orders.append(order("late"))
    scene.unclear = 0
    done = scene.run(8)
    assert (done.stage, scene.desk.cancels) == (Stage.DONE, ["o-late"])


def test_what_is_cleared_up_while_the_list_is_on_its_way_is_listed_again() -> None:
    """The order arrived after the list was made and was found before it was read."""
    scene = Scene(Desk())
    scene.unclear = 1
    scene.kill(cancel_orders=True)
    scene.run(6)
    listing = scene.desk.open_orders

    def late(priority: Priority, *, nested: bool = False) -> Sequence[Mapping[str, Any]]:
        found = listing(priority, nested=nested)
        if scene.unclear:
            scene.desk.orders.append(order("late"))
            scene.unclear = 0
        return found

    scene.desk.open_orders = late  # type: ignore[method-assign]
    assert scene.run(8).stage is Stage.DONE
    assert scene.desk.cancels == ["o-late"]


def test_legs_are_settled_before_each_list() -> None:
    """They are ours from then on; what may still arrive is named at the end."""
    known: set[str] = set()
    scene = Scene(Desk(order("their-leg")), settle=lambda: known.add("their-leg"))
    scene.ports = replace(
        scene.ports, is_ours=lambda o: o["client_order_id"] in known, late=lambda: ["buy 1 F (x)"]
    )
    scene.start()
    scene.kill(cancel_orders=True)
    done = scene.run()
    assert (done.stage, done.late) == (Stage.DONE, ["buy 1 F (x)"])
    assert scene.desk.cancels == ["o-their-leg"]


def test_a_resume_just_before_the_request_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has withdrawn what it found: what is written a moment later is taken back."""
    scene = Scene(Desk())
    writing = scene.ledger.set_state

    def resumed(key: str, value: str) -> None:
        if key.startswith("flatten:"):
            scene.ledger.rows.pop("kill:k")
        writing(key, value)

    monkeypatch.setattr(scene.ledger, "set_state", resumed)
    scene.kill(close_positions=True)
    for _ in range(8):
        scene.clock.advance(max(0.001, scene.keeper.step()))
    assert scene.ledger.rows == {}


def test_what_was_sent_after_all_was_answered_stays() -> None:
    """Only an operator's flatten can have been."""
    scene = Scene(Desk(order("a"), order("flatten")))
    scene.sent["flatten"] = scene.clock.epoch_ms() + 1_000_000
    scene.kill(cancel_orders=True)
    assert scene.run().stage is Stage.DONE
    assert scene.desk.cancels == ["o-a"]


def test_an_account_of_our_own_takes_one_request() -> None:
    """What is open all the same a while later is cancelled one by one."""
    desk = Desk(order("a"), order("b"))
    scene = Scene(desk, exclusive=True)
    scene.kill(cancel_orders=True)
    scene.run(3)
    desk.orders = [order("a")]
    scene.clock.advance(AGAIN_AFTER)
    done = scene.run()
    assert (done.stage, done.one_request) == (Stage.DONE, True)
    assert (desk.all_at_once, desk.cancels) == (1, ["o-a"])


def test_without_budget_it_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What had no slot gets one when there is one."""
    desk = Desk(*(order(str(n)) for n in range(6)))
    desk.budget = 4
    scene = Scene(desk)
    told: list[tuple[int, int]] = []

    def more() -> None:
        shown = scene.keeper.shown()["k"]
        told.extend([(shown["asked"], shown["left"])] if shown["waits"] else [])
        desk.budget = 10 if told else 4

    scene.keeper.on_change = more
    monkeypatch.setattr(kill_barrier, "AT_ONCE", 1)
    scene.kill(cancel_orders=True)
    done = scene.run()
    assert told[0] == (4, 2)
    assert (done.stage, done.asked, done.waits) == (Stage.DONE, 6, False)


def test_a_resume_ends_it_between_two_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is gone, or the state counts no more: nothing more is cancelled."""
    monkeypatch.setattr(kill_barrier, "AT_ONCE", 1)
    desk = Desk(order("a"), order("b"))
    scene = Scene(desk)
    desk.on_cancel = [lambda: setattr(scene, "halted", False)]
    scene.kill(cancel_orders=True)
    assert scene.run().stage is Stage.ABANDONED
    assert len(desk.cancels) == 1
    del scene.ledger.rows["kill:k"]
    scene.keeper.step()
    assert scene.keeper.shown() == {}
    assert scene.ledger.rows == {}


def test_a_resume_counts_though_another_kill_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trading is halted again by then, by one that cancels nothing."""
    monkeypatch.setattr(kill_barrier, "AT_ONCE", 1)
    desk = Desk(order("a"), order("b"))
    scene = Scene(desk)

    def resumed_and_killed() -> None:
        del scene.ledger.rows["kill:k"]
        scene.kill("another")

    desk.on_cancel = [resumed_and_killed]
    scene.kill(cancel_orders=True)
    for _ in range(6):
        scene.clock.advance(max(0.001, scene.keeper.step()))
    assert len(desk.cancels) == 1
    assert set(scene.ledger.rows) == {"kill:another"}
    assert scene.row("another").stage is Stage.DONE


def test_positions_are_closed_by_a_request_that_is_written_once() -> None:
    """After the orders are gone; one that is on its way is not begun anew."""
    scene = Scene(Desk(order("a")))
    scene.kill(close_positions=True)
    assert scene.run().stage is Stage.DONE
    assert orjson.loads(scene.ledger.rows["flatten:k"]) | {"at_ms": 0} == {
        "symbols": [],
        "why": "kill by me",
        "at_ms": 0,
    }
    scene.ledger.rows |= {"flatten:k": "far along"}
    scene.kill(close_positions=True)
    scene.start()
    assert scene.run().stage is Stage.DONE
    assert scene.ledger.rows["flatten:k"] == "far along"


@pytest.mark.parametrize(
    "point",
    ["kill.drained", "kill.before_cancel", "kill.cancelled", "kill.flatten_asked", "kill.ended"],
)
def test_a_crash_anywhere_is_made_good_by_the_next_start(point: str) -> None:
    """Every order ends, the positions are asked for once, the counts go on."""
    scene = Scene(Desk(order("a"), order("b")))
    scene.kill(close_positions=True)
    failpoints.arm(failpoints.parse(f"{point}=raise"))
    try:
        with pytest.raises(failpoints.Crash):
            scene.run()
    finally:
        failpoints.disarm()
    scene.start()
    done = scene.run()
    assert (done.stage, scene.desk.orders) == (Stage.DONE, [])
    assert done.asked >= 1
    assert "flatten:k" in scene.ledger.rows


def test_a_ledger_that_fails_does_not_stop_the_cancels() -> None:
    """The row is a record; what is done at the broker counts."""
    scene = Scene(Desk(order("a")))
    scene.kill(cancel_orders=True)
    scene.keeper.step()
    scene.ledger.fails = True

    def broken(prefix: str) -> dict[str, str]:
        raise LedgerError("no answer")

    scene.ledger.states = broken  # type: ignore[method-assign]
    scene.run()
    assert scene.desk.cancels == ["o-a"]
    assert scene.keeper.shown()["k"]["stage"] == "done"


def test_a_row_that_cannot_be_read_is_a_kill() -> None:
    """One that cancels nothing."""
    scene = Scene(Desk(order("a")))
    scene.ledger.rows["kill:k"] = "nonsense"
    assert scene.run(4).stage is Stage.DONE
    assert scene.desk.cancels == []
