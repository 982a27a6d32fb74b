"""The matching engine: takes, replaces and cancels orders, and gives them time. No I/O, no waiting.

Everything it does follows from its calls, the injected clock, and the seeds of
market and draws. Whoever owns the event loop calls ``tick`` again after the
pause it returns. What happens to an order in the market is ``floor.Floor``'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from paper_exchange.assets import Asset
from paper_exchange.books.accounts import Account
from paper_exchange.clock import Clock
from paper_exchange.decimals import ZERO
from paper_exchange.engine.admission import Situation, Terms, admit
from paper_exchange.engine.conduct import Conduct, GoodConduct
from paper_exchange.engine.events import EventSink
from paper_exchange.engine.families import make_legs
from paper_exchange.engine.floor import Floor
from paper_exchange.engine.liquidity import make_liquidity
from paper_exchange.engine.pending import Pending
from paper_exchange.engine.replacing import amended
from paper_exchange.engine.triggers import watch
from paper_exchange.errors import invalid, not_found, unprocessable
from paper_exchange.hours import Hours, Phase, gtc_end
from paper_exchange.ids import IdSource
from paper_exchange.orders import AUCTION, IMMEDIATE, Changes, NewOrder, Order
from paper_exchange.prices.market import TICK_NS, Market, Quote

_HOW = {"opg": "09:28 and 19:00 in New York", "cls": "ten minutes before the close and 19:00"}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The engine's settings."""

    fill_delay_ns: int = 0
    #: How long cancels and replacements of orders in the market are pending.
    cancel_delay_ns: int = 0
    #: ``unlimited`` or ``displayed``: whether a quote's size limits what trades at it.
    liquidity: str = "unlimited"
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
        behaviour = behaviour or Behaviour()
        self.market = market
        self.hours = hours
        self.clock = clock
        self.new_id = new_id
        self.floor = Floor(
            market=market,
            hours=hours,
            new_id=new_id,
            liquidity=make_liquidity(behaviour.liquidity, draws, behaviour.partial_fill_rate),
            conduct=GoodConduct(behaviour.cancel_delay_ns),
            sink=sink,
            fill_delay_ns=behaviour.fill_delay_ns,
        )
        self._waiting = self.floor.waiting
        self._pending = Pending(self.floor)
        self._refuse_closed_ioc = behaviour.closed_ioc != "cancel"
        self._seen: dict[str, Quote] = {}
        self._planned_ns: int | None = None

    @property
    def conduct(self) -> Conduct:
        """How the venue treats orders beyond the rules."""
        return self.floor.conduct

    @conduct.setter
    def conduct(self, conduct: Conduct) -> None:
        self.floor.conduct = conduct

    # -- orders in -----------------------------------------------------------------------------

    def submit(self, account: Account, new: NewOrder) -> dict[str, object]:
        """Take an order, and fill it if it can be filled at once.

        Returns:
            the order as it was when accepted (``pending_new``, or ``accepted``
            while it waits for a bell), which is how paper answers; what
            became of it is told by the event stream and by queries.

        Raises:
            ApiError: when it is refused; nothing has changed then.
        """
        now = self.clock.now_ns()
        self._check_unique(account, new.client_order_id)
        bell = self._bell(new, now)
        account.roll(self.market, now)
        terms = admit(account, new, self._situation(account, new.asset, now))
        order = self._make(account, new, terms, now)
        legs = make_legs(order, new.exits, self.new_id) if new.exits is not None else []
        order.status = "pending_new" if bell is None else "accepted"
        account.add(order)
        for leg in legs:
            account.add(leg)
        self.floor.hold(account, order)
        answer = order.render(legs)
        if bell is None:
            self.floor.enter(account, order, now)
        else:
            self._queue(account, order, bell, now)
        return answer

    def replace(self, account: Account, order: Order, changes: Changes) -> dict[str, object]:
        """Replace an open order by a changed one, now or after the venue's delay.

        The new order is for what is left of the (new) total; executions of
        the old one stay with it. When the old one ends before the delay is
        over, the new one is rejected.

        Raises:
            ApiError: when the order cannot be replaced; it goes on unchanged then.
        """
        now = self.clock.now_ns()
        new = amended(order, changes, self.new_id)
        self._check_unique(account, new.client_order_id)
        if order.claim_group is None:
            terms = admit(account, new, self._situation(account, new.asset, now, replacing=order))
        else:
            # An exit of the same size for the same position: nothing new to admit.
            terms = Terms(order.position_intent, ZERO)
        successor = self._make(account, new, terms, now, replaces=order.id)
        successor.parent_id = order.parent_id
        account.add(successor)
        order.successor_id = successor.id
        answer = successor.render()
        # A held leg is not in the market: nothing has to be undone there.
        delay = 0 if order.status == "held" else self.conduct.cancel_delay_ns(order)
        if delay == 0:
            self._pending.put_in_place(account, order, successor, now)
        else:
            cost = successor.unit_reserve * (successor.qty or ZERO)
            account.reserve(successor, max(ZERO, cost - order.reserved))
            self._pending.ask(account, order, "pending_replace", delay, now)
        return answer

    def cancel(self, account: Account, order: Order) -> None:
        """Cancel an open order, now or after the venue's delay; a second time is no error.

        Raises:
            ApiError: 422 when it has ended in another way, or is being replaced.
        """
        if order.status in {"canceled", "pending_cancel"}:
            return
        if not order.is_open or order.status == "pending_replace":
            raise unprocessable(f'order is already in "{order.status}" state')
        now = self.clock.now_ns()
        self._pending.cancel(account, order, now)

    def release_cancels(self, accounts: Iterable[Account]) -> int:
        """Let every stuck cancel and replacement take effect; returns how many there were."""
        return self._pending.release(accounts, self.clock.now_ns())

    def find(self, account: Account, order_id: str) -> Order:
        """An account's order by its id.

        Raises:
            ApiError: 404 when the account has no such order.
        """
        order = account.find(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    # -- over a restart ------------------------------------------------------------------------

    @property
    def sequence(self) -> int:
        """The number given last to an event; events after a restart must go on from there."""
        return self.floor.sequence

    def resume(self, sequence: int) -> None:
        """Go on from the ``sequence`` of an earlier run."""
        self.floor.sequence = sequence

    def take_back(self, account: Account, order: Order) -> None:
        """An open order of an earlier run goes on: what it waited for is waited for again.

        What became due in between happens at the next tick.
        """
        if order.status == "held" or order.is_waiting_successor:
            return
        due = self._next_bell(order, order.submitted_ns) if order.status == "accepted" else None
        if due is None:
            due = order.updated_ns + self.floor.fill_delay_ns
        self._waiting.set_timer(due, account, order)
        if order.change_due_ns is not None:
            self._waiting.set_timer(order.change_due_ns, account, order)

    # -- time ----------------------------------------------------------------------------------

    def tick(self) -> int | None:
        """Do what is due; returns the nanoseconds until there is more, None when nothing waits."""
        now = self.clock.now_ns()
        for account, order in self._waiting.due(now):
            self._wake(account, order, now)
        for symbol in self._waiting.symbols():
            quote = self.market.quote(symbol, now)
            if quote is not self._seen.get(symbol):
                self._seen[symbol] = quote
                for account, order in self._waiting.resting(symbol):
                    if order.is_open:  # a sibling may have ended it just now
                        self.floor.work(account, order, now)
        self._planned_ns = self._next_ns(now)
        return None if self._planned_ns is None else max(0, self._planned_ns - now)

    def _next_ns(self, now: int) -> int | None:
        """The next timer or, while orders rest, the next tick of the market."""
        due = self._waiting.next_ns()
        if not self._waiting.for_prices:
            return due
        tick = (now // TICK_NS + 1) * TICK_NS
        return tick if due is None else min(tick, due)

    def has_news(self) -> bool:
        """Whether ``tick`` is wanted earlier than the last one said; costs next to nothing."""
        planned = self._planned_ns
        if planned is None:
            return bool(self._waiting)
        due = self._waiting.next_ns()
        return due is not None and due < planned

    def _wake(self, account: Account, order: Order, now: int) -> None:
        """A timer of an open order has run out: a change asked for, its life, a bell, its delay."""
        if order.change_due_ns is not None and order.change_due_ns <= now:
            self._pending.confirm(account, order, now)
        elif order.expires_ns is not None and order.expires_ns <= now:
            self._run_out(account, order, now)
        elif order.status == "accepted":
            self._ring(account, order, now)
        else:
            self.floor.work(account, order, now)

    def _run_out(self, account: Account, order: Order, now: int) -> None:
        """The end of an order's life: GTC orders are canceled then, by the documentation."""
        if order.time_in_force == "gtc" and order.status != "pending_replace":
            if order.status != "pending_cancel":
                self._pending.cancel(account, order, now)
            return
        canceled = order.status == "pending_cancel"
        self.floor.end(account, order, "canceled" if canceled else "expired", now)

    def _ring(self, account: Account, order: Order, now: int) -> None:
        """A queued order enters the market, unless the bell has made it too dear."""
        quote = self.market.quote(order.asset.symbol, now)
        if order.unit_reserve and order.limit_price is None and order.qty is not None:
            account.reserve(order, ZERO)
            cost = quote.ask * order.qty
            if cost > account.buying_power(account.worth(self.market, now)):
                self.floor.end(account, order, "rejected", now)
                return
            order.unit_reserve = quote.ask
            account.reserve(order, cost)
        if order.time_in_force in AUCTION:
            self.floor.auction(account, order, now)
        else:
            self.floor.enter(account, order, now)

    # -- making orders -------------------------------------------------------------------------

    def _check_unique(self, account: Account, client_order_id: str) -> None:
        if client_order_id in account.by_client_id:
            raise invalid("client_order_id must be unique")

    def _bell(self, new: NewOrder, now: int) -> int | None:
        """When an order that cannot trade now may, None when it can now.

        Raises:
            ApiError: 422 when such an order is not taken at this time.
        """
        bell = self._next_bell(new, now)
        if new.time_in_force in AUCTION and bell is None:
            raise unprocessable(
                f"{new.time_in_force} orders are not accepted between {_HOW[new.time_in_force]}"
            )
        if bell is not None and self._refuse_closed_ioc and new.time_in_force in IMMEDIATE:
            raise unprocessable("ioc and fok orders are not accepted while the market is closed")
        return bell

    def _next_bell(self, order: NewOrder | Order, now: int) -> int | None:
        if order.time_in_force in AUCTION:
            return self.hours.auction_ns(order.time_in_force, now)
        if self.floor.is_trading(order.asset, extended=order.extended_hours, now=now):
            return None
        return self.hours.queue_until(now, extended=order.extended_hours)

    def _queue(self, account: Account, order: Order, bell: int, now: int) -> None:
        self.floor.tell("accepted", order, now)
        if order.immediate:
            self.floor.end(account, order, "canceled", now)
        else:
            self._waiting.set_timer(bell, account, order)

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
            order_class=new.order_class,
            most_qty=terms.most_qty,
        )
        if new.type == "trailing_stop":
            watch(order, self.market.quote(new.asset.symbol, now))
        return order

    def _expiry(self, new: NewOrder, now: int) -> int | None:
        if new.time_in_force == "day":
            return self.hours.day_order_end(now, extended=new.extended_hours)
        return gtc_end(now) if new.time_in_force == "gtc" else None
