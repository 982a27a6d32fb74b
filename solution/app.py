"""Builds the service from its settings, starts it, and stops it in order.

Start:  ledger → Redis → broker → recovery → writer, publisher, stream, watch, keeper, prices
        → flatten → workers → listener (which reads what is pending before anything new)
Stop:   listener → flatten, workers → orders in hand get their end → the rest, writer and publisher
        last
"""

import gc
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable

from solution import failpoints, going_live, standby, startup
from solution.assembly import Assembly
from solution.clock import Clock, Deadline, SystemClock
from solution.config import Settings
from solution.errors import LedgerError, StartupError
from solution.redis_client import make_client
from solution.runtime.service import Fatal, Runnable, stop_in_order
from solution.trading import recovery

log = logging.getLogger(__name__)

STOP_WITHIN = 9.0
"""Seconds; SIGTERM promises ten."""
WRITE_WITHIN = 2.5
"""Of these seconds, those that are kept for the writer and the publisher, whatever hangs."""
STREAM_WITHIN = 0.3
"""Seconds that the first order waits for the order stream at most."""
COLLECT_AFTER = 20_000
"""Objects made and not freed before a collection looks at them, in place of 700: an order makes
hundreds that live as long as it does and are in no cycle."""
ENDS_WITHIN = 2.5
"""Seconds that orders which end at once (IOC, market) get for it when the service stops."""


class Trader:
    """One running service. Building it starts nothing and talks to nobody.

    Args:
        settings: validated.
        stop: set by a signal handler or by a fatal error; :meth:`run` ends then.
    """

    def __init__(
        self, settings: Settings, stop: threading.Event, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._clock: Clock = clock or SystemClock()
        self._fatal: str | None = None
        self._mode = startup.mode_of(settings)
        # Random: in containers of one image the names may be set alike, the pid is 1 in each, and
        # two of them can start in the same millisecond. A name that two processes share gives each
        # the other's pending entries, and the ledger's lease without waiting.
        self.consumer = f"{settings.instance}-{os.getpid()}-{secrets.token_hex(6)}"

    # --- life ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Start, trade until stopped, stop.

        Raises:
            StartupError, ConfigError: before anything was read.
            LedgerError: the ledger failed while running; the message is one line.
        """
        settings = self._settings
        sizing = startup.sizing_rules(settings)
        admitted = going_live.admit(
            settings, self._clock, self._stop, going_live.at_terminal(self._stop)
        )
        ledger = standby.become_active(settings, self.consumer, self._stop)
        if ledger is None:
            log.info("stopped", extra={"detail": "as a standby"})
            return
        try:
            try:
                going_live.remember(settings, ledger, admitted)
                startup.check_redis(lambda: make_client(settings.redis.url), settings)
                self._mode = startup.mode_beside(lambda: make_client(settings.redis.url), settings)
                self._made = Assembly(
                    settings,
                    ledger,
                    sizing,
                    consumer=self.consumer,
                    stop=self._stop,
                    on_fatal=self._on_fatal,
                    clock=self._clock,
                    mode=self._mode,
                )
                going_live.require_same(admitted, self._made.rules.account_id)
                self._start()
            except StartupError as e:
                if self._stop.is_set():
                    log.info("stopped_while_starting", extra={"detail": str(e)})
                    return
                raise
            try:
                self._stop.wait()
            finally:
                self._shut_down()
        finally:
            standby.step_down(ledger)
        if self._fatal is not None:
            raise LedgerError(self._fatal)

    # --- starting and stopping ------------------------------------------------------------------

    def _start(self) -> None:
        settings, made = self._settings, self._made
        ledger, broker, tracking = made.ground.ledger, made.broker, made.tracking
        startup.log_world(broker.portfolio, broker.prices, settings.sizing.symbols)
        self._positions_at_start = broker.portfolio.quantities()
        recovery.restore(
            ledger=ledger,
            tracker=tracking.tracker,
            portfolio=broker.portfolio,
            schedule=tracking.schedule,
            clock=self._clock,
        )
        made.history.restore_counts(broker.portfolio, made.queue.duplicates)
        failpoints.hit("recovery.restored")
        unclaimed = startup.unclaimed_orders(
            ledger, broker.wrapper, made.ground.deployment, self._clock, self._stop
        )
        made.account.settle(unclaimed)
        now_ms, undecided_ms = self._clock.epoch_ms(), made.rules.gates.undecided_ms
        made.deciding.pipeline.recovered(
            recovery.newest_sent(ledger, now_ms, undecided_ms), ledger.open_starts()
        )
        for service in made.services():
            if service is made.deciding.workers:
                # The first orders' fills come by stream, too; a stream that is slow is polled for.
                self._await(lambda: tracking.stream.connected, STREAM_WITHIN)
            service.start()
        made.supervisor.start()
        failpoints.hit("recovery.started")
        # What stands now stands until the end: collections need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        log.info(
            "started",
            extra={
                "mode": self._mode,
                "workers": settings.workers,
                "group": settings.redis.group,
                "kill_switch_file": str(settings.gates.kill_switch_file),
                "host": socket.gethostname(),
            },
        )

    def _shut_down(self) -> None:
        """Reading ends first, writing last; what was never taken stays pending in Redis."""
        made = self._made
        broker, tracking, guards = made.broker, made.tracking, made.guards
        lanes, outcomes = made.queue.lanes, made.outcomes
        deadline = Deadline(STOP_WITHIN - WRITE_WITHIN, self._clock)
        log.info("stopping", extra={"waiting": lanes.waiting, "open": len(tracking.tracker)})
        left = stop_in_order([made.supervisor, made.listening.listener], deadline)
        lanes.close()
        left += stop_in_order([made.flattener, made.deciding.workers], deadline)
        self._await_ends(Deadline(min(ENDS_WITHIN, deadline.left()), self._clock))
        broker.wrapper.closing.set()
        others = [made.operations.control, made.operations.kills]
        others += [tracking.watch, made.account.keeper, broker.poller, tracking.stream, made.status]
        left += stop_in_order([*others, *filter(None, [guards.file_check])], deadline)
        writing = Deadline(WRITE_WITHIN + deadline.left(), self._clock)
        last = [outcomes.writer, outcomes.publisher, made.state_keeper, guards.lease]
        left += stop_in_order(last, writing)
        broker.client.close()
        startup.log_position_change(self._positions_at_start, broker.portfolio.quantities())
        if left:
            log.error("did_not_stop", extra={"threads": ", ".join(left)})
        log.info("stopped", extra={"open": len(tracking.tracker), "parked": len(lanes.drain())})

    def _await_ends(self, deadline: Deadline) -> None:
        """IOC and market orders in hand end within moments; resting ones are found again."""
        tracker = self._made.tracking.tracker
        self._await(lambda: not any(t.keeps_lane for t in tracker.open_orders()), deadline.left())

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        """Until it holds, at most so long."""
        deadline, tick = Deadline(seconds, self._clock), threading.Event()
        while not deadline.passed() and not condition():
            tick.wait(0.01)

    def _on_fatal(self, service: Runnable, error: Fatal) -> None:
        self._fatal = f"{service.name}: {error}"
        self._stop.set()
