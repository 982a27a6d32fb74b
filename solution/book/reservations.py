"""What is promised to orders that the last account snapshot does not yet show.

A reservation lives from before the POST until the order is at its end *and* an account snapshot
requested after that end has been applied. Until then its cash or shares cannot be promised twice.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

from solution.domain.orders import Side

ZERO = Decimal(0)


@dataclass(slots=True)
class Reservation:
    """Cash (orders that open exposure) or shares (sells of what is held) promised to one order.

    ``price`` is what one share was reserved at. ``accepted_at`` and ``ended_at`` are monotonic
    seconds: when we learned that the broker has the order, and that it is at its end.
    ``maybe_in_snapshot`` says that a snapshot was applied since it was reserved: the POST was on
    its way then, so the broker's numbers may contain the order, accepted or not as far as we knew.
    ``recent_costs`` are the fills, with the time we learned of them, that no snapshot contains for
    certain.
    """

    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    opens: bool
    strategy: str = ""
    filled_qty: Decimal = ZERO
    filled_cost: Decimal = ZERO
    cost_in_snapshot: Decimal = ZERO
    accepted_at: float | None = None
    ended_at: float | None = None
    maybe_in_snapshot: bool = False
    recent_costs: list[tuple[float, Decimal]] = field(default_factory=list)

    @property
    def open_qty(self) -> Decimal:
        """Shares that may still trade."""
        return ZERO if self.ended_at is not None else self.unfilled_qty

    @property
    def unfilled_qty(self) -> Decimal:
        """Never negative: an order that was enlarged at the broker fills beyond what we sent."""
        return max(ZERO, self.qty - self.filled_qty)

    def in_snapshot(self, requested_at: float) -> bool:
        """A snapshot asked for after acceptance already contains the order, for certain."""
        return self.accepted_at is not None and self.accepted_at < requested_at

    def charges(self, requested_at: float) -> tuple[Decimal, Decimal]:
        """What to subtract from the snapshot's (buying power, cash).

        The broker's buying power falls when it accepts an order that opens exposure, its cash only
        with the fill of any buy. A sale's proceeds are credited at once where the snapshot cannot
        contain them; where it may, they wait for the next one, since crediting them twice would
        spend money twice.
        """
        if self.side is Side.SELL and not self.opens:
            proceeds = ZERO if self.maybe_in_snapshot else self.filled_cost
            return -proceeds, -proceeds
        cost = self.open_qty * self.price + self.filled_cost
        power = cost if self.opens and not self.in_snapshot(requested_at) else ZERO
        cash = cost - self.cost_in_snapshot if self.side is Side.BUY else ZERO
        return power, cash


class Reservations:
    """All of them, by client_order_id, with running totals.

    Not locked: the portfolio's mutex guards it. Totals are kept, not summed on demand: at full
    speed thousands of ended orders wait for the next snapshot.
    """

    def __init__(self) -> None:
        self._held: dict[str, Reservation] = {}
        self._open_by_symbol: dict[str, dict[str, Reservation]] = {}
        self._charged: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
        self._snapshot_at = float("-inf")
        self.buying_power = ZERO
        self.cash = ZERO
        self.opening = ZERO
        """What open orders may still add to positions, at their reserved prices."""
        self._opening_of: dict[str, Decimal] = {}
        self.unsettled = ZERO
        """Of the buying power, what orders that open are charged: proceeds of sales not credited,
        since what is bought without margin may not be paid with them at once."""

    def __len__(self) -> int:
        return len(self._held)

    def get(self, client_order_id: str) -> Reservation | None:
        return self._held.get(client_order_id)

    def add(self, reservation: Reservation) -> None:
        coid = reservation.client_order_id
        self._held[coid] = reservation
        self._open_by_symbol.setdefault(reservation.symbol, {})[coid] = reservation
        self._charge(reservation)

    def drop(self, client_order_id: str) -> None:
        """Give everything back: the order provably does not exist."""
        gone = self._held.pop(client_order_id, None)
        if gone is not None:
            self._uncharge(gone)
            self._close(gone)

    def accept(self, reservation: Reservation, at: float) -> None:
        if reservation.accepted_at is None:
            reservation.accepted_at = at

    def fill(self, reservation: Reservation, qty: Decimal, price: Decimal, at: float) -> None:
        """Book ``qty`` more shares at ``price`` each, learned of at ``at``."""
        reservation.filled_qty += qty
        reservation.filled_cost += qty * price
        reservation.recent_costs.append((at, qty * price))
        self._charge(reservation)

    def end(self, reservation: Reservation, at: float) -> None:
        """The order is at its end; what it cost stays charged until a later snapshot."""
        if reservation.ended_at is None:
            reservation.ended_at = at
            self._close(reservation)
            self._charge(reservation)

    def snapshot_applied(self, requested_at: float) -> None:
        """Forget what the snapshot contains, and charge the rest against it."""
        self._snapshot_at = requested_at
        for coid, held in list(self._held.items()):
            if held.ended_at is not None and held.ended_at < requested_at:
                del self._held[coid]
        self.buying_power = self.cash = self.opening = self.unsettled = ZERO
        self._charged.clear()
        self._opening_of.clear()
        for held in self._held.values():
            held.maybe_in_snapshot = True
            # Of what was learned while the snapshot was on its way, it may contain nothing.
            known = sum((cost for at, cost in held.recent_costs if at < requested_at), ZERO)
            held.cost_in_snapshot += known
            held.recent_costs = [c for c in held.recent_costs if c[0] >= requested_at]
            self._charge(held)

    def symbols_since(self, requested_at: float) -> set[str]:
        """Symbols in which an order was reserved, unresolved or open at any time since then."""
        return {
            held.symbol
            for held in self._held.values()
            if held.ended_at is None or held.ended_at >= requested_at
        }

    def sells_at(self, requested_at: float) -> dict[str, tuple[Decimal, Decimal]]:
        """Shares that sells of ours held at the broker when it answered, by symbol.

        Returns:
            symbol → (certainly, possibly besides: on their way then, or at their end since).
        """
        found: dict[str, tuple[Decimal, Decimal]] = {}
        for held in self._held.values():
            if _sells_held(held) and (held.ended_at is None or held.ended_at >= requested_at):
                surely, maybe = found.get(held.symbol, (ZERO, ZERO))
                if held.in_snapshot(requested_at) and held.ended_at is None:
                    surely += held.unfilled_qty
                else:
                    maybe += held.unfilled_qty
                found[held.symbol] = surely, maybe
        return found

    def open_sell_qty(self, symbol: str) -> Decimal:
        """Held shares promised to sells of ours that may still trade."""
        found = self._open(symbol)
        return sum((r.open_qty for r in found if _sells_held(r)), ZERO) if found else ZERO

    def pending_qty(self, symbol: str) -> Decimal:
        """Signed shares that open, unknown and reserved orders may still add."""
        found = self._open(symbol)
        return sum((_signed(r) for r in found), ZERO) if found else ZERO

    def pending_buy_qty(self, symbol: str) -> Decimal:
        """Shares that buys may still add."""
        found = self._open(symbol)
        return sum((r.open_qty for r in found if r.side is Side.BUY), ZERO) if found else ZERO

    def _open(self, symbol: str) -> Collection[Reservation]:
        """Mostly none: every decision asks three times, and adding up nothing takes 1 µs each."""
        found = self._open_by_symbol.get(symbol)
        return found.values() if found else ()

    def opening_of(self, strategy: str) -> Decimal:
        """The part of :attr:`opening` that is a strategy's."""
        return self._opening_of.get(strategy, ZERO)

    def _charge(self, held: Reservation) -> None:
        self._uncharge(held)
        power, cash = held.charges(self._snapshot_at)
        opening = held.open_qty * held.price if held.opens else ZERO
        self._charged[held.client_order_id] = power, cash, opening
        self._add(held, power, cash, opening)

    def _uncharge(self, held: Reservation) -> None:
        charged = self._charged.pop(held.client_order_id, None)
        if charged is not None:
            power, cash, opening = charged
            self._add(held, -power, -cash, -opening)

    def _add(self, held: Reservation, power: Decimal, cash: Decimal, opening: Decimal) -> None:
        self.buying_power += power
        self.cash += cash
        if held.opens:
            self.unsettled += power
        if opening:
            self.opening += opening
            if held.strategy:
                mine = self._opening_of.get(held.strategy, ZERO) + opening
                self._opening_of[held.strategy] = mine

    def _close(self, held: Reservation) -> None:
        of_symbol = self._open_by_symbol.get(held.symbol, {})
        of_symbol.pop(held.client_order_id, None)
        if not of_symbol:
            self._open_by_symbol.pop(held.symbol, None)


def _sells_held(reservation: Reservation) -> bool:
    return reservation.side is Side.SELL and not reservation.opens


def _signed(reservation: Reservation) -> Decimal:
    return reservation.open_qty if reservation.side is Side.BUY else -reservation.open_qty
