"""One run: builds its parts, starts them in order, ends them in order."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import redis

from signal_generator.blocks import summary
from signal_generator.blocks.book import PositionBook
from signal_generator.blocks.comparison import Comparison
from signal_generator.blocks.context import Trading
from signal_generator.blocks.desk import Fields, OrderDesk
from signal_generator.blocks.ending import WAIT_S, SessionEnd
from signal_generator.blocks.housekeeping import Housekeeping
from signal_generator.blocks.journal import Journal
from signal_generator.blocks.listener import ExecutionListener
from signal_generator.blocks.loop import FAILURES, StrategyLoop, Until
from signal_generator.blocks.options import Options
from signal_generator.blocks.outbox import Outbox
from signal_generator.blocks.quotes import QuoteBoard, QuoteFeed
from signal_generator.blocks.register import OrderRegister
from signal_generator.blocks.row_cursor import RowCursor
from signal_generator.blocks.trade_log import TradeLog, path_of
from signal_generator.hosting import Position
from signal_generator.publisher import make_client
from signal_generator.runtime import Stop

log = logging.getLogger(__name__)

READINGS = 5
"""How often the positions are read at the start while fills of others come between."""


class Stoppable(Stop, Protocol):
    """A stop flag that a run may set itself."""

    def set(self) -> None:
        """Raise it."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run works with, and does not own.

    Args:
        positions: asks the broker.
        show: prints for the user.
        sign: completes signals where the service wants signatures.
        stop: ends the run early, in order.
        trouble: one sentence when what executes the orders has ended; empty while all is well.
        drop_waiting: makes sure that no order is sent any more that was not sent yet.
        no_more: ends what executes the orders, if it is ours; all that it did is told then.
    """

    redis_url: str = field(repr=False)
    stream: str
    executions_stream: str
    group: str
    feed: QuoteFeed
    positions: Callable[[], Sequence[Position]]
    show: Callable[[str], None]
    stop: Stoppable
    trouble: Callable[[], str] = lambda: ""
    no_more: Callable[[], None] = lambda: None
    drop_waiting: Callable[[], object] = lambda: None
    sign: Callable[[Fields], Fields] = lambda fields: fields
    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic


class Run:
    """For the thread that called `run_trading`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options = options
        self._around = around
        self._process = os.getpid()
        self.register = OrderRegister()
        self.book = PositionBook(options.tickers, around.monotonic)
        self._quotes = QuoteBoard(options.tickers, around.now)
        self._end = 0.0
        self._loop: StrategyLoop | None = None
        self.trouble = ""
        """Why the run had to end."""

    def __call__(self) -> dict[str, Any]:
        """Warm up, call the strategy until the time is over, close, and tell how it went.

        Raises:
            BrokerUnavailable: the positions cannot be read at the start.
            redis.RedisError: Redis cannot be read at the start.
            OSError: the trade log cannot be written.
        """
        with ExitStack() as parts:
            try:
                trading, desk, outbox = self._start(parts)
                loop = StrategyLoop(
                    lambda: self._call(trading),
                    desk.submit,
                    frequency=self._options.frequency,
                    monotonic=self._around.monotonic,
                )
                self._loop = loop
                self._trade(loop, trading, desk, outbox)
            finally:
                if self._in_a_fork():
                    parts.pop_all()  # they are our parent's
        return {"workers": [], "orders": trading.orders, "positions": trading.positions}

    def _start(self, parts: ExitStack) -> tuple[Trading, OrderDesk, Outbox]:
        options, around = self._options, self._around
        path = path_of(options.log_path, options.log_name)
        cursor = RowCursor(path, around.executions_stream)
        known = cursor.read()
        rows = TradeLog(path, around.now)
        journal = Journal(self.book, self.register, rows, options.label)
        parts.callback(journal.close)
        # Last in, first out: what is open is told when nothing can come any more.
        parts.callback(self._tell, journal)
        client = self._client(parts)
        listener = ExecutionListener(
            self._client(parts), around.executions_stream, journal.take, cursor.keep
        )
        if known is not None:
            place, written = known
            listener.catch_up(place.entry_id, place.event_id, journal.missed(written))
        # Before positions are read and anything is sent: no fill falls between.
        listener.start()
        parts.callback(listener.stop)
        # While it ends the service still sends what it has in hand: that has its rows, too.
        parts.callback(around.no_more)
        self._read_positions()
        around.feed.start(options.tickers, self._quotes.put)
        parts.callback(around.feed.stop)
        outbox = Outbox(client, around.stream, journal.gave_up, monotonic=around.monotonic)
        parts.callback(outbox.close)
        desk = OrderDesk(
            self.register,
            outbox.submit,
            journal.failed,
            label=options.label,
            now=around.now,
            max_age=lambda: max(0.0, self._end - around.monotonic()) + WAIT_S,
            sign=around.sign,
        )
        compared = Comparison(self._client(parts), around.group, self.book, around.positions)
        tasks = [self._watch, compared.step]
        if not options.live_display:
            tasks.append(self._summarise)
        housekeeping = Housekeeping(tasks)
        housekeeping.start()
        parts.callback(housekeeping.stop)
        return Trading(self._quotes, self.book, self.register, desk), desk, outbox

    def _read_positions(self) -> None:
        """Until no fill, of whomever, comes between the question and the answer."""
        for _ in range(READINGS):
            version = self.book.version
            if self.book.adopt(self._around.positions(), version):
                return
        log.warning("the account trades all the time: its positions are compared again soon")

    def _client(self, parts: ExitStack) -> "redis.Redis":
        client = make_client(self._around.redis_url)
        parts.callback(client.close)
        return client

    def _trade(self, loop: StrategyLoop, trading: Trading, desk: OrderDesk, outbox: Outbox) -> None:
        options, around = self._options, self._around
        self._warn_of_holdings(trading)
        if around.stop.wait(options.warm_up):
            return  # nothing has happened yet, and nothing is closed
        self._end = around.monotonic() + options.run_seconds
        try:
            loop.run(Until(around.stop, self._end, around.monotonic))
        except KeyboardInterrupt:
            raise  # the second Ctrl-C: at once, and nothing is closed
        except BaseException:  # such as sys.exit() in the strategy: an end like any other
            if self._in_a_fork():
                raise  # the session is our parent's, and so is what it holds
            self._close_session(trading, desk, outbox)
            raise
        self._close_session(trading, desk, outbox)

    def _call(self, trading: Trading) -> Any:
        """One call of the strategy; in a process that it forks, the only one.

        Raises:
            SystemExit: the strategy came back twice, as two processes, and this is the new one.
        """
        try:
            orders = self._options.strategy(trading.context())
        except FAILURES:
            if not self._in_a_fork():
                raise
            log.exception("the strategy failed in a process that it has forked")
            raise SystemExit(1) from None
        if self._in_a_fork():
            log.error("the strategy came back in a process that it has forked: that one ends here")
            raise SystemExit(1)
        return orders

    def _in_a_fork(self) -> bool:
        return os.getpid() != self._process

    def _close_session(self, trading: Trading, desk: OrderDesk, outbox: Outbox) -> None:
        options = self._options
        if self.trouble:
            log.error("nothing is closed, because nobody would execute it: %s", self.trouble)
            return
        self._around.show(f"the session ends: {options.at_the_end}")
        end = SessionEnd(
            *(self.register, trading.positions, desk.submit, options.tickers),
            self._around.drop_waiting,
            self._around.monotonic,
        )
        end.run(options.at_the_end, options.custom_action, trading.context())
        outbox.drain(1.0)

    def _watch(self) -> None:
        """Without a service orders would only wait: better an early end that is told."""
        if not self.trouble and (why := self._around.trouble()):
            self.trouble = why
            log.error("the run ends: %s", why)
            self._around.stop.set()

    def _warn_of_holdings(self, trading: Trading) -> None:
        if self._options.at_the_end != "liquidate":
            return
        mine = set(self._options.tickers)
        held = {r["ticker"]: r["quantity"] for r in trading.positions() if r["ticker"] in mine}
        if held:
            log.warning(
                "held already, and closed with the rest at the end (eos_behavior='liquidate'): %s",
                held,
            )

    def _summarise(self) -> None:
        self._around.show(
            summary.text(
                self.book.rows(self._quotes.top),
                (record.status for record in self.register.all()),
                float(self.book.realized),
                self._loop.failures if self._loop else 0,
            )
        )

    def _tell(self, journal: Journal) -> None:
        """The last summary, and every order that is not at its end."""
        if self._loop is None:
            return
        self._summarise()
        journal.unfinished(record for record in self.register.all() if not record.final)
