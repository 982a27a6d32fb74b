"""Alpaca's rules that a signal can break by itself, beyond those the service reads it by."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from solution.domain.crypto import names_pair
from solution.domain.orders import Side
from solution.domain.signal_model import Signal, SizeKind
from solution.domain.signal_rules import stated_fraction
from solution.errors import SignalError
from solution.trading.pricing import CENT, on_grid

LEAST_FRACTION: Final = Decimal(1)
"""Account currency: notional and fractional orders of equities ("Fractional Trading")."""
LEAST_CRYPTO: Final = Decimal(10)
"""Account currency: any crypto order."""
_OF_ENTRY: Final = ("limit_price", "stop_price")
_OF_EXIT: Final = ("take_profit", "stop_loss", "stop_loss_limit")


def refusals(signal: Signal) -> Iterator[str]:
    """Why Alpaca would refuse the order, whatever the market does."""
    yield from _too_small(signal)
    yield from _too_near(signal)
    for name, price, side in _prices(signal):
        try:
            on_grid(price, side)
        except SignalError as e:
            yield f"{name}: {e.message}"


def notes(signal: Signal) -> Iterator[str]:
    """What the service changes so that Alpaca takes the order."""
    for name, price, side in _prices(signal):
        try:
            sent = on_grid(price, side)
        except SignalError:
            continue  # told as a refusal
        if sent != price:
            yield f"{name}={price:f} is sent as {sent:f}: the exchange's grid"


def _too_small(signal: Signal) -> Iterator[str]:
    value = _value(signal)
    crypto = names_pair(signal.ticker)
    if value is None or not (crypto or stated_fraction(signal)):
        return
    least = LEAST_CRYPTO if crypto else LEAST_FRACTION
    if value < least:
        what = "a crypto order" if crypto else "an order by amount, or of a part of a share,"
        yield f"{what} is worth at least {least}, this one {value:.2f}"


def _value(signal: Signal) -> Decimal | None:
    """What the order is worth, where the signal says it."""
    if signal.size is None:
        return None
    if signal.size_kind is SizeKind.NOTIONAL:
        return signal.size
    if signal.size_kind is SizeKind.QTY and signal.limit_price is not None:
        return signal.size * signal.limit_price
    return None


def _too_near(signal: Signal) -> Iterator[str]:
    """A stop stands a cent or more from the price the entry is made at ("Bracket Orders")."""
    entry, stop = signal.limit_price, signal.stop_loss
    if entry is not None and stop is not None and abs(entry - stop) < CENT:
        yield f"stop_loss={stop:f} is less than {CENT} away from limit_price={entry:f}"


def _prices(signal: Signal) -> Iterator[tuple[str, Decimal, Side]]:
    """Every price on the exchange's grid, with the side that trades at it."""
    if signal.side is None or names_pair(signal.ticker):
        return
    other = Side.SELL if signal.side is Side.BUY else Side.BUY
    for names, side in ((_OF_ENTRY, signal.side), (_OF_EXIT, other)):
        for name in names:
            price = getattr(signal, name)
            if price is not None:
                yield name, price, side
    if signal.trail_price is not None:
        yield "trail_price", signal.trail_price, Side.BUY  # a distance, which becomes shorter
