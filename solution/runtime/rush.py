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

#: Seconds for one turn. A decision takes less than one millisecond; a holder that takes longer asks
#: the broker for something, or waits for cancels, and is passed by.
TURN = 0.005
#: Seconds that others give way at most, and then do not again.
MOMENT = 0.05


class Rush:
    """Shared by the workers, who decide and send, and by threads whose work can wait a moment.

    Args:
        waiting: whether there are orders that nobody decides yet and that may leave now.
        staffed: whether a worker is free to decide them.
        clock: measures moments.
    """

    def __init__(
        self,
        waiting: Callable[[], bool],
        staffed: Callable[[], bool],
        clock: Clock | None = None,
    ) -> None:
        self._waiting = waiting
        self._staffed = staffed
        self._now = (clock or SystemClock()).monotonic
        self._turn = threading.Lock()
        # Who decides or waits for a turn, and the turns that were given, by thread. Each key is
        # written by its own thread only.
        self._hurried: set[int] = set()
        self._held: dict[int, threading.Lock] = {}
        self._holder = self._given = 0
        self._calm = threading.Event()
        self._short = threading.Event()

    def begin(self) -> None:
        """This thread decides an order: wait for its turn, behind those who wait already."""
        me = threading.get_ident()
        self._hurried.add(me)
        given = self._given
        while not (turn := self._turn).acquire(timeout=TURN):
            if turn is self._turn and given == self._given:
                # The same one held it all the time and may for seconds: nobody waits for that one.
                self._hurried.discard(self._holder)
                self._turn = threading.Lock()
            given = self._given
        self._given += 1
        self._holder = me
        self._held[me] = turn

    def over(self) -> None:
        """It is decided, and on its way or at its end; may be called again and without a turn."""
        me = threading.get_ident()
        turn = self._held.pop(me, None)
        if turn is not None:
            turn.release()
        self._hurried.discard(me)
        if not self._hurried:
            if not self._staffed():
                self._short.set()
            if not self._waiting():
                self._calm.set()

    def giving_way(self) -> Callable[[], None]:
        """What one other thread calls before work that can wait.

        It returns once no order is about to leave, at the latest after a moment, and for as long
        does not wait again: under any load that thread has half of the time for itself.
        """
        not_before = self._now()

        def give_way() -> None:
            nonlocal not_before
            if self._now() >= not_before and self._pause(self._waiting, self._calm):
                not_before = self._now() + MOMENT

        return give_way

    def after_answer(self) -> None:
        """This worker has its answer: what it says is booked when the others have sent theirs.

        Not while it is needed itself: what waits in the lanes may have no other worker.
        """
        self._pause(self._staffed, self._short)

    def _pause(self, more: Callable[[], bool], end: threading.Event) -> bool:
        """Wait while somebody decides or there is more to decide; whether there was."""
        if not (self._hurried or more()):
            return False
        end.clear()
        if self._hurried or more():
            # Should nobody end the rush (no budget is left, lanes are closed), the moment does.
            end.wait(MOMENT)
        return True
