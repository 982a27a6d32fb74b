"""Following orders to their end: what is told by stream, what is asked for, what trips on it."""

from dataclasses import dataclass

from solution.building.broker import Broker
from solution.building.ground import Ground
from solution.building.guards import Guards
from solution.building.history import History
from solution.domain.ports import Outcomes
from solution.domain.records import State
from solution.feeds.trade_stream import TradeStream
from solution.feeds.trade_updates import TradeUpdates
from solution.trading.schedule import Schedule
from solution.trading.tracker import OrderTracker
from solution.trading.trips import Trips
from solution.trading.watch import OrderWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """The orders on their way, and the two sources of news of them."""

    schedule: Schedule
    tracker: OrderTracker
    trips: Trips
    watch: OrderWatch
    stream: TradeStream


def build_tracking(ground: Ground, broker: Broker, guards: Guards, outcomes: Outcomes) -> Tracking:
    """Follows nothing yet; reads what had tripped before."""
    clock, history = ground.clock, History(ground)
    schedule = Schedule(lambda: stream.delivers)  # the stream is made below
    tracker = OrderTracker(
        outcomes,
        broker.portfolio,
        schedule,
        clock,
        find_row=ground.ledger.find_by_client_order_id,
        booked=history.booked,
    )
    trips = Trips(
        ground.settings.limits,
        ground.settings.breaker,
        ledger=ground.ledger,
        states=guards.states,
        halts=guards.states.halts,
        book=broker.portfolio,
        clock=clock,
        on_its_way=lambda coid: tracker.get(coid) is not None,
        trades_since=history.trades_since,
    )
    watch = OrderWatch(
        broker.wrapper,
        tracker,
        schedule,
        clock,
        may_resend=ground.settings.orders.resend_unknown,
        max_signal_age=ground.settings.ages.max_signal_age,
        on_conflict=guards.states.halts.halt,
    )
    stream = _build_stream(ground, tracker, schedule)
    return Tracking(schedule=schedule, tracker=tracker, trips=trips, watch=watch, stream=stream)


def _build_stream(ground: Ground, tracker: OrderTracker, schedule: Schedule) -> TradeStream:
    broker, clock = ground.settings.broker, ground.clock

    def connected() -> None:
        """No replay on this stream: every open order is asked for once."""
        # Those not accepted yet wait for their answer or are being looked up; a poll would adopt
        # what it finds without comparing.
        open_ids = [
            t.intent.client_order_id
            for t in tracker.open_orders()
            if t.progress.state is State.OPEN
        ]
        schedule.poll_now(open_ids, clock.monotonic())

    return TradeStream(
        broker.stream_url,
        TradeUpdates(broker.key_id, broker.secret.reveal()),
        on_updates=tracker.on_updates,
        on_connected=connected,
        clock=clock,
    )
