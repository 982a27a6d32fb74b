"""What happens to an order in the market: it trades, rests, and reaches one end. No I/O."""

from decimal import Decimal

from paper_exchange.assets import Asset
from paper_exchange.books.accounts import Account
from paper_exchange.books.fills import Fill, activity_id
from paper_exchange.decimals import ZERO
from paper_exchange.engine.admission import CRYPTO_FEE
from paper_exchange.engine.conduct import Conduct
from paper_exchange.engine.events import EventSink, Execution, TradeEvent
from paper_exchange.engine.families import relatives
from paper_exchange.engine.liquidity import Liquidity
from paper_exchange.engine.triggers import execution_price, watch
from paper_exchange.engine.waiting import Waiting
from paper_exchange.hours import Hours, Phase
from paper_exchange.ids import IdSource
from paper_exchange.orders import Order
from paper_exchange.prices.market import Market, Quote


class Floor:
    """Fills and ends orders, and tells of it."""

    def __init__(
        self,
        *,
        market: Market,
        hours: Hours,
        new_id: IdSource,
        liquidity: Liquidity,
        conduct: Conduct,
        sink: EventSink,
        fill_delay_ns: int = 0,
    ) -> None:
        self.market = market
        self.hours = hours
        self.waiting = Waiting()
        self.conduct = conduct
        self.sink = sink
        self._new_id = new_id
        self._liquidity = liquidity
        self.fill_delay_ns = fill_delay_ns
        self.sequence = 0

    def is_trading(self, asset: Asset, *, extended: bool, now: int) -> bool:
        """Whether an order for the asset can trade now; crypto always can."""
        if asset.crypto:
            return True
        phase = self.hours.phase(now)
        return phase is Phase.CORE or (extended and phase is Phase.EXTENDED)

    # -- into the market -----------------------------------------------------------------------

    def enter(self, account: Account, order: Order, now: int) -> None:
        """The order is in the market, unless the venue rejects it after all."""
        if self.conduct.rejects(order):
            self.end(account, order, "rejected", now)
            return
        order.status = "new"
        order.updated_ns = now
        self.tell("new", order, now)
        if self.fill_delay_ns:
            self.waiting.set_timer(now + self.fill_delay_ns, account, order)
        else:
            self.work(account, order, now)
        if order.is_oco:
            # Both ends are live from the start, unless the first has been filled just now.
            for other in relatives(account, order):
                self.enter(account, other, now)

    def work(self, account: Account, order: Order, now: int) -> None:
        """Fill the order if the market lets it; otherwise let it rest, or end it."""
        asset = order.asset
        if self.is_trading(asset, extended=order.extended_hours, now=now):
            quote = self.market.quote(asset.symbol, now)
            if watch(order, quote):
                account.touch(order)
            price = None if order.is_stop else execution_price(order, quote)
            if price is not None:
                self._trade(account, order, quote, price, now)
        if not order.is_open:
            return
        if order.immediate:
            self.end(account, order, "canceled", now)
        else:
            self.rest(account, order)

    def rest(self, account: Account, order: Order) -> None:
        """Wait for a price, and for the order's own end."""
        if self.waiting.rest(account, order) and order.expires_ns is not None:
            self.waiting.set_timer(order.expires_ns, account, order)

    def auction(self, account: Account, order: Order, now: int) -> None:
        """All of the order trades at the auction's price, the last one; or it is canceled."""
        order.status = "new"
        self.tell("new", order, now)
        last = self.market.quote(order.asset.symbol, now).last
        limit = order.limit_price
        reached = limit is None or (last <= limit if order.side == "buy" else last >= limit)
        if reached:
            self._execute(account, order, order.remaining(last), last, now)
        else:
            self.end(account, order, "canceled", now)

    # -- executions ----------------------------------------------------------------------------

    def _trade(
        self, account: Account, order: Order, quote: Quote, price: Decimal, now: int
    ) -> None:
        qty = self._liquidity.part(order, quote, order.remaining(price))
        if qty > 0:
            self._execute(account, order, qty, price, now)

    def _execute(
        self, account: Account, order: Order, qty: Decimal, price: Decimal, now: int
    ) -> None:
        leaves = order.remaining(price) - qty
        order.filled_qty += qty
        order.filled_value += qty * price
        order.updated_ns = now
        if leaves:
            if order.status == "new":  # a requested change stays visible
                order.status = "partially_filled"
            self.hold(account, order)
        else:
            order.status = "filled"
            order.filled_ns = now
            self.waiting.leave(order)
            account.retire(order)
        signed = qty if order.side == "buy" else -qty
        fee = CRYPTO_FEE if order.asset.crypto else ZERO
        position = account.book(order.asset, signed, price, fee)
        execution_id = self._new_id()
        account.fills.append(_fill(order, execution_id, qty, price, leaves, now))
        event = "partial_fill" if leaves else "fill"
        self.tell(event, order, now, execution_id, Execution(price, qty, position))
        if order.successor_id is not None:
            self._cut_successor(account, order, qty, now)
        if order.order_class:
            self._tell_family(account, order, qty, now)

    def _tell_family(self, account: Account, order: Order, qty: Decimal, now: int) -> None:
        """A filled entry wakes its legs; an exit takes from its siblings what it got."""
        filled = order.status == "filled"
        for other in relatives(account, order):
            if not other.is_open:
                continue  # ended by a sibling that was filled as it woke
            if order.is_entry:
                if filled:
                    self._wake_leg(account, other, now)
            elif filled:
                self.end(account, other, "canceled", now)
            elif other.replaces != order.id:  # that one has been cut already
                other.qty = max(ZERO, (other.qty or ZERO) - qty)
                other.updated_ns = now
                account.touch(other)

    def _wake_leg(self, account: Account, leg: Order, now: int) -> None:
        """A leg closes no more than is there: part of the entry may have been closed meanwhile."""
        held = abs(account.position_qty(leg.asset))
        free = held - account.held_qty(leg.asset, ignoring_group=leg.claim_group)
        # What the entry got last is free, so something is left.
        leg.qty = min(leg.qty or ZERO, free)
        self.enter(account, leg, now)

    def hold(self, account: Account, order: Order) -> None:
        """Reserve what the open part of the order can still cost."""
        if not order.unit_reserve:
            return
        if order.qty is None:
            account.reserve(order, (order.notional or ZERO) - order.filled_value)
        else:
            account.reserve(order, order.unit_reserve * (order.qty - order.filled_qty))

    # -- ends ----------------------------------------------------------------------------------

    def end(self, account: Account, order: Order, status: str, now: int) -> None:
        """Cancel, expire or reject an open order, and with it what belongs to it."""
        self.leave(account, order, status, now)
        if order.order_class:
            for other in relatives(account, order):
                if other.is_open:
                    both_expire = status == "expired" and other.status != "held"
                    self.end(account, other, "expired" if both_expire else "canceled", now)
        if order.successor_id is not None:
            self._reject_successor(account, order, now)

    def leave(self, account: Account, order: Order, status: str, now: int) -> None:
        """Take an order out of the market for good, and tell."""
        self.waiting.leave(order)
        order.status = status
        order.updated_ns = now
        match status:
            case "canceled":
                order.canceled_ns = now
                order.cancel_requested_ns = order.cancel_requested_ns or now
            case "expired":
                order.expired_ns = now
            case "replaced":
                order.replaced_ns = now
            case _:
                order.failed_ns = now
        account.retire(order)
        self.tell(status, order, now)

    def _cut_successor(self, account: Account, order: Order, qty: Decimal, now: int) -> None:
        """What trades before the replacement takes effect is taken off the new order's part."""
        if not order.is_open:
            self._reject_successor(account, order, now)
            return
        successor = account.find(order.successor_id or "")
        if successor is not None and successor.is_open:
            successor.qty = max(ZERO, (successor.qty or ZERO) - qty)
            successor.updated_ns = now
            account.touch(successor)

    def _reject_successor(self, account: Account, order: Order, now: int) -> None:
        """The order ended before it could be replaced, so what was to replace it has no place."""
        successor = account.find(order.successor_id or "")
        order.successor_id = None
        if successor is not None and successor.is_open:
            self.leave(account, successor, "rejected", now)

    # -- telling -------------------------------------------------------------------------------

    def tell(
        self,
        event: str,
        order: Order,
        now: int,
        execution_id: str | None = None,
        execution: Execution | None = None,
    ) -> None:
        """Hand an event to the sink, with the next number of the running sequence."""
        self.sequence += 1
        self.sink(
            TradeEvent(event, order, now, self.sequence, execution_id or self._new_id(), execution)
        )


def _fill(
    order: Order, execution_id: str, qty: Decimal, price: Decimal, leaves: Decimal, now: int
) -> Fill:
    return Fill(
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
