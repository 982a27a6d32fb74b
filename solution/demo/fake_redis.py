"""``python -m solution.demo.fake_redis``: fakeredis's TCP server, with two corrections.

The last resort of the demo, where there is no redis-server. It must never carry real signals:
nothing is written to a disk.

**Corrections, to be removed when upstream has them** (fakeredis 2.30 to 2.40;
``tests/unit/solution/demo/test_fake_redis.py`` fails as soon as it does):

1. ``XREADGROUP … BLOCK n COUNT k`` never blocks, so that a listener spins; ``BLOCK`` without
   ``COUNT`` moves waiting entries to pending and returns nothing.
2. An error reply (``BUSYGROUP`` where a group exists) ends the client's connection.
"""

import signal
import sys
import threading
from types import FrameType
from typing import Any

import click
import redis

READY = "fake redis listening on port "


def correct() -> None:
    """Apply both corrections to the fakeredis of this process."""
    from fakeredis import TcpFakeServer
    from fakeredis._socket import FakeSocket

    upstream = FakeSocket._xreadgroup

    def xreadgroup(
        self: Any,
        consumer: bytes,
        groups: Any,
        count: int | None,
        noack: bool,
        idle: int | None,
        first_pass: bool,  # noqa: ARG001 - upstream's signature
    ) -> Any:
        # Never a "first pass", which drops what it has read; None keeps a blocked read waiting.
        arguments = (consumer, groups, count, noack, idle)
        return upstream(self, *arguments, first_pass=False) or None

    FakeSocket._xreadgroup = xreadgroup  # type: ignore[method-assign,assignment]  # on purpose

    server = sys.modules[TcpFakeServer.__module__]

    class AnswersErrors(server.FakeRedisConnection):  # type: ignore[name-defined,misc]  # untyped
        """Hands an error on as a reply; raising it makes the server hang up."""

        def read_response(self, **options: Any) -> Any:
            try:
                return super().read_response(**options)
            except redis.ResponseError as e:
                return e

    server.FakeRedisConnection = AnswersErrors  # type: ignore[attr-defined]  # untyped


def make_server(port: int) -> Any:
    """A corrected server on 127.0.0.1, not serving yet; port 0 takes a free one."""
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("127.0.0.1", port))
    server.daemon_threads = True
    return server


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free port.")
def main(*, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    correct()
    server = make_server(port)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=stop.set, daemon=True).start()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    click.echo(f"{READY}{server.server_address[1]}")
    stop.wait()  # all other threads are daemons: blocked readers are not waited for


if __name__ == "__main__":
    main()
