"""Trading states: the most restrictive counts, and what is not known stops everything."""

import threading
import time

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from solution.domain.kills import CONTROL_RESUMED
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState
from solution.errors import LedgerError
from solution.trading.states import (
    FRESH,
    OPERATOR,
    OPERATOR_REDUCING,
    PREFIX,
    Lasting,
    StateKeeper,
    TradingStates,
    read,
    written,
)
from tests.helpers.clocks import ManualClock, eventually
from tests.helpers.trading import Rig
from tests.unit.solution.trading.test_state_rows import Ledger

HALTED, REDUCING, ACTIVE = TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE
RANK = {ACTIVE: 0, REDUCING: 1, HALTED: 2}


@pytest.fixture
def clock() -> ManualClock:
    """Moves only when told to."""
    return ManualClock()


@pytest.fixture
def ledger() -> Ledger:
    """An empty one that can be made to fail."""
    return Ledger()


@pytest.fixture
def states(ledger: Ledger, clock: ManualClock) -> TradingStates:
    """Nothing is restricted."""
    return TradingStates(ledger, clock)


def halt(states: TradingStates, source: str = OPERATOR) -> None:
    states.restrict(source, HALTED, Reason.TRADING_HALTED, "by hand")


# --- one source and several -----------------------------------------------------------------------


def test_nothing_is_restricted_at_first(states: TradingStates) -> None:
    """An order that opens may leave."""
    assert states.restriction("NVDA") is None
    assert states.denied("NVDA", opens=True) is None
    assert states.picture()["trading_state"] == "ACTIVE"


def test_a_restriction_outlives_the_process(
    states: TradingStates, ledger: Ledger, clock: ManualClock
) -> None:
    """With its reason and its words."""
    states.restrict("daily_loss", REDUCING, Reason.DAILY_LOSS, "5% lost", until_ms=2**41)
    again = TradingStates(ledger, clock)
    assert again.lasting() == {"daily_loss": Restriction(REDUCING, Reason.DAILY_LOSS, "5% lost")}
    assert again.denied("NVDA", opens=False) is None
    denied = again.denied("NVDA", opens=True)
    assert denied is not None
    assert denied.reason is Reason.DAILY_LOSS


@pytest.mark.parametrize(("until", "ends"), [(0, 3_000), (9_000, 3_000), (2_000, 2_000)])
def test_a_restriction_that_is_shortened_ends_no_later(
    states: TradingStates, ledger: Ledger, clock: ManualClock, until: int, ends: int
) -> None:
    """Durably; what was never said is not said by it."""
    now = clock.epoch_ms()
    states.restrict(
        "daily_loss", REDUCING, Reason.DAILY_LOSS, "5% lost", until_ms=until and now + until
    )
    states.shorten("daily_loss", now + 3_000)
    states.shorten("drawdown", now + 3_000)
    again = TradingStates(ledger, clock)
    again.refresh()
    clock.advance(ends / 1000 - 0.001)
    assert [s.lasting().keys() for s in (states, again)] == [{"daily_loss"}, {"daily_loss"}]
    clock.advance(0.001)
    assert [*states.lasting(), *again.lasting()] == []


def test_the_strictest_source_counts(states: TradingStates) -> None:
    """In whatever order they came."""
    halt(states)
    states.restrict("daily_loss", REDUCING, Reason.DAILY_LOSS, "lost")
    denied = states.denied("NVDA", opens=False)
    assert denied is not None
    assert denied.reason is Reason.TRADING_HALTED
    states.lift(OPERATOR)
    assert states.denied("NVDA", opens=False) is None
    assert states.denied("NVDA", opens=True) is not None


def test_a_source_does_not_weaken_what_it_said(states: TradingStates) -> None:
    """Stricter and longer stay, each by itself, until it is lifted."""
    halt(states)
    states.restrict(OPERATOR, REDUCING, Reason.REDUCING_ONLY, "less", until_ms=1)
    assert states.lasting()[OPERATOR].state is HALTED
    states.lift(OPERATOR)
    assert states.lasting() == {}
    states.lift(OPERATOR)


def test_a_restriction_ends_by_itself(states: TradingStates, clock: ManualClock) -> None:
    """From its time on; afterwards the same source begins anew."""
    until = clock.epoch_ms() + 5_000
    states.restrict("daily_loss", HALTED, Reason.DAILY_LOSS, "lost", until_ms=until)
    clock.advance(4.9)
    assert "daily_loss" in states.lasting()
    clock.advance(0.1)
    assert states.lasting() == {}
    assert states.picture()["restrictions"] == {}
    states.restrict("daily_loss", REDUCING, Reason.DAILY_LOSS, "again", until_ms=until + 9_000)
    assert states.lasting()["daily_loss"].state is REDUCING


def test_tickers(states: TradingStates, ledger: Ledger) -> None:
    """Halted and reducing ones, by any spelling, beside what counts for all."""
    states.halts.halt("NVDA", "an orphan")
    states.reduce_ticker("btcusd", "by hand")
    halted, reducing = states.restriction("NVDA"), states.restriction("BTC/USD")
    assert halted == Restriction(HALTED, Reason.TICKER_HALTED, "an orphan")
    assert reducing == Restriction(REDUCING, Reason.REDUCING_ONLY, "by hand")
    assert states.restriction("AAPL") is None
    assert states.picture()["reducing"] == {"BTCUSD": "by hand"}
    assert states.lift_ticker("BTC/USD") == ["reducing:BTCUSD"]
    assert states.lift_ticker("AAPL") == []
    assert set(ledger.rows) == {"halted:NVDA"}


def test_what_cannot_be_read_means_halted(ledger: Ledger, clock: ManualClock) -> None:
    """Nobody knows what it would forbid."""
    for number, value in enumerate(
        ["", "x", "[]", "{}", '{"state": "PAUSED"}', '{"state": "REDUCING", "until_ms": "soon"}']
    ):
        ledger.rows[f"{PREFIX}{number}"] = value
    states = TradingStates(ledger, clock)
    assert {one.state for one in states.lasting().values()} == {HALTED}
    assert len(states.lasting()) == 6


def test_a_reason_of_another_version(clock: ManualClock) -> None:
    """The state counts; the reason is the usual one."""
    row = '{"state": "REDUCING", "reason": "NEW", "message": "m", "at_ms": 1, "until_ms": 0}'
    found = read("x", row)
    assert found.restriction == Restriction(REDUCING, Reason.REDUCING_ONLY, "m")
    assert read("x", written(found)) == found


def test_a_resumption_is_read(ledger: Ledger, clock: ManualClock) -> None:
    """What is no number is none."""
    states = TradingStates(ledger, clock)
    assert states.resumed_ms() == 0
    ledger.rows[CONTROL_RESUMED] = "17"
    states.refresh()
    assert states.resumed_ms() == 17
    ledger.rows[CONTROL_RESUMED] = "soon"
    states.refresh()
    assert states.resumed_ms() == 0


# --- not known ------------------------------------------------------------------------------------


def test_an_old_state_is_read_before_anything_is_sent(
    states: TradingStates, ledger: Ledger, clock: ManualClock
) -> None:
    """Somebody may have killed meanwhile."""
    row = Lasting(Restriction(HALTED, Reason.TRADING_HALTED, "elsewhere"), 0)
    ledger.rows[PREFIX + OPERATOR] = written(row)
    assert states.denied("NVDA", opens=True) is None
    clock.advance(FRESH)
    assert states.denied("NVDA", opens=True) == row.restriction


@pytest.mark.parametrize("seconds", [FRESH, -5.0])
def test_a_state_that_cannot_be_read_stops_everything(
    states: TradingStates, ledger: Ledger, clock: ManualClock, seconds: float
) -> None:
    """Exits too; by the monotonic clock or by the wall clock, set back or suspended."""

    def broken(prefix: str) -> dict[str, str]:
        raise LedgerError("no answer")

    works, ledger.states = ledger.states, broken  # type: ignore[method-assign]
    clock.jump_wall(seconds)
    denied = states.denied("NVDA", opens=False)
    assert denied is not None
    assert (denied.state, denied.reason) == (HALTED, Reason.STATE_UNKNOWN)
    assert "no answer" in denied.message
    ledger.states = works  # type: ignore[method-assign]
    assert states.denied("NVDA", opens=False) is None


def test_an_answer_that_took_too_long_is_old_already(
    states: TradingStates, ledger: Ledger, clock: ManualClock
) -> None:
    """It says how it was when it was asked."""
    quick = ledger.states

    def slow(prefix: str) -> dict[str, str]:
        clock.advance(FRESH)
        return quick(prefix)

    ledger.states = slow  # type: ignore[method-assign]
    clock.advance(FRESH)
    denied = states.denied("NVDA", opens=False)
    assert denied is not None
    assert denied.reason is Reason.STATE_UNKNOWN
    assert states.age() == FRESH


def test_the_keeper_reads_and_outlives_a_failing_ledger(
    states: TradingStates, ledger: Ledger, clock: ManualClock
) -> None:
    """Five times a second."""
    keeper = StateKeeper(states, clock)
    clock.advance(FRESH)
    assert keeper.step() == 0.2
    assert states.age() == 0

    def broken(prefix: str) -> dict[str, str]:
        raise LedgerError("no answer")

    ledger.states = broken  # type: ignore[method-assign]
    clock.advance(FRESH)
    assert (keeper.step(), keeper.step()) == (0.2, 0.2)
    assert states.age() == FRESH


def test_changes_are_told(states: TradingStates, ledger: Ledger) -> None:
    """Those made here and those found; not a reading that found nothing new."""
    told: list[int] = []
    states.on_change = lambda: told.append(1)
    halt(states)
    states.refresh()
    assert len(told) == 1
    ledger.rows["reducing:NVDA"] = "elsewhere"
    states.refresh()
    ledger.rows.clear()
    states.refresh()
    assert len(told) == 3


# --- whatever the order ---------------------------------------------------------------------------

SOURCES = st.sampled_from(["operator", "daily_loss", "breaker"])
STATES = st.sampled_from([REDUCING, HALTED])


class Interleaving(RuleBasedStateMachine):
    """Restrict, lift, refresh, another process's changes, a failing ledger, time: in any order.

    ``claims`` is what was demanded here and not taken back by us, nor by a person in the ledger.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.ledger = Ledger()
        self.states = TradingStates(self.ledger, self.clock)
        self.claims: dict[str, list[tuple[TradingState, int]]] = {}

    @rule(source=SOURCES, state=STATES, seconds=st.sampled_from([0, 3, 10]))
    def restrict(self, source: str, state: TradingState, seconds: int) -> None:
        until = self.clock.epoch_ms() + 1000 * seconds if seconds else 0
        self.claims.setdefault(source, []).append((state, until))
        try:
            self.states.restrict(source, state, Reason.TRADING_HALTED, "m", until_ms=until)
        except LedgerError:
            assert self.ledger.fails

    @rule(source=SOURCES)
    def lift(self, source: str) -> None:
        try:
            self.states.lift(source)
        except LedgerError:
            assert self.ledger.fails
        else:
            self.claims.pop(source, None)

    @rule()
    def refresh(self) -> None:
        self.states.refresh()

    @rule(source=SOURCES, state=STATES)
    def written_elsewhere(self, source: str, state: TradingState) -> None:
        row = Lasting(Restriction(state, Reason.TRADING_HALTED, "m"), 0)
        if source not in self.claims:  # a person writes sources of their own
            self.ledger.rows[PREFIX + source] = written(row)
            self.states.refresh()
            self.claims[source] = [(state, 0)]

    @precondition(lambda self: not self.ledger.fails)
    @rule()
    def resumed_elsewhere(self) -> None:
        self.states.refresh()
        self.ledger.rows.clear()
        self.states.refresh()
        self.claims.clear()

    @rule(fails=st.booleans())
    def ledger_fails(self, fails: bool) -> None:
        self.ledger.fails = fails

    @rule(seconds=st.sampled_from([0.5, 2.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def never_less_strict(self) -> None:
        now = self.clock.epoch_ms()
        live = [s for said in self.claims.values() for s, until in said if not until or now < until]
        found = self.states.account()
        wanted = max((RANK[state] for state in live), default=0)
        assert RANK[found.state if found else ACTIVE] >= wanted

    @invariant()
    def nothing_without_a_claim(self) -> None:
        assert set(self.states.lasting()) <= set(self.claims)


TestInterleaving = Interleaving.TestCase


# --- in the order path ----------------------------------------------------------------------------


def test_no_post_follows_a_restriction_although_its_write_hangs() -> None:
    """Eight threads ask all the time while the ledger hangs in the write of it."""
    ledger, ends = Ledger(), threading.Event()
    rig = Rig()
    states = TradingStates(ledger, rig.clock)
    last = [0.0] * 8

    def send(mine: int) -> None:
        while not ends.wait(0.001):
            asked = time.monotonic()
            if states.denied("NVDA", opens=True) is None:
                last[mine] = asked

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: min(last) > 0.0)
    ledger.open.clear()
    writer = threading.Thread(target=halt, args=(states,))
    writer.start()
    assert ledger.waiting.wait(10)
    holds = time.monotonic()
    assert states.denied("NVDA", opens=True) is not None
    ends.wait(0.2)
    ends.set()
    ledger.open.set()
    for thread in [*threads, writer]:
        thread.join()
    assert 0.0 < max(last) <= holds


def test_reducing_refuses_entries_and_lets_exits_through() -> None:
    """By the gates, with the restriction's own code."""
    rig = Rig()
    rig.snapshot(NVDA="5")
    rig.clock.advance(0.001)
    rig.states.restrict("daily_loss", REDUCING, Reason.DAILY_LOSS, "5% lost")
    entry, leaving = rig.send("b", ticker="AAPL"), rig.send("s")
    row = rig.row(rig.coid(entry, ticker="AAPL"))
    assert (row.state, row.reason, row.message) == ("REFUSED", "DAILY_LOSS", "5% lost")
    assert rig.outcomes.told(leaving)[-1] == "fill!"


@pytest.mark.parametrize(("state", "sent"), [(REDUCING, 1), (HALTED, 0)])
def test_the_last_look_asks_for_this_order(state: TradingState, sent: int) -> None:
    """Set after the gates: an exit passes REDUCING, nothing passes HALTED."""
    rig = Rig()
    rig.snapshot(NVDA="5")
    rig.clock.advance(0.001)
    begin = rig.ledger.begin

    def meanwhile(intent: object) -> None:
        begin(intent)  # type: ignore[arg-type]
        rig.states.restrict("breaker", state, Reason.CIRCUIT_OPEN, "meanwhile")

    rig.ledger.begin = meanwhile  # type: ignore[method-assign]
    entry = rig.send("s")
    assert len(rig.desk.posts) == sent
    assert rig.outcomes.told(entry)[-1] == ("fill!" if sent else "refused!")
    refused = rig.send("b", ticker="AAPL")
    assert rig.outcomes.told(refused) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "CIRCUIT_OPEN"


def test_the_two_rows_of_an_operator_do_not_meet(states: TradingStates) -> None:
    """``reduce-only`` after a ``kill`` takes nothing back."""
    halt(states)
    states.restrict(OPERATOR_REDUCING, REDUCING, Reason.REDUCING_ONLY, "less")
    account = states.account()
    assert account is not None
    assert account.state is HALTED
