"""What an account was worth at instants of the past."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from paper_exchange.accounts import Account, effect
from paper_exchange.admission import CRYPTO_FEE
from paper_exchange.assets import AssetBook
from paper_exchange.decimals import ZERO
from paper_exchange.market import Market
from paper_exchange.selection import ExecutionSelection


def equities(
    account: Account, assets: AssetBook, market: Market, instants: Sequence[int]
) -> dict[int, Decimal]:
    """Equity at each of the instants (ascending, none in the future), to the last decimal.

    Works backwards from the account's books as they are, undoing one execution
    after the other, so that it costs one pass over the executions since the
    first instant and one price per instant and symbol held. Nothing is sampled
    while nobody asks.
    """
    if not instants:
        return {}
    cash = account.cash
    held: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for position in account.positions.values():
        held[position.asset.symbol] = position.qty
    later = account.fills.select(ExecutionSelection(after_ns=instants[0], descending=True))
    fill = next(later, None)
    worth: dict[int, Decimal] = {}
    for at_ns in reversed(instants):
        while fill is not None and fill.at_ns > at_ns:
            asset = assets.find(fill.symbol)
            fee = CRYPTO_FEE if asset is not None and asset.crypto else ZERO
            qty = fill.qty if fill.side == "buy" else -fill.qty
            received, paid = effect(qty, fill.price, fee)
            held[fill.symbol] -= received
            cash -= paid
            fill = next(later, None)
        values = (qty * market.price_at(symbol, at_ns) for symbol, qty in held.items() if qty)
        worth[at_ns] = cash + sum(values, ZERO)
    return worth
