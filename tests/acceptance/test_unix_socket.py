"""The service and its commands with a Redis behind a unix socket."""

from collections.abc import Callable

from tests.helpers.clocks import eventually
from tests.helpers.service_process import World


def test_check_publish_and_the_service(make_world: Callable[..., World]) -> None:
    """The address of the documentation works, from the check to an order and its status."""
    made = make_world()
    path = made.redis_server.directory / "r.sock"
    made.redis_server.stop()
    made.redis_server.start(arguments=("--unixsocket", str(path)))
    made.settings["REDIS_URL"] = f"unix://{path}"
    made.directory.mkdir(parents=True, exist_ok=True)
    checked = made.command("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    service = made.start()
    published = made.command("publish", "F", "b", "--wait=20")
    assert published.returncode == 0, published.stdout + published.stderr
    assert len(made.orders()) == 1
    # Taken once a second: the first picture may be of the moment before Redis was reached.
    assert eventually(lambda: "redis      connected" in made.command("status").stdout)
    assert service.stop() == 0
