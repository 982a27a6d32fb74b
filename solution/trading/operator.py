"""What an operator's command does in the running service, whichever way it came."""

import logging
from collections.abc import Callable
from typing import Protocol

from solution import failpoints
from solution.clock import Clock
from solution.domain import flattening
from solution.domain.control import Command, ControlError, Verb
from solution.domain.kills import BREAKER, FLATTEN, KILL, Kill
from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.trading.kill_barrier import flatten_row
from solution.trading.kill_switch import KillSwitch
from solution.trading.states import OPERATOR, OPERATOR_REDUCING, TradingStates

log = logging.getLogger(__name__)


class OperatorLedger(Protocol):
    """Where kills and requests to flatten have their rows."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...
    def delete_state(self, key: str) -> None: ...
    def states(self, prefix: str) -> dict[str, str]: ...


class Operator:
    """Carries commands out. Safe from any thread; every command may be given twice.

    Args:
        spelled: the broker's spelling of a ticker, or None where it lists no such.
        wake: called when a kill has a row.
    """

    def __init__(
        self,
        states: TradingStates,
        kill: KillSwitch,
        ledger: OperatorLedger,
        clock: Clock,
        *,
        spelled: Callable[[str], str | None],
        wake: Callable[[], None],
    ) -> None:
        self._states = states
        self._kill_switch = kill
        self._ledger = ledger
        self._clock = clock
        self._spelled = spelled
        self._wake = wake

    def carry_out(self, command: Command) -> None:
        """Do it; durable on return. What stops trading holds in memory before anything is written.

        Raises:
            ControlError: it cannot be done.
            LedgerError: not durable; a command that stops trading is in force in this process.
        """
        if command.stops and command.at_ms <= self._states.resumed_ms():
            raise ControlError(f"{command.verb} was given before trading was resumed")
        match command.verb:
            case Verb.KILL:
                self._kill(command)
            case Verb.REDUCE_ONLY:
                self._reduce(command)
            case Verb.RESUME:
                self._resume(command)
            case Verb.FLATTEN:
                self._flatten(command)

    def _kill(self, command: Command) -> None:
        self._states.restrict(
            OPERATOR, TradingState.HALTED, Reason.TRADING_HALTED, f"killed by {command.by}"
        )
        failpoints.hit("operator.halted")
        if self._ledger.get_state(KILL + command.id) is None:
            kill = Kill(
                id=command.id,
                by=command.by,
                at_ms=self._clock.epoch_ms(),
                cancel_orders=command.cancel_orders,
                close_positions=command.close_positions,
            )
            self._ledger.set_state(KILL + command.id, kill.written())
        self._wake()

    def _reduce(self, command: Command) -> None:
        why = f"reduce-only by {command.by}"
        if command.ticker:
            # One that the broker does not list is kept as it was written: it stops nothing else.
            symbol = self._spelled(command.ticker) or command.ticker
            self._states.reduce_ticker(symbol, why)
        else:
            self._states.restrict(
                OPERATOR_REDUCING, TradingState.REDUCING, Reason.REDUCING_ONLY, why
            )

    def _resume(self, command: Command) -> None:
        if command.ticker:
            withdrawn = self._withdraw(command.ticker)
            if not self._states.lift_ticker(command.ticker) and not withdrawn:
                raise ControlError(f"{command.ticker} is not halted")
            return
        # The states last: whatever ends this before has resumed nothing.
        for key in self._ledger.states(KILL):
            self._ledger.delete_state(key)
        self._withdraw()  # after the kills: one that is about to ask looks for its row again
        self._ledger.delete_state(BREAKER)
        try:
            self._kill_switch.lift()
        except OSError as error:
            raise ControlError(f"{self._kill_switch.file} cannot be removed: {error}") from error
        for source in self._states.lasting():
            self._states.lift(source)
        log.warning("resumed", extra={"detail": f"by {command.by}"})

    def _withdraw(self, ticker: str = "") -> list[str]:
        """Take back requests to flatten that are not done; returns their keys."""
        now_ms, gone = self._clock.epoch_ms(), []
        for key, text in self._ledger.states(FLATTEN).items():
            request = flattening.read_or_none(key, text)
            if request is not None and request.ends_with_resume(now_ms, ticker):
                self._ledger.delete_state(key)
                log.warning("flatten_withdrawn", extra={"flatten": request.id})
                gone.append(key)
        return gone

    def _flatten(self, command: Command) -> None:
        if self._ledger.get_state(FLATTEN + command.id) is not None:
            return
        symbols = []
        if command.ticker:
            symbol = self._spelled(command.ticker)
            if symbol is None:
                raise ControlError(f"the broker lists no {command.ticker}")
            symbols.append(symbol)
        row = flatten_row(f"by {command.by}", self._clock.epoch_ms(), symbols)
        self._ledger.set_state(FLATTEN + command.id, row)
