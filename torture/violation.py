"""What a check finds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be. ``check`` is a short name, ``about`` what it concerns."""

    check: str
    about: str

    def __str__(self) -> str:
        return f"{self.check}: {self.about}"


def describe(violations: Sequence[Violation]) -> str:
    """Counted by check."""
    return ", ".join(f"{name} ×{n}" for name, n in Counter(v.check for v in violations).items())
