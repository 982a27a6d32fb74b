"""Where one symbol of the scalper stands, and what follows: a table, without I/O.

The facts are what is held, which of our orders may still live, and whether the day is closing. The
state is read off them (:data:`STATES`) and never stored beside them, so the two cannot disagree;
what a state wants when something happens stands in :data:`WISHES`. Whoever carries a wish out says
so with :meth:`Machine.sent` before the next input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

from signal_generator.executions import Execution
from signal_generator.hosting import OpenOrder

ZERO = Decimal(0)
_NOTHING_LEFT = "NOTHING_TO_SELL"
"""Why the service refuses a liquidation that has found and cancelled all that it could."""


class State(StrEnum):
    """Where a symbol stands."""

    TO_BUY = "TO_BUY"
    BUY_SUBMITTED = "BUY_SUBMITTED"
    TO_SELL = "TO_SELL"
    SELL_SUBMITTED = "SELL_SUBMITTED"
    DONE = "DONE"


class Kind(StrEnum):
    """What an order is for."""

    BUY = "buy"
    SELL = "sell"
    LIQUIDATE = "liquidate"


class Trigger(Enum):
    """What makes a symbol act."""

    CROSS = "the signal to buy"
    ENDED = "an order of ours came to its end"
    TICK = "a bar, or the checkup"


#: First row that fits. Columns: an exit may live, a buy may live, shares are held, the day closes.
STATES: Sequence[tuple[bool | None, bool | None, bool | None, bool | None, State]] = (
    (True, None, None, None, State.SELL_SUBMITTED),
    (None, True, None, None, State.BUY_SUBMITTED),
    (None, None, True, None, State.TO_SELL),
    (None, None, None, True, State.DONE),
    (None, None, None, None, State.TO_BUY),
)

#: What is wanted while the day goes on. All other pairs want nothing: a buy or a sell that may
#: live is waited for, whatever happens.
WISHES: Mapping[tuple[State, Trigger], Kind] = {
    (State.TO_BUY, Trigger.CROSS): Kind.BUY,
    (State.TO_SELL, Trigger.ENDED): Kind.SELL,
    (State.TO_SELL, Trigger.TICK): Kind.SELL,
}

#: And when it closes: out, cancelling what rests; DONE has nothing to get rid of.
CLOSING_WISHES: Mapping[tuple[State, Trigger], Kind] = {
    (State.BUY_SUBMITTED, Trigger.TICK): Kind.LIQUIDATE,
    (State.TO_SELL, Trigger.TICK): Kind.LIQUIDATE,
    (State.SELL_SUBMITTED, Trigger.TICK): Kind.LIQUIDATE,
}


@dataclass(slots=True)
class Order:
    """One of our orders that may live.

    Args:
        filled: of it, and counted in what is held.
        order_id: the broker's, once known.
        adopted: found at the broker and asked for there; no signal of this state explains it.
        doubtful: nobody found it at the broker, and it may still arrive.
        blurred: what was held was counted by the broker while it lived, so its fills may be
            counted twice: at its end the broker is asked again.
        foreign: the service has liquidated and this order is still there, so it is not one that
            the service may cancel.
    """

    kind: Kind
    qty: Decimal
    filled: Decimal = ZERO
    order_id: str = ""
    adopted: bool = False
    doubtful: bool = False
    blurred: bool = False
    foreign: bool = False


@dataclass(slots=True)
class Machine:
    """One symbol.

    Args:
        held: shares, never negative: a short position is not the scalper's.
        entry: what one of them cost.
        orders: by signal id, or by the broker's order id where adopted.
        closing: the day's liquidation has begun.
        recount: what is held has to be asked of the broker before anything is bought or sold.
        short: the account is short of it, which is not the scalper's doing nor its business.
    """

    held: Decimal = ZERO
    entry: Decimal = ZERO
    orders: dict[str, Order] = field(default_factory=dict)
    closing: bool = False
    recount: bool = False
    short: bool = False

    # --- what it says ---------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The first row of the table that fits the facts."""
        kinds = {order.kind for order in self.orders.values()}
        facts = (bool(kinds - {Kind.BUY}), Kind.BUY in kinds, self.held > 0, self.closing)
        for *wanted, state in STATES:
            if all(w is None or w is f for w, f in zip(wanted, facts, strict=True)):
                return state
        raise AssertionError("the last row fits everything")

    def wish(self, trigger: Trigger) -> Kind | None:
        """What is wanted now; None is to wait."""
        if not self.closing:
            kind = WISHES.get((self.state, trigger))
            # Never more than is held: with a doubt about that, the count comes first. And a buy
            # on top of a short position would be its cover.
            return None if self.recount or (kind is Kind.BUY and self.short) else kind
        if any(order.kind is Kind.LIQUIDATE for order in self.orders.values()):
            return None
        # There is nothing to sell, and nothing that a liquidation would cancel.
        if self.out:
            return None
        return CLOSING_WISHES.get((self.state, trigger))

    @property
    def out(self) -> bool:
        """Nothing is held, and no order of the scalper's own may change that."""
        return not self.held and all(order.foreign for order in self.orders.values())

    @property
    def flat(self) -> bool:
        """Nothing is held and no order may change that."""
        return not self.held and not self.orders

    # --- what it is told ------------------------------------------------------------------

    def sent(self, signal_id: str, kind: Kind, qty: Decimal) -> None:
        """A signal goes out under this id."""
        self.orders[signal_id] = Order(kind, qty)

    def told(self, update: Execution) -> Kind | None:
        """Take in what became of an order; says what that was for, if this was its end."""
        key = update.signal_id if update.signal_id in self.orders else update.order_id
        order = self.orders.get(key)
        if order is None:
            # Of an order that had ended, a correction: our count may be wrong by it.
            self.recount |= bool(update.filled_qty)
            return None
        self._count(order, update)
        order.order_id = update.order_id or order.order_id
        order.doubtful = update.event == "expired_unconfirmed"
        if not update.final:
            return None
        del self.orders[key]
        if order.kind is Kind.LIQUIDATE and (order.filled or update.reason == _NOTHING_LEFT):
            for other in self.orders.values():
                other.foreign = other.adopted
        # A refused exit may mean that there is less than we believe.
        self.recount |= order.blurred or (order.kind is not Kind.BUY and not order.filled)
        return order.kind

    def close_day(self) -> None:
        """The liquidation's time has come."""
        self.closing = True

    def give_up_doubtful(self) -> list[str]:
        """Forget orders that nobody finds, which the service cancels should they appear."""
        lost = [key for key, order in self.orders.items() if order.doubtful]
        for key in lost:
            del self.orders[key]
        return lost

    # --- what the broker says -------------------------------------------------------------

    def explains(self, held: Decimal, resting: Sequence[OpenOrder]) -> bool:
        """Whether what the broker says can be so by our orders; news of them may be on its way.

        Args:
            held: signed, of the position.
            resting: all open orders of the symbol.
        """
        if self.recount or self.short != (held < 0):
            return False
        if self._strangers(resting) or self._gone(resting):
            return False
        low, high = self._may_be_held()
        return low <= max(held, ZERO) <= high

    def believe(self, held: Decimal, entry: Decimal, resting: Sequence[OpenOrder]) -> list[str]:
        """Take over what the broker says; a sentence for each thing that we had otherwise."""
        self.short = held < 0
        said = [f"the account is {-held} short: nothing is bought"] if self.short else []
        for key in self._gone(resting):
            del self.orders[key]
            said.append(f"the order {key} found at the broker has ended")
        mine = max(held, ZERO)
        low, high = self._may_be_held()
        if not low <= mine <= high:
            said.append(f"the broker holds {mine}, not {self.held}")
        for found in self._strangers(resting):
            kind = Kind.BUY if found.side == "buy" else Kind.SELL
            self.orders[found.order_id] = Order(
                kind, found.qty, found.filled_qty, found.order_id, adopted=True
            )
            said.append(f"an order to {kind} {found.qty} rests at the broker ({found.order_id})")
        self.held = mine
        if mine and entry > 0:
            self.entry = entry
        self.recount = False
        for order in self.orders.values():
            order.blurred = True
        return said

    def _gone(self, resting: Sequence[OpenOrder]) -> list[str]:
        """Adopted orders that rest no more: nobody may tell us of their end."""
        open_ids = {found.order_id for found in resting}
        return [k for k, order in self.orders.items() if order.adopted and k not in open_ids]

    def _strangers(self, resting: Sequence[OpenOrder]) -> list[OpenOrder]:
        """Open orders that are none of ours, nor can be one whose acceptance was not told yet."""
        known = {order.order_id for order in self.orders.values()}
        untold = [order for order in self.orders.values() if not order.order_id]
        found = []
        for one in resting:
            if one.order_id in known:
                continue
            ours = next((o for o in untold if _fits(o, one)), None)
            if ours is None:
                found.append(one)
            else:
                untold.remove(ours)
        return found

    def _may_be_held(self) -> tuple[Decimal, Decimal]:
        """Between what and what the broker's count may lie, if our orders explain it."""
        # Of a foreign one nobody tells the fills: what it has bought is seen by its shares alone.
        mine = [o for o in self.orders.values() if o.kind is Kind.BUY and not o.foreign]
        buys = sum((o.qty - o.filled for o in mine), ZERO)
        exits = any(order.kind is not Kind.BUY for order in self.orders.values())
        return (ZERO if exits else self.held), self.held + buys

    def _count(self, order: Order, update: Execution) -> None:
        more = max(ZERO, (update.filled_qty or ZERO) - order.filled)
        order.filled += more
        if order.kind is Kind.BUY:
            self.held += more
            if more and update.filled_avg_price:
                self.entry = update.filled_avg_price
        else:
            self.held = max(ZERO, self.held - more)
        if more and update.position_qty is not None:
            self.held = max(ZERO, update.position_qty)

    # --- kept between restarts ------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "held": str(self.held),
            "entry": str(self.entry),
            "closing": self.closing,
            "recount": self.recount,
            "short": self.short,
            "orders": {key: _order_json(order) for key, order in self.orders.items()},
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Machine":
        """From :meth:`as_json`'s values.

        Raises:
            KeyError, TypeError, ValueError, ArithmeticError: they are not.
        """
        return cls(
            held=Decimal(kept["held"]),
            entry=Decimal(kept["entry"]),
            closing=bool(kept["closing"]),
            recount=bool(kept["recount"]),
            short=bool(kept["short"]),
            orders={key: _order_from(order) for key, order in kept["orders"].items()},
        )


def _fits(order: Order, found: OpenOrder) -> bool:
    side = "buy" if order.kind is Kind.BUY else "sell"
    return found.side == side and order.qty in (found.qty, ZERO)


_FLAGS = ("adopted", "doubtful", "blurred", "foreign")


def _order_json(order: Order) -> dict[str, Any]:
    flags = [name for name in _FLAGS if getattr(order, name)]
    return {
        "kind": str(order.kind),
        "qty": str(order.qty),
        "filled": str(order.filled),
        "order_id": order.order_id,
        "flags": flags,
    }


def _order_from(kept: Mapping[str, Any]) -> Order:
    return Order(
        Kind(kept["kind"]),
        Decimal(kept["qty"]),
        Decimal(kept["filled"]),
        str(kept["order_id"]),
        **dict.fromkeys(kept["flags"], True),
    )
