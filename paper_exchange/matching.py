"""The matching engine: takes, fills, replaces, cancels and expires orders. No I/O, no waiting.

Everything it does follows from its calls, the injected clock, and the seeds of
market and draws. Whoever owns the event loop calls ``tick`` again after the
pause it returns.
"""

import heapq
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from paper_exchange.accounts import Account, Fill, activity_id
from paper_exchange.admission import CRYPTO_FEE, Situation, Terms, admit
from paper_exchange.assets import Asset
from paper_exchange.clock import MILLISECOND, Clock
from paper_exchange.decimals import ZERO
from paper_exchange.errors import invalid, not_found, unprocessable
from paper_exchange.events import EventSink, Execution, TradeEvent
from paper_exchange.hours import Hours, Phase
from paper_exchange.ids import IdSource
from paper_exchange.market import DAY_NS, Market, Quote
from paper_exchange.orders import IMMEDIATE, Changes, NewOrder, Order
from paper_exchange.replacing import amended
from paper_exchange.triggers import execution_price, watch

#: How often resting orders are compared with the market.
TICK_NS = 100 * MILLISECOND
_GTC_LIFE_NS = 90 * DAY_NS


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The engine's settings."""

    fill_delay_ns: int = 0
    #: Share of executions that at first fill only a part.
    partial_fill_rate: float = 0.0
    #: ``cancel``: IOC and FOK orders are accepted while closed, then canceled; else refused.
    closed_ioc: str = "cancel"


class Engine:
    """All orders of all accounts against one market. Not thread-safe: one thread calls it."""

    def __init__(
        self,
        *,
        market: Market,
        hours: Hours,
        clock: Clock,
        new_id: IdSource,
        draws: Random,
        sink: EventSink,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.market = market
        self.hours = hours
        self.clock = clock
        self.new_id = new_id
        self._draws = draws
        self._sink = sink
        self._behaviour = behaviour or Behaviour()
        self._resting: dict[str, dict[str, tuple[Account, Order]]] = {}
        self._seen: dict[str, Quote] = {}
        self._timers: list[tuple[int, int, Account, Order]] = []
        self._sequence = 0
        self._planned_ns: int | None = None

    # -- orders in ---------------------------------------------------------------------------

    def submit(self, account: Account, new: NewOrder) -> dict[str, object]:
        """Take an order, and fill it if it can be filled at once.

        Returns:
            the order as it was when accepted (``pending_new``, or ``accepted``
            while the market is closed), which is how paper answers; what
            became of it is told by the event stream and by queries.

        Raises:
            ApiError: when it is refused; nothing has changed then.
        """
        now = self.clock.now_ns()
        self._check_unique(account, new.client_order_id)
        trading = self._trading(new.asset, extended=new.extended_hours, now=now)
        if (
            not trading
            and self._behaviour.closed_ioc != "cancel"
            and new.time_in_force in IMMEDIATE
        ):
            raise unprocessable("ioc and fok orders are not accepted while the market is closed")
        account.roll(self.market, now)
        terms = admit(account, new, self._situation(account, new.asset, now))
        order = self._make(account, new, terms, now)
        order.status = "pending_new" if trading else "accepted"
        answer = order.render()
        self._start(account, order, now, trading=trading)
        return answer

    def replace(self, account: Account, order: Order, changes: Changes) -> dict[str, object]:
        """Replace an open order by a changed one.

        The new order is for what is left of the (new) total; executions of
        the old one stay with it.

        Raises:
            ApiError: when the order cannot be replaced; it goes on unchanged then.
        """
        now = self.clock.now_ns()
        new = amended(order, changes, self.new_id)
        self._check_unique(account, new.client_order_id)
        terms = admit(account, new, self._situation(account, new.asset, now, replacing=order))
        self._leave(order)
        order.status = "replaced"
        order.replaced_ns = order.updated_ns = now
        account.retire(order)
        successor = self._make(account, new, terms, now, replaces=order.id)
        order.replaced_by = successor.id
        self._tell("replaced", order, now)
        answer = successor.render()
        self._start(account, successor, now, trading=True)
        return answer

    def cancel(self, account: Account, order: Order) -> None:
        """Cancel an open order; canceling a canceled one again is no error.

        Raises:
            ApiError: 422 when it has ended in another way.
        """
        if order.status == "canceled":
            return
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        self._cancel(account, order, self.clock.now_ns())

    def find(self, account: Account, order_id: str) -> Order:
        """An account's order by its id.

        Raises:
            ApiError: 404 when the account has no such order.
        """
        order = account.orders.get(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    # -- time ----------------------------------------------------------------------------------

    def tick(self) -> int | None:
        """Do what is due; returns the nanoseconds until there is more, None when nothing waits."""
        now = self.clock.now_ns()
        while self._timers and self._timers[0][0] <= now:
            _, _, account, order = heapq.heappop(self._timers)
            if order.is_open:
                self._wake(account, order, now)
        for symbol in list(self._resting):
            quote = self.market.quote(symbol, now)
            if quote is not self._seen.get(symbol):
                self._seen[symbol] = quote
                for account, order in list(self._resting[symbol].values()):
                    self._work(account, order, now)
        self._planned_ns = self._next_ns(now)
        return None if self._planned_ns is None else max(0, self._planned_ns - now)

    def _next_ns(self, now: int) -> int | None:
        while self._timers and not self._timers[0][3].is_open:
            heapq.heappop(self._timers)
        due = self._timers[0][0] if self._timers else None
        if not self._resting:
            return due
        return now + TICK_NS if due is None else min(now + TICK_NS, due)

    def has_news(self) -> bool:
        """Whether ``tick`` is wanted earlier than the last one said; costs next to nothing."""
        planned = self._planned_ns
        if planned is None:
            return bool(self._timers or self._resting)
        return bool(self._timers) and self._timers[0][0] < planned

    def _wake(self, account: Account, order: Order, now: int) -> None:
        """A timer of an open order has run out: its delay, the wait for the bell, or its life."""
        if order.expires_ns is not None and order.expires_ns <= now:
            self._expire(account, order, now)
        elif order.status == "accepted":
            self._open_bell(account, order, now)
        else:
            self._work(account, order, now)

    def _open_bell(self, account: Account, order: Order, now: int) -> None:
        """A queued order enters the market, or is rejected if the open has made it too dear."""
        quote = self.market.quote(order.asset.symbol, now)
        if order.unit_reserve and order.limit_price is None and order.qty is not None:
            account.reserve(order, ZERO)
            cost = quote.ask * order.qty
            if cost > account.buying_power(account.worth(self.market, now)):
                order.status = "rejected"
                order.failed_ns = order.updated_ns = now
                account.retire(order)
                self._tell("rejected", order, now)
                return
            order.unit_reserve = quote.ask
            account.reserve(order, cost)
        self._enter(account, order, now)

    # -- an order's way ------------------------------------------------------------------------

    def _check_unique(self, account: Account, client_order_id: str) -> None:
        if client_order_id in account.by_client_id:
            raise invalid("client_order_id must be unique")

    def _trading(self, asset: Asset, *, extended: bool, now: int) -> bool:
        if asset.crypto:
            return True
        phase = self.hours.phase(now)
        return phase is Phase.CORE or (extended and phase is Phase.EXTENDED)

    def _situation(
        self, account: Account, asset: Asset, now: int, replacing: Order | None = None
    ) -> Situation:
        return Situation(
            quote=self.market.quote(asset.symbol, now),
            market_open=asset.crypto or self.hours.phase(now) is not Phase.CLOSED,
            worth=account.worth(self.market, now),
            replacing=replacing,
        )

    def _make(
        self, account: Account, new: NewOrder, terms: Terms, now: int, replaces: str | None = None
    ) -> Order:
        order = Order(
            id=self.new_id(),
            account_id=account.id,
            asset=new.asset,
            client_order_id=new.client_order_id,
            side=new.side,
            type=new.type,
            time_in_force=new.time_in_force,
            qty=new.qty,
            notional=new.notional,
            limit_price=new.limit_price,
            stop_price=new.stop_price,
            trail_price=new.trail_price,
            trail_percent=new.trail_percent,
            extended_hours=new.extended_hours,
            position_intent=terms.intent,
            submitted_ns=now,
            updated_ns=now,
            expires_ns=self._expiry(new, now),
            replaces=replaces,
            unit_reserve=terms.unit_reserve,
            most_qty=terms.most_qty,
        )
        if new.type == "trailing_stop":
            watch(order, self.market.quote(new.asset.symbol, now))
        account.add(order)
        self._hold(account, order)
        return order

    def _expiry(self, new: NewOrder, now: int) -> int | None:
        if new.time_in_force == "day":
            return self.hours.day_order_end(now, extended=new.extended_hours)
        return now + _GTC_LIFE_NS if new.time_in_force == "gtc" else None

    def _hold(self, account: Account, order: Order) -> None:
        if not order.unit_reserve:
            return
        if order.qty is None:
            account.reserve(order, (order.notional or ZERO) - order.filled_value)
        else:
            account.reserve(order, order.unit_reserve * (order.qty - order.filled_qty))

    def _start(self, account: Account, order: Order, now: int, *, trading: bool) -> None:
        if trading:
            self._enter(account, order, now)
            return
        self._tell("accepted", order, now)
        if order.immediate:
            self._cancel(account, order, now)
            return
        until = self.hours.queue_until(now, extended=order.extended_hours)
        self._set_timer(until, account, order)

    def _enter(self, account: Account, order: Order, now: int) -> None:
        """The order is in the market."""
        order.status = "new"
        order.updated_ns = now
        self._tell("new", order, now)
        if self._behaviour.fill_delay_ns:
            self._set_timer(now + self._behaviour.fill_delay_ns, account, order)
        else:
            self._work(account, order, now)

    def _work(self, account: Account, order: Order, now: int) -> None:
        """Fill the order if the market lets it; otherwise let it rest, or end it."""
        asset = order.asset
        if self._trading(asset, extended=order.extended_hours, now=now):
            quote = self.market.quote(asset.symbol, now)
            watch(order, quote)
            price = None if order.is_stop else execution_price(order, quote)
            if price is not None:
                self._execute(account, order, price, now)
        if not order.is_open:
            return
        if order.immediate:
            self._cancel(account, order, now)
        else:
            self._rest(account, order)

    def _rest(self, account: Account, order: Order) -> None:
        resting = self._resting.setdefault(order.asset.symbol, {})
        if order.id not in resting:
            resting[order.id] = (account, order)
            if order.expires_ns is not None:
                self._set_timer(order.expires_ns, account, order)

    def _leave(self, order: Order) -> None:
        resting = self._resting.get(order.asset.symbol)
        if resting is not None:
            resting.pop(order.id, None)
            if not resting:
                del self._resting[order.asset.symbol]

    def _set_timer(self, due_ns: int, account: Account, order: Order) -> None:
        self._sequence += 1
        heapq.heappush(self._timers, (due_ns, self._sequence, account, order))

    def _first_part(self, order: Order, whole: Decimal) -> Decimal:
        """How much of ``whole`` is filled now: all, or a part when the dice say so."""
        rate = self._behaviour.partial_fill_rate
        splittable = order.qty is not None and whole >= 2 and order.time_in_force != "fok"
        if not splittable or not rate or self._draws.random() >= rate:
            return whole
        return Decimal(self._draws.randint(1, int(whole) - 1))

    def _execute(self, account: Account, order: Order, price: Decimal, now: int) -> None:
        remaining = order.remaining(price)
        qty = self._first_part(order, remaining)
        leaves = remaining - qty
        order.filled_qty += qty
        order.filled_value += qty * price
        order.updated_ns = now
        if leaves:
            order.status = "partially_filled"
            self._hold(account, order)
        else:
            order.status = "filled"
            order.filled_ns = now
            self._leave(order)
            account.retire(order)
        signed = qty if order.side == "buy" else -qty
        fee = CRYPTO_FEE if order.asset.crypto else ZERO
        position = account.book(order.asset, signed, price, fee)
        execution_id = self.new_id()
        account.fills.append(
            Fill(
                id=activity_id(now, execution_id),
                at_ns=now,
                order_id=order.id,
                symbol=order.asset.symbol,
                side=order.side,
                qty=qty,
                price=price,
                cum_qty=order.filled_qty,
                leaves_qty=leaves,
                order_status=order.status,
            )
        )
        event = "partial_fill" if leaves else "fill"
        self._tell(event, order, now, execution_id, Execution(price, qty, position))

    def _cancel(self, account: Account, order: Order, now: int) -> None:
        self._leave(order)
        order.status = "canceled"
        order.cancel_requested_ns = order.canceled_ns = order.updated_ns = now
        account.retire(order)
        self._tell("canceled", order, now)

    def _expire(self, account: Account, order: Order, now: int) -> None:
        self._leave(order)
        order.status = "expired"
        order.expired_ns = order.updated_ns = now
        account.retire(order)
        self._tell("expired", order, now)

    def _tell(
        self,
        event: str,
        order: Order,
        now: int,
        execution_id: str | None = None,
        execution: Execution | None = None,
    ) -> None:
        self._sequence += 1
        self._sink(
            TradeEvent(event, order, now, self._sequence, execution_id or self.new_id(), execution)
        )
