"""How long a signal was in each stage of its way here: measured, kept as text, read again.

Kept at the end of the one line that an ordinary order has in its history, in whole microseconds:
``…; us: lane 143, budget 0, gates 512, row 88, send 31``.
"""

import re

_KEPT = re.compile(r"(?:^|; )us: ([a-z]+ \d+(?:, [a-z]+ \d+)*)$")


class Stages:
    """``lane``: until a worker took it, but for ``budget``, what it waited for the rate budget.
    ``gates``: until it was decided, by gates, sizing and reservation. ``row``: until its row was
    durable. ``send``: until its request began.

    Args:
        read: when the entry was read, monotonic seconds.
        taken: when a worker took it.
        budget: seconds of that wait.
    """

    __slots__ = ("_since", "_took")

    def __init__(self, read: float, taken: float, budget: float) -> None:
        waited = max(0.0, taken - read)
        budget = min(max(0.0, budget), waited)
        self._took = [("lane", waited - budget), ("budget", budget)]
        self._since = taken

    def ends(self, stage: str, at: float) -> None:
        """The next stage is over, at a monotonic time."""
        self._took.append((stage, at - self._since))
        self._since = at

    def __str__(self) -> str:
        return "us: " + ", ".join(f"{name} {took * 1e6:.0f}" for name, took in self._took)


def split(detail: str) -> tuple[str, dict[str, int]]:
    """A line of history without the stages it keeps, and those: name → microseconds."""
    found = _KEPT.search(detail)
    if found is None:
        return detail, {}
    pairs = (part.split(" ") for part in found[1].split(", "))
    return detail[: found.start()], {name: int(took) for name, took in pairs}


def shown(microseconds: float) -> str:
    """``0.143 ms``."""
    return f"{microseconds / 1000:.3f} ms"
