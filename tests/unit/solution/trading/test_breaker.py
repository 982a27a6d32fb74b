"""The circuit breaker: when it opens, what closes it, and its one probe."""

import threading
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.errors import LedgerError
from solution.ledger.sqlite import SqliteLedger
from solution.trading.breaker import SOURCE, Breaker, BreakerRules, NoBreaker
from solution.trading.breaker_row import KEY, Standing
from tests.helpers.clocks import ManualClock
from tests.helpers.restrictions import FakeStates

UNTIL_OPEN = (23 * 60 + 30) * 60.0
"""Seconds from Wednesday 10:00 in New York to Thursday's opening."""


class CountedLedger(SqliteLedger):
    """Counts the writes of small state, and fails when told to."""

    writes = 0
    broken = False

    def set_state(self, key: str, value: str, *, sync: bool = True) -> None:
        self._count()
        super().set_state(key, value, sync=sync)

    def delete_state(self, key: str, *, sync: bool = True) -> None:
        self._count()
        super().delete_state(key, sync=sync)

    def _count(self) -> None:
        if self.broken:
            raise LedgerError("disk full")
        self.writes += 1


class World:
    """A breaker, its ledger and states; orders in ``on_their_way`` may still get a verdict."""

    def __init__(self, failures: int = 3, cooldown: float = 0.0, **rules: Any) -> None:
        self.rules = {"failures": failures, "cooldown": cooldown, **rules}
        self.clock = ManualClock()
        self.ledger = CountedLedger("sqlite://", clock=self.clock)
        self.states = FakeStates(self.clock)
        self.on_their_way: set[str] = set()
        self.breaker = self.restart()

    def restart(self, **changed: Any) -> Breaker:
        """The next process: the ledger's rows and nothing else."""
        self.breaker = Breaker(
            BreakerRules(**{**self.rules, **changed}),
            self.ledger,
            self.states,
            self.clock,
            on_its_way=lambda coid: coid in self.on_their_way,
        )
        return self.breaker

    def fail(self, *orders: str) -> None:
        for order in orders:
            self.breaker.failed(order, f"HTTP 500 to {order}")

    def trip(self) -> None:
        self.fail("a", "b", "c")

    @property
    def row(self) -> Standing:
        return Standing.of(self.ledger.get_state(KEY))


# --- counting --------------------------------------------------------------


def test_so_many_failures_in_a_row_open_it() -> None:
    """One less does not; exits are none of its business, the state is REDUCING till the open."""
    world = World()
    world.fail("a", "b")
    assert world.breaker.reason() is None
    world.fail("c")
    assert world.breaker.reason() == "3 orders in a row failed, the last one: HTTP 500 to c"
    said = world.states.said[SOURCE]
    assert (said.state, said.reason) == (TradingState.REDUCING, Reason.CIRCUIT_OPEN)
    assert "HTTP 500 to c" in said.message
    assert world.states.until[SOURCE] == world.clock.epoch_ms() + UNTIL_OPEN * 1000
    assert world.row == Standing(True, 3, world.clock.epoch_ms(), "HTTP 500 to c")


def test_halt_on_trip_stops_exits_as_well() -> None:
    """By the trading state."""
    world = World(trips_to=TradingState.HALTED)
    world.trip()
    assert world.states.said[SOURCE].state is TradingState.HALTED


def test_an_accepted_order_ends_the_run() -> None:
    """And the row goes."""
    world = World()
    world.fail("a", "b")
    world.breaker.succeeded("x")
    assert world.ledger.get_state(KEY) is None
    world.fail("c", "d")
    assert world.breaker.reason() is None


def test_retries_of_one_order_count_once() -> None:
    """However long the broker is away for it."""
    world = World()
    world.fail(*["a"] * 20)
    assert world.row.failures == 1
    assert world.breaker.reason() is None


def test_orders_that_are_rejected_after_acceptance_open_it() -> None:
    """Although each was accepted before."""
    world = World()
    for order in "ab":
        world.breaker.succeeded(order)
        world.breaker.rejected(order, "why")
    # The stream was faster than the answer to the POST.
    world.breaker.rejected("c", "why")
    world.breaker.succeeded("c")
    assert world.breaker.reason() is not None
    assert world.row.failures == 3


def test_success_after_success_writes_nothing() -> None:
    """The hot path: only what changes the count is written, once per change."""
    world = World()
    before = world.ledger.writes
    for number in range(100):
        world.breaker.succeeded(str(number))
    assert world.ledger.writes == before
    world.fail("a")
    world.breaker.succeeded("b")
    world.breaker.succeeded("c")
    assert world.ledger.writes == before + 2


def test_zero_never_opens() -> None:
    """CIRCUIT_BREAKER_FAILURES=0; what it had tripped before is closed at the next start."""
    world = World()
    world.trip()
    world.restart(failures=0)
    assert world.breaker.reason() is None
    assert SOURCE not in world.states.said
    world.fail(*"defghijk")
    assert world.breaker.reason() is None
    assert world.breaker.status()["state"] == "off"


# --- restarts and resets --------------------------------------------------------------


def test_a_restart_keeps_count_and_trip() -> None:
    """Two before, one after."""
    world = World()
    world.fail("a", "b")
    world.restart()
    world.fail("c")
    assert world.breaker.reason() is not None
    assert world.restart().reason() is not None


def test_the_reset_setting_comes_before_the_tripped_state_is_looked_at() -> None:
    """Also where the row cannot be read."""
    world = World()
    world.trip()
    assert world.restart(reset=True).reason() is None
    assert (world.ledger.get_state(KEY), world.states.said) == (None, {})
    world.ledger.set_state(KEY, "nonsense")
    assert world.restart(reset=True).reason() is None


def test_deleting_the_row_resets_it_while_it_runs() -> None:
    """What `breaker reset` does, and sqlite3 by hand; the count begins anew."""
    world = World()
    world.trip()
    world.ledger.delete_state(KEY)
    world.breaker.refresh()
    assert (world.breaker.reason(), world.states.said) == (None, {})
    world.fail("d", "e")
    assert world.breaker.reason() is None


def test_deleting_the_row_resets_a_count_that_has_not_opened_it() -> None:
    """Even where the next failure comes before the next look."""
    world = World()
    world.fail("a", "b")
    world.ledger.delete_state(KEY)
    world.fail("c")
    assert world.row.failures == 1


def test_deleting_the_row_while_nobody_runs() -> None:
    """The next start lifts the restriction that is left."""
    world = World()
    world.trip()
    world.ledger.delete_state(KEY)
    assert world.restart().reason() is None
    assert world.states.said == {}


def test_resume_closes_it() -> None:
    """Trading was resumed by a person: also while the service was down."""
    world = World()
    world.trip()
    world.states.resume()
    world.breaker.refresh()
    assert world.breaker.reason() is None
    world.fail("d", "e", "f")
    world.states.resume()
    assert world.restart().reason() is None
    assert world.ledger.get_state(KEY) is None


def test_the_next_sessions_open_ends_a_trip() -> None:
    """Not a second earlier; after it at once, whoever looks first."""
    world = World()
    world.trip()
    world.clock.advance(UNTIL_OPEN - 0.5)
    world.breaker.refresh()
    assert world.breaker.reason() is not None
    world.clock.advance(0.5)
    assert world.breaker.reason() is None
    assert world.breaker.claim("x") is None
    world.fail("d")
    assert world.row == Standing(False, 1, world.clock.epoch_ms(), "HTTP 500 to d")


def test_a_row_that_cannot_be_read_is_an_open_breaker() -> None:
    """Until a reset."""
    world = World()
    world.ledger.set_state(KEY, "nonsense")
    assert "cannot be read" in str(world.restart().reason())
    world.breaker.refresh()
    assert world.row.tripped
    world.ledger.delete_state(KEY)
    world.breaker.refresh()
    assert world.breaker.reason() is None


# --- half-open --------------------------------------------------------------


@pytest.fixture
def half() -> World:
    """Tripped, and its cool-down of a minute is over."""
    world = World(cooldown=60.0)
    world.trip()
    world.clock.advance(60.0)
    return world


def test_until_the_cool_down_is_over_nothing_opens() -> None:
    """The trading state says so as long, and leaves the probe to the breaker."""
    world = World(cooldown=60.0)
    world.trip()
    assert world.states.until[SOURCE] == world.clock.epoch_ms() + 60_000
    world.clock.advance(59.999)
    assert world.breaker.claim("p") is not None
    world.breaker.refresh()
    world.clock.advance(0.001)
    world.breaker.refresh()
    assert world.states.lasting() == {}
    assert world.breaker.status()["state"] == "half-open"
    assert world.breaker.claim("p") is None


def test_one_order_at_a_time_goes_out_as_a_probe(half: World) -> None:
    """The others are refused meanwhile, by the gates and again before their POST."""
    half.on_their_way = {"p"}
    assert half.breaker.reason() is None
    assert half.breaker.claim("p") is None
    assert "half-open: it waits" in str(half.breaker.reason())
    assert half.breaker.claim("q") is not None
    half.breaker.unjudged("p")  # HTTP 429: it waits for its turn
    assert "half-open: it waits" in str(half.breaker.reason())
    assert half.breaker.claim("q") is not None
    assert half.breaker.reason(beside="p") is None
    assert half.breaker.claim("p") is None
    assert half.row.probe == "p"


def test_an_accepted_probe_closes_it(half: World) -> None:
    """For everybody, and the count begins anew."""
    half.breaker.claim("p")
    half.breaker.succeeded("p")
    assert (half.breaker.reason(), half.ledger.get_state(KEY)) == (None, None)
    half.fail("d", "e")
    assert half.breaker.reason() is None


def test_an_exit_that_is_accepted_does_not_close_it(half: World) -> None:
    """It was no probe."""
    half.breaker.succeeded("exit")
    assert half.breaker.status()["state"] == "half-open"


def test_a_failed_probe_opens_it_anew(half: World) -> None:
    """For another cool-down, also where the order has failed before."""
    half.breaker.claim("a")
    half.fail("a")
    assert half.breaker.reason() is not None
    assert half.states.until[SOURCE] == half.clock.epoch_ms() + 60_000
    half.clock.advance(60.0)
    assert half.breaker.claim("p") is None


def test_a_probe_that_ends_without_a_verdict_gives_its_place_back(half: World) -> None:
    """A gate refused it after all, or the broker for what its producer did."""
    half.on_their_way = {"p"}
    half.breaker.claim("p")
    half.breaker.unjudged("p")
    half.on_their_way = set()
    assert half.breaker.reason() is None
    assert half.restart().status()["state"] == "half-open"
    assert half.breaker.claim("q") is None


def test_only_the_answer_to_its_post_frees_the_probes_place(half: World) -> None:
    """Not its fill, nor its end by the order stream, which come before a POST times out."""
    half.breaker.claim("p")
    half.on_their_way = set()
    half.breaker.unjudged("q")
    assert "half-open: it waits" in str(half.breaker.claim("q"))
    half.breaker.rejected("p", "by the exchange")
    half.clock.advance(60.0)
    assert "half-open: it waits" in str(half.breaker.claim("q"))
    half.breaker.succeeded("p")
    assert half.breaker.status()["state"] == "half-open"
    assert half.breaker.claim("q") is None


@pytest.mark.parametrize("how", ["failed", "rejected"])
def test_half_open_any_orders_failure_opens_it_anew(half: World, how: str) -> None:
    """For a whole cool-down, one failure more; whatever becomes of the probe within it."""
    half.breaker.claim("p")
    half.clock.advance(5.0)
    getattr(half.breaker, how)("exit", "HTTP 502")
    assert half.row == Standing(True, 4, half.clock.epoch_ms(), "HTTP 502", "p")
    half.breaker.succeeded("p")
    assert half.breaker.status()["state"] == "open"
    assert half.row.probe == ""
    half.clock.advance(59.999)
    assert half.breaker.claim("q") is not None
    half.clock.advance(0.001)
    assert half.breaker.claim("q") is None


def test_a_process_that_ends_before_its_probe_has_an_answer_waits_anew(half: World) -> None:
    """A whole cool-down from the next start; the one after that adds nothing."""
    half.breaker.claim("p")
    half.clock.advance(7.0)
    assert "before order p had an answer" in str(half.restart().reason())
    half.clock.advance(30.0)
    half.restart()
    half.clock.advance(29.999)
    assert half.breaker.claim("q") is not None
    half.clock.advance(0.001)
    assert half.breaker.claim("q") is None


def test_a_probe_is_written_once_and_before_it_leaves(half: World) -> None:
    """Nothing goes out of which the next process would know nothing."""
    before, half.ledger.broken = half.ledger.writes, True
    assert "cannot be kept: disk full" in str(half.breaker.claim("p"))
    half.ledger.broken = False
    assert half.breaker.claim("q") is None
    assert (half.row.probe, half.ledger.writes) == ("q", before + 1)


def test_a_reset_that_nobody_has_read_yet_is_not_undone_by_a_probe(half: World) -> None:
    """The row is read before it is written."""
    half.ledger.delete_state(KEY)
    assert half.breaker.claim("p") is None
    assert half.ledger.get_state(KEY) is None
    assert half.breaker.status()["state"] == "closed"


def test_of_many_threads_one_has_the_probe(half: World) -> None:
    """Claimed in one step."""
    half.on_their_way = {str(number) for number in range(32)}
    ready, allowed = threading.Barrier(32), []

    def ask(coid: str) -> None:
        ready.wait()
        if half.breaker.claim(coid) is None:
            allowed.append(coid)

    threads = [threading.Thread(target=ask, args=(coid,)) for coid in half.on_their_way]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 1


# --- a ledger in trouble --------------------------------------------------------------


@pytest.mark.parametrize("what", ["ledger", "states"])
def test_what_cannot_be_written_holds_and_is_tried_again(what: str) -> None:
    """The order path gets no exception; the lease's keeper does, and ends the service in time."""
    world = World()
    broken = getattr(world, what)
    broken.broken = True
    world.trip()
    assert world.breaker.reason() is not None
    with pytest.raises(LedgerError):
        world.breaker.refresh()
    assert world.breaker.reason() is not None
    broken.broken = False
    world.breaker.refresh()
    assert world.row.tripped
    assert SOURCE in world.states.said


def test_a_row_that_cannot_be_read_now_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is no reset."""
    world = World()
    world.fail("a")

    def fails(key: str) -> str | None:
        raise LedgerError("disk gone")

    monkeypatch.setattr(world.ledger, "get_state", fails)
    world.fail("b", "c")
    assert world.breaker.reason() is not None
    with pytest.raises(LedgerError):
        world.breaker.refresh()


def test_without_a_breaker_everything_may_go_out() -> None:
    """What the order path has where there is none."""
    none = NoBreaker()
    none.failed("a", "why")
    none.succeeded("a")
    none.unjudged("a")
    assert none.claim("a") is None


def test_what_the_status_shows() -> None:
    """Since when and until when."""
    world = World()
    assert world.breaker.status() == {"state": "closed", "failures": 0, "limit": 3}
    world.trip()
    now = world.clock.epoch_ms()
    assert world.breaker.status() == {
        "state": "open",
        "failures": 3,
        "limit": 3,
        "why": "HTTP 500 to c",
        "at_ms": now,
        "until_ms": now + UNTIL_OPEN * 1000,
    }


# --- as a state machine --------------------------------------------------------------

ORDERS = st.sampled_from([f"o{number}" for number in range(12)])


class Machine(RuleBasedStateMachine):
    """Whatever happens: at most one probe, the count is the run of failures, memory = ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(failures=3, cooldown=30.0)
        self.verdicts: dict[str, bool] = {}
        self.rejected: set[str] = set()
        self.flying: set[str] = set()
        """Opening orders that were let through and have no verdict yet."""
        self.was_half = False

    def tell(self, order: str, *, failed: bool) -> None:
        if order not in self.rejected and not (failed and self.verdicts.get(order)):
            self.verdicts.pop(order, None)
            self.verdicts[order] = failed

    def forget_if_closed(self, before: str) -> None:
        if before != "closed" and self.state == "closed":
            self.flying.clear()  # what is still on its way is no probe any more
            self.verdicts.clear()
            self.rejected.clear()

    @property
    def state(self) -> str:
        return str(self.world.breaker.status()["state"])

    @rule(order=ORDERS)
    def fails(self, order: str) -> None:
        """An order comes to nothing."""
        self.tell(order, failed=True)
        self.flying.discard(order)
        self.world.fail(order)
        self.world.on_their_way.discard(order)

    @rule(order=ORDERS)
    def is_rejected_later(self, order: str) -> None:
        """Which no acceptance that is heard of later undoes."""
        self.tell(order, failed=True)
        self.rejected.add(order)
        self.world.breaker.rejected(order, "why")
        self.world.on_their_way.discard(order)

    @rule(order=ORDERS)
    def ends_by_the_stream(self, order: str) -> None:
        """Filled, while its POST may still have no answer."""
        self.world.on_their_way.discard(order)

    @rule(order=ORDERS)
    def is_accepted(self, order: str) -> None:
        """An order is taken."""
        before = self.state
        self.tell(order, failed=False)
        self.flying.discard(order)
        self.world.breaker.succeeded(order)
        self.forget_if_closed(before)

    @rule(order=ORDERS)
    def is_sent(self, order: str) -> None:
        """An opening order asks for the last time; open, it is never let through."""
        self.world.on_their_way.add(order)
        state = self.state
        why = self.world.breaker.claim(order)
        assert state != "closed" or why is None
        assert state != "open" or why is not None
        if why is None and state == "half-open":
            self.flying.add(order)

    @rule(order=ORDERS)
    def ends_unsent(self, order: str) -> None:
        """A gate refuses it after all, or the broker for its producer's mistake."""
        self.world.on_their_way.discard(order)
        self.flying.discard(order)
        self.world.breaker.unjudged(order)

    @rule()
    def is_killed(self) -> None:
        """What had no answer is not known any more; it opens anew for that."""
        assume(self.flying)
        self.world.restart()
        self.verdicts = {f"before {n}": True for n in range(self.run_length)}
        self.rejected.clear()
        assert self.state != "half-open"
        self.flying.clear()

    @rule(seconds=st.sampled_from([0.5, 10.0, 30.0, 3600.0, UNTIL_OPEN]))
    def time_passes(self, seconds: float) -> None:
        """A cool-down, or the next session."""
        before = self.state
        self.world.clock.advance(seconds)
        self.world.breaker.refresh()
        self.forget_if_closed(before)

    @rule()
    def row_is_deleted(self) -> None:
        """By whatever hand."""
        self.world.ledger.delete_state(KEY)
        had = self.run_length > 0 or self.state != "closed"
        self.world.breaker.refresh()
        if had:
            self.flying.clear()
            self.verdicts.clear()
            self.rejected.clear()

    @property
    def run_length(self) -> int:
        newest_first = list(self.verdicts.values())[::-1]
        return newest_first.index(False) if False in newest_first else len(newest_first)

    @invariant()
    def never_more_than_one_probe(self) -> None:
        assert self.state != "half-open" or len(self.flying) <= 1

    @invariant()
    def the_count_is_the_run_at_the_end(self) -> None:
        assert self.world.breaker.status()["failures"] == self.run_length

    @invariant()
    def a_closed_breaker_has_fewer_failures_than_open_it(self) -> None:
        assert self.state != "closed" or self.run_length < 3

    @invariant()
    def the_ledger_knows_it(self) -> None:
        row, status = self.world.row, self.world.breaker.status()
        assert row.failures == status["failures"]
        assert row.tripped == (status["state"] != "closed")


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
