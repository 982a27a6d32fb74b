"""The way of what was decided: ledger, then ``executions`` and the acknowledgement."""

from dataclasses import dataclass

from solution.building.ground import Ground
from solution.ledger.outbox import OutboxPublisher
from solution.ledger.writer import OutcomeWriter
from solution.ui.recent import LastTold


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """Writer to publisher; what passes between them is remembered for the status page."""

    writer: OutcomeWriter
    last_told: LastTold
    publisher: OutboxPublisher


def build_outcomes(ground: Ground) -> Outcomes:
    """Finds what a former run left unpublished."""
    settings = ground.settings.redis
    publisher = OutboxPublisher(
        ground.ledger,
        ground.connect,
        group=settings.group,
        stream=settings.executions_stream,
        maxlen=settings.executions_maxlen,
    )
    last_told = LastTold(publisher.publish)
    writer = OutcomeWriter(ground.ledger, last_told.publish, clock=ground.clock)
    return Outcomes(writer=writer, last_told=last_told, publisher=publisher)
