"""What a probe found out."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether the broker does what this product assumes."""

    CONFIRMED = "confirmed"
    DIFFERENT = "different"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class Finding:
    """One assumption and what came of it.

    Args:
        name: of the assumption, a few words.
        seen: what the broker did, or why it was not tried.
        advice: what to set or to avoid, where it is different.
    """

    name: str
    verdict: Verdict
    seen: str
    advice: str = ""


def confirmed(name: str, seen: str) -> Finding:
    """As assumed."""
    return Finding(name, Verdict.CONFIRMED, seen)


def different(name: str, seen: str, advice: str) -> Finding:
    """Not as assumed."""
    return Finding(name, Verdict.DIFFERENT, seen, advice)


def untested(name: str, why: str) -> Finding:
    """Not tried."""
    return Finding(name, Verdict.UNTESTED, why)
