"""What is known of an account and of each position in it, and what one decision may use of that."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from solution.book.tallies import Tally
from solution.domain.crypto import is_fee
from solution.domain.orders import Side

ZERO = Decimal(0)
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Account:
    """Account currency amounts as the broker states them.

    ``last_equity`` is that of the previous session's close, ``non_marginable`` the buying power for
    what cannot be bought on margin, such as crypto; None where not stated.
    """

    id: str
    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    blocked: bool = False
    shorting_enabled: bool = True
    last_equity: Decimal | None = None
    number: str = ""
    """How the broker's pages and letters name it; ``id`` is the API's."""
    non_marginable: Decimal | None = None

    @property
    def crypto_power(self) -> Decimal:
        """What crypto may cost at most: no margin, whether the broker says so or not."""
        stated = self.cash if self.non_marginable is None else self.non_marginable
        return min(self.buying_power, stated)


@dataclass(frozen=True, slots=True)
class Position:
    """Signed shares (short is negative), what of it may be sold, and its average entry price."""

    symbol: str
    qty: Decimal
    qty_available: Decimal
    avg_entry_price: Decimal
    market_value: Decimal = ZERO


@dataclass(slots=True)
class Holding:
    """One position. Where executions may or may not be in ``qty`` already, it is in doubt.

    The truth then lies between ``qty - sold_in_doubt`` and ``qty + bought_in_doubt``, until a
    snapshot that was asked for after ``doubted_at``. ``held`` is what the snapshot says that open
    orders hold of it, ``held_elsewhere`` the part of that which is not ours; ``masked`` may turn
    out to be not ours either, since the sales we thought it belonged to may have ended before.
    ``value`` is the most it may be worth at ``mark``, the last price that came with news of it.
    """

    qty: Decimal = ZERO
    held: Decimal = ZERO
    held_elsewhere: Decimal = ZERO
    avg_entry: Decimal = ZERO
    moved_at: float = NEVER
    doubted_at: float = NEVER
    sold_in_doubt: Decimal = ZERO
    bought_in_doubt: Decimal = ZERO
    masked: Decimal = ZERO
    mark: Decimal = ZERO
    value: Decimal = ZERO

    @property
    def uncertain(self) -> bool:
        return self.doubted_at != NEVER

    def settle(self) -> None:
        """A snapshot has the truth."""
        self.doubted_at = NEVER
        self.sold_in_doubt = self.bought_in_doubt = self.masked = ZERO

    def mask(self, qty: Decimal, now: float) -> None:
        """So many shares that were thought to be held for us may be held for another."""
        masked = min(qty, self.held - self.held_elsewhere - self.masked)
        if masked > 0:
            self.doubted_at = now
            self.masked += masked

    def lacks_fee(self, signed_qty: Decimal, position_qty: Decimal) -> bool:
        """Whether a standing after a buy of coins is what we expect, less the broker's fee."""
        expected = self.qty + signed_qty
        is_less = position_qty != expected and is_fee(expected, position_qty, signed_qty)
        return is_less and not self.uncertain


class Holdings(NamedTuple):
    """What one decision may use, taken under the portfolio's mutex.

    Shares and account currency; ``buying_power`` is the symbol's own, for crypto has no margin.
    ``available_qty`` is what may be sold now, ``pending_qty`` the signed remainder of open, unknown
    and reserved orders, ``pending_buy_qty`` its buying half (with what was bought and may not be in
    ``qty`` yet). ``uncertain``: ``qty`` may lack the last executions, or hold them twice;
    ``available_qty`` is then the least it can be. ``gross`` is what all positions are worth, long
    and short, with what open orders may still add; ``strategy_value`` the same of one strategy;
    ``tally`` counts the orders that opened before this one; ``leg_qty`` shares of the position that
    the legs of our brackets hold: they are not available, and no short that they cover is free.
    """

    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    qty: Decimal
    available_qty: Decimal
    pending_qty: Decimal
    pending_buy_qty: Decimal
    avg_entry: Decimal
    uncertain: bool = False
    gross: Decimal = ZERO
    strategy_value: Decimal = ZERO
    tally: Tally = Tally(0, 0, 0)
    leg_qty: Decimal = ZERO

    def most(self, side: Side) -> Decimal:
        """Shares on the side that an order of ``side`` adds to, should all fill that adds to it."""
        return self.most_long if side is Side.BUY else self.most_short

    @property
    def most_long(self) -> Decimal:
        """The position should every pending buy fill and no pending sale."""
        return self.qty + self.pending_buy_qty

    @property
    def most_short(self) -> Decimal:
        """The shares short should every pending sale fill and no pending buy."""
        return self.pending_buy_qty - self.pending_qty - self.qty

    @property
    def coverable_qty(self) -> Decimal:
        """Shares short that no order of ours covers yet; not above 0: none."""
        return -self.qty - self.pending_buy_qty - self.leg_qty

    @property
    def told_legs(self) -> str:
        """For the words of a refusal or of an order's note."""
        return f"; legs of brackets hold {self.leg_qty:f}" if self.leg_qty else ""
