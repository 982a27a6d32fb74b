"""``signalpaca [-w N]``: run the service until a signal stops it."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from types import FrameType

import click

from solution.config import Settings, load_settings
from solution.errors import ConfigError, LedgerError, StartupError


def run_service(overrides: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; a second signal ends the process at once.

    Returns:
        the exit code: 0 stopped as asked, 1 failed, 2 wrong configuration.
    """
    try:
        settings = load_settings(overrides)
        settings.require_keys()
    except ConfigError as e:
        click.echo(f"configuration: {e}", err=True)
        return 2
    return _run(settings)


def _run(settings: Settings) -> int:
    # Here, so that `config` and `--help` do not pay for the whole service.
    from solution.app import Trader
    from solution.logs import setup_logging

    try:
        logs = setup_logging(settings.logging, settings.secrets)
    except ConfigError as e:
        click.echo(f"configuration: {e}", err=True)
        return 2
    stop = threading.Event()
    _install(stop)
    try:
        for warning in settings.warnings:
            click.echo(f"warning: {warning}", err=True)
        Trader(settings, stop).run()
    except ConfigError as e:
        click.echo(f"configuration: {e}", err=True)
        return 2
    except (StartupError, LedgerError) as e:
        click.echo(f"signalpaca stops: {e}", err=True)
        return 1
    finally:
        logs.stop()
    return 0


def _install(stop: threading.Event) -> None:
    """First signal: stop in order. Second: now."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        # In a thread: Event.set() here could deadlock with the main thread's own wait().
        threading.Thread(target=stop.set, name="stop-signal", daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def exit_with(code: int) -> None:
    """Leave, although a thread may hang: everything that must be written has been."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
