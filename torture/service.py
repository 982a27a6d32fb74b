"""The real service, started quickly and, if asked, with one mistake planted in it.

    python -m torture.service --plant ack_first -w 4

``--nursery`` keeps a process that has everything imported and starts services by forking: a start
costs some 50 ms instead of 350 ms, most of which are imports. Each child is a process of its own
that runs the same ``main`` and dies a real death. It is driven by lines of JSON, see
:class:`torture.nursery.Nursery`.
"""

import faulthandler
import gc
import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

RATE_WINDOW = "TORTURE_RATE_WINDOW"
"""Seconds: the rate budget's window, which the product has at the broker's sixty."""


def main(arguments: Sequence[str]) -> None:
    """Plant what is asked for and run ``signalpaca``, or the nursery."""
    rest = list(arguments)
    if rest == ["--nursery"]:
        nursery()
        return
    if rest[:1] == ["--plant"]:
        plant(rest[1])
        rest = rest[2:]
    serve(rest)


def plant(name: str) -> None:
    """Break the service in the way that the table calls so.

    Raises:
        KeyError: there is no such plant.
    """
    from torture.planted import PLANTED

    PLANTED[name].apply()


def serve(arguments: Sequence[str]) -> None:
    """``signalpaca`` with these arguments; does not return."""
    from solution.commands.cli import main as run

    if RATE_WINDOW in os.environ:
        shorten_window(float(os.environ[RATE_WINDOW]))
    faulthandler.register(signal.SIGUSR1)  # where every thread stands, when something is stuck
    sys.argv = ["signalpaca", *arguments]
    run()


def shorten_window(seconds: float) -> None:
    """Everything of the rate budget that is counted in windows, in shorter ones.

    A life of a second meets an empty budget only if that fills again within a few.
    """
    from solution import rate_limiter

    rate_limiter.RateLimiter.__init__.__kwdefaults__["window"] = seconds
    rate_limiter.UNANSWERED *= seconds / 60.0


def nursery() -> None:
    """Start a service for every line on standard input; tell when each began and ended.

    Single-threaded, so that a fork takes nothing half-done along.
    """
    import solution.app
    import solution.commands.cli
    import solution.commands.run
    import solution.logs  # noqa: F401 - here, so that children need not import it

    gc.collect()
    gc.freeze()
    children: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        buffer = b""
        _say({"ready": os.getpid()})
        while True:
            for key, _ in selector.select():
                if key.fd == sys.stdin.fileno():
                    data = os.read(key.fd, 65_536)
                    if not data:
                        _end_all(children)
                        return
                    *lines, buffer = (buffer + data).split(b"\n")
                    for line in lines:
                        _start(json.loads(line), children, selector)
                else:
                    pid = children.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _, status = os.waitpid(pid, 0)
                    _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _start(
    order: dict[str, Any], children: dict[int, int], selector: selectors.BaseSelector
) -> None:
    pid = os.fork()
    if pid == 0:
        _become(order)  # does not return
    descriptor = os.pidfd_open(pid)
    children[descriptor] = pid
    selector.register(descriptor, selectors.EVENT_READ)
    _say({"began": pid})


def _become(order: dict[str, Any]) -> None:
    """Turn this child into the service that was asked for."""
    code = 70
    try:
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.closerange(3, 64)
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["directory"])
        _quietly(order)
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:  # noqa: BLE001 - this process ends here, and its log must say why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _quietly(order: dict[str, Any]) -> None:
    if order.get("plant"):
        plant(order["plant"])
    serve(order["arguments"])


def _end_all(children: dict[int, int]) -> None:
    for pid in children.values():
        os.kill(pid, 9)
    for pid in children.values():
        os.waitpid(pid, 0)


def _say(message: dict[str, object]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
