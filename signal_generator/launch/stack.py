"""Redis, an exchange, the service and a display: started in order, ended in order."""

from collections.abc import Callable
from types import TracebackType

from signal_generator.launch.options import Endpoints, StackOptions

STOP_WITHIN = 5.0


class Stack:
    """What it starts, it stops; what it finds running, it leaves alone.

    Args:
        options: see :class:`StackOptions`.
        report: is given one line at a time, for the user.
    """

    def __init__(self, options: StackOptions, report: Callable[[str], None]) -> None:
        self._options = options
        self._report = report

    def start(self) -> Endpoints:
        """Start what does not run yet and wait until orders can be sent.

        Raises:
            LaunchError: it cannot; nothing that was started runs any more.
        """
        raise NotImplementedError

    def trouble(self) -> str:
        """One sentence when a program has ended before it was stopped; empty while all is well."""
        raise NotImplementedError

    def stop(self, seconds: float = STOP_WITHIN) -> None:
        """End what was started, the service first; may be called again, and from `atexit`."""
        raise NotImplementedError

    def __enter__(self) -> Endpoints:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
