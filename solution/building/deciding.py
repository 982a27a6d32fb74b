"""From a signal in a lane to its order."""

import functools
from dataclasses import dataclass

from solution.building.broker import Broker
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.listening import Listening
from solution.building.outcomes import Outcomes
from solution.building.queue import Queue
from solution.building.sending import Sending
from solution.building.tracking import Tracking
from solution.runtime.pool import WorkerPool
from solution.trading.airspace import Airspace
from solution.trading.compose import PipelineRules
from solution.trading.exit_saga import ExitSaga
from solution.trading.pipeline import Pipeline
from solution.trading.worker import Supply, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """What turns signals into orders, and the threads that run it."""

    pipeline: Pipeline
    workers: WorkerPool


def build_deciding(  # noqa: PLR0913 - where all of the order path meets, each used here
    ground: Ground,
    rules: PipelineRules,
    *,
    broker: Broker,
    guards: Guards,
    queue: Queue,
    outcomes: Outcomes,
    tracking: Tracking,
    listening: Listening,
    sending: Sending,
) -> Deciding:
    """The pipeline and its workers."""
    pipeline = Pipeline(
        rules=rules,
        desk=sending.desk,
        ledger=ground.ledger,
        outcomes=outcomes.writer,
        portfolio=broker.portfolio,
        tracker=tracking.tracker,
        submitter=sending.submitter,
        kill=guards.kill,
        clock=ground.clock,
        stop=ground.stop,
        redis_ms=listening.listener.redis_ms,
        states=guards.states,
        saga=_exit_saga(ground, broker, tracking),
        turnstile=queue.turnstile,
        starved=queue.lanes.starved,
        duplicates=queue.duplicates,
        tripping=tracking.trips,
    )
    count = ground.settings.workers
    supply = Supply(
        lanes=queue.lanes,
        limiter=broker.limiter,
        rush=queue.rush,
        space=Airspace(count),
        may_send_more=functools.partial(broker.wrapper.may_send_more, count),
    )
    workers = WorkerPool(count, Worker(supply, pipeline, ground.clock).work, clock=ground.clock)
    return Deciding(pipeline=pipeline, workers=workers)


def _exit_saga(ground: Ground, broker: Broker, tracking: Tracking) -> ExitSaga | None:
    if not ground.settings.orders.exit_cancels_resting:
        return None
    return ExitSaga(broker.wrapper, tracking.tracker, ground.prefix, ground.clock, ground.stop)
