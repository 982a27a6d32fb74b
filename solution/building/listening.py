"""Reading the signal streams: the listener, and what its entries turn into."""

from dataclasses import dataclass

from solution.building.broker import Broker
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.history import History
from solution.building.outcomes import Outcomes
from solution.building.queue import Queue
from solution.feeds.reading import Reading
from solution.feeds.signal_listener import ListenerPorts, ListenerRules, SignalListener
from solution.intake import Intake
from solution.trading.loss_check import LossCheck
from solution.trading.tracker import OrderTracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """From the streams to the lanes."""

    intake: Intake
    listener: SignalListener


def build_listening(
    ground: Ground,
    broker: Broker,
    guards: Guards,
    queue: Queue,
    outcomes: Outcomes,
    tracker: OrderTracker,
    loss_check: LossCheck,
) -> Listening:
    """Reads nothing yet."""
    settings, ledger, history = ground.settings, ground.ledger, History(ground)
    intake = Intake(queue.lanes, outcomes.writer, ground.clock, ledger=ledger, tracker=tracker)
    rules = ListenerRules(
        streams=settings.redis.streams,
        group=settings.redis.group,
        consumer=ground.consumer,
        max_signal_age=settings.ages.max_signal_age,
        retention_days=settings.redis.retention_days,
        verifier=settings.intake.verifier(),
    )
    ports = ListenerPorts(
        room=queue.lanes.room,
        wait_room=queue.lanes.wait_room,
        deliver=intake.deliver,
        dead_letter=intake.dead_letter,
        acknowledge=intake.acknowledge,
        has_dead_letter=history.has_dead_letter,
        leave_to_row=intake.leave_to_row,
        is_known=history.is_known,
        find_asset=broker.wrapper.find,
        is_dead=guards.is_dead,
        reading=Reading(ledger, queue.turnstile),
        compare=loss_check.ask,
    )
    listener = SignalListener(ground.connect, rules, ports, ground.clock)
    return Listening(intake=intake, listener=listener)
