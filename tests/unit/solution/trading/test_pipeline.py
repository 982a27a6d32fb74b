"""Pipeline: one signal from its lane to its end, against a scripted broker."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from solution.domain.reasons import Reason
from solution.domain.records import State
from solution.errors import (
    IdentityExists,
    LedgerError,
    SignalError,
)
from solution.ledger.sqlite import SqliteLedger
from solution.rate_limiter import RateLimiter
from solution.trading import compose
from tests.helpers.trading import (
    Rig,
    RigRules,
    accept,
    accept_then,
)


@pytest.fixture
def rig() -> Rig:
    """A fresh order path."""
    return Rig()


# --- the clean path ---------------------------------------------------------------------


def test_a_signal_becomes_one_order_told_and_acknowledged_once(rig: Rig) -> None:
    """One POST, one FILLED row, submitted and a final fill, one acknowledgement, free lane."""
    entry = rig.send()
    row = rig.row(rig.only_coid())
    assert row.state is State.FILLED
    assert orjson.loads(row.body) == orjson.loads(rig.desk.posts[0])
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.acks == [entry]
    assert rig.held() == Decimal(10)
    assert rig.is_free()


def test_the_row_is_durable_before_the_post(rig: Rig) -> None:
    """When the broker is asked, the ledger already holds the exact body as SUBMITTING."""
    seen: list[tuple[State, bytes]] = []

    def look(desk: Any, body: dict[str, Any]) -> Any:
        row = rig.row(body["client_order_id"])
        seen.append((row.state, row.body))
        return accept()(desk, body)

    rig.desk.script.append(look)
    rig.send()
    assert seen == [(State.SUBMITTING, rig.desk.posts[0])]


def test_the_id_depends_on_nothing_but_deployment_and_identity(rig: Rig) -> None:
    """Another process with the same entry composes the same client_order_id."""
    entry = rig.send()
    assert rig.only_coid() == rig.coid(entry)
    other = Rig()
    other.send(entry_id=entry)
    assert other.only_coid() == rig.only_coid()


def test_a_resting_order_frees_its_lane(rig: Rig) -> None:
    """A limit order that stays on the book does not hold up the asset's next signal."""
    rig.desk.default = accept("new")
    rig.send(order_type="limit", limit_price="50", time_in_force="day")
    assert rig.is_free()


def test_an_immediate_order_keeps_its_lane_until_it_ends(rig: Rig) -> None:
    """The next signal of the asset waits for an IOC order's end, and then runs."""
    rig.desk.script.append(accept("new"))
    rig.send()
    second = rig.publish()
    assert rig.work() is False
    coid = rig.only_coid()
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.work() is True
    assert rig.outcomes.told(second) == ["submitted", "fill!"]


def test_other_assets_do_not_wait(rig: Rig) -> None:
    """An order under way in one asset leaves every other lane runnable."""
    rig.desk.script.append(accept("new"))
    rig.send()
    other = rig.send(ticker="AAPL")
    assert rig.outcomes.told(other) == ["submitted", "fill!"]


# --- order of one asset -----------------------------------------------------------------


def test_an_entry_older_than_the_newest_one_sent_is_superseded(rig: Rig) -> None:
    """A buy found late must not follow its sell."""
    older = f"{rig.clock.epoch_ms() - 1000}-0"
    rig.send()
    rig.redeliver(older)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.events[-1]["reason"] == "SUPERSEDED"
    assert rig.outcomes.told(older) == ["refused!"]


def test_an_entry_that_comes_as_new_once_more_is_settled_by_its_row(rig: Rig) -> None:
    """A group made anew delivers all of them: neither superseded, nor nothing to sell any more."""
    old, newest = rig.send("b"), rig.send("s")
    told = {entry: rig.outcomes.told(entry) for entry in (old, newest)}
    rig.send("b", entry_id=old)
    rig.send("s", entry_id=newest)
    assert {entry: rig.outcomes.told(entry) for entry in (old, newest)} == told
    assert rig.tracker.board.counts() == {"FILLED": 2}
    assert sorted(rig.outcomes.acks) == sorted([old, newest] * 2)
    assert len(rig.desk.posts) == 2
    assert rig.is_free()


def test_without_ordering_nothing_is_superseded() -> None:
    """``--ordering none`` runs signals of one asset side by side: none is too old for another."""
    rig = Rig(RigRules(ordered=False))
    older = f"{rig.clock.epoch_ms() - 1000}-0"
    rig.send()
    rig.send(entry_id=older)
    assert len(rig.desk.posts) == 2
    assert rig.outcomes.told(older) == ["submitted", "fill!"]


# --- gates at the last moment -----------------------------------------------------------


def test_a_stale_redelivered_signal_ends_unsent(rig: Rig) -> None:
    """Never sent before its process died, too old now: STALE_SIGNAL, acknowledged."""
    entry = f"{rig.clock.epoch_ms() - 61_000}-0"
    rig.redeliver(entry)
    assert rig.desk.posts == []
    assert rig.outcomes.events[-1]["reason"] == "STALE_SIGNAL"
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.acks == [entry]


def test_a_fresh_signal_that_waits_for_budget_keeps_its_place(rig: Rig) -> None:
    """The seconds without a slot for it do not make it stale."""
    entry = rig.publish()
    rig.clock.advance(300)
    rig.starved += 245
    rig.work()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_a_signal_that_waits_for_anything_else_grows_old(rig: Rig) -> None:
    """Behind an order whose answer was lost, or a broker that is slow: the price has moved on."""
    rig.starved += 1000  # before it was read
    entry = rig.publish()
    rig.clock.advance(300)
    rig.starved += 239
    rig.work()
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "STALE_SIGNAL"


def test_waiting_has_an_end(rig: Rig) -> None:
    """Beyond MAX_QUEUE_WAIT the signal is refused."""
    rig.publish()
    rig.clock.advance(601)
    rig.starved += 601
    rig.work()
    assert rig.desk.posts == []
    assert rig.outcomes.events[-1]["reason"] == "QUEUE_WAIT_EXCEEDED"


class Doubt:
    """A position that is to be asked for first, while there is no budget to ask."""

    def __init__(self, rig: Rig, tries: int) -> None:
        self.tries = tries
        self.urgent: list[bool] = []
        self.used: list[int] = []
        self.limiter = rig.limiter = RateLimiter(20, clock=rig.clock)
        rig.desk.refresh_if_uncertain = self  # type: ignore[method-assign]

    def __call__(self, symbol: str, *, urgent: bool) -> bool:
        self.urgent.append(urgent)
        self.used.append(self.limiter.view().used)
        return urgent or len(self.urgent) > self.tries


def test_a_signal_whose_position_cannot_be_asked_for_yet_keeps_its_place(rig: Rig) -> None:
    """Only budget is missing: it waits at the front of its lane, and traded it is in the end."""
    doubt = Doubt(rig, 3)
    first, second = rig.publish(), rig.publish()
    rig.work()
    assert rig.outcomes.told(first) == []
    assert doubt.limiter.view().used == 0  # its slot went back
    rig.work_all()
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(second) == ["submitted", "fill!"]
    assert doubt.urgent == [False] * 5
    assert doubt.used == [1, 1, 1, 1, 2]


def test_waiting_for_a_position_has_an_end(rig: Rig) -> None:
    """The gates judge it each time: MAX_QUEUE_WAIT holds, and so does the kill switch."""
    Doubt(rig, 10**9)
    entry = rig.publish()
    rig.work()
    rig.clock.advance(601)
    rig.work()
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "QUEUE_WAIT_EXCEEDED"


def test_an_exit_behind_it_makes_a_doubtful_entry_urgent(rig: Rig) -> None:
    """The exit waits for it, so it may use what exits may, and does not wait for more."""
    doubt = Doubt(rig, 10**9)
    rig.publish()
    rig.work()
    leaving = rig.publish("s")
    rig.work_all(2)
    assert doubt.urgent == [False, True, True]
    assert rig.outcomes.told(leaving) == ["submitted", "fill!"]


def test_a_redelivered_signal_that_waits_for_its_position_was_not_poison(rig: Rig) -> None:
    """A start is counted as a crash only when the process died in it."""
    Doubt(rig, 5)
    entry = f"{rig.clock.epoch_ms()}-0"
    rig.redeliver(entry)
    assert not rig.ledger.open_starts()
    rig.work_all()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert not rig.ledger.open_starts()


def test_the_kill_switch_thrown_after_the_gates_stops_the_post(tmp_path: Path) -> None:
    """The file is looked at once more immediately before the POST."""
    rig = Rig(RigRules(kill_switch_file=tmp_path / "kill"))
    looked = rig.portfolio.reserve

    def reserve(symbol: str, decide: Any, *, strategy: str) -> Any:
        result = looked(symbol, decide, strategy=strategy)
        (tmp_path / "kill").touch()
        return result

    rig.portfolio.reserve = reserve  # type: ignore[method-assign]
    rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.events[-1]["reason"] == "KILL_SWITCH"
    assert rig.portfolio.reserved()[0] == 0


def test_an_unreadable_kill_switch_counts_as_on(tmp_path: Path) -> None:
    """A path that cannot be looked at (here: below a file) refuses everything."""
    (tmp_path / "file").touch()
    rig = Rig(RigRules(kill_switch_file=tmp_path / "file" / "kill"))
    rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.events[-1]["reason"] == "KILL_SWITCH"
    assert "cannot be read" in rig.outcomes.events[-1]["message"]


def account_says(rig: Rig, **flags: bool) -> None:
    """A snapshot of the account with these flags."""
    account = rig.portfolio.account()
    assert account is not None
    rig.portfolio.apply_snapshot(replace(account, **flags), {}, rig.clock.monotonic())


def test_a_short_sale_at_an_account_that_may_not_is_refused_unsent(rig: Rig) -> None:
    """The last snapshot said so; no POST is spent on the broker's no, and buys go on."""
    account_says(rig, shorting_enabled=False)
    entry = rig.send("s", action="short_sell")
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "SHORT_NOT_ALLOWED"
    assert "account acc may not sell short" in rig.outcomes.events[-1]["message"]
    assert rig.outcomes.told(rig.send()) == ["submitted", "fill!"]


def test_an_account_that_is_blocked_while_we_run_gets_no_orders(rig: Rig) -> None:
    """Not even a sale, since the broker takes none; until a snapshot says otherwise."""
    rig.send()
    account_says(rig, blocked=True)
    for direction in "bs":
        rig.send(direction)
        assert rig.outcomes.events[-1]["reason"] == "ACCOUNT_BLOCKED"
    assert len(rig.desk.posts) == 1
    account_says(rig, blocked=False)
    assert rig.outcomes.told(rig.send()) == ["submitted", "fill!"]


def test_gates_that_took_too_long_look_again(rig: Rig) -> None:
    """More than 250 ms between the gates' look and the send: they run once more."""
    slow = iter([0.3, 0.0])
    looks: list[float] = []
    reserve = rig.portfolio.reserve

    def slowly(*arguments: Any, **named: Any) -> Any:
        looks.append(rig.clock.monotonic())
        rig.clock.advance(next(slow))
        return reserve(*arguments, **named)

    rig.portfolio.reserve = slowly  # type: ignore[method-assign]
    rig.send()
    assert len(looks) == 2
    assert len(rig.desk.posts) == 1
    assert rig.portfolio.reserved()[0] == 1


def test_a_slow_refresh_before_the_gates_is_not_held_against_them(rig: Rig) -> None:
    """Asking the account anew comes before the look, so it cannot make the gates run for ever."""
    looks: list[str] = []

    def refresh(symbol: str, *, urgent: bool) -> bool:
        assert urgent is False
        looks.append(symbol)
        rig.clock.advance(1.0)
        return True

    rig.desk.refresh_if_uncertain = refresh  # type: ignore[method-assign]
    rig.send()
    assert looks == ["NVDA"]
    assert len(rig.desk.posts) == 1


def at_night(*, queue: bool = False, held: str = "0") -> Rig:
    """20:00 in New York: the last trade at 16:00, a quote of 19:00 far from it."""
    rig = Rig(RigRules(queue_when_closed=queue, max_position_pct=Decimal("0.05")))
    rig.clock.advance(10 * 3600)
    rig.snapshot(NVDA=held)
    rig.clock.advance(0.001)
    rig.desk.is_open = False
    rig.desk.bid_ask = Decimal(10), Decimal(900)
    rig.desk.quoted_ago, rig.desk.traded_ago = 3600, 4 * 3600
    return rig


def test_at_night_the_market_is_closed_and_not_the_quote_stale() -> None:
    """Nobody quotes then; the session is why nothing trades."""
    for rig in (at_night(), at_night(queue=True)):
        rig.send()
        assert rig.desk.posts == []
        assert rig.outcomes.events[-1]["reason"] == "MARKET_CLOSED"


@pytest.mark.parametrize(
    ("queue", "tif"), [(True, "day"), (True, "gtc"), (False, "opg"), (False, "cls")]
)
def test_what_waits_for_a_session_is_sized_on_the_last_trade(queue: bool, tif: str) -> None:
    """5 % of 100,000 at 100 are 50 shares; at the old ask of 900 they would be 5."""
    rig = at_night(queue=queue)
    rig.desk.script.append(accept("accepted"))
    entry = rig.send(qty="50", time_in_force=tif)
    assert rig.outcomes.told(entry) == ["submitted"]
    assert rig.row(rig.only_coid()).reserved_cash == 5000
    rig.send(qty="51", ticker="AAPL", time_in_force=tif)
    assert rig.outcomes.events[-1]["reason"] == "POSITION_CAP"


def test_what_waits_for_a_session_needs_a_price_that_we_just_got() -> None:
    """MAX_PRICE_AGE holds at any hour: the feed must be there."""
    rig = at_night(queue=True)
    rig.desk.received_ago = 5.1
    rig.send(time_in_force="day")
    assert rig.outcomes.events[-1]["reason"] == "STALE_PRICE"


def test_in_session_an_old_quote_is_stale(rig: Rig) -> None:
    """A halted symbol: the order could trade the moment it wakes up, at any price."""
    rig.desk.quoted_ago = rig.desk.traded_ago = 61
    rig.send()
    assert rig.outcomes.events[-1]["reason"] == "STALE_QUOTE"


def test_a_dry_run_decides_everything_and_sends_nothing() -> None:
    """State DRY_RUN, one final event, the reservation given back."""
    rig = Rig(RigRules(dry_run=True))
    entry = rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["dry_run!"]
    assert rig.portfolio.reserved()[0] == 0
    assert rig.is_free()


def test_an_impossible_pair_of_fields_found_after_sizing_is_a_dead_letter(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the size told that the fields conflict: no order, free lane."""
    conflict = SignalError(Reason.CONFLICTING_FIELDS, "time_in_force=ioc and qty=0.5")
    refusals = iter([conflict])

    def check(*_: object, **__: object) -> None:
        for refusal in refusals:
            raise refusal

    monkeypatch.setattr(compose, "check_time_in_force", check)
    entry = rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.outcomes.events[-1]["reason"] == "CONFLICTING_FIELDS"
    assert rig.is_free()


# --- failures of our own ----------------------------------------------------------------


def test_a_ledger_that_fails_stops_the_post_and_the_acknowledgement(rig: Rig) -> None:
    """Nothing durable: LedgerError goes up, the entry stays pending."""

    def begin(_intent: Any) -> None:
        raise LedgerError("the disk of the ledger is full")

    rig.ledger.begin = begin  # type: ignore[method-assign,assignment]
    with pytest.raises(LedgerError):
        rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.acks == []
    assert len(rig.tracker) == 0


def test_a_row_that_is_refused_as_known_and_is_not_there_stops_the_service(rig: Rig) -> None:
    """Its id would be another identity's: nothing is sent, reserved or acknowledged."""

    def taken(_intent: Any) -> None:
        raise IdentityExists("the client_order_id has a row already")

    rig.ledger.begin = taken  # type: ignore[method-assign,assignment]
    with pytest.raises(IdentityExists):
        rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.acks == []
    assert (len(rig.tracker), rig.portfolio.reserved()[0]) == (0, 0)


def test_an_unforeseen_error_before_the_row_refuses_the_signal(rig: Rig) -> None:
    """INTERNAL_ERROR: told, acknowledged, nothing reserved, lane free."""

    def broken() -> None:
        rig.desk.on_quote = lambda: None
        raise ZeroDivisionError("a mistake")

    rig.desk.on_quote = broken
    entry = rig.send()
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "INTERNAL_ERROR"
    assert rig.portfolio.reserved()[0] == 0
    assert rig.is_free()


def test_an_unforeseen_error_after_the_post_is_looked_up(rig: Rig) -> None:
    """The order may exist: UNKNOWN, never a refusal, and the lookup adopts it."""
    rig.desk.script.append(accept_then(ZeroDivisionError("a mistake")))
    entry = rig.send()
    coid = rig.only_coid()
    rig.desk.fill(coid)
    rig.advance(1)
    assert len(rig.desk.posts) == 1
    assert rig.row(coid).state is State.FILLED
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.notes(coid) == ["crashed", "unknown", "adopted"]
    assert rig.history(coid)[0] == "ZeroDivisionError: a mistake"
    assert rig.is_free()


def test_a_refusal_has_one_line_with_the_times_of_its_stages(rig: Rig) -> None:
    """It has a row with everything else."""
    rig.desk.price = None
    entry = rig.publish()
    rig.clock.advance(0.002)
    rig.desk.on_quote = lambda: rig.clock.advance(0.001)
    rig.work()
    with rig.ledger.open_reader() as reader:
        (note,) = reader.notes(rig.coid(entry))
    assert (note.kind, note.detail) == ("timed", "us: lane 2000, budget 0, gates 1000")


def test_waiting_for_budget_is_told_from_waiting_for_the_lane(rig: Rig) -> None:
    """As the lanes count it."""
    rig.publish()
    rig.clock.advance(0.5)
    rig.starved = 0.3
    rig.work()
    with rig.ledger.open_reader() as reader:
        (note,) = reader.notes(rig.only_coid())
    assert "us: lane 200000, budget 300000, gates " in note.detail


def test_an_unforeseen_error_about_an_ended_order_lets_the_lane_go(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake while telling an old outcome again must not keep the asset's lane."""
    rig.send(signal_id="one")

    def broken(*_: object) -> bool:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(rig.tracker, "follow", broken)
    rig.send(signal_id="one")
    assert rig.is_free()


def test_each_slot_is_given_back_or_spent(rig: Rig) -> None:
    """A refused signal costs no budget, a sent one costs one request."""
    rig.limiter = RateLimiter(200, clock=rig.clock)
    rig.desk.price = None
    rig.send()
    assert rig.limiter.view().used == 0
    rig.desk.price = Decimal(100)
    rig.send()
    assert rig.limiter.view().used == 1


def test_the_ledger_keeps_an_identity_that_another_thread_wrote(tmp_path: Path) -> None:
    """A row that appears between look-up and insert: read, not sent again."""
    ledger = SqliteLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    rig = Rig(ledger=ledger)
    entry = rig.send(signal_id="one")
    found, misses = ledger.find, iter([True])
    ledger.find = lambda *key: None if next(misses, False) else found(*key)  # type: ignore[method-assign]
    second = rig.send(signal_id="one")
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.told(second) == ["fill!"]
    ledger.close()


@pytest.mark.parametrize(("again", "told"), [(1, "fill!"), (2, "refused!")])
def test_an_execution_between_look_and_reservation_is_asked_about_once(
    rig: Rig, again: int, told: str
) -> None:
    """Somebody else's fill meets the decision: no reason to lose the signal."""
    reserve, met = rig.portfolio.reserve, []

    def meets(*arguments: Any, **named: Any) -> Any:
        if len(met) < again:
            met.append("an execution")
            rig.portfolio.moved_elsewhere("NVDA", Decimal(len(met)))
        return reserve(*arguments, **named)

    rig.portfolio.reserve = meets  # type: ignore[method-assign]
    rig.desk.refresh_if_uncertain = lambda _symbol, **_of: _settle(rig)  # type: ignore[method-assign]
    entry = rig.send()
    assert rig.outcomes.told(entry)[-1] == told


def _settle(rig: Rig) -> bool:
    """The account says what is held."""
    rig.clock.advance(0.001)
    rig.snapshot()
    rig.clock.advance(0.001)
    return True
