"""What forbids orders whatever the signal says: kill switch, restrictions, a lost lease."""

from dataclasses import dataclass

from solution.building.ground import Ground
from solution.errors import LedgerError
from solution.ledger.file_check import FileCheck
from solution.ledger.lease import LeaseKeeper
from solution.trading.kill_switch import KillSwitch
from solution.trading.states import TradingStates


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Asked by everything that sends.

    Args:
        file_check: None where the ledger has no file that somebody could overwrite.
    """

    kill: KillSwitch
    states: TradingStates
    lease: LeaseKeeper
    file_check: FileCheck | None

    def no_exits(self, symbol: str) -> str | None:
        """Why not even a position may be closed now, but for a person's request."""
        found = self.states.denied(symbol, opens=False)
        return self.kill.reason() or (found.message if found else None)

    def is_dead(self, _consumer: str) -> bool:
        """While the lease is ours nobody else trades for this group and account.

        A process that slept through a takeover must not take the new one's entries, and forgetting
        its consumer would drop what it has in hand.
        """
        try:
            self.lease.check()
        except LedgerError:
            return False
        return True


def build_guards(ground: Ground) -> Guards:
    """Reads the restrictions that stand."""
    gates, ledger, clock = ground.settings.gates, ground.ledger, ground.clock
    return Guards(
        kill=KillSwitch(setting=gates.kill_switch, file=gates.kill_switch_file),
        states=TradingStates(ledger, clock),
        lease=LeaseKeeper(ledger, clock),
        file_check=FileCheck(ledger.path, clock) if ledger.path else None,
    )
