"""Builds a host from its options, runs it, ends it."""

import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from signal_generator.app import printer
from signal_generator.bars import Bar, Timeframe
from signal_generator.hosting import BarSource, BrokerUnavailable, Market, MarketClock
from signal_generator.hosts.execution_reader import ExecutionReader
from signal_generator.hosts.host import Host
from signal_generator.hosts.hosted import Hosted, WrongStrategy
from signal_generator.hosts.inbox import Inbox
from signal_generator.hosts.keeper import Calling, Keeper
from signal_generator.hosts.kept import Fields, MemoryStore, Publish
from signal_generator.hosts.lease import Lease
from signal_generator.hosts.store import PREFIX, Outlet, RedisStore
from signal_generator.market.recorded_market import BarClock, NoBroker
from signal_generator.printable import VisibleFormatter, visible_lines
from signal_generator.publisher import Publisher, PublishError, make_client
from signal_generator.runtime import SignalStop, stop_on_signals
from signal_generator.signal_checks import is_symbol
from signal_generator.signing import Signer, find_key
from signal_generator.strategy import Strategy

#: Seconds for a callback to end after the stop; one that goes on longer is left behind.
STOP_WITHIN = 5.0
_JOIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What every command with strategies takes.

    Args:
        symbols: for strategies that name none themselves.
        bars: files or folders of recorded bars; none for the live market.
        publish: publish what recorded bars lead to.
        broker_clock: how often to ask for the broker's time, in seconds; None for this machine's.
    """

    redis_url: str
    stream: str
    maxlen: int | None
    connect_timeout: float
    as_json: bool
    hmac_key_file: str | None
    symbols: Sequence[str]
    timeframe: Timeframe
    executions: str
    take_over: bool
    stamp: bool
    bars: Sequence[str]
    publish: bool
    broker_clock: float | None


def run(strategies: Sequence[tuple[str, Strategy]], options: HostOptions) -> None:
    """Run them until SIGINT or SIGTERM, or until recorded bars are at their end.

    Raises:
        click.UsageError: an option or a setting cannot be used (exit code 2).
        click.ClickException: Redis, the broker or a strategy does not let us (exit code 1).
    """
    _log_to_stderr()
    with stop_on_signals() as stop, ExitStack() as stack:
        _Run(strategies, options, stop, stack).run()


class _Run:
    """One run: what is made, in which order it begins, and in which it ends."""

    def __init__(
        self,
        strategies: Sequence[tuple[str, Strategy]],
        options: HostOptions,
        stop: SignalStop,
        stack: ExitStack,
    ) -> None:
        self._options = options
        self._stop = stop
        self._stack = stack
        self._failure = ""
        self._calling = Calling()
        self._hosted = self._host(strategies)
        self._reported: Counter[str] = Counter()

    def run(self) -> None:
        inbox = Inbox()
        market = self._market()
        self._stack.callback(market.source.stop)
        store, executions, keeper = self._redis(inbox) if self._keeps() else (None, None, None)
        host = Host(
            self._hosted,
            self._options.timeframe,
            market,
            store=store or MemoryStore(self._show()),
            inbox=inbox,
            stop=self._stop,
            executions=executions,
        )
        worker = threading.Thread(target=self._work, args=(host,), name="strategies", daemon=True)
        if keeper:
            keeper.start()
        worker.start()
        # In slices: a wait without end would keep a second signal from ending the process.
        while not self._stop.wait(3600):
            pass
        inbox.close()
        worker.join(STOP_WITHIN)
        if keeper:
            keeper.stop(_JOIN)
        if executions:
            executions.join(_JOIN)
        if worker.is_alive():
            self._fail(f"{self._calling.now[0]} does not end; it was left behind")
        else:
            host.close()
        failure = self._failure or str(getattr(market.source, "failure", ""))
        self._summary(market.source)
        if failure:
            raise click.ClickException(visible_lines(failure))

    def _work(self, host: Host) -> None:
        try:
            host.run()
            if host.failure:
                self._fail(host.failure)
        except (PublishError, WrongStrategy, BrokerUnavailable) as error:
            self._fail(str(error))
        except BaseException as error:
            self._fail(f"the host failed: {error!r}")
            raise
        finally:
            self._stop.set()

    def _fail(self, why: str) -> None:
        """Keep the first reason, and end."""
        self._failure = self._failure or why
        self._stop.set()

    # --- parts ------------------------------------------------------------------------------

    def _keeps(self) -> bool:
        return not self._options.bars or self._options.publish

    def _host(self, strategies: Sequence[tuple[str, Strategy]]) -> list[Hosted]:
        found = []
        for name, strategy in strategies:
            symbols = _symbols(name, strategy.symbols) or self._options.symbols
            if not symbols:
                raise click.UsageError(f"{name} names no symbols: give --symbols")
            try:
                found.append(
                    Hosted(
                        strategy,
                        name,
                        symbols,
                        self._options.timeframe,
                        frame=_frame,
                        stamp=self._options.stamp,
                        calling=self._calling,
                    )
                )
            except WrongStrategy as error:
                raise click.UsageError(str(error)) from None
        return found

    def _market(self) -> Market:
        options = self._options
        try:
            if options.bars:
                return _recorded(options)
            return _live(os.environ, broker_clock=options.broker_clock, failed=self._fail)
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    def _redis(self, inbox: Inbox) -> tuple[RedisStore, ExecutionReader, Keeper]:
        options = self._options
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        try:
            main, reading, beside = (make_client(options.redis_url) for _ in range(3))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--redis-url") from None
        for client in (main, reading, beside):
            self._stack.callback(client.close)
        self._connect(main)
        leases = {h.name: Lease(beside, h.name, owner, self._stop) for h in self._hosted}
        outlet = Outlet(options.stream, options.maxlen, _signer(options), self._show())
        store = RedisStore(
            main,
            outlet,
            owner=owner,
            stop=self._stop,
            lease=leases.__getitem__,
            take_over=options.take_over,
        )
        executions = ExecutionReader(
            reading, options.executions, inbox.put_execution, self._stop, failed=self._lost
        )
        keeper = Keeper(
            store.held,
            leases.__getitem__,
            self._calling,
            troubles=self._troubles,
            lost=self._lost,
        )
        return store, executions, keeper

    def _lost(self, error: PublishError) -> None:
        self._fail(str(error))

    def _connect(self, client: Any) -> None:
        publisher = Publisher(client, self._options.stream, stop=self._stop, report=_to_stderr)
        try:
            publisher.connect(self._options.connect_timeout)
        except PublishError as error:
            raise click.ClickException(str(error)) from None

    # --- what is told -----------------------------------------------------------------------

    def _show(self) -> Publish:
        return printer(self._options.stream, as_json=self._options.as_json or not self._keeps())

    def _troubles(self) -> str:
        """Which strategies did something wrong since this was asked last."""
        wrong = Counter({hosted.name: hosted.tally["wrong"] for hosted in self._hosted})
        new = wrong - self._reported
        self._reported = wrong
        return ", ".join(
            f"{name}: {n} callbacks failed in the last minute" for name, n in new.items()
        )

    def _summary(self, source: BarSource) -> None:
        newest = getattr(source, "newest", {}) if source.exhausted() else {}
        for hosted in self._hosted:
            tally = hosted.tally
            line = f"{hosted.name}: {tally['bars']} bars, {tally['signals']} signals"
            line += f", {tally['wrong']} failed callbacks" if tally["wrong"] else ""
            line += ", not called any more since on_start failed" if hosted.disabled else ""
            line += "" if tally["bars"] else _all_before(hosted, newest)
            _to_stderr(line)


def _all_before(hosted: Hosted, newest: Mapping[str, datetime]) -> str:
    """Why a recording brought a strategy nothing, where that is what was kept of another run."""
    mine = {symbol: last for symbol, last in newest.items() if symbol in hosted.symbols}
    places = {symbol: hosted.last_bar(symbol) for symbol in mine}
    if not mine or any(place is None or place < mine[s] for s, place in places.items()):
        return ""
    symbol = min(mine)
    return (
        f": no bar of the files is later than the place that an earlier run has kept in "
        f"{PREFIX}{hosted.name} ({symbol}: {places[symbol]}, the files end {mine[symbol]})"
    )


def _symbols(name: str, named: object) -> tuple[str, ...]:
    """Those that a strategy names itself, held to what ``--symbols`` may be."""
    if not isinstance(named, list | tuple | set | frozenset):
        raise click.UsageError(f"{name}: symbols is {named!r}: must be a tuple such as ('NVDA',)")
    wrong = [one for one in named if not isinstance(one, str) or not is_symbol(one.upper())]
    if wrong:
        raise click.UsageError(
            f"{name}: symbols: {wrong[0]!r} is not a symbol such as NVDA, BRK.B or BTC/USD"
        )
    return tuple(one.upper() for one in named)


def _live(
    environ: Mapping[str, str], *, broker_clock: float | None, failed: Callable[[str], None]
) -> Market:
    """Alpaca's, or what speaks like it."""
    from signal_generator.account.broker_reader import AccountReader
    from signal_generator.account.market_clock import BrokerClock, WallClock
    from signal_generator.connection import Connection
    from signal_generator.market.live_bars import LiveBars

    connection = Connection.from_env(environ)
    clock: MarketClock = WallClock()
    other: MarketClock = WallClock()
    if broker_clock is not None:
        # Each is for one thread; what one of them tells of the broker is not told twice.
        clock = BrokerClock(connection, every=broker_clock)
        other = BrokerClock(connection, every=broker_clock, report=lambda _: None)
    source = LiveBars(connection, other, on_failure=failed)
    return Market(source, clock, AccountReader(connection))


def _recorded(options: HostOptions) -> Market:
    from signal_generator.market.file_bars import FileBars

    clock = BarClock(options.timeframe)
    return Market(FileBars(*options.bars), clock, NoBroker(), clock.bar, live=False)


def _frame(bars: Sequence[Bar]) -> Any:
    from signal_generator.market.frames import frame

    return frame(bars)


def _signer(options: HostOptions) -> Callable[[Fields], Fields]:
    try:
        key = find_key(os.environ, options.hmac_key_file)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hmac-key-file") from None
    if key is None:
        return lambda fields: fields
    return Signer(key, options.stream, now_ms=lambda: time.time_ns() // 1_000_000)


def _log_to_stderr() -> None:
    """What strategies and sources log; a root logger that is set up already stays as it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)
