"""Restarts threads that died; tells the owner about those that cannot go on."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from solution.clock import Clock
from solution.runtime.service import Fatal, Runnable, Service

log = logging.getLogger("solution.runtime")

#: Who lived this long before it died has its back-off forgiven.
HEALTHY_AFTER = 60.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


@dataclass(slots=True)
class _Patience:
    """The back-off of one service."""

    delay: float = 0.0  # what the next restart will wait
    started_at: float = float("-inf")
    due_at: float | None = None  # of a restart that is planned
    told_fatal: bool = False

    def plan(self, now: float) -> float:
        """When to restart what is dead now; the first time at once, then later and later."""
        if self.due_at is None:
            if now - self.started_at >= HEALTHY_AFTER:
                self.delay = 0.0
            self.due_at = now + self.delay
            self.delay = min(LONGEST_DELAY, max(FIRST_DELAY, self.delay * 2))
        return self.due_at


class Supervisor(Service):
    """Looks after services and pools; stop it before them.

    Args:
        services: whom to look after. One that was never started is left alone.
        check_every: seconds between two looks.
        on_restart: called with the service and what had ended it, after each restart.
        on_fatal: called once with the service and its :class:`Fatal`; it is not restarted.
        clock: for the back-off.
    """

    def __init__(
        self,
        services: Sequence[Runnable],
        *,
        check_every: float = 0.5,
        on_restart: Callable[[Runnable, BaseException | None], None] | None = None,
        on_fatal: Callable[[Runnable, Fatal], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("supervisor", clock=clock)
        self._check_every = check_every
        self._on_restart = on_restart
        self._on_fatal = on_fatal
        self._charges = [(service, _Patience()) for service in services]

    def step(self) -> float:
        """One look at everybody."""
        for service, patience in self._charges:
            failure = service.failure
            if isinstance(failure, Fatal):
                self._tell_fatal(service, patience, failure)
            elif not service.alive and not service.stopping:
                self._revive(service, patience, failure)
        return self._check_every

    def _tell_fatal(self, service: Runnable, patience: _Patience, failure: Fatal) -> None:
        if not patience.told_fatal:
            patience.told_fatal = True
            if self._on_fatal is not None:
                self._on_fatal(service, failure)

    def _revive(
        self, service: Runnable, patience: _Patience, failure: BaseException | None
    ) -> None:
        now = self._clock.monotonic()
        if now < patience.plan(now) or not service.restart():
            return
        patience.started_at, patience.due_at = now, None
        log.warning(
            "restarted %s, which had ended by %r",
            service.name,
            failure,
            extra={"service": service.name, "next_delay": patience.delay},
        )
        if self._on_restart is not None:
            self._on_restart(service, failure)
