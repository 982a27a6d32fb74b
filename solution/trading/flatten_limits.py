"""What keeps signals from opening again what a flatten closes, and for how long.

A flatten of everything that a person asked for leaves the account in REDUCING until a person says
otherwise: the source that bought is still running, and would buy again a second later. One ticker
is left the same way, by its row ``reducing:{SYMBOL}``. The end of a session restricts until the
next one opens, and does so before it asks for the flatten.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import orjson

from solution.clock import Clock
from solution.domain.flattening import Flattening
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState

OPERATOR = "operator"
REDUCING = "reducing:"
STATE = "trading_state:"


class States(Protocol):
    """The part of the trading states that this needs."""

    def restrict(
        self, source: str, state: TradingState, reason: Reason, message: str, *, until_ms: int = 0
    ) -> None: ...
    def lasting(self) -> Mapping[str, Restriction]: ...


class TickerLedger(Protocol):
    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...


class StateLedger(TickerLedger, Protocol):
    def states(self, prefix: str) -> dict[str, str]: ...


class FlattenLimits:
    """Restricts for a request; durable on return, and done before anything is cancelled for it."""

    def __init__(
        self,
        states: States,
        ledger: TickerLedger,
        find_asset: Callable[[str], AssetView | None],
    ) -> None:
        self._states = states
        self._ledger = ledger
        self._find_asset = find_asset

    def restrict(self, request: Flattening) -> None:
        """Let signals only reduce what is to be closed."""
        if request.automatic:
            return
        why = f"{request.key}: {request.why}; closed positions stay closed until `resume`"
        for ticker in request.symbols:
            asset = self._find_asset(ticker)
            self._ledger.set_state(REDUCING + (asset.symbol if asset else ticker), why)
        standing = self._states.lasting().get(OPERATOR)
        halted = standing is not None and standing.state is TradingState.HALTED
        if not request.symbols and not halted:  # what is stricter stays
            state = TradingState.REDUCING
            self._states.restrict(OPERATOR, state, Reason.REDUCING_ONLY, why)


class LedgerStates:
    """Trading states as rows of the ledger alone."""

    def __init__(self, ledger: StateLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def restrict(
        self, source: str, state: TradingState, reason: Reason, message: str, *, until_ms: int = 0
    ) -> None:
        told = {
            "state": state,
            "reason": str(reason),
            "message": message,
            "at_ms": self._clock.epoch_ms(),
            "until_ms": until_ms,
        }
        self._ledger.set_state(f"{STATE}{source}", orjson.dumps(told).decode())

    def lasting(self) -> Mapping[str, Restriction]:
        found = {k: orjson.loads(v) for k, v in self._ledger.states(STATE).items()}
        return {
            key.removeprefix(STATE): Restriction(
                TradingState(one["state"]), Reason.REDUCING_ONLY, one["message"]
            )
            for key, one in found.items()
        }
