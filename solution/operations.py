"""What an operator may do to a running service, joined: control stream, kills, trading state."""

from collections.abc import Callable, Mapping
from typing import Any

import redis

from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.clock import Clock
from solution.config import Settings
from solution.domain.events import Event, ExecutionEvent
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX
from solution.domain.ports import Outcomes
from solution.domain.reasons import Reason
from solution.domain.records import Change
from solution.domain.trading_state import TradingState
from solution.feeds.control_listener import ControlListener
from solution.ledger.store import Store
from solution.trading.kill_barrier import KillKeeper, KillPorts
from solution.trading.kill_switch import KillSwitch
from solution.trading.legs import LegFinder
from solution.trading.operator import Operator
from solution.trading.outcomes import rfc3339
from solution.trading.states import TradingStates
from solution.trading.submit import Submitter
from solution.trading.tracker import OrderTracker


class Operations:
    """Builds the two services; starts nothing.

    Args:
        deployment: what the ids of our orders begin with, after their prefix.
        connect: makes a client of the configured Redis.
    """

    def __init__(  # noqa: PLR0913 - the parts of a service that an operator reaches
        self,
        settings: Settings,
        *,
        ledger: Store,
        states: TradingStates,
        kill_switch: KillSwitch,
        wrapper: AlpacaAPIWrapper,
        tracker: OrderTracker,
        submitter: Submitter,
        outcomes: Outcomes,
        deployment: str,
        connect: Callable[[], "redis.Redis"],
        clock: Clock,
    ) -> None:
        self._prefix = f"{CLIENT_ORDER_ID_PREFIX}-{deployment}-"
        self._stream = settings.control.stream
        self._states = states
        self._wrapper = wrapper
        self._tracker = tracker
        self._outcomes = outcomes
        self._clock = clock
        # A dry run has no orders; those on its account are somebody else's.
        self._alone = settings.broker.exclusive_account and not settings.gates.dry_run
        ports = KillPorts(
            in_flight=submitter.in_flight,
            unclear=lambda: tracker.count_unclear() + tracker.legs.count_wanted(),
            is_ours=self.is_ours,
            sent_ms=self._sent_ms,
            stands=self._is_halted,
            settle=LegFinder(wrapper, tracker).hurry,
            late=tracker.given_up,
            note=self._note,
            exclusive=self._alone,
        )
        self.kills = KillKeeper(wrapper, ledger, ports, clock)
        operator = Operator(
            states, kill_switch, ledger, clock, spelled=self._spelled, wake=self.kills.wake
        )
        self.control = ControlListener(
            connect,
            self._stream,
            settings.control.key.reveal(),
            ledger=ledger,
            carry_out=operator.carry_out,
            refused=self._refused,
            clock=clock,
        )

    def is_ours(self, order: Mapping[str, Any]) -> bool:
        """Of this deployment, a leg of its brackets, or one that took the place of either."""
        if self._alone or str(order.get("client_order_id") or "").startswith(self._prefix):
            return True
        known = self._tracker.known(order)
        return known is not None and not known.foreign

    def _is_halted(self) -> bool:
        """By the ledger, before it is denied: a kill's row may be seen here before its state is."""
        if not self._halted_by_memory():
            self._states.refresh()
        return self._halted_by_memory()

    def _halted_by_memory(self) -> bool:
        account = self._states.account()
        return account is not None and account.state is TradingState.HALTED

    def _sent_ms(self, client_order_id: str) -> int:
        tracked = self._tracker.get(client_order_id)
        return tracked.intent.submitted_ms if tracked else 0

    def _note(self, client_order_id: str, kill: str) -> None:
        self._tracker.remark(client_order_id, "cancel", f"by kill {kill}")

    def _spelled(self, ticker: str) -> str | None:
        asset = self._wrapper.find(ticker)
        return asset.symbol if asset else None

    def _refused(self, entry_id: str, words: str) -> None:
        """Told on ``executions``: somebody thinks that it was done."""
        event = ExecutionEvent(
            event=Event.CONTROL_REFUSED,
            stream=self._stream,
            entry_id=entry_id,
            at=rfc3339(self._clock.epoch_ms()),
            reason=str(Reason.CONTROL_REFUSED),
            message=words,
        )
        self._outcomes.put(Change(events=(event,)))
