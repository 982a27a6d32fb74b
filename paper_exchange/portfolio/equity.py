"""What an account was worth at instants of the past."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from paper_exchange.assets import AssetBook
from paper_exchange.books.accounts import Account, effect
from paper_exchange.books.fills import Traded
from paper_exchange.decimals import ZERO
from paper_exchange.engine.admission import CRYPTO_FEE
from paper_exchange.prices.market import Market


class _Books:
    """Cash and holdings, as they are now and, step by step, as they were."""

    def __init__(self, account: Account, assets: AssetBook) -> None:
        self._assets = assets
        self.cash = account.cash
        self.held: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        for position in account.positions.values():
            self.held[position.asset.symbol] = position.qty

    def undo(self, done: Traded) -> None:
        """Go back to before an execution."""
        asset = self._assets.find(done.symbol)
        fee = CRYPTO_FEE if asset is not None and asset.crypto else ZERO
        qty = done.qty if done.side == "buy" else -done.qty
        received, paid = effect(qty, done.price, fee)
        self.held[done.symbol] -= received
        self.cash -= paid


def equities(
    account: Account, assets: AssetBook, market: Market, instants: Sequence[int], now_ns: int
) -> dict[int, Decimal]:
    """Equity at each of the instants (ascending, none later than now), to the last decimal.

    But for crypto: executions of one price are added up before their fee is rounded, which moves a
    past holding by a billionth of a coin for each of them.

    Works backwards from the account's books as they are, undoing what was
    executed between one instant and the next: one pass over the executions
    since the first instant, which the archive adds up where they are alike, and
    one price per instant and symbol held. Nothing is sampled while nobody asks.
    """
    books = _Books(account, assets)
    worth: dict[int, Decimal] = {}
    undone_ns, last_ns = now_ns, account.fills.last_ns(now_ns)
    for at_ns in reversed(instants):
        if last_ns is not None and last_ns > at_ns:
            for done in account.fills.traded(at_ns, undone_ns):
                books.undo(done)
            undone_ns, last_ns = at_ns, account.fills.last_ns(at_ns)
        values = (qty * market.price_at(symbol, at_ns) for symbol, qty in books.held.items() if qty)
        worth[at_ns] = books.cash + sum(values, ZERO)
    return worth
