"""What ``status`` and ``top`` show of the parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solution import startup
from solution.building.broker import Broker
from solution.building.deciding import Deciding
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.listening import Listening
from solution.building.outcomes import Outcomes
from solution.building.queue import Queue
from solution.building.tracking import Tracking
from solution.operations import Operations
from solution.runtime.service import Runnable
from solution.security import Redactor
from solution.trading.flatten import Flattener
from solution.ui.picture import Parts, picture
from solution.ui.snapshot import StatusPublisher


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The parts whose numbers are shown.

    Args:
        mode: which mode runs.
        started_ms: epoch ms.
        services: every one there is; asked at each picture, for the status is one of them.
    """

    ground: Ground
    broker: Broker
    guards: Guards
    queue: Queue
    outcomes: Outcomes
    tracking: Tracking
    listening: Listening
    deciding: Deciding
    flattener: Flattener
    operations: Operations
    mode: str
    started_ms: int
    services: Callable[[], Sequence[Runnable]]

    def snapshot(self) -> Mapping[str, Any]:
        """From memory only."""
        settings, broker, tracking = self.ground.settings, self.broker, self.tracking
        return picture(
            Parts(
                ledger=startup.ledger_name(settings),
                instance=self.ground.consumer,
                started_ms=self.started_ms,
                mode=self.mode,
                streams=settings.redis.streams,
                executions=settings.redis.executions_stream,
                broker=settings.broker.trading_url,
                kill_switch=self.guards.kill,
                workers=self.deciding.workers,
                services=self.services(),
                limiter=broker.limiter,
                lanes=self.queue.lanes,
                portfolio=broker.portfolio,
                prices=broker.prices,
                tracker=tracking.tracker,
                last_told=self.outcomes.last_told,
                listener=self.listening.listener,
                stream=tracking.stream,
                publisher=self.outcomes.publisher,
                writer=self.outcomes.writer,
                intake=self.listening.intake,
                wrapper=broker.wrapper,
                states=self.guards.states,
                trips=tracking.trips,
                kills=self.operations.kills,
                control=self.operations.control,
                flattening=self.flattener.under_way,
                epoch=self.ground.ledger.epoch,
                clock=self.ground.clock,
            )
        )


def build_status(shown: Shown) -> StatusPublisher:
    """Publishes the snapshot as it may leave this machine."""
    ground = shown.ground
    redactor = Redactor(ground.settings.secrets)

    def told() -> Mapping[str, Any]:
        # It quotes a broker, Redis and the system.
        values: Mapping[str, Any] = redactor.values(shown.snapshot())
        return values

    return StatusPublisher(ground.connect, ground.settings.redis.group, ground.consumer, told)
