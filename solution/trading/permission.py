"""The last question before an order leaves: kill switch and trading state, for this order."""

from solution.domain.reasons import Reason
from solution.domain.records import Intent
from solution.trading.gates.view import Denial
from solution.trading.kill_switch import KillSwitch
from solution.trading.states import TradingStates
from solution.trading.work import Work


class Permission:
    """Asked before the row is written, before the POST, and once more when a connection stands."""

    def __init__(self, kill: KillSwitch, states: TradingStates) -> None:
        self._kill = kill
        self._states = states

    def denial(self, intent: Intent, work: Work) -> Denial | None:
        """Why the order must not leave now, or None; an operator's flatten may whatever stands."""
        if work.exempt:
            return None
        killed = self._kill.reason()
        if killed is not None:
            return Denial(Reason.KILL_SWITCH, killed)
        # What opens has a claim on cash; see Composer.
        found = self._states.denied(intent.symbol, opens=intent.reserved_cash > 0)
        return None if found is None else Denial(found.reason, found.message)
