"""The settings of the order path, for everything that makes or adopts orders."""

from dataclasses import replace

from solution import startup
from solution.building.ground import Ground
from solution.trading.compose import PipelineRules
from solution.trading.plan import SizingRules


def pipeline_rules(ground: Ground, sizing: SizingRules) -> PipelineRules:
    """The settings of the order path.

    Args:
        sizing: made before the broker was asked, so that a function that is missing is told at
            once; its tickers are still spelled as the user does.
    """
    settings = ground.settings
    return PipelineRules(
        deployment=ground.deployment,
        account_id=ground.account_id,
        gates=startup.gate_rules(settings),
        sizing=replace(
            sizing,
            weights=dict(settings.sizing.weights),
            symbols=settings.sizing.symbols,
            ticker_caps=dict(settings.limits.ticker_caps),
        ),
        order_type=settings.orders.order_type,
        time_in_force=settings.orders.time_in_force,
        limit_collar_bps=settings.orders.limit_collar_bps,
        dry_run=settings.gates.dry_run,
        ordered=settings.orders.ordering == "asset",
    )
