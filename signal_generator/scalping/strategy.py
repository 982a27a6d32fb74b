"""The scalper as a strategy: one machine and one algorithm per symbol, and a session around them.

The machine decides what is wanted (:mod:`signal_generator.scalping.machine`), the algorithm when to
buy (:mod:`signal_generator.scalper`); here both meet the clock, the account and the stream.
Everything that must survive a crash is in ``state``, which the host writes in one transaction with
the signals: an order that may live is never forgotten, and no id is given twice.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from logging import Logger
from typing import Any, Protocol

from signal_generator.bars import Bar
from signal_generator.executions import Execution
from signal_generator.hosting import BrokerUnavailable, Session
from signal_generator.scalping import signals as scalp_signals
from signal_generator.scalping.account import AccountView, read_account
from signal_generator.scalping.bars import SessionBars
from signal_generator.scalping.machine import Kind, Machine, State, Trigger
from signal_generator.scalping.signals import ScalpSettings
from signal_generator.sessions import NEW_YORK
from signal_generator.signals import Signal
from signal_generator.strategy import Strategy

_MINUTE = timedelta(minutes=1)
GRACE = timedelta(seconds=10)
"""After a minute's end its bar and an order's end are of one moment: bars come up to five seconds
late, and which of the two is heard first is chance."""


class Algo(Protocol):
    """When to buy one symbol."""

    def buys_now(self, minutes: Sequence[Bar]) -> bool:
        """Whether the last of the session's bars is a moment to buy."""


class ScalpStrategy(Strategy):
    """Buys each symbol on its algorithm's signal, sells it a cent dearer, is out before the close.

    Args:
        algo: makes a symbol's algorithm, from symbol, lot and logger.
        name: label of its signals and of its state.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        settings: ScalpSettings,
        algo: Callable[[str, Decimal, Logger], Algo],
        *,
        name: str = "scalp",
    ) -> None:
        super().__init__()
        self.name = name
        self.symbols = tuple(symbols)
        self._settings = settings
        self._make_algo = algo
        self._session: Session | None = None
        self._machines: dict[str, Machine] = {}
        self._algos: dict[str, Algo] = {}
        self._bars: dict[str, SessionBars] = {}
        self._logs: dict[str, Logger] = {}
        self._contradicted: dict[str, AccountView] = {}
        self._written = self.state
        self._latest = datetime.min.replace(tzinfo=UTC)

    # --- what the host calls --------------------------------------------------------------

    def on_start(self) -> list[Signal]:
        """Take up the session: the kept state first, and the broker's word against it."""
        clock = self.context.clock
        session = clock.session()
        if session is None or clock.now() >= session.closes:
            self.context.log.info("the market has no session any more today: nothing to do")
            self.context.ask_stop()
            return []
        self._session = session
        for symbol in self.symbols:
            log = self._logs[symbol] = self.context.log.getChild(symbol)
            self._algos[symbol] = self._make_algo(symbol, self._settings.lot, log)
            self._bars[symbol] = SessionBars(symbol, session, self.context.history)
        self._take_up(session)
        self._look(self.symbols, at_once=True)
        for symbol, machine in self._machines.items():
            self._logs[symbol].info("starts in state %s, %s held", machine.state, machine.held)
        return self._kept(self._step(clock.now(), self.symbols))

    def on_bar(self, symbol: str, bars: Sequence[Bar]) -> list[Signal]:
        """Whatever is due, and then perhaps a purchase."""
        bar = bars[-1]
        ended = bar.timestamp + _MINUTE
        if self._session is None or not self._session.opens <= bar.timestamp < self._session.closes:
            return []
        self._bars[symbol].add(bar)
        now = self._now(ended)
        if now - ended > self._settings.freshness:
            # Of an outage, run through late: its signals would be too old at the service as well.
            return []
        self._resume()
        return self._kept(self._step(now, [symbol]) or self._ask(symbol, bar.timestamp))

    def on_execution(self, update: Execution) -> list[Signal]:
        """What became of an order; a purchase that has come to its end is offered at once."""
        self._resume()
        symbol = self._symbol_of(update)
        if symbol is None:
            return []
        machine = self._machines[symbol]
        before = machine.state
        ended = machine.told(update)
        self._logs[symbol].info(
            "%s%s: %s -> %s, %s held",
            update.event,
            f" ({update.reason}: {update.message})" if update.reason else "",
            before,
            machine.state,
            machine.held,
        )
        return self._kept([] if ended is None else self._after_end(symbol, ended))

    def checkup(self) -> list[Signal]:
        """Every 30 s: our state against the broker's, and whatever is due without a bar."""
        session = self._session
        if session is None:
            return []
        now = self._now(self._latest)
        if now < session.opens:
            return []
        self._resume()
        self._look(self.symbols, at_once=False)
        return self._kept(self._step(now, self.symbols))

    # --- one step ---------------------------------------------------------------------------

    def _step(self, now: datetime, symbols: Sequence[str]) -> list[Signal]:
        """What is due by the clock: for these symbols, and for all when the day begins to close."""
        session = self._session
        if session is None or now < session.opens:
            return []
        if now >= session.closes:
            self._end()
            return []
        symbols = list(dict.fromkeys([*self._begin_closing(now), *symbols]))
        return [signal for symbol in symbols for signal in self._tick(symbol)]

    def _begin_closing(self, now: datetime) -> list[str]:
        """The symbols whose day begins to close now."""
        session = self._session
        if session is None or now < session.closes - self._settings.liquidate_before:
            return []
        beginning = [s for s, machine in self._machines.items() if not machine.closing]
        for symbol in beginning:
            self._machines[symbol].close_day()
            self._logs[symbol].info("the session closes at %s: out", session.closes)
        return beginning

    def _after_end(self, symbol: str, ended: Kind) -> list[Signal]:
        """An order has ended: what follows must not depend on whether a bar came before it.

        So the closing counts from its moment on, whoever notices it first, and a sale that ends
        just after a bar leaves that bar's signal open, as if it had ended just before.
        """
        now = self._now(self._latest)
        closing = self._begin_closing(now)
        signals = []
        if not self._machines[symbol].closing:
            signals = self._act(symbol, Trigger.ENDED)
        elif ended is not Kind.LIQUIDATE:  # which is repeated at a bar's pace, not the network's
            signals = self._tick(symbol)
        signals += [one for other in closing if other != symbol for one in self._tick(other)]
        start = now.replace(second=0, microsecond=0) - _MINUTE
        if not signals and now - start - _MINUTE <= GRACE:
            signals = self._ask(symbol, start)
        return signals

    def _tick(self, symbol: str) -> list[Signal]:
        machine = self._machines[symbol]
        if machine.closing:
            for key in machine.give_up_doubtful():
                self._logs[symbol].error("%s was never found at the broker: given up", key)
        if machine.recount:
            self._look([symbol], at_once=True)
        return self._act(symbol, Trigger.TICK)

    def _act(self, symbol: str, trigger: Trigger) -> list[Signal]:
        """The signal that the machine wishes for, if there is a price for it."""
        machine = self._machines[symbol]
        kind = machine.wish(trigger)
        if kind is None:
            return []
        counters = self.state["n"]
        number = counters[symbol] + 1
        signal_id = f"{self.name}:{symbol}:{self.state['session']}:{number}"
        signal = self._signal(kind, symbol, signal_id)
        if signal is None:
            return []
        counters[symbol] = number
        qty = machine.held if kind is Kind.LIQUIDATE else Decimal(str(signal.qty))
        machine.sent(signal_id, kind, qty)
        self._logs[symbol].info(
            "%s %s at %s (%s): now %s",
            kind,
            qty,
            signal.limit_price or "the market",
            signal_id,
            machine.state,
        )
        return [signal]

    def _signal(self, kind: Kind, symbol: str, signal_id: str) -> Signal | None:
        machine = self._machines[symbol]
        if kind is Kind.LIQUIDATE:
            return scalp_signals.liquidate(symbol, signal_id)
        last = self._last_trade(symbol)
        if kind is Kind.SELL:
            return scalp_signals.sell(symbol, signal_id, machine.held, machine.entry, last)
        if last is None:
            return None
        signal = scalp_signals.buy(symbol, signal_id, last, self._settings)
        if signal is None:
            self._logs[symbol].warning(
                "a lot of %s buys no share at %s: no purchase", self._settings.lot, last
            )
        return signal

    def _last_trade(self, symbol: str) -> Decimal | None:
        try:
            return self.context.broker.last_trade(symbol)
        except BrokerUnavailable as error:
            self._logs[symbol].warning("no last trade: %s", error)
            return None

    def _ask(self, symbol: str, start: datetime) -> list[Signal]:
        """Ask the algorithm about this bar, once, in the one state in which it matters."""
        asked = self.state["asked"]
        if self._machines[symbol].wish(Trigger.CROSS) is None:
            return []
        minutes = self._bars[symbol].until(start)
        if not minutes or minutes[-1].timestamp != start or asked.get(symbol) == start.isoformat():
            return []
        asked[symbol] = start.isoformat()
        try:
            buys = bool(self._algos[symbol].buys_now(minutes))
        except BaseException:  # noqa: BLE001  # the user's own code: whatever it does, sales go on
            self._logs[symbol].exception("the buy signal failed on the bar of %s", start)
            return []
        return self._act(symbol, Trigger.CROSS) if buys else []

    # --- the account ------------------------------------------------------------------------

    def _look(self, symbols: Sequence[str], *, at_once: bool) -> None:
        """Compare with the broker; a contradiction counts when seen twice, or `at_once`.

        Twice, because positions, orders and the news of them travel separately, and one look may
        fall in between.
        """
        try:
            views = read_account(self.context.broker, symbols)
        except BrokerUnavailable as error:
            self.context.log.warning("the account could not be read: %s", error)
            if at_once:
                for symbol in symbols:
                    self._machines[symbol].recount = True
            return
        for symbol, view in views.items():
            machine = self._machines[symbol]
            before = self._contradicted.pop(symbol, None)
            if machine.explains(view.held, view.resting):
                continue
            if not at_once and not machine.recount and view != before:
                self._contradicted[symbol] = view
                continue
            for sentence in machine.believe(view.held, view.entry, view.resting):
                self._logs[symbol].warning("%s; the broker's word counts", sentence)

    def _take_up(self, session: Session) -> None:
        """The machines as they were kept for this session, or new ones."""
        day = session.opens.astimezone(NEW_YORK).date().isoformat()
        kept = self.state if self.state.get("session") == day else {}
        self._machines = {symbol: self._machine(kept, symbol) for symbol in self.symbols}
        # In the middle of a session without a memory, Redis may have lost it: ids given before
        # were fewer than the seconds, and one that comes again would be nobody's order.
        seconds = max(0, int((self.context.clock.now() - session.opens).total_seconds()))
        self._written = self.state = {
            "session": day,
            "n": dict.fromkeys(self.symbols, seconds) | kept.get("n", {}),
            "asked": dict(kept.get("asked", {})),
        }

    def _machine(self, kept: dict[str, Any], symbol: str) -> Machine:
        found = kept.get("symbols", {}).get(symbol)
        if found is None:
            return Machine()
        try:
            return Machine.from_json(found)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            self._logs[symbol].error("the kept state is not one: %r; the broker is asked", error)
            return Machine()

    # --- small things -----------------------------------------------------------------------

    def _resume(self) -> None:
        """Undo a callback that failed, as the host has done with the state it had written."""
        if self.state is not self._written:
            self._machines = {symbol: self._machine(self.state, symbol) for symbol in self.symbols}
            self._written = self.state

    def _kept(self, signals: list[Signal]) -> list[Signal]:
        """Write the machines into the state: the host keeps both, or neither."""
        self.state["symbols"] = {s: machine.as_json() for s, machine in self._machines.items()}
        return signals

    def _now(self, at_least: datetime) -> datetime:
        """The market's time: never before a bar that has ended, and never back."""
        try:
            told = self.context.clock.now()
        except BrokerUnavailable:
            told = at_least
        self._latest = max(self._latest, told, at_least)
        return self._latest

    def _symbol_of(self, update: Execution) -> str | None:
        for symbol, machine in self._machines.items():
            if update.signal_id in machine.orders or update.order_id in machine.orders:
                return symbol
        return update.ticker if update.ticker in self._machines else None

    def _end(self) -> None:
        self._session = None  # whatever comes now is too late
        left = []
        for symbol, machine in self._machines.items():
            log, orders = self._logs[symbol], ", ".join(machine.orders) or "none"
            if machine.flat:
                log.info("the session is over: %s", State.DONE)
            elif machine.out:
                log.warning("the session is over; orders of others rest: %s", orders)
            else:
                found = f"{machine.held} are held, orders without an end: {orders}"
                log.error("the session is over and %s", found)
                left.append(f"{symbol}: {found}")
        if left:
            self.context.fail(f"the session is over and not all is sold: {'; '.join(left)}")
        self.context.ask_stop()
