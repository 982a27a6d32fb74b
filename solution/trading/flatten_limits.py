"""What keeps signals from opening again what a flatten closes, and for how long.

A flatten of everything that a person asked for leaves the account in REDUCING until a person says
otherwise: the source that bought is still running, and would buy again a second later. One ticker
is left the same way. The end of a session restricts until the next one opens, and does so before it
asks for the flatten.
"""

from collections.abc import Callable
from typing import Protocol

from solution.domain.flattening import Flattening
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.trading.states import OPERATOR_REDUCING


class States(Protocol):
    """The part of the trading states that this needs."""

    def restrict(
        self, source: str, state: TradingState, reason: Reason, message: str, *, until_ms: int = 0
    ) -> None: ...
    def reduce_ticker(self, symbol: str, why: str) -> None: ...


class FlattenLimits:
    """Restricts for a request; durable on return, and done before anything is cancelled for it."""

    def __init__(self, states: States, find_asset: Callable[[str], AssetView | None]) -> None:
        self._states = states
        self._find_asset = find_asset

    def restrict(self, request: Flattening) -> None:
        """Let signals only reduce what is to be closed."""
        if request.automatic:
            return
        why = f"{request.key}: {request.why}; what was closed stays closed until `resume`"
        for ticker in request.symbols:
            asset = self._find_asset(ticker)
            if asset is not None:
                self._states.reduce_ticker(asset.symbol, why)
        if not request.symbols:
            state = TradingState.REDUCING
            self._states.restrict(OPERATOR_REDUCING, state, Reason.REDUCING_ONLY, why)
