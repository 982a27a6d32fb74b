"""`run_trading`: a strategy as one callable that returns blocks of orders, as blockpaca has it.

What each parameter means, what the context holds, and what is different and why:
docs/reference/run-trading.md.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from signal_generator.blocks.options import Options, read_options
from signal_generator.blocks.run import Run, Stoppable, Surroundings, utc_now
from signal_generator.blocks.screen import Screen, warnings_on
from signal_generator.blocks.trade_log import path_of, try_to_write
from signal_generator.runtime import stop_on_signals
from signal_generator.signing import FILE_VARIABLE, Signer, find_key

if TYPE_CHECKING:
    from signal_generator.launch.options import StackOptions
    from signal_generator.launch.stack import Stack

log = logging.getLogger(__name__)

Sign = Callable[[Mapping[str, str]], Mapping[str, str]]


def run_trading(  # noqa: PLR0913, PLR0917  # the signature that scripts call, by position too
    strategy_callable: Any,
    trade_log_name: Any,
    trade_log_path: Any,
    api_key: Any,
    secret_key: Any,
    tickers: Any,
    frequency: Any,
    run_seconds: Any,
    total_allowed_per_min: Any = 190,
    refill_interval_sec: Any = 60,
    num_workers: Any = None,
    use_alpaca: Any = True,
    eos_behavior: Any = "liquidate",
    custom_shutdown_action: Any = None,
    warm_up_period: Any = 10,
    live_display: Any = False,
    display_refresh_rate: Any = 0.5,
    max_trade_updates: Any = 15,
) -> dict[str, Any]:
    """Call a strategy again and again and send the orders that it returns.

    Starts what it needs (the service, a Redis server where none answers, with
    ``use_alpaca=False`` an exchange) and stops it again. Blocks until the run is over; Ctrl-C ends
    it early and in order.

    Args:
        strategy_callable: called with a context (a dict); returns a list of orders, one, or None.
        trade_log_name: the CSV's name without ``.csv``. trade_log_path: its directory.
        tickers: what is quoted.
        frequency: seconds between two calls, or a text such as ``15m``.
        run_seconds: how long, or a text such as ``2h`` or ``EOD``.
        total_allowed_per_min: requests in any ``refill_interval_sec`` seconds.
        num_workers: threads that send orders.
        use_alpaca: False trades at an exchange on this machine.
        eos_behavior: ``liquidate``, ``hold`` or ``custom`` (``custom_shutdown_action(context)``).
        warm_up_period: seconds in which quotes arrive before the first call.
        live_display: shows the account on this terminal, drawn every ``display_refresh_rate``
            seconds with the last ``max_trade_updates`` updates.

    Returns:
        ``orders`` and ``positions``, functions that tell what became of the run, and the
        processes that ran, by name.

    Raises:
        WrongParameter: a parameter cannot be used; a ValueError that names it.
        LaunchError: the service could not be started, or has ended by itself.
    """
    options = read_options(locals(), utc_now)
    try_to_write(path_of(options.log_path, options.log_name))
    with _stopping() as stop:
        return _run(options, stop)


@contextlib.contextmanager
def _stopping() -> Iterator[Stoppable]:
    """What Ctrl-C and SIGTERM set; only the main thread may handle signals."""
    if threading.current_thread() is threading.main_thread():
        with stop_on_signals() as stop:
            yield stop
    else:
        yield threading.Event()


def _run(options: Options, stop: Stoppable) -> dict[str, Any]:
    # Here and not at the top: a script that only defines its strategy must not wait for these.
    from signal_generator.account.broker_reader import AccountReader
    from signal_generator.blocks.live_quotes import LiveQuotes
    from signal_generator.launch.options import LaunchError
    from signal_generator.launch.stack import Stack

    sign = signer(os.environ)
    screen = Screen(click.echo)
    stack = Stack(stack_options(options), report=screen.show, stop=stop)
    try:
        at = stack.start()
        processes = stack.processes
        reader = AccountReader(at.connection)
        # The display draws over whatever is printed beside it.
        if options.live_display:
            screen.hold()
        around = Surroundings(
            redis_url=at.redis_url,
            stream=at.stream,
            executions_stream=at.executions_stream,
            group=at.group,
            feed=LiveQuotes(at.connection),
            positions=reader.positions,
            show=screen.show,
            stop=stop,
            trouble=stack.trouble,
            no_more=stack.stop_service,
            drop_waiting=lambda: _drop_waiting(stack),
            sign=sign(at.stream),
        )
        with contextlib.closing(reader), warnings_on(screen, wanted=options.live_display):
            run = Run(options, around)
            result = run()
        if run.trouble:
            raise LaunchError(run.trouble)
        return {**result, **processes}
    finally:
        stack.stop()
        screen.release()


def _drop_waiting(stack: "Stack") -> None:
    """A new service sends nothing that was published before its start."""
    from signal_generator.launch.options import LaunchError

    try:
        if not stack.renew_service():
            log.warning("the service is not this run's: what waits in it is sent all the same")
    except LaunchError as error:
        log.error("the service did not start again: %s", error)  # noqa: TRY400  # one sentence


def stack_options(options: Options) -> "StackOptions":
    """What is to be started for a run."""
    from signal_generator.launch.options import StackOptions

    return StackOptions(
        api_key=options.api_key,
        secret_key=options.secret_key,
        tickers=options.tickers,
        workers=options.workers,
        per_minute=options.per_minute,
        window_s=options.window_s,
        use_alpaca=options.use_alpaca,
        live_display=options.live_display,
        refresh=options.refresh,
        updates=options.updates,
        session_seconds=options.warm_up + options.run_seconds,
        environ=os.environ,
    )


def signer(environ: Mapping[str, str]) -> Callable[[str], Sign]:
    """Given a stream, what signs for it; where there is no key, what changes nothing.

    Raises:
        ValueError: there is one that cannot be used.
    """
    key = find_key(environ, environ.get(FILE_VARIABLE))
    if key is None:
        return lambda _stream: dict
    return lambda stream: Signer(key, stream, now_ms=lambda: time.time_ns() // 1_000_000)
