"""Pipeline: one signal from its lane to its end, against a scripted broker."""

import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from solution.book.reservations import Reservation
from solution.domain.orders import Side
from solution.domain.reasons import Reason
from solution.domain.records import Change, DeadLetter, EntryRef, State
from solution.errors import (
    DuplicateOrder,
    IdentityExists,
    LedgerError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    SignalError,
)
from solution.ledger.sqlite import SqliteLedger
from solution.rate_limiter import RateLimiter
from solution.trading import compose, endings, outcomes
from tests.helpers.trading import (
    STREAM,
    Rig,
    RigRules,
    accept,
    accept_then,
    entry_fields,
    fail,
    fill,
)

UNCLEAR = OutcomeUnknown("POST /v2/orders: no usable answer: timed out")
REFUSED_CONNECTION = NotSent("POST /v2/orders: not sent: Connection refused")
TOO_MANY = RateLimited("POST /v2/orders: too many requests", 1.0)


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


# --- identities seen before -------------------------------------------------------------


def test_the_same_signal_id_again_makes_no_second_order(rig: Rig) -> None:
    """Its outcome is told once more, under the new entry id, with a final=1 of its own."""
    first = rig.send(signal_id="one")
    second = rig.send(signal_id="one")
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(second) == ["fill!"]
    assert rig.outcomes.acks == [first, second]


def test_a_signal_id_that_ended_a_moment_ago_is_not_decided_anew(rig: Rig) -> None:
    """Its end is not committed yet when it is read again: the second is told the same, in order."""
    put, waiting = rig.outcomes.put, []
    rig.outcomes.put = waiting.append  # type: ignore[method-assign]
    first = rig.send("s", signal_id="s-1")  # there is nothing to sell
    rig.snapshot(NVDA="5")
    second = rig.send("s", signal_id="s-1")
    rig.outcomes.put = put  # type: ignore[method-assign]
    for change in waiting:
        put(change)
    assert rig.desk.posts == []
    assert rig.outcomes.told(first) == rig.outcomes.told(second) == ["refused!"]
    assert rig.outcomes.acks == [first, second]


def test_only_so_many_ends_are_remembered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger has the others."""
    monkeypatch.setattr(endings, "RECENT", 1)
    for name in ("s-1", "s-2"):
        rig.send("s", signal_id=name)
    remembered = rig.pipeline._endings._recent
    assert [intent.signal_id for intent in remembered.values()] == ["s-2"]


@pytest.mark.parametrize("follows", [True, False])
def test_a_repeated_entry_is_told_once_also_when_it_comes_again(rig: Rig, follows: bool) -> None:
    """Killed between the commit and the acknowledgement: read again, acknowledged, not told."""
    rig.desk.script.append(accept("new") if follows else fill())
    rig.send(signal_id="one")
    second = rig.send(signal_id="one")
    if follows:
        coid = rig.only_coid()
        rig.desk.fill(coid)
        rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
        rig.work_all()
    rig.redeliver(second, signal_id="one")
    assert rig.outcomes.told(second) == ["fill!"]
    assert rig.outcomes.acks[-2:] == [second, second]


def test_the_same_signal_id_while_its_order_is_open_is_told_at_the_end(rig: Rig) -> None:
    """The repeated entry stays pending until the order ends; then both have their final=1."""
    rig.desk.script.append(accept("new"))
    terms = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}
    first = rig.send(signal_id="one", **terms)
    second = rig.send(signal_id="one", **terms)
    assert rig.outcomes.acks == [first]
    coid = rig.only_coid()
    rig.desk.fill(coid, "50")
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(second) == ["fill!"]
    assert rig.outcomes.acks == [first, second]


def test_the_same_signal_id_with_other_content_is_a_dead_letter(rig: Rig) -> None:
    """SIGNAL_ID_REUSED: no order, kept, acknowledged, and the ticker goes on."""
    rig.send(signal_id="one")
    second = rig.send(signal_id="one", qty="3")
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(second) == ["dead_letter!"]
    assert rig.outcomes.events[-1]["reason"] == "SIGNAL_ID_REUSED"
    assert second in rig.outcomes.acks
    assert rig.is_free()


@pytest.mark.parametrize("price", ["limit_price", "stop_price", "trail_price"])
def test_no_order_at_a_price_of_nothing(rig: Rig, price: str) -> None:
    """A buy below the exchange's finest step: a dead letter, nothing sent, nothing held."""
    kind = {"limit_price": "limit", "stop_price": "stop", "trail_price": "trailing_stop"}[price]
    entry = rig.send(qty="1", order_type=kind, time_in_force="day", **{price: "0.00001"})
    assert rig.outcomes.told(entry) == ["dead_letter!"]
    assert rig.outcomes.events[-1]["reason"] == "INVALID_VALUE"
    assert (rig.desk.posts, rig.portfolio.reserved()[0]) == ([], 0)
    assert rig.is_free()


def test_a_signal_id_used_again_is_told_no_second_end(rig: Rig) -> None:
    """Refused beside the other entry, then read as new from a group made anew."""
    rig.send(signal_id="one")
    rig.ledger.apply([Change(repeats=(EntryRef(STREAM, "9-9"),))])
    rig.send(signal_id="one", qty="3", entry_id="9-9")
    assert rig.ledger.find_dead_letter(EntryRef(STREAM, "9-9")) is not None
    assert rig.outcomes.told("9-9") == []
    assert "9-9" in rig.outcomes.acks


def test_a_redelivered_entry_with_an_ended_row_is_only_acknowledged(rig: Rig) -> None:
    """Nothing is sent and nothing is told a second time."""
    entry = rig.send()
    rig.redeliver(entry)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.acks == [entry, entry]
    assert rig.is_free()


def test_an_entry_that_comes_anew_leaves_its_open_order_alone(rig: Rig) -> None:
    """A group rebuilt after data loss delivers it as new: its order stays tracked and reserved."""
    resting = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}
    rig.desk.default = accept("new")
    entry = rig.send(**resting)
    rig.publish(entry_id=entry, **resting)
    rig.work()
    assert len(rig.desk.posts) == 1
    assert rig.portfolio.reserved()[0] == 1
    coid = rig.only_coid()
    rig.desk.fill(coid, "50")
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.row(coid).state is State.FILLED
    assert rig.is_free()


def test_a_redelivered_entry_with_a_dead_letter_is_only_acknowledged(rig: Rig) -> None:
    """A dead letter is no row; the entry is recognised all the same."""
    rig.send(signal_id="one")
    second = rig.send(signal_id="one", qty="3")
    before = len(rig.outcomes.events)
    rig.redeliver(second, signal_id="one", qty="3")
    assert len(rig.desk.posts) == 1
    assert len(rig.outcomes.events) == before
    assert rig.is_free()


def test_an_entry_id_that_redis_gave_again_is_another_signal(rig: Rig) -> None:
    """After data loss: the dead letter of the same id was made of other content."""
    rig.send(signal_id="one")
    second = rig.send(signal_id="one", qty="3")
    rig.redeliver(second, signal_id="two")
    assert len(rig.desk.posts) == 2


def test_two_lanes_with_one_signal_id_make_one_order(rig: Rig) -> None:
    """While one worker sends, another with the same signal_id neither sends nor disturbs it."""
    rival: list[str] = []

    def meanwhile(desk: Any, body: dict[str, Any]) -> Any:
        rival.append(rig.publish(ticker="AAPL", signal_id="one"))
        worker = threading.Thread(target=rig.work)
        worker.start()
        worker.join(5)
        return accept("new")(desk, body)

    rig.desk.script.append(meanwhile)
    first = rig.send(signal_id="one")
    coid = rig.only_coid()
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    rig.work_all()
    assert rig.outcomes.told(first) == ["submitted", "fill!"]
    assert rig.outcomes.told(rival[0]) == ["dead_letter!"]
    assert rig.held() == Decimal(10)


def test_two_deciding_at_the_same_moment_keep_one_reservation(rig: Rig) -> None:
    """A rival that arrives between look-up and row cannot take over order or reservation."""
    rival: list[str] = []

    def meanwhile() -> None:
        rig.desk.on_quote = lambda: None
        rival.append(rig.publish(ticker="AAPL", signal_id="one"))
        worker = threading.Thread(target=rig.work)
        worker.start()
        worker.join(5)

    rig.desk.on_quote = meanwhile
    rig.desk.default = accept("new")
    first = rig.send(signal_id="one")
    rig.work_all()
    assert len(rig.desk.posts) == 1
    coid = rig.only_coid()
    assert rig.tracker.get(coid) is not None
    assert rig.portfolio.reserved()[0] == 1
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    assert rig.row(coid).state is State.FILLED
    assert {rig.outcomes.told(e)[-1] for e in (first, rival[0])} == {"fill!", "dead_letter!"}


@pytest.mark.parametrize(
    "changed", [{"symbol": "AAPL"}, {"created_at": "2026-03-04T14:00:00Z"}], ids=["other", "older"]
)
def test_an_order_without_a_row_that_is_not_this_signals_is_not_adopted(
    rig: Rig, changed: dict[str, str]
) -> None:
    """An id used before, and no ledger: the POST meets the 422, and nothing is booked."""
    entry = rig.publish(signal_id="one")
    coid = rig.coid(entry, signal_id="one")
    there = {"client_order_id": coid, "symbol": "NVDA", "side": "buy", "type": "market"}
    order = rig.desk.place({**there, "qty": "10", **changed})
    rig.desk.fill(coid)
    rig.orphans([(STREAM, entry, entry_fields("b", {"signal_id": "one"}))]).settle({coid: order})
    assert rig.ledger.find_by_client_order_id(coid) is None
    rig.desk.script.append(fail(DuplicateOrder(422, 40010001, "client_order_id must be unique")))
    rig.work()
    rig.advance(5)
    assert len(rig.desk.posts) == 1
    assert rig.held() == 0
    assert "fill!" not in rig.outcomes.told(entry)
    assert rig.outcomes.acks == [entry]


def test_a_dead_letter_whose_signal_id_traded_later_is_told_once(rig: Rig) -> None:
    """Expired and kept, then a crash before its acknowledgement; its producer sent it again."""
    fields = {"signal_id": "one"}
    dead = f"{rig.clock.epoch_ms()}-7"
    letter = DeadLetter(
        stream=STREAM,
        entry_id=dead,
        reason="EXPIRED",
        message="too old",
        at="2026-03-04T14:00:00Z",
        fields=entry_fields("b", fields),
    )
    rig.outcomes.put(outcomes.dead_letter(letter))
    rig.send(**fields)
    rig.redeliver(dead, **fields)
    assert rig.outcomes.told(dead) == ["dead_letter!"]
    assert rig.outcomes.acks.count(dead) == 2


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

    def reserve(symbol: str, decide: Any) -> Any:
        result = looked(symbol, decide)
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

    def slowly(*arguments: Any) -> Any:
        looks.append(rig.clock.monotonic())
        rig.clock.advance(next(slow))
        return reserve(*arguments)

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


# --- the broker was not reached, or refused for the rate --------------------------------


def test_a_broker_that_comes_back_gets_the_signal_once(rig: Rig) -> None:
    """Connection refused three times, then there: one order, told once."""
    rig.desk.script += [fail(REFUSED_CONNECTION)] * 3
    entry = rig.send()
    rig.work_all()
    assert len(rig.desk.orders) == 1
    assert len(set(rig.desk.posts)) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.is_free()


def test_a_broker_that_stays_away_ends_the_signal_unsent(rig: Rig) -> None:
    """Beyond the age limit: NOT_SENT, never an order, reservation and lane free."""
    rig.desk.default = fail(REFUSED_CONNECTION)
    entry = rig.send()
    rig.work_all(1000)
    assert rig.row(rig.only_coid()).state is State.NOT_SENT
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "NOT_SENT"
    assert 60 <= rig.clock.monotonic() - 1000 < 70
    assert rig.portfolio.reserved()[0] == 0
    rig.desk.default = accept("new")
    assert rig.is_free()


def test_the_rate_limit_of_the_broker_loses_nothing(rig: Rig) -> None:
    """HTTP 429 lets the same body go out again, and waiting for that does not age the signal."""
    rig.desk.script += [fail(TOO_MANY)] * 2
    entry = rig.publish(max_age="1")
    rig.work()
    rig.clock.advance(30)
    rig.starved += 30
    rig.work_all()
    assert len(set(rig.desk.posts)) == 1
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_a_gate_that_closes_before_the_next_try_ends_it(tmp_path: Path) -> None:
    """Not at the broker for certain, and the kill switch is on now: REFUSED."""
    rig = Rig(RigRules(kill_switch_file=tmp_path / "kill"))
    rig.desk.script.append(fail(TOO_MANY))
    entry = rig.send()
    (tmp_path / "kill").touch()
    rig.work_all()
    row = rig.row(rig.only_coid())
    assert (row.state, row.reason) == (State.REFUSED, "KILL_SWITCH")
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.portfolio.reserved()[0] == 0


def test_the_market_closing_before_the_next_try_ends_it(rig: Rig) -> None:
    """The session is asked for again before the same body goes out."""
    rig.desk.script.append(fail(TOO_MANY))
    rig.send()
    rig.desk.is_open = False
    rig.work_all()
    assert rig.row(rig.only_coid()).reason == "MARKET_CLOSED"


@pytest.mark.parametrize(("later", "sent"), [(0, True), (120, False)])
def test_an_auction_order_goes_out_again_in_its_window(rig: Rig, later: int, sent: bool) -> None:
    """The session rule of its own time in force counts at the second try, too: 09:27, 09:29."""
    rig.clock.jump_wall(-33 * 60)
    rig.desk.is_open = False
    rig.desk.script.append(fail(TOO_MANY))
    rig.desk.default = accept("accepted")
    rig.send(time_in_force="opg", qty="10")
    assert len(rig.desk.posts) == 1
    rig.clock.advance(later)
    rig.starved += later
    rig.work_all()
    assert len(rig.desk.posts) == 1 + sent
    row = rig.row(rig.only_coid())
    assert row.reason == ("" if sent else "MARKET_CLOSED")
    assert row.state is (State.OPEN if sent else State.REFUSED)


@pytest.mark.parametrize(("price", "sent"), [("101.9", True), ("103", False), ("80", True)])
def test_a_price_that_ran_away_meets_the_caps_before_the_next_try(price: str, sent: bool) -> None:
    """10 shares at 100 are the cap of 1 %: cents of drift are no reason to lose the signal."""
    rig = Rig(RigRules(max_position_pct=Decimal("0.01")))
    rig.desk.script.append(fail(TOO_MANY))
    rig.send()
    rig.desk.price = Decimal(price)
    rig.work_all()
    assert len(rig.desk.posts) == 1 + sent
    assert rig.row(rig.only_coid()).reason == ("" if sent else "POSITION_CAP")


def test_what_was_promised_to_others_meanwhile_counts_at_the_next_try() -> None:
    """The order's own reservation does not stand in its way; another one's does."""
    rig = Rig(RigRules(max_position_pct=Decimal("0.01")))
    rig.desk.script.append(fail(TOO_MANY))
    entry = rig.send()
    other = Reservation("other", "NVDA", Side.BUY, Decimal(1), Decimal(100), opens=True)
    rig.portfolio.restore(other)
    rig.work_all()
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "POSITION_CAP"


def test_a_row_that_took_its_time_has_its_gates_asked_again(rig: Rig) -> None:
    """A slow disk between the gates and the POST: what changed since stops it."""
    begin = rig.ledger.begin

    def slowly(intent: Any) -> None:
        begin(intent)
        rig.clock.advance(0.3)
        rig.desk.is_open = False

    rig.ledger.begin = slowly  # type: ignore[method-assign]
    entry = rig.send()
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["refused!"]
    assert rig.outcomes.events[-1]["reason"] == "MARKET_CLOSED"
    assert rig.portfolio.reserved()[0] == 0
    assert rig.is_free()


def test_a_row_that_took_its_time_is_sent_if_nothing_changed(rig: Rig) -> None:
    """The gates pass again, its own reservation included."""
    begin = rig.ledger.begin

    def slowly(intent: Any) -> None:
        begin(intent)
        rig.clock.advance(0.3)

    rig.ledger.begin = slowly  # type: ignore[method-assign]
    entry = rig.send()
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]


def test_news_that_settles_an_order_in_the_queue_frees_its_lane(rig: Rig) -> None:
    """The order appears while its resend waits for a worker: adopted, not sent, lane let go."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    coid = rig.only_coid()
    rig.clock.advance(0.25)
    rig.watch.step()
    rig.clock.advance(1.0)
    rig.watch.step()
    rig.clock.advance(1.0)
    rig.watch.step()  # the third 404: the work is back in its lane
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    rig.work_all()
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.is_free()


def test_an_immediate_order_found_while_queued_holds_the_lane_to_its_end(rig: Rig) -> None:
    """Adopted but not at its end yet: the asset's next signal still waits for it."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    coid = rig.only_coid()
    for pause in (0.25, 1.0, 1.0):
        rig.clock.advance(pause)
        rig.watch.step()
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.hear(rig.update(coid, "new"))
    rig.work_all()
    second = rig.publish()
    assert rig.work() is False
    rig.desk.fill(coid)
    rig.hear(rig.update(coid, "fill", position_qty=Decimal(10)))
    rig.work_all()
    assert rig.outcomes.told(second) == ["submitted", "fill!"]


def test_a_resting_order_found_while_queued_frees_its_lane(rig: Rig) -> None:
    """Open at the broker, and nothing of the asset has to wait for its end."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send(order_type="limit", limit_price="50", time_in_force="day")
    coid = rig.only_coid()
    for pause in (0.25, 1.0, 1.0):
        rig.clock.advance(pause)
        rig.watch.step()
    rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.hear(rig.update(coid, "new"))
    rig.work_all()
    assert len(rig.desk.posts) == 1
    assert rig.row(coid).state is State.OPEN
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

    def meets(*arguments: Any) -> Any:
        if len(met) < again:
            met.append("an execution")
            rig.portfolio.moved_elsewhere("NVDA", Decimal(len(met)))
        return reserve(*arguments)

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
