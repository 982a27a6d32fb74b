"""From what was seen to a finding, with the advice that belongs to it."""

from solution.errors import BrokerError, Rejected
from solution.probe.assumptions import ASSUMED
from solution.probe.finding import Finding, confirmed, different


def judge(name: str, *, holds: bool, seen: str) -> Finding:
    """Confirmed if it holds, else different with what to do."""
    return confirmed(name, seen) if holds else different(name, seen, ASSUMED[name].advice)


def words(error: BrokerError) -> str:
    """What the broker said, with the numbers that programs look at."""
    if isinstance(error, Rejected):
        return f"HTTP {error.status}, code {error.code}: {error.message}"
    return str(error)
