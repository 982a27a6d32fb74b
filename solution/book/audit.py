"""What our own arithmetic predicted, against each snapshot of the broker. Numbers only."""

from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)
ROUNDING = Decimal("0.01")
"""Of each execution: the broker's cash is in whole cents."""
OF_TURNOVER = Decimal("0.000001")
"""Prices worked out from rounded averages are off by so much of their money."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A number that was replaced by the broker's: shares of ``symbol``, or cash where it is ""."""

    symbol: str
    ours: Decimal
    broker: Decimal


class SnapshotAudit:
    """Tells a wrong book from one that is only early or late. The portfolio's mutex guards it.

    A position is judged only where no order of ours was open or unresolved in its symbol since
    the snapshot was asked for: with one, a fill may be in either number and not in the other.
    Such a symbol is a suspect, and its orders are asked for. Cash belongs to all symbols, so it
    is compared between two snapshots of a quiet account, whatever happened between them.
    """

    def __init__(self) -> None:
        self._reported: dict[str, tuple[Decimal, Decimal]] = {}
        self._findings: list[Finding] = []
        self._suspects: set[str] = set()
        self._base: Decimal | None = None
        self._flow = self._turnover = self._fees = ZERO
        self._fills = 0
        self._unsure = False

    def position(self, symbol: str, ours: Decimal, broker: Decimal, *, busy: bool) -> bool:
        """Two numbers that differ; whether it is news that they do."""
        if busy:
            self._suspects.add(symbol)
            return False
        if self._reported.get(symbol) == (ours, broker):
            return False  # it comes back each time: said once
        self._reported[symbol] = ours, broker
        self._findings.append(Finding(symbol, ours, broker))
        return True

    def spent(self, money: Decimal, fee: Decimal = ZERO) -> None:
        """A fill moved cash: positive for a buy; the broker may have kept up to ``fee`` of it."""
        self._flow -= money
        self._fees += fee
        self._turnover += abs(money)
        self._fills += 1

    def lost_count(self) -> None:
        """Cash moved by we do not know how much; the next quiet snapshot begins anew."""
        self._unsure = True

    def cash(self, broker: Decimal, *, busy: bool) -> None:
        """The broker's cash in a snapshot."""
        if busy:
            return
        if self._base is not None and not self._unsure:
            ours = self._base + self._flow
            allowed = ROUNDING * (self._fills + 1) + OF_TURNOVER * self._turnover
            if not -allowed <= ours - broker <= allowed + self._fees:
                self._findings.append(Finding("", ours, broker))
        self._base = broker
        self._flow = self._turnover = self._fees = ZERO
        self._fills = 0
        self._unsure = False

    def drain(self) -> tuple[list[Finding], set[str]]:
        """What was found since the last call: corrections, and symbols whose orders to ask for."""
        found, suspects = self._findings, self._suspects
        self._findings, self._suspects = [], set()
        return found, suspects
