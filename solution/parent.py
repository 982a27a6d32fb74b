"""A process that must not outlive the one that started it.

Asked again and again whose child it is: no pipe that a fork of the parent could keep open, and no
`PR_SET_PDEATHSIG`, which is of Linux alone and fires when the parent's *thread* ends.
"""

import os
import signal
import threading

EVERY = 0.5
"""Seconds between two looks."""


def end_with(pid: int, every: float = EVERY, grace: float = 0.0) -> None:
    """Have SIGTERM sent to this process once `pid` is not its parent any more.

    Args:
        grace: seconds until then, for what others still need while they end.
    """

    def watch() -> None:
        tick = threading.Event()
        while os.getppid() == pid:
            tick.wait(every)
        tick.wait(grace)
        # The same way out as for an operator: in order, nothing lost.
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
