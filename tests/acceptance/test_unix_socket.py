"""The service and its commands with a Redis behind a unix socket."""

import os
import subprocess
import sys
from collections.abc import Callable

from tests.helpers.clocks import eventually
from tests.helpers.service_process import ROOT, World


def command(made: World, *words: str) -> subprocess.CompletedProcess[str]:
    """``signalpaca WORDS…`` with the service's settings."""
    return subprocess.run(
        [sys.executable, "-m", "solution", *words],
        cwd=made.directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **made.env()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_check_publish_and_the_service(make_world: Callable[..., World]) -> None:
    """The address of the documentation works, from the check to an order and its status."""
    made = make_world()
    path = made.redis_server.directory / "r.sock"
    made.redis_server.stop()
    made.redis_server.start(arguments=("--unixsocket", str(path)))
    made.settings["REDIS_URL"] = f"unix://{path}"
    made.directory.mkdir(parents=True, exist_ok=True)
    checked = command(made, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    service = made.start()
    published = command(made, "publish", "F", "b", "--wait=20")
    assert published.returncode == 0, published.stdout + published.stderr
    assert len(made.orders()) == 1
    # Taken once a second: the first picture may be of the moment before Redis was reached.
    assert eventually(lambda: "redis      connected" in command(made, "status").stdout)
    assert service.stop() == 0
