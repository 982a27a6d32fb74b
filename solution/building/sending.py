"""How orders leave."""

from dataclasses import dataclass

from solution.building.broker import Broker
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.tracking import Tracking
from solution.trading.desk import TradingDesk
from solution.trading.permission import Permission
from solution.trading.submit import Submitter


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The one way in which orders leave; signals and flattens share it."""

    desk: TradingDesk
    submitter: Submitter


def build_sending(ground: Ground, broker: Broker, guards: Guards, tracking: Tracking) -> Sending:
    """Nothing is sent yet."""
    desk = TradingDesk(
        broker.wrapper,
        broker.prices,
        broker.poller.fetch_now,
        ground.clock,
        max_price_age=ground.settings.ages.max_price_age,
    )
    submitter = Submitter(
        broker.wrapper,
        ground.ledger,
        tracking.tracker,
        Permission(guards.kill, guards.states).denial,
        guards.lease.check,
        ground.clock,
        tracking.trips.circuit,
    )
    return Sending(desk=desk, submitter=submitter)
