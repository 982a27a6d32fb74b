"""The engine under any sequence of orders, cancels, replacements, prices and time.

Bounded and always the same in the normal run. The longer forms::

    MODEL_PROFILE=pr pytest tests/unit/paper_exchange/test_engine_machine.py       # 1,000 x 60
    MODEL_PROFILE=nightly pytest tests/unit/paper_exchange/test_engine_machine.py  # new seeds

To add a kind of order, extend ``bodies``; a new thing that can happen is a ``@rule``; a new event
needs its lines in ``books.NEXT`` and ``books.STATUS``; what must hold after each step is called
by ``everything_holds``, what must hold when all has ended stands in ``teardown``.
"""

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from paper_exchange.clock import SECOND
from paper_exchange.decimals import cents, is_whole
from paper_exchange.engine.matching import TICK_NS
from paper_exchange.errors import ApiError
from paper_exchange.hours import Phase
from paper_exchange.instants import parse_time
from paper_exchange.orders import TERMINAL
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.books import Books
from tests.unit.paper_exchange.conftest import NOON, World

PROFILES = {"test": (250, 40, True), "pr": (1_000, 60, False), "nightly": (20_000, 100, False)}
"""Examples, steps of each, and whether the choices are always the same."""

CASH = Decimal(100_000)
SYMBOLS = ("KO", "BTC/USD")
LIFE = timedelta(days=91)
SIDES = st.sampled_from(("buy", "sell"))
#: Dollars around the 100 at which every price begins.
PRICES = st.sampled_from(("50", "98", "99.99", "100", "100.01", "102", "200"))
WHOLE = st.sampled_from(("1", "3", "10", "900"))
QUANTITIES = WHOLE | WHOLE | st.sampled_from(("0.5", "0.25"))
TYPES: dict[str, dict[str, st.SearchStrategy[str]]] = {
    "market": {},
    "limit": {"limit_price": PRICES},
    "stop": {"stop_price": PRICES},
    "stop_limit": {"stop_price": PRICES, "limit_price": PRICES},
    "trailing_stop": {"trail_percent": st.sampled_from(("0.01", "2", "20"))},
}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """The body of an order that is well-formed; whether it can be taken depends on the account."""
    symbol = draw(st.sampled_from(SYMBOLS))
    crypto = "/" in symbol
    kinds = ["market", "limit", "stop_limit"] if crypto else sorted(TYPES)
    kind = draw(st.sampled_from(kinds))
    body: dict[str, Any] = {"symbol": symbol, "side": draw(SIDES), "type": kind}
    body |= {name: draw(prices) for name, prices in TYPES[kind].items()}
    if kind == "market" and draw(st.booleans()):
        body |= {"qty": None, "notional": draw(st.sampled_from(("10", "99.5", "4000.50")))}
    else:
        body["qty"] = draw(QUANTITIES if kind != "trailing_stop" else WHOLE)
    body["time_in_force"] = draw(st.sampled_from(_times(body, crypto=crypto)))
    if kind == "limit" and body["time_in_force"] in {"day", "gtc"}:
        body["extended_hours"] = draw(st.booleans()) and not crypto
    return body


def _times(body: dict[str, Any], *, crypto: bool) -> tuple[str, ...]:
    """The times in force that an order may have."""
    if crypto:
        return ("gtc", "ioc")
    if body["qty"] is None or not is_whole(Decimal(body["qty"])):
        return ("day",)
    if body["type"] in {"market", "limit"}:
        return ("day", "gtc", "ioc", "fok", "opg", "cls")
    return ("day", "gtc")


@st.composite
def families(draw: st.DrawFn) -> dict[str, Any]:
    """The body of a bracket, an OTO or an OCO, its exits on the right sides of 100."""
    order_class = draw(st.sampled_from(("bracket", "bracket", "oto", "oco")))
    side = draw(SIDES)
    rising = (side == "buy") is (order_class != "oco")
    target, stop = ("102", "98") if rising else ("98", "102")
    exits: dict[str, Any] = {
        "take_profit": {"limit_price": target},
        "stop_loss": {"stop_price": stop} | draw(st.sampled_from(({}, {"limit_price": stop}))),
    }
    if order_class == "oto":
        exits.pop(draw(st.sampled_from(sorted(exits))))
    entry: dict[str, Any] = {"type": "limit"}
    if order_class != "oco":
        entry = draw(st.sampled_from(({"type": "market"}, {"type": "limit", "limit_price": "100"})))
    return {
        "symbol": "KO",
        "side": side,
        "qty": draw(WHOLE),
        "order_class": order_class,
        "time_in_force": draw(st.sampled_from(("day", "gtc"))),
        **entry,
        **exits,
    }


class EngineMachine(RuleBasedStateMachine):
    """Every rule is one thing that can happen; hypothesis shrinks what breaks an invariant."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World
        self.books = Books(CASH)
        self._heard = 0

    @initialize(
        session=st.sampled_from(("always", "nyse")),
        partial=st.sampled_from((0.0, 0.5)),
        delay=st.sampled_from((0, 250)),
        change=st.sampled_from((0, 0, 300)),
        liquidity=st.sampled_from(("unlimited", "unlimited", "displayed")),
        closed_ioc=st.sampled_from(("cancel", "refuse")),
        start=st.sampled_from((NOON, datetime(2026, 11, 27, 17, 59, tzinfo=UTC))),
    )
    def begin(
        self,
        session: str,
        partial: float,
        delay: int,
        change: int,
        liquidity: str,
        closed_ioc: str,
        start: datetime,
    ) -> None:
        """An exchange of any settings: at noon, or a minute before an early close."""
        options = Settings(
            seed=3,
            cash=CASH,
            session=session,
            partial_fill_rate=partial,
            fill_delay_ms=delay,
            cancel_delay_ms=change,
            liquidity=liquidity,
            closed_ioc=closed_ioc,
        )
        self.world = World(options, start)
        self.account = self.world.account

    # --- what can happen ------------------------------------------------------------------------

    def _try(self, call: Any) -> None:
        """Do something that may be refused; a refusal changes nothing."""
        before = self._figures()
        try:
            call()
        except ApiError as refusal:
            assert refusal.status in {403, 404, 422}
            assert self._figures() == before, f"refused, and yet: {refusal.body}"

    def _figures(self) -> tuple[object, ...]:
        account = self.account
        return (
            account.cash,
            account.reserved,
            {one.asset.symbol: one.qty for one in account.positions.values()},
            [(order.id, order.status) for order in list(account.orders)],
            len(self.world.told),
        )

    @rule(body=bodies() | families())
    def submit(self, body: dict[str, Any]) -> None:
        """An order."""
        self._try(lambda: self.world.send(**body))

    @rule(symbol=st.sampled_from(SYMBOLS), dollars=st.booleans())
    def close(self, symbol: str, dollars: bool) -> None:
        """An order for just what is held, as a quantity or for what that is worth."""
        held = self.world.qty(symbol)
        if not held:
            return
        price = self.world.market.quote(symbol, self.world.clock.ns)
        worth = cents(abs(held) * (price.bid if held > 0 else price.ask))
        body = {
            "symbol": symbol,
            "side": "sell" if held > 0 else "buy",
            "time_in_force": "gtc" if symbol == "BTC/USD" else "day",
            "qty": None if dollars else str(abs(held)),
            "notional": str(worth) if dollars else None,
        }
        self._try(lambda: self.world.send(**body))

    def _order(self, number: int) -> Any:
        """One of the newest open orders, or of all when none is open."""
        found = list(self.account.open_orders.values()) or list(self.account.orders)
        return found[-1 - number % len(found)]

    @precondition(lambda self: list(self.account.orders))
    @rule(
        number=st.integers(0, 5),
        changes=st.fixed_dictionaries(
            {},
            optional={"qty": WHOLE, "limit_price": PRICES, "stop_price": PRICES, "trail": PRICES},
        ),
    )
    def replace(self, number: int, changes: dict[str, str]) -> None:
        """A replacement, of an open order or one that has ended."""
        order = self._order(number)
        if order.limit_price is None:
            changes.pop("limit_price", None)
        if order.stop_price is None or order.type == "trailing_stop":
            changes.pop("stop_price", None)
        if order.type != "trailing_stop":
            changes.pop("trail", None)
        self._try(lambda: self.world.replace(order, **changes))

    @precondition(lambda self: list(self.account.orders))
    @rule(number=st.integers(0, 5))
    def cancel(self, number: int) -> None:
        """A cancel, of an open order or one that has ended."""
        self._try(lambda: self.world.engine.cancel(self.account, self._order(number)))

    @rule(symbol=st.sampled_from(SYMBOLS), price=PRICES)
    def set_price(self, symbol: str, price: str) -> None:
        """The market moves, and the engine looks."""
        self.world.price(price, symbol)
        self.world.engine.tick()

    @rule(seconds=st.sampled_from((0.1, 0.25, 1, 61, 3600, 5 * 3600, 86_400, 3 * 86_400)))
    def wait(self, seconds: float) -> None:
        """Time passes, in one step or in those the engine asks for."""
        until = self.world.clock.ns + round(seconds * SECOND)
        while self.world.clock.ns < until:
            pause = self.world.engine.tick()
            rest = until - self.world.clock.ns
            # Between ticks nothing happens while prices are held: leap over all but the last.
            step = rest if pause is None or pause == TICK_NS else min(max(pause, 1), rest)
            self.world.clock.ns += step
        self.world.engine.tick()

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        """The events first: the books that the rest is compared with are made of them."""
        if not hasattr(self, "world"):
            return
        self.events_follow_each_other()
        self.cash_and_positions_are_conserved()
        self.holds_are_those_of_open_orders()
        self.no_more_is_held_than_is_there()
        self.orders_are_where_their_status_says()
        self.legs_are_live_only_with_a_position()

    def events_follow_each_other(self) -> None:
        """Every event is one that may follow; executions are within limits and quantities."""
        for told in self.world.told[self._heard :]:
            self.books.take(told)
            if told["event"] in {"fill", "partial_fill"}:
                self._check_hours(told)
        self._heard = len(self.world.told)

    def _check_hours(self, told: dict[str, Any]) -> None:
        """Equities trade in the core session, and before and after it if the order says so."""
        order = told["order"]
        phase = self.world.exchange.hours.phase(parse_time(told["timestamp"]))
        extended = order["extended_hours"] and phase is Phase.EXTENDED
        assert order["asset_class"] == "crypto" or phase is Phase.CORE or extended

    def cash_and_positions_are_conserved(self) -> None:
        """Cash is what it was less what was bought; positions are the sum of the executions."""
        assert self.account.cash == self.books.cash
        held = {one.asset.symbol: one.qty for one in self.account.positions.values()}
        assert held == {symbol: qty for symbol, qty in self.books.positions.items() if qty}

    def holds_are_those_of_open_orders(self) -> None:
        """Buying power is held by open orders only, never less than nothing."""
        account = self.account
        assert account.reserved == sum((one.reserved for one in list(account.orders)), Decimal(0))
        for order in list(account.orders):
            assert order.reserved >= 0
            assert order.is_open or order.reserved == 0

    def no_more_is_held_than_is_there(self) -> None:
        """Orders that close a position never claim more of it than there is."""
        for symbol in SYMBOLS:
            asset = self.world.exchange.assets.find(symbol)
            assert asset is not None
            assert self.account.held_qty(asset) <= abs(self.account.position_qty(asset))

    def orders_are_where_their_status_says(self) -> None:
        """Open orders are listed as open, and only they; the last event told the status."""
        account = self.account
        # Held legs, and what is to replace an order, are not told of before they are live.
        silent = {
            one.id
            for one in account.open_orders.values()
            if one.status == "held" or one.is_waiting_successor
        }
        assert set(account.open_orders) - silent == self.books.open_orders()
        assert [one.number for one in account.orders] == sorted(
            one.number for one in account.orders
        )
        for order in list(account.orders):
            assert order.is_open == (order.status not in TERMINAL)
            assert order.filled_qty == self.books.filled[order.id]
            told = self._told(order.id)
            # A replacement that came to nothing leaves the order as it was before.
            undone = told == "pending_replace" and order.status in {"new", "partially_filled"}
            assert order.status in {"pending_new", "held", told} or undone

    def _told(self, order_id: str) -> str | None:
        statuses = (
            told["order"]["status"]
            for told in reversed(self.world.told)
            if told["order"]["id"] == order_id
        )
        return next(statuses, None)

    def legs_are_live_only_with_a_position(self) -> None:
        """And together their exits are for no more than it."""
        for order in self.account.open_orders.values():
            if order.parent_id is not None and order.status != "held":
                assert order.claim <= abs(self.account.position_qty(order.asset))

    def teardown(self) -> None:
        """Every order ends when it is canceled or its time is over, and then nothing is held."""
        if not hasattr(self, "world"):
            return
        orders = list(self.account.open_orders.values())
        for order in orders[::2]:
            self._try(lambda order=order: self.world.engine.cancel(self.account, order))
        self.world.clock.advance(LIFE.total_seconds())
        self.world.engine.tick()
        # What the leap has set off takes its time as ever: replacements, delays, cancels.
        for _ in range(4):
            self.world.later(10)
        self.everything_holds()
        assert not self.account.open_orders
        assert self.account.reserved == 0
        assert self.world.engine.tick() is None


# Its own budget: the longer profiles take longer than a test usually may.
@pytest.mark.timeout(0 if "MODEL_PROFILE" in os.environ else 120)
def test_engine_machine() -> None:
    """No sequence of steps breaks what must hold."""
    examples, steps, same = PROFILES[os.environ.get("MODEL_PROFILE", "test")]
    run_state_machine_as_test(
        EngineMachine,
        settings=settings(max_examples=examples, stateful_step_count=steps, derandomize=same),
    )
