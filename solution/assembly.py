"""Joins the parts of one running service; starts nothing.

Building it asks the broker for assets, account, positions and prices: what the parts begin with.
The builders are in ``building``; here stand who gets what, and the order of starting.
"""

import functools
import threading
from collections.abc import Callable

from solution import startup
from solution.building.account import build_account_care
from solution.building.broker import build_broker, meet_account
from solution.building.deciding import build_deciding
from solution.building.flattening import build_flattener
from solution.building.ground import Ground
from solution.building.guards import build_guards
from solution.building.history import History
from solution.building.listening import build_listening
from solution.building.outcomes import build_outcomes
from solution.building.queue import build_queue
from solution.building.rules import pipeline_rules
from solution.building.sending import build_sending
from solution.building.status import Shown, build_status
from solution.building.tracking import build_tracking
from solution.clock import Clock
from solution.config import Settings
from solution.ledger.store import Store
from solution.operations import Operations
from solution.redis_client import make_client
from solution.runtime.service import Fatal, Runnable
from solution.runtime.supervisor import Supervisor
from solution.trading.plan import SizingRules
from solution.trading.states import StateKeeper


class Assembly:
    """Every part of the service, built from its settings and an open ledger.

    Args:
        settings: validated.
        ledger: its lease is ours.
        sizing: the sizing policy.
        consumer: this instance's name in the consumer group; new at each start.
        stop: ends waiting within parts.
        on_fatal: called when a part cannot go on.
        clock: of all parts.
        mode: which mode runs, for ``status``; empty = as the settings say.

    Raises:
        StartupError: the broker or the account is not as it must be, or lists no such ticker.
    """

    def __init__(  # noqa: PLR0913 - what a start has, each used here
        self,
        settings: Settings,
        ledger: Store,
        sizing: SizingRules,
        *,
        consumer: str,
        stop: threading.Event,
        on_fatal: Callable[[Runnable, Fatal], None],
        clock: Clock,
        mode: str = "",
    ) -> None:
        started_ms = clock.epoch_ms()
        self.broker = broker = build_broker(settings, clock)
        account_id, settings = meet_account(broker, settings, ledger, stop, clock)
        self.ground = ground = Ground(
            settings=settings,
            ledger=ledger,
            account_id=account_id,
            deployment=startup.deployment_of(account_id, settings),
            consumer=consumer,
            stop=stop,
            clock=clock,
            connect=functools.partial(make_client, settings.redis.url),
        )
        self.history = History(ground)
        self.rules = rules = pipeline_rules(ground, sizing)
        self.queue = queue = build_queue(settings, clock)
        self.guards = guards = build_guards(ground)
        self.outcomes = outcomes = build_outcomes(ground)
        self.tracking = tracking = build_tracking(ground, broker, guards, outcomes.writer)
        self.account = account = build_account_care(ground, broker, guards, tracking, rules)
        self.listening = listening = build_listening(
            ground, broker, guards, queue, outcomes, tracking.tracker, account.loss_check
        )
        self.sending = sending = build_sending(ground, broker, guards, tracking)
        self.deciding = deciding = build_deciding(
            ground,
            rules,
            broker=broker,
            guards=guards,
            queue=queue,
            outcomes=outcomes,
            tracking=tracking,
            listening=listening,
            sending=sending,
        )
        self.flattener = build_flattener(ground, broker, guards, tracking, sending)
        self.operations = Operations(
            settings,
            ledger=ledger,
            states=guards.states,
            kill_switch=guards.kill,
            wrapper=broker.wrapper,
            tracker=tracking.tracker,
            submitter=sending.submitter,
            outcomes=outcomes.writer,
            deployment=ground.deployment,
            connect=ground.connect,
            clock=clock,
        )
        shown = Shown(
            ground=ground,
            broker=broker,
            guards=guards,
            queue=queue,
            outcomes=outcomes,
            tracking=tracking,
            listening=listening,
            deciding=deciding,
            flattener=self.flattener,
            operations=self.operations,
            mode=mode or startup.mode_of(settings),
            started_ms=started_ms,
            services=self.services,
        )
        self.status = build_status(shown)
        # People lift a tripped breaker, too, in the ledger beside the running service.
        self.state_keeper = StateKeeper(guards.states, clock, also=tracking.trips.circuit.refresh)
        self._connect_callbacks()
        self.supervisor = Supervisor(self.services(), on_fatal=on_fatal, clock=clock)

    def _connect_callbacks(self) -> None:
        """What a part tells one that is built after it; nothing runs before all of it is set."""
        tracking, outcomes, rush = self.tracking, self.outcomes, self.queue.rush
        tracker, trips, submitter = tracking.tracker, tracking.trips, self.sending.submitter
        self.broker.limiter.subscribe(self.queue.lanes.wake)
        self.broker.wrapper.fence = self.guards.lease.check
        outcomes.publisher.on_released = self.listening.listener.released
        tracker.on_rejected = trips.circuit.rejected
        tracker.on_executed = trips.flips.executed
        tracking.schedule.wake = tracking.watch.wake
        tracking.stream.on_failing = trips.stream_failing
        self.account.loss_check.wake = self.account.keeper.wake
        # What can wait a moment lets orders that are about to leave go first.
        outcomes.publisher.give_way = rush.give_way
        outcomes.writer.give_way = rush.give_way
        tracking.stream.give_way = rush.give_way
        submitter.leaving = rush.over
        # A command waits for what it changes.
        self.guards.states.on_change = self.operations.kills.on_change = self.status.wake

    def services(self) -> list[Runnable]:
        """In the order of starting; stopping goes the other way, but for the listener."""
        return [
            self.guards.lease,
            self.state_keeper,
            self.outcomes.publisher,
            self.outcomes.writer,
            self.tracking.stream,
            self.tracking.watch,
            self.account.keeper,
            self.operations.kills,
            self.operations.control,
            self.broker.poller,
            self.flattener,
            self.deciding.workers,
            self.listening.listener,
            *filter(None, [self.guards.file_check]),
            # Last: its first picture, shown for a second, calls nothing dead that only comes later.
            self.status,
        ]
