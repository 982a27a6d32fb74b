"""Closing positions beside the order path."""

from solution.building.broker import Broker
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.sending import Sending
from solution.building.tracking import Tracking
from solution.trading.flatten import Flattener
from solution.trading.flatten_build import FlattenParts, FlattenRules, flatten_service
from solution.trading.looker import another_account


def build_flattener(
    ground: Ground, broker: Broker, guards: Guards, tracking: Tracking, sending: Sending
) -> Flattener:
    """What closes positions, for a person or before a session's close."""
    settings = ground.settings
    parts = FlattenParts(
        wrapper=broker.wrapper,
        desk=sending.desk,
        ledger=ground.ledger,
        portfolio=broker.portfolio,
        tracker=tracking.tracker,
        submitter=sending.submitter,
        limiter=broker.limiter,
        states=guards.states,
        stopped=guards.no_exits,
        live=lambda: another_account(ground.account_id, broker.portfolio.account()),
        is_ours=ground.is_ours,
        clock=ground.clock,
    )
    rules = FlattenRules(
        deployment=ground.deployment,
        exclusive=settings.broker.exclusive_account,
        allow_extended=settings.gates.allow_extended_hours,
        max_price_age=settings.ages.max_price_age,
        before_close=settings.end_of_session.before_close
        if settings.end_of_session.liquidate
        else None,
        dry_run=settings.gates.dry_run,
    )
    return flatten_service(parts, rules)
