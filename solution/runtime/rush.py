"""Orders that are about to leave come first: one worker decides, and what can wait gives way.

Under the GIL threads that run beside each other take turns of five milliseconds and at every system
call, so eight signals decided side by side are all sent at the end of the eighth; one after the
other the first leaves eight times earlier and the last at the same time, and by one thread without
eight changes of threads. So one worker at a time has a turn at the lanes and keeps it while there
is more to send (:class:`~solution.runtime.lanes.Lanes`). The same CPU time goes to order events,
answers, commits of outcomes and their publication, none of which a POST has to wait for.

All of it is a hint about who runs first, never a guarantee and never needed for correctness: a turn
that is not given back in time is not waited for, and whoever gives way does so for PACE only.
"""

import threading
from collections.abc import Callable
from typing import Protocol

#: Seconds for one turn. A decision takes less than one millisecond; a holder that takes longer asks
#: the broker for something, or waits for cancels, and is passed by.
TURN = 0.005
#: Seconds that others give way at most: in a rush they do what has come by then in one piece.
PACE = 0.02


class Turns(Protocol):
    """What the lanes tell."""

    @property
    def turn_taken(self) -> bool:
        """Whether a worker has its turn."""
        ...

    def pressing(self) -> bool:
        """Whether there are orders that nobody decides yet and that may leave now."""
        ...

    def staffed(self) -> bool:
        """Whether a worker is free to decide them."""
        ...

    def over(self) -> bool:
        """End the calling worker's turn; whether it had one."""
        ...


class Rush:
    """Shared by the workers, who decide and send, and by threads whose work can wait a moment.

    Args:
        turns: the lanes.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._calm = threading.Condition(threading.Lock())
        self._short = threading.Condition(threading.Lock())

    def over(self) -> None:
        """This worker decides no more for now; may be called again and without a turn."""
        if self._turns.over():
            if not self._turns.staffed():
                with self._short:
                    self._short.notify_all()
            if not self._turns.pressing():
                with self._calm:
                    self._calm.notify_all()

    def give_way(self) -> None:
        """What another thread calls before work that can wait.

        It returns once no order is about to leave, and after PACE at the latest: in a rush that
        thread does its work in a few large pieces, and not in as many as there are orders.
        """
        self._pause(self._turns.pressing, self._calm)

    def after_answer(self) -> None:
        """This worker has answers: what they say is booked when the others have sent theirs.

        Not while it is needed itself: what waits in the lanes may have no other worker.
        """
        self._pause(self._turns.staffed, self._short)

    def _pause(self, more: Callable[[], bool], end: threading.Condition) -> None:
        """Wait while somebody decides or there is more to decide."""
        if not (self._turns.turn_taken or more()):
            return
        with end:
            # Asked again under the lock that the end is told under: it is not missed.
            if self._turns.turn_taken or more():
                # Should nobody end the rush (no budget is left, lanes are closed), the time does.
                end.wait(PACE)
