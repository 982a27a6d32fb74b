"""Keeping the account's picture right: snapshots, orders without a row, what Redis has lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from solution import startup
from solution.building.broker import Broker
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.history import History
from solution.building.tracking import Tracking
from solution.trading import recovery
from solution.trading.compose import Composer, PipelineRules
from solution.trading.legs import LegFinder
from solution.trading.loss_check import LossCheck
from solution.trading.open_orders import OpenOrders
from solution.trading.orphans import Orphans
from solution.trading.reconcile import AccountKeeper, Duties

Unclaimed = Mapping[str, Mapping[str, Any]]
"""client_order_id → the broker's order, which has no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCare:
    """The keeper, and what it does besides.

    Args:
        settle: gives orders without a row one each; see
            :func:`solution.trading.recovery.unclaimed`.
    """

    keeper: AccountKeeper
    loss_check: LossCheck
    settle: Callable[[Unclaimed], None]


def build_account_care(
    ground: Ground, broker: Broker, guards: Guards, tracking: Tracking, rules: PipelineRules
) -> AccountCare:
    """Asks nothing yet."""
    history = History(ground)
    orphans = _build_orphans(ground, broker, guards, tracking, rules)

    def settle(unclaimed: Unclaimed) -> None:
        orphans.settle(unclaimed)
        recovery.settled(ground.ledger)

    loss_check = LossCheck(
        ledger=ground.ledger,
        unclaimed=lambda since_ms: history.unclaimed(broker.wrapper, since_ms),
        settle=settle,
        clock=ground.clock,
    )
    open_orders = OpenOrders(
        broker.wrapper,
        tracking.tracker,
        tracking.schedule,
        ground.clock,
        is_ours=ground.is_ours,
        has_row=history.has_row,
        on_stranger=orphans.stranger,
    )
    day_watch = tracking.trips.day_watch
    duties = Duties(
        broker.portfolio,
        tracking.tracker,
        tracking.schedule,
        ground.clock,
        errands=(
            day_watch.step,
            loss_check.step,
            LegFinder(broker.wrapper, tracking.tracker).step,
            open_orders.step,
        ),
        equity=ground.ledger,
    )
    keeper = AccountKeeper(
        broker.wrapper, broker.portfolio, ground.clock, duties, watched=day_watch.limited
    )
    return AccountCare(keeper=keeper, loss_check=loss_check, settle=settle)


def _build_orphans(
    ground: Ground, broker: Broker, guards: Guards, tracking: Tracking, rules: PipelineRules
) -> Orphans:
    streams = ground.settings.redis.streams
    return Orphans(
        composer=Composer(rules),
        ledger=ground.ledger,
        tracker=tracking.tracker,
        portfolio=broker.portfolio,
        halts=guards.states.halts,
        clock=ground.clock,
        recent=lambda since_ms: startup.recent_entries(ground.connect, streams, since_ms),
        find_asset=broker.wrapper.find,
        undecided_ms=rules.gates.undecided_ms,
    )
