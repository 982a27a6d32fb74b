"""Probes of the order stream's connections."""

from collections.abc import Callable, Iterator

from solution.probe.bench import Bench
from solution.probe.ears import Ears
from solution.probe.finding import Finding, untested
from solution.probe.judging import judge

SETTLED_AFTER = 0.2
"""Of the time that a broker has for anything: in which one that allows one connection ends the
other."""


def connections(bench: Bench, ears: Ears, another: Callable[[], Ears]) -> Iterator[Finding]:
    """One connection, and another beside it.

    Args:
        another: makes one, not connected yet.
    """
    if not ears.connects():
        yield judge("order stream", holds=False, seen=ears.state)
        yield untested("second order stream", "the first one does not listen")
        return
    yield judge("order stream", holds=True, seen="authorized and listening")
    with another() as second:
        accepted = second.connects()
        state, settled = second.state, SETTLED_AFTER * bench.within
        bench.until(lambda: not ears.connected, bench.clock.monotonic(), within=settled)
        lost = not ears.connected or ears.reconnects > 0
    if not accepted:
        yield judge("second order stream", holds=False, seen=f"the second one: {state}")
        return
    seen = "it ended the first one" if lost else "both listen"
    yield judge("second order stream", holds=not lost, seen=seen)
