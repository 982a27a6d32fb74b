"""Orders that are about to leave come first: one is decided at a time, and what can wait gives way.

Under the GIL threads that run beside each other take turns of five milliseconds and at every system
call, so eight signals decided side by side are all sent at the end of the eighth; one after the
other the first leaves eight times earlier and the last at the same time. The same CPU time goes to
order events, commits of outcomes and their publication, none of which a POST has to wait for.

All of it is a hint about who runs first, never a guarantee and never needed for correctness: a turn
that is not given back in time is not waited for, and whoever gives way does so for a moment only.
No network call waits for it: a worker's turn is over before its request's first byte leaves.
"""

import threading
from collections.abc import Callable

from solution.clock import Clock, SystemClock

#: Seconds to wait for a turn. A decision takes less than one millisecond; a holder that takes
#: longer asks the broker for something, or waits for cancels, and is passed by.
TURN = 0.005
#: Seconds that others give way at most, and then do not again.
MOMENT = 0.05


class Rush:
    """Shared by the workers, who decide and send, and by threads whose work can wait a moment.

    Args:
        waiting: whether there are orders that nobody decides yet and that may leave now.
        clock: measures moments.
    """

    def __init__(self, waiting: Callable[[], bool], clock: Clock | None = None) -> None:
        self._waiting = waiting
        self._now = (clock or SystemClock()).monotonic
        self._turn = threading.Lock()
        # Who decides or waits for a turn, and the turns that were given, by thread. Each key is
        # written by its own thread only.
        self._hurried: set[int] = set()
        self._held: dict[int, threading.Lock] = {}
        self._calm = threading.Event()

    def begin(self) -> None:
        """This thread decides an order: wait for its turn, not for long."""
        me = threading.get_ident()
        self._hurried.add(me)
        turn = self._turn
        if not turn.acquire(timeout=TURN):
            # Its holder may be busy for seconds: nobody else is to wait for that one.
            turn = self._turn = threading.Lock()
            turn.acquire()
        self._held[me] = turn

    def over(self) -> None:
        """It is decided, and on its way or at its end; may be called again and without a turn."""
        me = threading.get_ident()
        turn = self._held.pop(me, None)
        if turn is not None:
            turn.release()
        self._hurried.discard(me)
        if self._is_calm():
            self._calm.set()

    def giving_way(self) -> Callable[[], None]:
        """What one other thread calls before work that can wait.

        It returns once no order is about to leave, at the latest after a moment, and for as long
        does not wait again: under any load that thread has half of the time for itself.
        """
        not_before = self._now()

        def give_way() -> None:
            nonlocal not_before
            if self._is_calm() or self._now() < not_before:
                return
            self._calm.clear()
            if not self._is_calm():
                # Should nobody end the rush (no budget is left, lanes are closed), the moment does.
                self._calm.wait(MOMENT)
            not_before = self._now() + MOMENT

        return give_way

    def _is_calm(self) -> bool:
        return not self._hurried and not self._waiting()
