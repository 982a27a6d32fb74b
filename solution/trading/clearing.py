"""Our own resting orders in the way of an exit or a target: found, and cancelled for it."""

from decimal import Decimal

from solution.book.positions import Holdings, Portfolio
from solution.domain.ports import Ledger
from solution.domain.signal import SizeKind
from solution.errors import IdentityExists, Refused
from solution.trading.compose import Composer
from solution.trading.exit_saga import Cleared, ExitSaga, Resting
from solution.trading.gates.view import View
from solution.trading.work import Work


class Clearing:
    """Makes way for one signal at a time; called by workers.

    Args:
        saga: cancels in an exit's way.
    """

    def __init__(
        self, saga: ExitSaga, composer: Composer, portfolio: Portfolio, ledger: Ledger
    ) -> None:
        self._saga = saga
        self._composer = composer
        self._portfolio = portfolio
        self._ledger = ledger

    def meets(self, work: Work, view: View) -> bool:
        """Whether there is anything to cancel for it."""
        signal = work.signal
        return (signal.is_exit or signal.is_target) and bool(self._in_the_way(work, view))

    def clear(self, work: Work, view: View, cleared: Cleared) -> bool:
        """Cancel what an exit or a target meets; whether there was anything.

        Raises:
            IdentityExists: the signal is an old one that looks new after data loss in Redis. Where
                nothing is in the way its row before the POST finds that; here it would be too late.
        """
        signal, symbol = work.signal, work.asset.symbol
        if not (signal.is_exit or signal.is_target):
            return False
        found = self._in_the_way(work, view)
        resting = [order for order in found if order.order_id not in cleared.asked]
        if resting:
            freed = self._portfolio.view_freed(symbol, [o.client_order_id for o in resting])
            self._composer.check_freed(work, view, freed)
            coid = self._composer.client_order_id(signal)
            if self._ledger.find(signal.identity, coid) is not None:
                raise IdentityExists(signal.identity)
            cleared.rounds += 1
            cleared.asked |= {order.order_id for order in resting}
            cleared.ended += self._saga.clear(symbol, resting, coid)
        return bool(resting)

    def _in_the_way(self, work: Work, view: View) -> list[Resting]:
        signal, symbol = work.signal, work.asset.symbol
        held = self._portfolio.view(symbol)
        if signal.is_exit:
            return self._saga.in_the_way(signal, symbol, held, self._wanted(work, view, held))
        lack, limit = self._composer.toward_target(work, view, held)
        return self._saga.against(signal, symbol, held, lack, limit) if lack else []

    def _wanted(self, work: Work, view: View, held: Holdings) -> Decimal | None:
        """Shares that an exit would trade if nothing was in its way; None: all, or not known."""
        signal = work.signal
        if signal.size_kind is SizeKind.QTY or not signal.size or not held.leg_qty:
            return signal.size if signal.size_kind is SizeKind.QTY else None
        try:
            freed = self._portfolio.view_freed(work.asset.symbol, ())
            return self._composer.decide(work, view, freed)[0].qty
        except Refused:
            return None  # it will be refused, with words, before anything is cancelled
