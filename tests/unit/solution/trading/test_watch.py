"""OrderWatch: what is asked of the broker when news does not come by itself, and what follows."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest

from solution.domain.records import State
from solution.errors import NoBudget, OutcomeUnknown, Rejected
from solution.rate_limiter import Priority, RateLimiter, Slot
from solution.trading import watch
from tests.helpers.trading import ASSETS, Rig, RigRules, accept, accept_then, fail

UNCLEAR = OutcomeUnknown("no usable answer")
LIMIT = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}


@pytest.fixture
def rig() -> Rig:
    """A fresh order path that may send an absent order again."""
    return Rig()


@pytest.fixture
def careful() -> Rig:
    """The same with RESEND_UNKNOWN=false."""
    return Rig(RigRules(may_resend=False))


# --- an unclear POST --------------------------------------------------------------------


def test_an_order_that_got_through_is_adopted(rig: Rig) -> None:
    """Found under its id: told as submitted and filled, nothing sent again."""
    rig.desk.script.append(accept_then(UNCLEAR))
    entry = rig.send()
    rig.desk.fill(rig.only_coid())
    rig.advance(1)
    assert len(rig.desk.posts) == 1
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.outcomes.acks == [entry]
    assert rig.held() == 10
    assert rig.row(rig.only_coid()).reason == ""


def test_three_lookups_over_two_seconds_come_first(rig: Rig) -> None:
    """Before that nothing is sent again, whatever the broker does not know."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    rig.advance(1.9)
    assert len(rig.desk.posts) == 1
    rig.advance(0.4)
    assert len(rig.desk.asked) == 3
    assert all(asked.endswith("LOOKUP") for asked in rig.desk.asked)
    assert len(rig.desk.posts) == 2


def test_what_is_sent_again_is_the_identical_body(rig: Rig) -> None:
    """Same bytes, same id, although price and sizes would be others by now."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send()
    rig.desk.price = Decimal(120)
    rig.advance(5)
    assert len(rig.desk.posts) == 2
    assert rig.desk.posts[0] == rig.desk.posts[1]
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.outcomes.acks == [entry]


def test_the_history_tells_each_lookup_and_decision(rig: Rig) -> None:
    """Unclear, three times not found, sent again: in this order, for ``why``."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    rig.advance(5)
    kinds = ["unknown", "lookup", "lookup", "lookup", "resend", "posted", "answered"]
    assert rig.notes(rig.only_coid()) == kinds


def test_an_adopted_order_says_how_it_was_found(rig: Rig) -> None:
    """The second lookup finds what the first did not; a broker in trouble is noted, too."""
    rig.desk.script.append(accept_then(UNCLEAR))
    rig.send(**LIMIT)
    coid = rig.only_coid()
    rig.desk.lookup_error = OutcomeUnknown("HTTP 500")
    rig.advance(0.3)
    rig.desk.lookup_error = None
    rig.advance(3)
    assert rig.notes(coid) == ["unknown", "lookup", "adopted"]


def test_an_outage_does_not_fill_the_history(rig: Rig) -> None:
    """The first failures are noted one by one, then each time their number has doubled."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    rig.desk.lookup_error = OutcomeUnknown("HTTP 500")
    rig.advance(600)
    coid = rig.only_coid()
    assert rig.notes(coid) == ["unknown"] + ["lookup"] * 9
    assert rig.history(coid)[-1] == "no answer: HTTP 500 (64 times by now)"


def test_a_normal_order_has_one_line(rig: Rig) -> None:
    """The history is for what is not normal, and its rows cost time."""
    rig.send()
    assert rig.notes(rig.only_coid()) == ["answered"]


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize("round_trip", [0.0, 0.2])
def test_an_unclear_order_is_settled_within_five_seconds(found: bool, round_trip: float) -> None:
    """From the unclear answer to the end, with a healthy broker that takes its time."""
    rig = Rig()
    rig.desk.script.append(accept_then(UNCLEAR) if found else fail(UNCLEAR))
    began = rig.clock.monotonic()
    rig.send()
    coid, ask = rig.only_coid(), rig.desk.lookup

    def slowly(*of: Any) -> Any:
        rig.clock.advance(round_trip)
        return ask(*of)

    rig.desk.lookup = slowly  # type: ignore[method-assign,assignment]
    if found:
        rig.desk.fill(coid)
    while rig.row(coid).state is not State.FILLED:
        rig.advance(0.05)
    assert rig.clock.monotonic() - began < 5
    assert len(rig.desk.posts) == (1 if found else 2)


def test_without_permission_nothing_is_sent_again(careful: Rig) -> None:
    """RESEND_UNKNOWN=false: EXPIRED_UNCONFIRMED, acknowledged, lane free."""
    careful.desk.script.append(fail(UNCLEAR))
    entry = careful.send()
    careful.advance(5)
    assert len(careful.desk.posts) == 1
    assert careful.row(careful.only_coid()).state is State.EXPIRED_UNCONFIRMED
    assert careful.outcomes.told(entry) == ["unknown", "expired_unconfirmed"]
    assert careful.outcomes.acks == [entry]
    careful.snapshot(NVDA="5")
    exit_entry = careful.send("s")
    assert careful.outcomes.told(exit_entry)[-1] == "fill!"


def test_a_stale_signal_is_not_sent_again(rig: Rig) -> None:
    """It was fresh when sent and is not any more: EXPIRED_UNCONFIRMED."""
    rig.desk.script.append(fail(UNCLEAR))
    entry = rig.send(max_age="2")
    rig.advance(5)
    assert len(rig.desk.posts) == 1
    assert rig.row(rig.only_coid()).state is State.EXPIRED_UNCONFIRMED
    assert rig.outcomes.told(entry) == ["unknown", "expired_unconfirmed"]


def test_an_order_that_is_unclear_again_is_looked_up_again(rig: Rig) -> None:
    """Each unclear try starts three lookups of its own; age ends it, without a guess."""
    rig.desk.default = fail(UNCLEAR)
    entry = rig.send()
    rig.advance(120)
    row = rig.row(rig.only_coid())
    assert row.state is State.EXPIRED_UNCONFIRMED
    assert len(set(rig.desk.posts)) == 1
    lookups = [asked for asked in rig.desk.asked if asked.endswith("LOOKUP")]
    assert len(lookups) == 3 * len(rig.desk.posts)
    assert rig.outcomes.told(entry)[-1] == "expired_unconfirmed"
    assert rig.outcomes.acks == [entry]


def test_a_broker_that_does_not_answer_lookups_decides_nothing(rig: Rig) -> None:
    """Errors are no absence: nothing is sent, nothing given up, until answers come."""
    rig.desk.script.append(accept_then(UNCLEAR))
    entry = rig.send()
    rig.desk.lookup_error = OutcomeUnknown("HTTP 500")
    rig.advance(30)
    assert rig.row(rig.only_coid()).state is State.UNKNOWN
    assert len(rig.desk.posts) == 1
    rig.desk.lookup_error = None
    rig.desk.fill(rig.only_coid())
    rig.advance(6)  # an outage is asked after every five seconds at most
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert len(rig.desk.asked) < 15


def test_one_answer_after_a_long_silence_is_no_proof_of_absence(rig: Rig) -> None:
    """The broker was unreachable for a while: its first 404 counts as one, not as enough."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    rig.desk.lookup_error = OutcomeUnknown("HTTP 500")
    rig.advance(10)
    rig.desk.lookup_error = None
    asked = len(rig.desk.asked)
    rig.advance(20)
    assert len(rig.desk.asked) == asked + 3
    assert len(rig.desk.posts) == 2


def test_a_lookup_that_finds_some_other_object_decides_nothing(rig: Rig) -> None:
    """HTTP 200 with an object that is no order of that id is neither there nor absent."""
    rig.desk.script.append(accept_then(UNCLEAR))
    rig.send()
    coid = rig.only_coid()
    kept, rig.desk.orders[coid] = rig.desk.orders[coid], {"message": "welcome"}
    rig.advance(30)
    assert rig.row(coid).state is State.UNKNOWN
    rig.desk.orders[coid] = kept | {"status": "filled", "filled_qty": "10"}
    rig.advance(2)
    assert rig.row(coid).state is State.FILLED


def test_late_acceptance_after_giving_up_is_cancelled_and_booked(careful: Rig) -> None:
    """The watch finds it: corrected, cancelled, and what was filled stays in the books."""
    careful.desk.script.append(fail(UNCLEAR))
    entry = careful.send(**LIMIT)
    careful.advance(5)
    coid = careful.only_coid()
    order = careful.desk.place(orjson.loads(careful.desk.posts[0]))
    careful.desk.fill(coid, "50", "4")
    careful.advance(6)
    assert careful.desk.cancels == [order["id"]]
    order["status"] = "canceled"
    careful.advance(3)
    row = careful.row(coid)
    assert (row.state, row.filled_qty) == (State.CANCELED, Decimal(4))
    told = careful.outcomes.told(entry)
    assert told == ["unknown", "expired_unconfirmed", "corrected", "partial_fill", "canceled!"]
    assert careful.outcomes.acks == [entry]
    assert careful.held() == 4


def test_two_lists_after_the_close_prove_an_absence(careful: Rig) -> None:
    """ABSENT_CONFIRMED: final, nothing reserved any more, the asset open for entries again."""
    careful.desk.script.append(fail(UNCLEAR))
    entry = careful.send()
    careful.advance(6 * 3600)  # the close itself: late prints may still come
    assert careful.row(careful.only_coid()).state is State.EXPIRED_UNCONFIRMED
    careful.advance(1200)
    assert careful.row(careful.only_coid()).state is State.ABSENT_CONFIRMED
    assert careful.outcomes.told(entry)[-1] == "expired_unconfirmed!"
    assert careful.outcomes.events[-1]["reason"] == "ABSENT_CONFIRMED"
    assert careful.portfolio.reserved()[0] == 0
    assert careful.tracker.is_unconfirmed("NVDA") is False


def test_without_a_complete_list_no_absence_is_proven(careful: Rig) -> None:
    """Single 404s after the close are no list; the order stays watched."""
    careful.desk.script.append(fail(UNCLEAR))
    careful.send()
    careful.desk.orders_since = lambda *_: None  # type: ignore[method-assign]
    careful.advance(7 * 3600)
    assert careful.row(careful.only_coid()).state is State.EXPIRED_UNCONFIRMED


def test_without_budget_a_lookup_waits_for_its_turn(rig: Rig) -> None:
    """Nothing was asked, so nothing counts; it goes on as soon as there is budget."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    rig.desk.lookup_error = NoBudget("no slot in the rate budget")
    rig.advance(10)
    assert rig.row(rig.only_coid()).state is State.UNKNOWN
    rig.desk.lookup_error = None
    rig.advance(3)
    assert len(rig.desk.posts) == 2


# --- an order that is not ours ----------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"symbol": "AAPL"},
        {"side": "sell"},
        {"type": "limit"},
        {"qty": "11"},
    ],
)
def test_another_order_under_our_id_is_a_conflict(rig: Rig, changed: dict[str, str]) -> None:
    """ID_CONFLICT: told with the difference, never adopted, never sent again."""

    def odd(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body, **changed)
        raise UNCLEAR

    rig.desk.script.append(odd)
    entry = rig.send()
    rig.advance(10)
    row = rig.row(rig.only_coid())
    assert (row.state, row.reason) == (State.REJECTED, "ID_CONFLICT")
    assert rig.outcomes.told(entry) == ["unknown", "rejected!"]
    assert len(rig.desk.posts) == 1
    assert rig.held() == 0
    assert rig.portfolio.reserved()[0] == 0
    assert rig.is_free()


def test_an_order_older_than_its_signal_is_neither_adopted_nor_given_up(rig: Rig) -> None:
    """An id used before, or clocks that disagree: the shares stay reserved, entries wait."""

    def yesterday(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body, created_at="2026-03-03T14:00:00Z")
        raise UNCLEAR

    rig.desk.script.append(yesterday)
    entry = rig.send()
    rig.advance(10)
    assert rig.row(rig.only_coid()).state is State.EXPIRED_UNCONFIRMED
    assert rig.outcomes.told(entry) == ["unknown", "expired_unconfirmed"]
    assert len(rig.desk.posts) == 1
    assert rig.desk.cancels == []
    assert rig.held() == 0
    assert rig.portfolio.reserved()[0] == 1
    assert rig.tracker.is_unconfirmed("NVDA")


def test_an_order_older_than_its_signal_costs_no_row_of_lookups(rig: Rig) -> None:
    """Neither adopted nor given up; asked for by the watch only, less and less often."""

    def odd(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body, created_at="2026-03-04T14:00:00Z")
        raise UNCLEAR

    rig.desk.script.append(odd)
    entry = rig.send()
    rig.advance(600)
    assert rig.row(rig.only_coid()).state is State.EXPIRED_UNCONFIRMED
    assert rig.outcomes.told(entry) == ["unknown", "expired_unconfirmed"]
    assert len(rig.desk.asked) < 12
    assert rig.desk.cancels == []


@pytest.mark.parametrize("listed", [True, False])
def test_the_close_ends_what_an_older_order_kept_in_doubt(rig: Rig, listed: bool) -> None:
    """ID_CONFLICT, told once; the ticker is a person's to resume, as after any other conflict."""

    def odd(desk: Any, body: dict[str, Any]) -> Any:
        desk.place(body, created_at="2026-03-03T14:00:00Z")
        raise UNCLEAR

    rig.desk.script.append(odd)
    entry = rig.send()
    coid = rig.only_coid()
    if listed:  # else the list since our POST does not reach back to it
        order = dict(rig.desk.orders[coid])
        rig.desk.orders_since = lambda *_: [order]  # type: ignore[method-assign]
    rig.advance(6 * 3600)  # the close itself
    assert rig.row(coid).state is State.EXPIRED_UNCONFIRMED
    rig.advance(900)
    assert (rig.row(coid).state, rig.row(coid).reason) == (State.REJECTED, "ID_CONFLICT")
    assert rig.outcomes.told(entry) == ["unknown", "expired_unconfirmed", "rejected!"]
    assert rig.portfolio.reserved()[0] == 0
    assert rig.tracker.is_unconfirmed("NVDA") is False
    assert set(rig.halts.all()) == {"NVDA"}
    assert rig.desk.cancels == []


# --- polling ----------------------------------------------------------------------------


def test_a_silent_stream_is_made_up_for_by_polls(rig: Rig) -> None:
    """Nothing arrives by itself: the first poll two seconds after the answer finds the end."""
    rig.desk.script.append(accept("new"))
    entry = rig.send()
    rig.desk.fill(rig.only_coid())
    rig.advance(1.9)
    assert rig.outcomes.told(entry) == ["submitted"]
    rig.advance(0.2)
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.is_free()


def test_polls_of_an_order_that_rests_become_rare(rig: Rig) -> None:
    """Not more than every 30 s while the stream is up: budget belongs to orders."""
    rig.desk.script.append(accept("new"))
    rig.send(**LIMIT)
    rig.advance(600)
    assert 10 <= len(rig.desk.asked) <= 30
    assert all(asked.endswith("POLL") for asked in rig.desk.asked)


def test_without_a_stream_polls_are_at_most_five_seconds_apart(rig: Rig) -> None:
    """The stream is down: an open order is asked for soon and often."""
    rig.stream_alive = False
    rig.desk.script.append(accept("new"))
    entry = rig.send(**LIMIT)
    rig.advance(60)
    assert len(rig.desk.asked) >= 12
    rig.desk.fill(rig.only_coid(), "50")
    rig.advance(5)
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_a_stream_that_ends_has_every_open_order_asked_for_at_once(rig: Rig) -> None:
    """Their next polls were planned while it told: up to half a minute from now."""
    rig.desk.script.append(accept("new"))
    entry = rig.send(**LIMIT)
    rig.advance(40)
    rig.desk.asked.clear()
    rig.desk.fill(rig.only_coid(), "50")
    rig.watch.step()
    rig.stream_alive = False
    rig.watch.step()
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert len(rig.desk.asked) == 1


def test_an_accepted_order_that_is_not_found_is_asked_for_again(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker had it: a 404 ends nothing and is an error in the log."""
    rig.desk.script.append(accept("new"))
    entry = rig.send(**LIMIT)
    order = rig.desk.orders.pop(rig.only_coid())
    rig.advance(10)
    assert rig.row(rig.only_coid()).state is State.OPEN
    assert "order_not_listed" in [record.message for record in caplog.records]
    rig.desk.orders[rig.only_coid()] = order
    rig.desk.fill(rig.only_coid(), "50")
    rig.advance(30)
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_an_order_without_a_known_id_is_polled_under_ours(rig: Rig) -> None:
    """Polling falls back to the client_order_id."""
    rig.desk.script.append(accept("new"))
    entry = rig.send(**LIMIT)
    rig.schedule.poll_now([rig.only_coid()], rig.clock.monotonic())
    rig.desk.fill(rig.only_coid(), "50")
    rig.advance(0)
    assert rig.outcomes.told(entry)[-1] == "fill!"


def many(rig: Rig, **fields: str) -> list[str]:
    """Four orders under way, in four assets."""
    rig.desk.default = accept("new")
    return [rig.send(ticker=symbol, **fields) for symbol in ASSETS]


def test_many_orders_are_asked_for_with_one_request(rig: Rig) -> None:
    """From four on a list is cheaper than asking one by one."""
    entries = many(rig)
    for coid in rig.desk.orders:
        rig.desk.fill(coid)
    rig.advance(2.1)
    assert rig.desk.asked == ["list POLL"]
    assert all(rig.outcomes.told(entry)[-1] == "fill!" for entry in entries)


def test_a_list_that_misses_an_order_ends_nothing(rig: Rig) -> None:
    """Three of four are listed, and the fourth is not found by its id: it stays open."""
    entries = many(rig)
    for coid in rig.desk.orders:
        rig.desk.fill(coid)
    last = list(rig.desk.orders)[-1]
    kept = rig.desk.orders.pop(last)
    rig.advance(2.1)
    assert rig.row(last).state is State.OPEN
    assert rig.desk.asked == ["list POLL", "order order-4 POLL"]
    rig.desk.orders[last] = kept
    rig.advance(30)
    assert rig.outcomes.told(entries[-1])[-1] == "fill!"


def test_a_list_without_end_is_not_used(rig: Rig) -> None:
    """An incomplete list proves no absence: each order is asked for by its id."""
    many(rig)

    def endless(*_: object) -> None:
        rig.desk.asked.append("list")

    rig.desk.orders_since = endless  # type: ignore[method-assign,assignment]
    for coid in rig.desk.orders:
        rig.desk.fill(coid)
    rig.advance(2.1)
    assert len(rig.desk.asked) == 5
    assert len(rig.tracker) == 0


def test_a_list_that_fails_is_not_made_up_for_one_by_one(rig: Rig) -> None:
    """An outage costs one request now and then, not one for each order."""
    many(rig)
    rig.desk.lookup_error = OutcomeUnknown("HTTP 504")
    rig.advance(10)
    assert set(rig.desk.asked) == {"list POLL"}
    assert len(rig.desk.asked) < 10
    rig.desk.lookup_error = None
    for coid in rig.desk.orders:
        rig.desk.fill(coid)
    rig.advance(6)
    assert len(rig.tracker) == 0


def test_old_resting_orders_are_polled_with_the_list_of_open_ones(rig: Rig) -> None:
    """Everything since an order of last week would be a list without end."""
    rig.desk.default = accept("new")
    for symbol in ASSETS:
        rig.send(ticker=symbol, order_type="limit", limit_price="50", time_in_force="day")
    rig.advance(16 * 60)
    rig.desk.asked.clear()
    rig.advance(31)
    assert set(rig.desk.asked) == {"open POLL"}


def test_a_replaced_order_in_a_list_is_read_under_its_successor(rig: Rig) -> None:
    """The list holds both; the successor's standing counts."""
    entries = many(rig)
    coid = next(iter(rig.desk.orders))
    rig.desk.orders[coid] |= {"status": "replaced", "replaced_by": "order-new"}
    rig.desk.orders["other"] = {
        "id": "order-new",
        "client_order_id": "other",
        "status": "filled",
        "filled_qty": "10",
        "filled_avg_price": "101",
        "created_at": rig.clock.now().isoformat(),
    }
    rig.advance(40)
    assert rig.outcomes.told(entries[0])[-1] == "fill!"


def test_many_unclear_posts_are_looked_up_with_one_list(rig: Rig) -> None:
    """Each still needs its three lookups over two seconds before anything is sent again."""
    rig.desk.default = fail(UNCLEAR)
    entries = [rig.send(ticker=symbol) for symbol in ASSETS]
    rig.desk.default = accept("filled", filled_qty="10", filled_avg_price="100")
    rig.advance(5)
    assert rig.desk.asked == ["list LOOKUP"] * 3
    assert len(rig.desk.posts) == 8
    assert len(set(rig.desk.posts)) == 4
    assert all(rig.outcomes.told(entry)[-1] == "fill!" for entry in entries)


def test_orders_that_rest_for_long_are_found_among_the_open_ones(rig: Rig) -> None:
    """A list of all orders since they were sent would have no end; the ended are asked for."""
    entries = many(rig, **LIMIT)
    rig.advance(1200)
    before = len(rig.desk.asked)
    rig.desk.fill(rig.only_coid_of("AMD"), "50")
    rig.advance(31)
    asked = rig.desk.asked[before:]
    assert asked[0] == "open POLL"
    assert sum(one.startswith("order ") for one in asked) == 1
    assert rig.outcomes.told(entries[-1])[-1] == "fill!"


class NoPolls(RateLimiter):
    """Entries take each slot that a poll could have."""

    def try_acquire(self, priority: Priority) -> Slot | None:
        return None if priority is Priority.POLL else super().try_acquire(priority)


def starve(rig: Rig) -> None:
    """From now on no poll gets a slot."""
    limiter = NoPolls(200, clock=rig.clock)

    def budgeted(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*of: Any) -> Any:
            slot = limiter.acquire(of[-1], 0.0)
            if slot is None:
                raise NoBudget("no slot in the rate budget")
            with slot:
                return ask(*of)

        return asked

    for name in ("lookup", "order", "orders_since", "open_orders"):
        setattr(rig.desk, name, budgeted(getattr(rig.desk, name)))


@pytest.mark.parametrize(("stream_alive", "due"), [(False, 0.5), (True, 2.0)])
def test_an_order_that_ended_unseen_does_not_keep_an_exit_waiting(
    rig: Rig, stream_alive: bool, due: float
) -> None:
    """No budget for polls: two seconds after its poll was due it is asked for with the exits."""
    starve(rig)
    rig.stream_alive = stream_alive
    rig.desk.script.append(accept("new"))
    entry = rig.send()
    rig.desk.fill(rig.only_coid())
    leaving = rig.publish("s")
    rig.advance(due + 1.9)
    assert rig.desk.asked == []
    assert not rig.work()
    rig.advance(0.4)
    assert rig.desk.asked == ["order order-1 EXIT"]
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.told(leaving) == ["submitted", "fill!"]


def test_a_resting_order_is_heard_of_without_stream_and_budget(rig: Rig) -> None:
    """It holds no lane: five seconds after it was due, and again."""
    starve(rig)
    rig.stream_alive = False
    rig.desk.script.append(accept("new"))
    entry = rig.send(**LIMIT)
    rig.advance(5.4)
    assert rig.desk.asked == []
    rig.advance(0.2)
    assert rig.desk.asked == ["order order-1 EXIT"]
    rig.desk.fill(rig.only_coid(), "50")
    rig.advance(10)
    assert rig.outcomes.told(entry)[-1] == "fill!"


def test_while_the_stream_tells_a_resting_order_needs_no_budget_of_others(rig: Rig) -> None:
    """Nothing waits for its poll."""
    starve(rig)
    rig.desk.script.append(accept("new"))
    rig.send(**LIMIT)
    rig.advance(120)
    assert rig.desk.asked == []


def test_many_late_polls_are_one_request(rig: Rig) -> None:
    """The list is asked for with the exits, for all of them."""
    starve(rig)
    rig.stream_alive = False
    entries = many(rig)
    for coid in rig.desk.orders:
        rig.desk.fill(coid)
    rig.advance(2.8)
    assert rig.desk.asked == ["list EXIT"]
    assert all(rig.outcomes.told(entry)[-1] == "fill!" for entry in entries)


def test_a_list_that_lacks_many_asks_for_few_of_them_at_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them waits for a slot, and a cancel may become due meanwhile."""
    monkeypatch.setattr(watch, "SINGLE_POLLS", 3)
    many(rig)
    rig.desk.hidden.update(rig.desk.orders)
    rig.clock.advance(2.1)
    rig.watch.step()
    assert len(rig.desk.asked) == 4
    rig.advance(0.3)
    assert len(rig.desk.asked) == 5


# --- cancelling -------------------------------------------------------------------------


def test_a_resting_order_is_cancelled_in_time(rig: Rig) -> None:
    """``cancel_after`` seconds after the broker took it."""
    rig.desk.script.append(accept("new"))
    rig.send(**LIMIT, cancel_after="20")
    rig.advance(19.9)
    assert rig.desk.cancels == []
    rig.advance(0.2)
    assert rig.desk.cancels == ["order-1"]


def test_a_cancel_is_repeated_until_the_order_ends(rig: Rig) -> None:
    """The broker may not answer, or refuse: asked again, and the order's end is what counts."""
    rig.desk.script.append(accept("new"))
    rig.send(**LIMIT, cancel_after="1")
    rig.desk.lookup_error = OutcomeUnknown("HTTP 500")
    rig.advance(1.5)
    assert len(rig.desk.cancels) >= 2
    rig.desk.lookup_error = Rejected(422, 42210000, 'order is already in "filled" state')
    rig.advance(1)
    before = len(rig.desk.cancels)
    rig.desk.lookup_error = None
    rig.desk.fill(rig.only_coid(), "50")
    rig.advance(60)
    assert len(rig.desk.cancels) <= before + 1
    assert rig.row(rig.only_coid()).state is State.FILLED


# --- one oddity must not cost the others their turn -------------------------------------


def test_an_unforeseen_error_keeps_everything_on_the_schedule(rig: Rig) -> None:
    """A mistake with one order: it and its neighbours are asked for again."""
    rig.desk.default = accept("new")
    entries = [rig.send(ticker=symbol) for symbol in ("NVDA", "AAPL")]
    asking: Callable[..., Any] = rig.desk.order
    broken = iter([True])

    def order(order_id: str, priority: Any) -> Any:
        if next(broken, False):
            raise ZeroDivisionError("a mistake")
        return asking(order_id, priority)

    rig.desk.order = order  # type: ignore[method-assign]
    for coid in rig.desk.orders:
        rig.desk.fill(coid)
    rig.advance(10)
    assert [rig.outcomes.told(entry)[-1] for entry in entries] == ["fill!", "fill!"]


def test_a_step_says_when_the_next_is_due(rig: Rig) -> None:
    """Nothing to do: a quarter of a second at most; something due: until then, unless at once."""
    assert rig.watch.step() == 0.25
    rig.desk.script.append(accept("new"))
    rig.send()
    rig.clock.advance(1.9)
    assert rig.watch.step() == pytest.approx(0.1)
    rig.clock.advance(0.099)
    assert rig.watch.step() == watch.TOGETHER  # what a burst needs is due within one step


def test_an_order_that_ended_while_others_were_asked_for_is_left_alone(rig: Rig) -> None:
    """Its end came on the stream between two questions of one step."""
    rig.desk.default = fail(UNCLEAR)
    for symbol in ("NVDA", "AAPL"):
        rig.send(ticker=symbol)
    first, second = (orjson.loads(body) for body in rig.desk.posts)
    rig.desk.place(second)
    rig.desk.fill(second["client_order_id"])
    looking: Callable[..., Any] = rig.desk.lookup

    def lookup(coid: str, priority: Priority) -> Any:
        rig.hear(rig.update(second["client_order_id"], "fill"))
        return looking(coid, priority)

    rig.desk.lookup = lookup  # type: ignore[method-assign]
    rig.advance(0.3)
    assert rig.desk.asked == [f"lookup {first['client_order_id']} LOOKUP"]


def test_a_watch_that_is_stopping_asks_nothing_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was due stays on the schedule: a stop must not wait for many answers."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send()
    rig.clock.advance(0.3)
    for name in ("alive", "stopping"):
        monkeypatch.setattr(watch.OrderWatch, name, True)
    rig.watch.step()
    assert rig.desk.asked == []
    assert rig.schedule.next_at() == pytest.approx(rig.clock.monotonic() + 0.25)


def test_an_order_without_a_known_id_is_cancelled_once_it_has_one(rig: Rig) -> None:
    """A cancel needs the broker's id: until somebody told it, it comes up again and again."""
    rig.desk.script.append(fail(UNCLEAR))
    rig.send(**LIMIT)
    coid = rig.only_coid()
    rig.schedule.follow(rig.row(coid), rig.clock.monotonic(), cancel_now=True)
    rig.advance(0.2)
    assert rig.desk.cancels == []
    order = rig.desk.place(orjson.loads(rig.desk.posts[0]))
    rig.advance(2)
    assert rig.desk.cancels[0] == order["id"]


def test_beyond_the_table_of_sessions_a_long_weekend_is_waited(
    careful: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows the close of that session; an absence may be believed four days later."""

    def unknown(_sent: object) -> None:
        raise LookupError("beyond the table")

    monkeypatch.setattr(watch, "next_close", unknown)

    careful.desk.script.append(fail(UNCLEAR))
    careful.send()
    coid = careful.only_coid()
    careful.advance(4 * 86_400)
    assert careful.row(coid).state is State.EXPIRED_UNCONFIRMED
    careful.advance(7200)
    assert careful.row(coid).state is State.ABSENT_CONFIRMED
