"""What limits that trip ask of the trading state."""

import json
from collections.abc import Mapping
from typing import Protocol

from solution.clock import Clock
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState


class Restricts(Protocol):
    """The part of the trading states that trips use; safe from any thread."""

    def restrict(
        self,
        source: str,
        state: TradingState,
        reason: Reason,
        message: str,
        *,
        until_ms: int = 0,
    ) -> None:
        """Durable on return; ``until_ms`` 0 = until a person resumes."""
        ...

    def lift(self, source: str) -> None: ...

    def lasting(self) -> Mapping[str, Restriction]:
        """What is in force, by source."""
        ...


class StateLedger(Protocol):
    """Where they are kept."""

    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...
    def delete_state(self, key: str, *, sync: bool = True) -> None: ...
    def states(self, prefix: str) -> dict[str, str]: ...


class LedgerRestrictions:
    """Stands in for the trading states where those are not joined yet: rows and nothing else."""

    PREFIX = "trading_state:"

    def __init__(self, ledger: StateLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def restrict(
        self,
        source: str,
        state: TradingState,
        reason: Reason,
        message: str,
        *,
        until_ms: int = 0,
    ) -> None:
        """Write its row."""
        shown = {
            "state": state,
            "reason": reason,
            "message": message,
            "at_ms": self._clock.epoch_ms(),
            "until_ms": until_ms,
        }
        self._ledger.set_state(self.PREFIX + source, json.dumps(shown))

    def lift(self, source: str) -> None:
        """Delete its row."""
        self._ledger.delete_state(self.PREFIX + source)

    def lasting(self) -> Mapping[str, Restriction]:
        """The rows as they stand now."""
        found, now = {}, self._clock.epoch_ms()
        for key, value in self._ledger.states(self.PREFIX).items():
            said = json.loads(value)
            if not said["until_ms"] or now < said["until_ms"]:
                restriction = Restriction(
                    TradingState(said["state"]),
                    next(one for one in Reason if one == said["reason"]),
                    said["message"],
                )
                found[key.removeprefix(self.PREFIX)] = restriction
        return found
