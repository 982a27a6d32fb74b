"""AlpacaAPIWrapper: caches, the rate budget, and what becomes of the account's numbers."""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from solution import alpaca_api_wrapper as module
from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.assets import Asset
from solution.book.positions import Portfolio
from solution.book.reservations import Reservation
from solution.domain.market import Market
from solution.domain.orders import Side
from solution.errors import (
    BrokerError,
    LeaseLost,
    NoBudget,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Rejected,
)
from solution.http_common import Response
from solution.order_request import OrderRequest
from solution.rate_limiter import Priority, RateLimiter
from tests.helpers.clocks import ManualClock

ACCOUNT = {"id": "acc", "equity": "100000", "cash": "50000", "buying_power": "200000"}
NVDA = {
    "id": "asset-NVDA",
    "symbol": "NVDA",
    "class": "us_equity",
    "status": "active",
    "tradable": True,
    "shortable": True,
    "easy_to_borrow": True,
    "fractionable": True,
}
BTC = {"id": "asset-BTC", "symbol": "BTC/USD", "class": "crypto", "status": "active"}
START = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


class Client:
    """The thin client with answers set by the test; remembers what was asked.

    Its market clock runs ``ahead`` of ours, and takes ``before`` it reads it and ``after``.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.time = clock
        self.ahead = self.before = self.after = 0.0
        self.asked: list[str] = []
        self.error: BrokerError | None = None
        self.account_answer: dict[str, Any] = dict(ACCOUNT)
        self.position_rows: list[dict[str, Any]] = []
        self.asset_rows: list[dict[str, Any]] = [NVDA, BTC]
        self.no_crypto: BrokerError | None = None
        self.orders: list[dict[str, Any]] = []
        self.list_calls: list[Mapping[str, Any]] = []
        self.opens: list[tuple[bool, datetime]] = []
        self.while_asked: Callable[[], None] = lambda: None

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.while_asked()
        if self.error is not None:
            raise self.error

    def send_order(self, body: bytes, *, before_send: Callable[[], None]) -> OrderRequest:
        before_send()

        def receive() -> Response:
            self._ask("submit")
            return Response(200, {}, b"{}")

        return OrderRequest(lambda _: {"id": body.decode()}, receive)

    def connect(self) -> None:
        self._ask("connect")

    def may_send_more(self, most: int) -> bool:
        return most > 3

    def get_order_by_client_id(self, coid: str) -> dict[str, Any]:
        self._ask(f"lookup {coid}")
        return {"client_order_id": coid}

    def get_order(self, order_id: str, *, nested: bool = False) -> dict[str, Any]:
        self._ask(f"nested {order_id}" if nested else f"order {order_id}")
        return {"id": order_id}

    def cancel_order(self, order_id: str) -> None:
        self._ask(f"cancel {order_id}")

    def list_orders(self, **arguments: Any) -> Sequence[Mapping[str, Any]]:
        self._ask("list")
        self.list_calls.append(arguments)
        later = [
            o for o in self.orders if datetime.fromisoformat(o["submitted_at"]) > arguments["after"]
        ]
        return later[: arguments["limit"]]

    def account(self) -> dict[str, Any]:
        self._ask("account")
        return self.account_answer

    def positions(self) -> list[dict[str, Any]]:
        self._ask("positions")
        return self.position_rows

    def clock(self) -> dict[str, Any]:
        self._ask("clock")
        is_open, change = self.opens.pop(0) if len(self.opens) > 1 else self.opens[0]
        self.time.advance(self.before)
        at = self.time.now() + timedelta(seconds=self.ahead)
        self.time.advance(self.after)
        name = "next_close" if is_open else "next_open"
        return {"timestamp": at.isoformat(), "is_open": is_open, name: change.isoformat()}

    def assets(self, *, asset_class: str) -> list[dict[str, Any]]:
        self._ask("assets" if asset_class == "us_equity" else "pairs")
        if asset_class == "crypto" and self.no_crypto is not None:
            raise self.no_crypto
        return [row for row in self.asset_rows if row.get("class", "us_equity") == asset_class]


class Fixture:
    """A wrapper with a budget of 20 requests a minute."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START)
        self.client = Client(self.clock)
        self.limiter = RateLimiter(20, clock=self.clock)
        self.portfolio = Portfolio(self.clock)
        self.file = folder / "assets.json"
        self.begun = 0
        self.wrapper = self.make()

    def make(self, file: Path | None = None) -> AlpacaAPIWrapper:
        """Another wrapper on the same client, as after a restart."""
        return AlpacaAPIWrapper(
            cast("AlpacaAPIClient", self.client),
            self.limiter,
            self.portfolio,
            self.clock,
            assets_file=file,
        )

    def before_send(self) -> None:
        self.begun += 1

    def used(self) -> int:
        """Slots that count now."""
        return self.limiter.view().used


@pytest.fixture
def fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """A fresh wrapper that waits for nothing."""
    monkeypatch.setattr(module, "SLOT_WAIT", 0.0)
    return Fixture(tmp_path)


# --- the budget ---------------------------------------------------------------------------


def test_each_request_spends_one_slot(fix: Fixture) -> None:
    """Lookups, orders, cancels, lists and the clock; the account takes two."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    fix.wrapper.lookup("c", Priority.LOOKUP)
    fix.wrapper.order("o", Priority.POLL)
    fix.wrapper.cancel("o")
    fix.wrapper.orders_since(START, Priority.POLL)
    fix.wrapper.market()
    fix.wrapper.refresh_account()
    assert fix.used() == 7
    assert fix.wrapper.requests == 7


def test_legs_come_under_their_entry_order_when_asked_for(fix: Fixture) -> None:
    """Else each stands in the list by itself."""
    fix.wrapper.order("o", Priority.POLL, nested=True)
    assert fix.client.asked == ["nested o"]
    for nested in (False, True):
        fix.wrapper.open_orders(Priority.POLL, nested=nested)
    assert [call["nested"] for call in fix.client.list_calls] == [False, True]
    assert {call["status"] for call in fix.client.list_calls} == {"open"}


def test_a_post_spends_the_callers_slot_whatever_comes_of_it(fix: Fixture) -> None:
    """Also after an error: it may have arrived."""
    slot = fix.limiter.try_acquire(Priority.ENTRY)
    assert slot is not None
    fix.client.error = OutcomeUnknown("HTTP 504")
    with pytest.raises(OutcomeUnknown):
        fix.wrapper.send(slot, b"{}", fix.before_send).order()
    slot.cancel()
    assert fix.used() == 1
    assert fix.begun == 1


def test_a_post_that_is_stopped_before_it_is_sent_spends_no_slot(fix: Fixture) -> None:
    """The broker has not counted it."""

    def stop() -> None:
        raise NotSent("the kill switch is on")

    slot = fix.limiter.try_acquire(Priority.ENTRY)
    assert slot is not None
    with pytest.raises(NotSent):
        fix.wrapper.send(slot, b"{}", stop)
    assert (fix.used(), fix.client.asked) == (0, [])


def test_a_post_that_meets_a_broken_ledger_at_the_last_look_spends_its_slot(fix: Fixture) -> None:
    """Nothing left, but that is for NotSent to say: what is not known to be free counts."""

    def deposed() -> None:
        raise LeaseLost("epoch 2 is another's")

    slot = fix.limiter.try_acquire(Priority.ENTRY)
    assert slot is not None
    with pytest.raises(LeaseLost):
        fix.wrapper.send(slot, b"{}", deposed)
    view = fix.limiter.view()
    assert (view.used, view.in_flight) == (1, 0)


@pytest.mark.parametrize("error", [None, OutcomeUnknown("HTTP 504"), KeyboardInterrupt()])
def test_a_slot_is_in_flight_until_its_answer_is_taken_in(
    fix: Fixture, error: BaseException | None
) -> None:
    """A good one, none, or an interrupted wait: it counts for one window from then."""
    slot = fix.limiter.try_acquire(Priority.ENTRY)
    assert slot is not None
    sent = fix.wrapper.send(slot, b"o", fix.before_send)
    fix.clock.advance(3.0)
    assert fix.limiter.view().in_flight == 1
    assert (sent.answering, sent.fileno(), fix.client.asked) == (True, -1, [])

    def ask() -> None:
        if error is not None:
            raise error

    fix.client.while_asked = ask
    with contextlib.suppress(KeyboardInterrupt):
        sent.receive()
    assert not sent.answering
    view = fix.limiter.view()
    assert (view.used, view.in_flight) == (1, 0)
    fix.clock.advance(59.0)
    assert fix.used() == 1
    if error is None:
        assert sent.order() == {"id": "o"}
    else:
        with pytest.raises(OutcomeUnknown):
            sent.order()
    fix.clock.advance(1.0)
    assert fix.used() == 0
    assert (fix.client.asked, fix.wrapper.requests) == (["submit"], 1)


def test_the_limiter_learns_from_each_answer_with_the_slot_of_its_own_request(
    fix: Fixture,
) -> None:
    """However they come; a request in between, and what follows, have theirs."""
    seen: list[object] = []
    fix.limiter.observe = lambda _h, _s, slot=None: seen.append(slot)  # type: ignore[method-assign]
    fix.client.while_asked = lambda: fix.wrapper.observe(200, {})
    slots = [fix.limiter.try_acquire(Priority.ENTRY) for _ in range(3)]
    first, second, third = [
        fix.wrapper.send(slot, b"o", fix.before_send) for slot in slots if slot is not None
    ]
    third.receive()
    first.receive()
    fix.wrapper.cancel("o")
    second.order()
    third.order()
    fix.wrapper.observe(200, {})
    assert seen[:2] == [slots[2], slots[0]]
    assert seen[2] is not None
    assert seen[2] not in slots
    assert seen[3:] == [slots[1], None]


def test_after_an_interrupted_wait_no_slot_is_taken_for_the_next_answers(fix: Fixture) -> None:
    """The thread may go on with requests that have none."""
    seen: list[object] = []
    fix.limiter.observe = lambda _h, _s, slot=None: seen.append(slot)  # type: ignore[method-assign]

    def interrupt() -> None:
        raise KeyboardInterrupt

    slot = fix.limiter.try_acquire(Priority.ENTRY)
    assert slot is not None
    sent = fix.wrapper.send(slot, b"o", fix.before_send)
    fix.client.while_asked = interrupt
    with pytest.raises(KeyboardInterrupt):
        sent.receive()
    fix.wrapper.observe(200, {})
    assert seen == [None]


def test_a_connection_is_made_ready_if_it_can_be(fix: Fixture) -> None:
    """The POST finds out by itself; how many more may leave is the client's to say."""
    fix.wrapper.connect()
    fix.client.error = NotSent("refused")
    fix.wrapper.connect()
    assert fix.client.asked == ["connect", "connect"]
    assert (fix.wrapper.may_send_more(3), fix.wrapper.may_send_more(4)) == (False, True)
    assert fix.used() == 0


def test_an_instance_that_was_deposed_cancels_nothing(fix: Fixture) -> None:
    """Asked with the slot in hand: waiting for one may have taken longer than the lease."""

    def deposed() -> None:
        raise LeaseLost("epoch 2 is another's")

    fix.wrapper.fence = deposed
    with pytest.raises(LeaseLost):
        fix.wrapper.cancel("o")
    assert fix.client.asked == []


def test_without_budget_nothing_is_sent(fix: Fixture) -> None:
    """NoBudget is a NotSent: the caller may try again later."""
    for _ in range(20):
        fix.wrapper.cancel("o")
    asked = len(fix.client.asked)
    with pytest.raises(NoBudget) as caught:
        fix.wrapper.lookup("c", Priority.LOOKUP)
    assert isinstance(caught.value, NotSent)
    assert len(fix.client.asked) == asked


def test_entries_and_polls_leave_a_reserve(fix: Fixture) -> None:
    """Cancels still go when polls cannot any more."""
    for _ in range(19):
        fix.wrapper.order("o", Priority.POLL)
    with pytest.raises(NoBudget):
        fix.wrapper.order("o", Priority.POLL)
    fix.wrapper.cancel("o")


@pytest.mark.parametrize("kind", ["post", "lookup"])
def test_the_limiter_learns_from_the_answer_with_its_slot(fix: Fixture, kind: str) -> None:
    """While a request waits its slot is known to the thread; outside of one it is not."""
    seen: list[object] = []
    observing = fix.limiter.observe

    def observe(headers: Mapping[str, str], status: int, slot: Any = None) -> None:
        seen.append(slot)
        observing(headers, status, slot)

    fix.limiter.observe = observe  # type: ignore[method-assign]
    fix.client.while_asked = lambda: fix.wrapper.observe(200, {"x-ratelimit-limit": "30"})
    slot = fix.limiter.try_acquire(Priority.ENTRY)
    assert slot is not None
    calls: dict[str, Callable[[], object]] = {
        "post": lambda: fix.wrapper.send(slot, b"{}", fix.before_send).order(),
        "lookup": lambda: fix.wrapper.lookup("c", Priority.LOOKUP),
    }
    calls[kind]()
    fix.wrapper.observe(200, {})
    assert seen[0] is not None
    assert seen[1] is None
    assert fix.limiter.view().limit == 30


# --- lists of orders ----------------------------------------------------------------------


def rows(count: int, apart: timedelta) -> list[dict[str, Any]]:
    """Orders one after the other."""
    return [{"id": f"o{n}", "submitted_at": (START + n * apart).isoformat()} for n in range(count)]


def test_a_list_is_read_to_its_end(fix: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, each order once, legs as rows of their own."""
    monkeypatch.setattr(module, "LIST_PAGE", 10)
    fix.client.orders = rows(35, timedelta(seconds=1))
    found = fix.wrapper.orders_since(START - timedelta(seconds=1), Priority.POLL)
    assert found is not None
    assert [o["id"] for o in found] == [f"o{n}" for n in range(35)]
    assert all(not call.get("nested") for call in fix.client.list_calls)
    assert all(call["status"] == "all" for call in fix.client.list_calls)


def test_orders_of_one_instant_at_a_page_end_are_not_skipped(
    fix: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is exclusive, so the next page begins a little earlier."""
    monkeypatch.setattr(module, "LIST_PAGE", 10)
    fix.client.orders = rows(9, timedelta(seconds=1))
    fix.client.orders += [
        {"id": f"same{n}", "submitted_at": (START + timedelta(seconds=9)).isoformat()}
        for n in range(4)
    ]
    found = fix.wrapper.orders_since(START - timedelta(seconds=1), Priority.POLL)
    assert found is not None
    assert len(found) == 13


@pytest.mark.parametrize("kind", ["one instant", "no time", "endless"])
def test_a_list_without_an_end_is_no_list(
    fix: Fixture, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """None: an incomplete list must never prove an absence."""
    monkeypatch.setattr(module, "LIST_PAGE", 5)
    monkeypatch.setattr(module, "LIST_PAGES_MAX", 3)
    fix.client.orders = rows(100, timedelta(0 if kind == "one instant" else 1))
    if kind == "no time":
        fix.client.list_orders = lambda **_: [{"id": str(n)} for n in range(5)]  # type: ignore[method-assign]
    assert fix.wrapper.orders_since(START - timedelta(seconds=1), Priority.POLL) is None


# --- the account --------------------------------------------------------------------------


def test_account_and_positions_become_one_snapshot(fix: Fixture) -> None:
    """Amounts as text to Decimal; crypto positions filed under the asset list's spelling."""
    fix.wrapper.load_assets()
    fix.client.position_rows = [
        {"symbol": "NVDA", "qty": "-7", "qty_available": "-7", "avg_entry_price": "99.5"},
        {"symbol": "BTCUSD", "qty": "0.5"},
        {"symbol": "OLD.W", "qty": "3", "qty_available": None},
    ]
    fix.wrapper.refresh_account()
    held = fix.portfolio.quantities()
    assert held == {"NVDA": Decimal(-7), "BTC/USD": Decimal("0.5"), "OLD.W": Decimal(3)}
    account = fix.portfolio.account()
    assert account is not None
    assert (account.equity, account.cash) == (Decimal(100_000), Decimal(50_000))
    assert fix.portfolio.view("OLD.W").available_qty == 3


def test_the_first_picture_corrects_nothing(fix: Fixture, caplog: pytest.LogCaptureFixture) -> None:
    """Positions held before the start are no surprise; a later difference is."""
    fix.client.position_rows = [{"symbol": "NVDA", "qty": "7"}]
    fix.wrapper.refresh_account()
    assert fix.wrapper.differences == 0
    fix.client.position_rows = [{"symbol": "NVDA", "qty": "9"}]
    fix.clock.advance(1)
    fix.wrapper.refresh_account()
    assert fix.wrapper.differences == 1
    assert "position_corrected" in [record.message for record in caplog.records]


@pytest.mark.parametrize("answer", [{}, {"message": "welcome"}, {"id": None, "equity": "1"}])
def test_what_is_no_account_is_not_applied(fix: Fixture, answer: dict[str, Any]) -> None:
    """HTTP 200 from something else must not look like an account without money."""
    fix.wrapper.refresh_account()
    fix.client.account_answer = answer
    with pytest.raises(OutcomeUnknown, match="no account"):
        fix.wrapper.refresh_account()
    account = fix.portfolio.account()
    assert account is not None
    assert account.equity == 100_000


@pytest.mark.parametrize("flag", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
def test_every_flag_that_stops_trading_blocks(fix: Fixture, flag: str) -> None:
    """Whatever the reason, an order would be refused."""
    fix.client.account_answer |= {flag: True, "shorting_enabled": False}
    fix.wrapper.refresh_account()
    account = fix.portfolio.account()
    assert account is not None
    assert (account.blocked, account.shorting_enabled) == (True, False)


def test_an_uncertain_position_is_asked_for_before_deciding(fix: Fixture) -> None:
    """Only then, and a broker that does not answer only leaves it uncertain."""
    fix.wrapper.refresh_account()
    fix.wrapper.refresh_if_uncertain("NVDA")
    assert fix.client.asked == ["account", "positions"]
    held = Reservation("c", "NVDA", Side.BUY, Decimal(5), Decimal(1), True)
    fix.portfolio.restore(held)
    fix.clock.advance(1)
    fix.portfolio.filled("c", "NVDA", Decimal(5), Decimal(1), None)
    fix.client.error = OutcomeUnknown("HTTP 504")
    fix.wrapper.refresh_if_uncertain("NVDA")
    assert fix.portfolio.is_uncertain("NVDA")
    fix.client.error = None
    fix.client.position_rows = [{"symbol": "NVDA", "qty": "5"}]
    fix.clock.advance(1)
    fix.wrapper.refresh_if_uncertain("NVDA")
    assert not fix.portfolio.is_uncertain("NVDA")
    assert fix.portfolio.quantities() == {"NVDA": Decimal(5)}


@pytest.mark.parametrize(("meets", "pictures"), [(2, 2), (9, 3)])
def test_an_execution_that_meets_the_picture_on_its_way_is_asked_about_again(
    fix: Fixture, meets: int, pictures: int
) -> None:
    """Otherwise the entry would end EXPOSURE_UNCONFIRMED for a moment's doubt; not for ever."""
    fix.wrapper.refresh_account()
    fix.portfolio.moved_elsewhere("NVDA", Decimal(5))
    positions, asked = fix.client.positions, []

    def positions_while_trading() -> list[dict[str, Any]]:
        fix.clock.advance(1)
        asked.append("positions")
        if len(asked) < meets:
            fix.portfolio.moved_elsewhere("NVDA", Decimal(5))
        fix.clock.advance(1)
        return positions()

    fix.client.positions = positions_while_trading  # type: ignore[method-assign]
    fix.client.position_rows = [{"symbol": "NVDA", "qty": "5"}]
    assert fix.wrapper.refresh_if_uncertain("NVDA")
    assert len(asked) == pictures
    assert fix.portfolio.is_uncertain("NVDA") is (meets > pictures)


def aside(act: Callable[[], object]) -> threading.Thread:
    """Started on a thread of its own."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_an_exit_does_not_wait_behind_an_entry_that_waits_for_budget(fix: Fixture) -> None:
    """The entry's refresh stands in line for a slot; then the exit's picture is its, too."""
    waits, goes = threading.Event(), threading.Event()
    acquire = fix.limiter.acquire

    def acquire_slowly(priority: Priority, *of: Any) -> Any:
        if priority is Priority.ENTRY and not waits.is_set():
            waits.set()
            goes.wait(10)
        return acquire(priority, *of)

    fix.limiter.acquire = acquire_slowly  # type: ignore[method-assign]
    entry = aside(lambda: fix.wrapper.refresh_account(Priority.ENTRY))
    assert waits.wait(10)
    fix.clock.advance(1)
    leaving = aside(lambda: fix.wrapper.refresh_account(Priority.EXIT))
    leaving.join(5)
    assert not leaving.is_alive()
    assert fix.portfolio.snapshot_at == fix.clock.monotonic()
    goes.set()
    entry.join(5)
    assert fix.client.asked == ["account", "positions"]
    assert fix.used() == 2


def test_an_exit_does_not_wait_for_an_entrys_requests(fix: Fixture) -> None:
    """And the answer that was asked for first, and comes last, undoes nothing."""
    asks, answered = threading.Event(), threading.Event()

    def slowly() -> None:
        if not asks.is_set():
            asks.set()
            answered.wait(10)

    fix.client.while_asked = slowly
    entry = aside(lambda: fix.wrapper.refresh_account(Priority.ENTRY))
    assert asks.wait(10)
    fix.clock.advance(1)
    fix.client.position_rows = [{"symbol": "NVDA", "qty": "7"}]
    leaving = aside(lambda: fix.wrapper.refresh_account(Priority.EXIT))
    leaving.join(5)
    assert not leaving.is_alive()
    fix.client.position_rows = [{"symbol": "NVDA", "qty": "3"}]
    answered.set()
    entry.join(5)
    assert fix.portfolio.quantities() == {"NVDA": Decimal(7)}


def test_half_a_picture_costs_no_budget(fix: Fixture) -> None:
    """One slot is left and two are needed: nothing is asked, and the one goes back."""
    for _ in range(18):
        fix.wrapper.order("o", Priority.POLL)
    with pytest.raises(NoBudget):
        fix.wrapper.refresh_account(Priority.POLL)
    assert "account" not in fix.client.asked
    assert fix.used() == 18


@pytest.mark.parametrize("urgent", [False, True])
def test_an_uncertain_position_without_budget(
    fix: Fixture, monkeypatch: pytest.MonkeyPatch, urgent: bool
) -> None:
    """An entry is told to wait, tries once only, and the picture is wanted; an exit waits briefly
    and goes by what is certain.
    """
    monkeypatch.setattr(module, "SLOT_WAIT", 5.0)
    fix.wrapper.refresh_account()
    fix.portfolio.moved_elsewhere("NVDA", Decimal(5))
    waited: list[tuple[Priority, float]] = []

    def acquire(priority: Priority, timeout: float, *_: object) -> None:
        waited.append((priority, timeout))

    with monkeypatch.context() as used_up:
        used_up.setattr(fix.limiter, "acquire", acquire)
        assert fix.wrapper.refresh_if_uncertain("NVDA", urgent=urgent) is urgent
    assert waited == [(Priority.EXIT, 5.0) if urgent else (Priority.POLL, 0.0)]
    assert fix.wrapper.account_wanted is not urgent
    fix.clock.advance(1)
    assert fix.wrapper.refresh_if_uncertain("NVDA", urgent=urgent)
    assert fix.wrapper.account_wanted is False


# --- the market clock ---------------------------------------------------------------------


def test_the_clock_is_asked_once_until_its_next_transition(fix: Fixture) -> None:
    """Then again; decisions in between cost nothing."""
    close = START + timedelta(minutes=4)
    fix.client.opens = [(True, close), (False, close + timedelta(hours=17))]
    assert fix.wrapper.market().is_open is True
    fix.clock.advance(239)
    assert fix.wrapper.market().is_open is True
    assert fix.client.asked == ["clock"]
    fix.clock.advance(1)
    assert fix.wrapper.market().is_open is False
    assert fix.client.asked == ["clock", "clock"]


def test_a_clock_that_does_not_answer_leaves_the_session_unknown(fix: Fixture) -> None:
    """None is neither open nor closed; the next decision asks again."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    fix.client.error = OutcomeUnknown("HTTP 504")
    assert fix.wrapper.market().is_open is None
    fix.wrapper.refresh_clock()
    fix.client.error = None
    assert fix.wrapper.market().is_open is True


@pytest.mark.parametrize("ahead", [300.0, -300.0])
def test_the_session_ends_by_the_brokers_clock(fix: Fixture, ahead: float) -> None:
    """Ours may be five minutes off, either way: not a second past the close, nor one too early."""
    close = START + timedelta(minutes=10)
    fix.client.ahead = ahead
    fix.client.opens = [(True, close)]
    assert fix.wrapper.market() == Market(True, START + timedelta(seconds=ahead))
    fix.clock.advance(599 - ahead)
    assert fix.wrapper.market() == Market(True, close - timedelta(seconds=1))
    fix.client.opens = [(False, close + timedelta(hours=17))]
    fix.clock.advance(1)
    assert fix.wrapper.market() == Market(False, close)


def test_an_answer_that_took_long_makes_the_brokers_time_late_and_never_early(
    fix: Fixture,
) -> None:
    """Nobody knows when the broker read its clock, so it counts as read when it was asked."""
    close = START + timedelta(minutes=2)
    fix.client.opens = [(True, close)]
    fix.client.before, fix.client.after = 0.5, 3.0
    assert fix.wrapper.market().at == fix.clock.now() + timedelta(seconds=0.5)
    fix.client.before = fix.client.after = 0.0
    fix.client.opens = [(False, close + timedelta(hours=17))]
    fix.clock.advance((close - fix.clock.now()).total_seconds() - 0.5)
    assert fix.wrapper.market().is_open is False  # asked once more, and from then on exact
    assert fix.wrapper.market().at == fix.clock.now()


@pytest.mark.parametrize("seconds", [-3600, -1.1, 1.1, 3600])
def test_a_clock_of_ours_that_is_set_is_compared_anew(fix: Fixture, seconds: float) -> None:
    """By NTP, or since the machine was suspended: the old difference holds no more."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    fix.client.ahead = 300.0
    assert fix.wrapper.market().is_open is True
    fix.clock.jump_wall(seconds)
    fix.client.ahead -= seconds
    assert fix.wrapper.market().at == START + timedelta(seconds=300)
    assert fix.client.asked == ["clock"] * 2
    fix.clock.advance(100)
    assert fix.wrapper.market().is_open is True
    assert fix.client.asked == ["clock"] * 2


def test_without_an_answer_the_brokers_time_is_still_known(fix: Fixture) -> None:
    """From the answer before: windows of the day are judged by it."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    fix.client.ahead = 300.0
    fix.wrapper.refresh_clock()
    fix.client.error = OutcomeUnknown("HTTP 504")
    fix.clock.advance(301)
    assert fix.wrapper.market() == Market(None, START + timedelta(seconds=601))


def test_an_answer_that_contradicts_itself_is_not_believed(fix: Fixture) -> None:
    """Its next transition has passed by its own time: unknown rather than wrong."""
    fix.client.opens = [(True, START - timedelta(seconds=1))]
    assert fix.wrapper.market().is_open is None


def test_unreadable_times_are_no_clock(fix: Fixture) -> None:
    """An answer without usable times must not count as closed for ever, or open."""
    fix.client.clock = lambda: {"is_open": True, "timestamp": "soon", "next_close": 5}  # type: ignore[method-assign]
    assert fix.wrapper.market().is_open is None


def test_the_clock_is_renewed_before_it_is_too_old(
    fix: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """refresh_clock() takes the cost off the next decision; a skew is logged."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    fix.client.before = 5.0  # no skew: the answer took its time
    fix.wrapper.refresh_clock()
    assert "clock_skew" not in [record.message for record in caplog.records]
    fix.client.ahead = -7.5
    fix.wrapper.refresh_clock()
    assert fix.wrapper.market().is_open is True
    assert fix.client.asked == ["clock"] * 2
    [record] = [r for r in caplog.records if r.message == "clock_skew"]
    assert record.seconds == 2.5  # type: ignore[attr-defined]


def test_many_decisions_at_once_ask_once(fix: Fixture) -> None:
    """The others wait for the one that asks."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    entered, go = threading.Event(), threading.Event()

    def slowly() -> None:
        entered.set()
        go.wait(5)

    fix.client.while_asked = slowly
    answers: list[bool | None] = []
    threads = [
        threading.Thread(target=lambda: answers.append(fix.wrapper.market().is_open))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert entered.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert answers == [True] * 4
    assert fix.client.asked == ["clock"]


class Alone:
    """A cache that is for one thread at a time, and notices when two are in it."""

    def __init__(self, cache: MutableMapping[str, Any]) -> None:
        self.cache = cache
        self.inside = threading.Lock()
        self.met = 0

    def _enter(self, act: Callable[[], Any]) -> Any:
        if not self.inside.acquire(blocking=False):
            self.met += 1
            return act()
        try:
            threading.Event().wait(0.001)  # long enough for another thread to come in
            return act()
        finally:
            self.inside.release()

    def __getitem__(self, key: str) -> Any:
        return self._enter(lambda: self.cache[key])

    def __setitem__(self, key: str, value: Any) -> None:
        self._enter(lambda: self.cache.__setitem__(key, value))


def test_threads_that_read_and_renew_the_clock_do_not_meet_in_the_cache(fix: Fixture) -> None:
    """An answer that expires under a reader's hand would raise KeyError and end its signal."""
    fix.client.opens = [(True, START + timedelta(hours=6))]
    cache = fix.wrapper._market = Alone(fix.wrapper._market)  # type: ignore[assignment]
    answers: list[bool | None] = []

    def read() -> None:
        answers.extend(fix.wrapper.market().is_open for _ in range(20))

    def renew() -> None:
        for _ in range(5):
            fix.wrapper.refresh_clock()

    threads = [threading.Thread(target=act) for act in (read, read, renew)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (set(answers), cache.met) == ({True}, 0)


# --- the asset list -----------------------------------------------------------------------


def test_assets_are_found_by_any_spelling(fix: Fixture) -> None:
    """One bulk request; nothing per symbol."""
    fix.wrapper.load_assets()
    crypto = fix.wrapper.find("BTCUSD")
    assert crypto is not None
    assert crypto == fix.wrapper.find("btc/usd")
    assert fix.wrapper.find("nvda") is not None
    assert fix.wrapper.find("ZZZZ") is None
    assert fix.wrapper.asset_count() == 3
    assert fix.client.asked == ["assets", "pairs"]


def test_the_list_is_kept_for_a_day(fix: Fixture) -> None:
    """The next start reads the file; a day later the broker is asked again."""
    fix.make(fix.file).load_assets()
    again = fix.make(fix.file)
    again.load_assets()
    assert again.find("NVDA") == Asset.of(NVDA)
    assert fix.client.asked == ["assets", "pairs"]
    old = fix.file.stat().st_mtime - 86_401
    os.utime(fix.file, (old, old))
    fix.make(fix.file).load_assets()
    assert fix.client.asked == ["assets", "pairs"] * 2


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[[1]]", b'{"a":1}', b"[null]"])
def test_a_list_that_cannot_be_read_is_asked_for_again(fix: Fixture, content: bytes) -> None:
    """Absent, cut off, empty or foreign."""
    fix.file.write_bytes(content)
    wrapper = fix.make(fix.file)
    wrapper.load_assets()
    assert wrapper.find("NVDA") is not None
    assert fix.client.asked == ["assets", "pairs"]


def test_a_list_that_cannot_be_kept_is_used_all_the_same(
    fix: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing directory costs the next start one request, not this one its assets."""
    wrapper = fix.make(fix.file.parent / "missing" / "assets.json")
    wrapper.load_assets()
    assert wrapper.find("NVDA") is not None
    assert "asset_list_not_kept" in [record.message for record in caplog.records]


def test_an_empty_list_is_not_kept(fix: Fixture) -> None:
    """It would hide every asset for a day."""
    fix.client.asset_rows = []
    fix.make(fix.file).load_assets()
    assert not fix.file.exists()


AMD = NVDA | {"id": "asset-AMD", "symbol": "AMD"}


def test_a_service_that_runs_for_days_renews_the_list(fix: Fixture) -> None:
    """Once a day: new listings are found, stale flags go; and the next start has it on disk."""
    wrapper = fix.make(fix.file)
    wrapper.load_assets()
    fix.client.asset_rows = [NVDA | {"tradable": False}, AMD]
    fix.clock.advance(86_399)
    wrapper.renew_assets()
    assert wrapper.find("AMD") is None
    fix.clock.advance(1)
    for _ in range(3):
        wrapper.renew_assets()
    again = fix.make(fix.file)
    again.load_assets()
    assert fix.client.asked == ["assets", "pairs"] * 2
    for each in (wrapper, again):
        assert each.find("NVDA") == Asset.of(NVDA | {"tradable": False})
        assert each.find("AMD") == Asset.of(AMD)
        assert each.find("BTC/USD") is None


def test_a_list_from_disk_is_renewed_when_it_is_a_day_old(fix: Fixture) -> None:
    """Its own day, not one from the start that read it."""
    fix.make(fix.file).load_assets()
    written = fix.file.stat().st_mtime - 80_000
    os.utime(fix.file, (written, written))
    wrapper = fix.make(fix.file)
    wrapper.load_assets()
    fix.clock.advance(6_000)
    wrapper.renew_assets()
    assert fix.client.asked == ["assets", "pairs"]
    fix.clock.advance(401)
    wrapper.renew_assets()
    assert fix.client.asked == ["assets", "pairs"] * 2


@pytest.mark.parametrize("kind", ["error", "empty", "nonsense"])
def test_a_renewal_that_fails_keeps_the_old_list(
    fix: Fixture, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """In memory and on disk; told, and tried again ten minutes later."""
    wrapper = fix.make(fix.file)
    wrapper.load_assets()
    before = fix.file.read_bytes()
    fix.clock.advance(86_400)
    if kind == "error":
        fix.client.error = OutcomeUnknown("HTTP 504")
    else:
        fix.client.asset_rows = [] if kind == "empty" else [{"name": "no asset"}]
    for _ in range(3):
        wrapper.renew_assets()
    assert fix.client.asked == ["assets", "pairs", "assets"]
    assert "assets_not_renewed" in [record.message for record in caplog.records]
    assert wrapper.find("NVDA") is not None
    assert fix.file.read_bytes() == before
    fix.client.error, fix.client.asset_rows = None, [AMD]
    fix.clock.advance(600)
    wrapper.renew_assets()
    assert wrapper.find("AMD") is not None


def test_a_renewal_waits_for_budget_to_spare(fix: Fixture) -> None:
    """Orders come first; as soon as there is some, it is asked for."""
    fix.wrapper.load_assets()
    fix.clock.advance(86_400)
    for _ in range(19):
        fix.wrapper.order("o", Priority.POLL)
    fix.wrapper.renew_assets()
    assert fix.client.asked.count("assets") == 1
    fix.clock.advance(61)
    fix.wrapper.renew_assets()
    assert fix.client.asked.count("assets") == 2


def test_without_a_list_the_start_fails(fix: Fixture) -> None:
    """Neither disk nor broker has it."""
    fix.client.error = NotFound(404, 40410000, "endpoint not found")
    with pytest.raises(BrokerError):
        fix.wrapper.load_assets()


# --- crypto -----------------------------------------------------------------------------------


def test_a_list_of_an_older_form_is_asked_for_anew(fix: Fixture) -> None:
    """It lacks what pairs have; read as it is, orders would be uneven."""
    fix.file.write_text('[["asset-BTC","BTC/USD","crypto",5]]')
    fix.make(fix.file).load_assets()
    assert fix.client.asked == ["assets", "pairs"]


def test_a_broker_without_crypto_trades_shares(
    fix: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal is told; held coins stay sellable where they were known before."""
    fix.client.no_crypto = Rejected(403, 40310000, "crypto is not enabled")
    fix.wrapper.load_assets()
    assert fix.wrapper.find("NVDA") is not None
    assert fix.wrapper.find("BTC/USD") is None
    assert "crypto_not_listed" in [record.message for record in caplog.records]


def test_pairs_that_are_refused_later_stay_known(fix: Fixture) -> None:
    """Coins that are held can still be sold."""
    fix.wrapper.load_assets()
    fix.client.no_crypto = Rejected(403, 40310000, "crypto is not enabled")
    fix.clock.advance(86_400)
    fix.wrapper.renew_assets()
    assert fix.wrapper.find("BTCUSD") is not None
    assert fix.client.asked == ["assets", "pairs"] * 2


@pytest.mark.parametrize(("stated", "power"), [("40000", 40_000), (None, 50_000)])
def test_what_is_not_marginable_is_read(fix: Fixture, stated: str | None, power: int) -> None:
    """Cash where the broker does not say."""
    fix.client.account_answer["non_marginable_buying_power"] = stated
    fix.wrapper.refresh_account()
    assert fix.portfolio.view("BTC/USD").buying_power == power
    assert fix.portfolio.view("NVDA").buying_power == 200_000
