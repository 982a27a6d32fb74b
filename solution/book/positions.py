"""The account as we know it between two answers of the broker.

A snapshot (account and positions) says where things stood when it was taken; fills seen since
move positions on; reservations say what of it is already promised. One mutex guards all three,
held for arithmetic only: never under a network call, and no caller's code that blocks runs in it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from solution.book.audit import Finding, SnapshotAudit
from solution.book.holdings import NEVER, Account, Holding, Holdings, Position
from solution.book.leg_shares import LegShares
from solution.book.reservations import ZERO, Reservation, Reservations
from solution.book.standings import Standings
from solution.book.strategies import StrategyBook
from solution.book.tallies import Sent, Tallies
from solution.clock import Clock
from solution.domain.crypto import MOST_FEE, is_fee, is_pair
from solution.domain.orders import Side

__all__ = ["Account", "Holdings", "Portfolio", "Position", "weights"]

R = TypeVar("R")


class Portfolio:
    """Positions, cash and reservations of one account.

    Args:
        clock: monotonic time; a snapshot and the events around it are ordered by it.
        strategies: those that have a limit of their own.
    """

    def __init__(self, clock: Clock, strategies: Iterable[str] = ()) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._standings = Standings(clock)
        self._reservations = Reservations()
        self._audit = SnapshotAudit()
        self._tallies = Tallies(clock)
        self._strategies = StrategyBook(strategies)
        self._legs = LegShares()
        self._account: Account | None = None
        self._snapshot_at = NEVER
        self._changed_at = NEVER

    # --- snapshots ------------------------------------------------------------------------

    def apply_snapshot(
        self, account: Account, positions: Mapping[str, Position], requested_at: float
    ) -> dict[str, tuple[Decimal, Decimal]]:
        """Take the broker's numbers.

        Args:
            account: amounts.
            positions: by symbol; a symbol that is absent has no position.
            requested_at: monotonic time just before the *first* of the two requests was sent.

        Returns:
            symbol → (ours, broker's) where the two differed although nothing moved meanwhile and
            no order of ours was open in it; told once for the same two numbers.
        """
        with self._mutex:
            if requested_at < self._snapshot_at:
                return {}  # overtaken: a later one is applied already
            self._account = account
            self._snapshot_at = requested_at
            sells = self._reservations.sells_at(requested_at)
            busy = self._reservations.symbols_since(requested_at)
            self._audit.cash(account.cash, busy=bool(busy))
            differing = {}
            for symbol in {*positions, *self._standings}:
                mine = self._standings.of(symbol)
                # A fill seen after the request may or may not be in the answer; keeping ours is
                # exact, because the event carried the broker's own standing.
                if mine.moved_at >= requested_at:
                    continue
                theirs = positions.get(symbol)
                qty = theirs.qty if theirs else ZERO
                late_fee = is_pair(symbol) and is_fee(mine.qty, qty, mine.qty)
                if qty != mine.qty and not mine.uncertain and not late_fee:
                    ours = mine.qty
                    if self._audit.position(symbol, ours, qty, busy=symbol in busy):
                        differing[symbol] = ours, qty
                # An execution learned by poll while the answer was on its way stays in doubt.
                if mine.doubted_at < requested_at:
                    mine.settle()
                self._standings.take_over(mine, theirs, sells.get(symbol, (ZERO, ZERO)))
            self._reservations.snapshot_applied(requested_at)
            return differing

    # --- decisions ------------------------------------------------------------------------

    def reserve(
        self,
        symbol: str,
        decide: Callable[[Holdings], tuple[Reservation, R]],
        *,
        strategy: str = "",
    ) -> R:
        """Decide a size and promise it in one step, so that parallel decisions cannot overlap.

        Args:
            symbol: the asset.
            decide: pure arithmetic, runs under the mutex; returns the reservation and whatever
                the caller wants back. What it raises leaves nothing reserved.
            strategy: whose value the holdings are to tell.
        """
        with self._mutex:
            reservation, result = decide(self._view(symbol, strategy=strategy))
            self._reservations.add(reservation)
            if reservation.opens:
                self._tallies.add(reservation.client_order_id, symbol)
            return result

    def restore(self, reservation: Reservation) -> None:
        """Put back the reservation of an order found in the ledger at start."""
        with self._mutex:
            reservation.maybe_in_snapshot = True
            self._reservations.add(reservation)
            mine = self._standings.find(reservation.symbol)
            sells = reservation.side is Side.SELL and not reservation.opens
            if mine is not None and sells and reservation.accepted_at is not None:
                # The snapshot taken at start did not know yet whose order holds these shares.
                mine.held_elsewhere = max(ZERO, mine.held_elsewhere - reservation.open_qty)

    def restore_counts(
        self, sent: Iterable[Sent], filled: Iterable[tuple[str, str, Decimal]]
    ) -> None:
        """What orders before this process have used up of the limits.

        Args:
            sent: those of today that opened a position, in order of sending.
            filled: strategy, ticker and signed shares of all executions, in their order.
        """
        standing: dict[str, Decimal] = {}
        with self._mutex:
            self._tallies.restore(sent)
            for strategy, symbol, qty in filled:
                before = standing.get(symbol, ZERO)
                self._strategies.filled(strategy, symbol, qty, before)
                standing[symbol] = before + qty

    def view(self, symbol: str) -> Holdings:
        with self._mutex:
            return self._view(symbol)

    def view_beside(self, symbol: str, client_order_id: str) -> Holdings:
        """The same as if this order had reserved nothing."""
        with self._mutex:
            own = self._reservations.get(client_order_id)
            if own is None:
                return self._view(symbol)
            self._reservations.drop(client_order_id)
            try:
                return self._view(symbol, strategy=own.strategy, beside=client_order_id)
            finally:
                self._reservations.add(own)

    def view_freed(self, symbol: str, client_order_ids: Iterable[str]) -> Holdings:
        """As it will be once these orders are cancelled and no order holds shares any more."""
        with self._mutex:
            found = [self._reservations.get(coid) for coid in client_order_ids]
            open_ones = [own for own in found if own is not None and own.ended_at is None]
            for own in open_ones:
                self._reservations.drop(own.client_order_id)
            try:
                return self._view(symbol, all_free=True)
            finally:
                for own in open_ones:
                    self._reservations.add(own)

    def _view(
        self, symbol: str, *, strategy: str = "", beside: str = "", all_free: bool = False
    ) -> Holdings:
        account = self._account
        if account is None:
            raise RuntimeError("no account snapshot has been applied yet")
        held = self._standings.find(symbol) or Holding()
        promised = self._reservations
        power = account.buying_power - promised.buying_power
        if is_pair(symbol):
            power = min(power, account.crypto_power - promised.unsettled)
        free, legs = max(ZERO, held.qty), ZERO
        if not all_free:
            legs = self._legs.of(symbol, held.qty)
            # A snapshot counts legs as another's: the shares of both are the same.
            free -= promised.open_sell_qty(symbol) + max(held.held_elsewhere, legs)
            free -= held.sold_in_doubt + held.masked
        return Holdings(
            equity=account.equity,
            cash=account.cash - promised.cash,
            buying_power=power,
            qty=held.qty,
            available_qty=max(ZERO, free),
            pending_qty=promised.pending_qty(symbol),
            pending_buy_qty=promised.pending_buy_qty(symbol) + held.bought_in_doubt,
            avg_entry=held.avg_entry,
            uncertain=held.uncertain,
            gross=self._standings.gross + promised.opening,
            strategy_value=self._value_of(strategy) if strategy else ZERO,
            tally=self._tallies.of(symbol, beside),
            leg_qty=legs,
        )

    def _value_of(self, strategy: str) -> Decimal:
        held = self._strategies.value(strategy, self._standings.value)
        return held + self._reservations.opening_of(strategy)

    # --- what happens to orders -----------------------------------------------------------

    def accepted(self, client_order_id: str) -> None:
        """The broker has the order."""
        with self._mutex:
            held = self._reservations.get(client_order_id)
            if held is not None:
                self._reservations.accept(held, self._clock.monotonic())

    def filled(
        self,
        client_order_id: str,
        symbol: str,
        signed_qty: Decimal,
        price: Decimal,
        position_qty: Decimal | None,
    ) -> None:
        """Book an execution.

        Args:
            signed_qty: shares just learned of, negative for a sale.
            price: their average price; 0 where nobody said: the reserved price stands in.
            position_qty: the broker's own standing after it (on the stream), or None (by poll).
        """
        now, qty = self._clock.monotonic(), abs(signed_qty)
        with self._mutex:
            self._changed_at = now
            order = self._reservations.get(client_order_id)
            price = self._count_cash(order, symbol, signed_qty, price)
            mine = self._standings.of(symbol)
            coins = is_pair(symbol) and signed_qty > 0
            if coins and position_qty is not None and mine.lacks_fee(signed_qty, position_qty):
                signed_qty, coins = position_qty - mine.qty, False
            before = mine.qty if position_qty is None else position_qty - signed_qty
            self._strategies.filled(order.strategy if order else "", symbol, signed_qty, before)
            fresh = order is not None and not order.maybe_in_snapshot
            if position_qty is not None:
                # Executions of both sides in one snapshot may cancel out and hide its age.
                if not fresh and self._is_pending_against(symbol, signed_qty):
                    mine.doubted_at = now
                self._standings.stand_at(mine, position_qty, signed_qty, price, now)
            elif fresh:
                self._standings.move(mine, signed_qty, price, now)
            else:
                # Learned by poll, after a snapshot that may contain it already.
                mine.doubted_at = now
                mine.sold_in_doubt += max(ZERO, -signed_qty)
                mine.bought_in_doubt += max(ZERO, signed_qty)
                self._standings.revalue(mine, price)
            if coins:
                # Less the fee, which nobody has told yet: as much may not be there to sell.
                mine.doubted_at = now
                mine.sold_in_doubt += qty * MOST_FEE
            if order is not None:
                if mine.doubted_at == now:
                    self._unmask(mine, order, qty, now)
                self._reservations.fill(order, qty, price, now)

    def _count_cash(
        self, order: Reservation | None, symbol: str, signed_qty: Decimal, price: Decimal
    ) -> Decimal:
        """What the execution does to our own count of the cash; returns the price to book it at."""
        if price > 0 and order is not None:
            money = signed_qty * price
            # The fee on a sale of coins is kept from the money.
            fee = MOST_FEE * -money if is_pair(symbol) and money < 0 else ZERO
            self._audit.spent(money, fee)
        else:
            self._audit.lost_count()
        return order.price if price <= 0 and order is not None else price

    def held_by_legs(self, symbol: str, bracket: str, signed_qty: Decimal) -> None:
        """What the legs of one bracket hold by now, negative of a short; 0: nothing any more."""
        with self._mutex:
            self._legs.hold(symbol, bracket, signed_qty)

    def moved_elsewhere(self, symbol: str, position_qty: Decimal) -> None:
        """An execution that no order of ours made (a bracket's leg, a sale by hand).

        Its standing is taken over at once, in doubt until a snapshot confirms it: otherwise the
        next bare sell would sell what is gone, which opens a short.
        """
        now = self._clock.monotonic()
        with self._mutex:
            self._changed_at = now
            self._audit.lost_count()
            mine = self._standings.of(symbol)
            mine.doubted_at = now  # first: so it cannot make more available than we knew of
            self._standings.stand_at(mine, position_qty, ZERO, mine.avg_entry, now)

    def taken_back(self, symbol: str, signed_qty: Decimal, position_qty: Decimal | None) -> None:
        """An execution was busted or corrected: in doubt until a snapshot, with its cash.

        Args:
            signed_qty: what the correction does to the position.
            position_qty: the broker's own standing after it, or None.
        """
        now = self._clock.monotonic()
        with self._mutex:
            self._changed_at = now
            self._audit.lost_count()
            mine = self._standings.of(symbol)
            mine.doubted_at = now
            after = mine.qty + signed_qty if position_qty is None else position_qty
            self._standings.stand_at(mine, after, signed_qty, mine.avg_entry, now)

    def _is_pending_against(self, symbol: str, signed_qty: Decimal) -> bool:
        buys = self._reservations.pending_buy_qty(symbol)
        return bool(buys - self._reservations.pending_qty(symbol) if signed_qty > 0 else buys)

    def ended(self, client_order_id: str) -> None:
        """The order is at its end; its remainder is free again."""
        now = self._clock.monotonic()
        with self._mutex:
            self._changed_at = now
            order = self._reservations.get(client_order_id)
            if order is not None:
                mine = self._standings.of(order.symbol)
                self._unmask(mine, order, order.open_qty, now)
                self._reservations.end(order, now)

    def _unmask(self, mine: Holding, order: Reservation, qty: Decimal, now: float) -> None:
        """A sale of ours holds ``qty`` shares less. If it already did when the broker answered,
        what was held then was another's, and is not free now.
        """
        if not order.maybe_in_snapshot or order.opens or order.side is not Side.SELL:
            return
        mine.mask(qty, now)

    def released(self, client_order_id: str, *, sent: bool = True) -> None:
        """The order provably does not exist; ``sent``: it was asked for, and counts as one."""
        with self._mutex:
            own = self._reservations.get(client_order_id)
            self._reservations.drop(client_order_id)
            if own is not None and not sent:
                self._tallies.drop(client_order_id, own.symbol)

    def covers(self, client_order_id: str) -> bool:
        """Whether a reduction that was sized before can still be sent as it is.

        After a crash its reservation is put back beside others that were made meanwhile; sent all
        the same, it would sell shares that are gone and open a short. Orders that open exposure,
        and those without a reservation, are not this question's business.
        """
        with self._mutex:
            order = self._reservations.get(client_order_id)
            if order is None or order.opens:
                return True
            held = self._standings.find(order.symbol) or Holding()
            legs = self._legs.of(order.symbol, held.qty)
            if order.side is Side.BUY:
                return -held.qty - legs >= self._reservations.pending_buy_qty(order.symbol)
            promised = self._reservations.open_sell_qty(order.symbol)
            promised += max(held.held_elsewhere, legs)
            return held.qty - held.sold_in_doubt >= promised

    # --- for status and schedules ----------------------------------------------------------

    def is_uncertain(self, symbol: str) -> bool:
        """A fill may or may not be in our number already: ask the broker before deciding."""
        with self._mutex:
            mine = self._standings.find(symbol)
            return mine is not None and mine.uncertain

    def stale_since(self) -> float | None:
        """Monotonic time of the newest movement that no snapshot contains, or None."""
        with self._mutex:
            return self._changed_at if self._changed_at >= self._snapshot_at else None

    def drain_findings(self) -> tuple[list[Finding], set[str]]:
        """Corrections made by snapshots since the last call, and symbols whose orders to ask for.

        The latter differed while an order of ours was open in them, so that a fill that we missed
        may be the reason.
        """
        with self._mutex:
            return self._audit.drain()

    @property
    def snapshot_at(self) -> float:
        return self._snapshot_at

    def account(self) -> Account | None:
        return self._account

    def quantities(self) -> dict[str, Decimal]:
        """Signed shares by symbol, zero positions left out."""
        with self._mutex:
            return {symbol: mine.qty for symbol, mine in self._standings.held()}

    def entries(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Signed shares and average entry price by symbol."""
        with self._mutex:
            return {s: (mine.qty, mine.avg_entry) for s, mine in self._standings.held()}

    def reserved(self) -> tuple[int, Decimal]:
        """How many reservations stand, and the buying power they hold."""
        with self._mutex:
            return len(self._reservations), max(ZERO, self._reservations.buying_power)


def weights(values: Mapping[str, Decimal], cash: Decimal) -> dict[str, Decimal]:
    """Asset weights w_i = value_i / (Σ value + cash); all zero when the sum is not positive."""
    total = sum(values.values(), ZERO) + cash
    if total <= 0:
        return dict.fromkeys(values, ZERO)
    return {symbol: value / total for symbol, value in values.items()}
