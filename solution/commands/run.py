"""``signalpaca [-w N]``: run the service until a signal stops it."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from types import FrameType

import click

from solution import __version__, failpoints
from solution.config import Settings, load_settings
from solution.errors import ConfigError, LedgerError, StartupError
from solution.printable import visible
from solution.security import Redactor

log = logging.getLogger(__name__)


def run_service(overrides: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; a second signal ends the process at once.

    Returns:
        the exit code: 0 stopped as asked, 1 failed, 2 wrong configuration.
    """
    try:
        settings = load_settings(overrides)
        settings.require_keys()
    except ConfigError as e:
        click.echo(visible(f"configuration: {e}"), err=True)
        return 2
    return _run(settings)


def _run(settings: Settings) -> int:
    # Here, so that `config` and `--help` do not pay for the whole service.
    from solution.app import Trader
    from solution.logs import setup_logging
    from solution.startup import mode_of

    try:
        logs = setup_logging(settings.logging, settings.secrets)
    except ConfigError as e:
        click.echo(visible(f"configuration: {e}"), err=True)
        return 2
    failpoints.arm(settings.failpoints)
    stop = threading.Event()
    _install(stop)
    code, line = 0, ""
    try:
        mode = mode_of(settings)
        log.info("starting", extra={"mode": mode, "broker": settings.broker.trading_url})
        click.echo(banner(settings, mode), err=True)
        for warning in settings.warnings:
            click.echo(visible(f"warning: {warning}"), err=True)
        Trader(settings, stop).run()
    except ConfigError as e:
        code, line = 2, f"configuration: {e}"
    except (StartupError, LedgerError) as e:
        code, line = 1, f"signalpaca stops: {e}"
    finally:
        logs.stop()
    if line:
        # After the log: it is the last thing anybody sees.
        click.echo(visible(Redactor(settings.secrets).redact(line)), err=True)
    return code


def banner(settings: Settings, mode: str) -> str:
    """What runs, in the terminal's first line; nobody overlooks that it is real money."""
    from solution.ui.snapshot import LIVE

    words = "REAL MONEY" if mode == LIVE else "no order is sent" if settings.gates.dry_run else ""
    parts = (
        f"signalpaca {__version__}",
        f"{mode.upper() if mode == LIVE else mode}{f' ({words})' if words else ''}",
        settings.broker.trading_url,
        f"group {settings.redis.group}",
    )
    line = " · ".join(parts)
    return click.style(f" {line} ", fg="white", bg="red", bold=True) if mode == LIVE else line


def _install(stop: threading.Event) -> None:
    """First signal: stop in order. Second: now. Main thread only.

    The handlers do nothing: the interpreter's own C handler writes each signal's number into the
    wake-up socket, and a thread reads it there. Python code in a handler runs in the main thread
    wherever that stands, and what it may touch is next to nothing: starting a thread from it, or
    setting the event, deadlocks when the main thread holds the very lock (it starts threads and
    waits on that event).
    """
    reader, writer = socket.socketpair()
    writer.settimeout(0)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_it_to_the_thread)

    def watch() -> None:
        with reader, writer:  # kept alive by this thread, as long as the process lives
            while number := reader.recv(1):
                if number[0] not in {signal.SIGTERM, signal.SIGINT}:
                    continue
                if stop.is_set():
                    os._exit(1)
                stop.set()

    threading.Thread(target=watch, name="stop-signals", daemon=True).start()


def _leave_it_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    """Without a Python handler there is no C handler that writes into the wake-up socket."""


def exit_with(code: int) -> None:
    """Leave, although a thread may hang: everything that must be written has been."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
