"""EOS_BEHAVIOR=liquidate: some minutes before the real close, stocks are closed for the day.

Once per session, by the id of its request: a start within those minutes finds the request of the
process before it, or makes it. Crypto has no session and is left alone.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from solution import failpoints
from solution.clock import Clock
from solution.domain.flattening import END_OF_SESSION, Flattening
from solution.domain.market import Market
from solution.domain.reasons import Reason
from solution.domain.trading_state import TradingState
from solution.session import NEW_YORK, OutsideTableError, next_open, session_on
from solution.trading.flatten_limits import States
from solution.trading.states import SESSION_END

log = logging.getLogger(__name__)


class RequestLedger(Protocol):
    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str, *, sync: bool = True) -> None: ...


class SessionEnd:
    """Asks for the flatten of a session's end.

    Args:
        market: open or not, and the broker's time.
        closes_at: when the broker itself says that it closes, None where it does not say; the
            earlier of that and the session table counts.
        before_close: seconds.
    """

    def __init__(
        self,
        *,
        ledger: RequestLedger,
        states: States,
        market: Callable[[], Market],
        closes_at: Callable[[], datetime | None],
        clock: Clock,
        before_close: float,
    ) -> None:
        self._ledger = ledger
        self._states = states
        self._market = market
        self._closes_at = closes_at
        self._clock = clock
        self._before_close = timedelta(seconds=before_close)
        self._done = ""

    def step(self) -> None:
        """Write the request when it is time; cheap, and harmless when repeated."""
        market = self._market()
        if not market.is_open:
            return
        day = market.at.astimezone(NEW_YORK).date()
        try:
            session = session_on(day)
            opens = next_open(market.at)
        except OutsideTableError:
            log.exception("session_end_unknown")
            return
        told = self._closes_at()
        closes = min((at for at in (told, session and session.close) if at), default=None)
        if closes is None or closes <= market.at or market.at < closes - self._before_close:
            return
        request_id = f"{END_OF_SESSION}{day}"
        if request_id != self._done:
            self._ask(request_id, market.at, closes, opens)
            self._done = request_id

    def _ask(self, request_id: str, at: datetime, closes: datetime, opens: datetime) -> None:
        """Restrict, then ask: between the two a crash leaves the second to the next start."""
        now_ms = self._clock.epoch_ms()
        why = f"the session ends at {closes:%H:%M} UTC (EOS_BEHAVIOR=liquidate)"
        request = Flattening(
            id=request_id,
            symbols=(),
            why=why,
            at_ms=now_ms,
            stocks_only=True,
            until_ms=now_ms + _ms(closes - at),
        )
        if self._ledger.get_state(request.key) is not None:
            return
        self._states.restrict(
            SESSION_END,
            TradingState.REDUCING,
            Reason.REDUCING_ONLY,
            f"{why}; until {opens:%Y-%m-%d %H:%M} UTC",
            until_ms=now_ms + _ms(opens - at),
        )
        failpoints.hit("flatten.session_restricted")
        self._ledger.set_state(request.key, request.to_json())
        failpoints.hit("flatten.session_asked")
        log.warning("session_end", extra={"flatten": request_id, "detail": why})


def _ms(span: timedelta) -> int:
    """By the broker's clock; added to ours, so that the two need not agree."""
    return span // timedelta(milliseconds=1)
