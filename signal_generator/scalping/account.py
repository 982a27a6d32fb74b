"""What the broker says of the scalper's symbols, in one look: positions and open orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from signal_generator.account.broker_reader import of_symbol
from signal_generator.hosting import BrokerReader, OpenOrder

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class AccountView:
    """One symbol. Args: held: signed. entry: what one share cost."""

    held: Decimal
    entry: Decimal
    resting: Sequence[OpenOrder]


def read_account(broker: BrokerReader, symbols: Sequence[str]) -> Mapping[str, AccountView]:
    """Two requests, however many symbols.

    Raises:
        BrokerUnavailable: either came to nothing.
    """
    # Orders first: one that fills between the two is then seen twice, as an order and as shares,
    # which our own order explains. The other way round it would be seen nowhere.
    orders = broker.open_orders()
    positions = broker.positions()
    views = {}
    for symbol in symbols:
        position = next(iter(of_symbol(positions, symbol)), None)
        views[symbol] = AccountView(
            _ZERO if position is None else position.qty,
            _ZERO if position is None else position.avg_entry_price,
            tuple(of_symbol(orders, symbol)),
        )
    return views
