"""The whole service against a Redis that is locked down as the how-to says: users and TLS."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from paper_exchange.testing import running
from solution.ui.snapshot import read_all
from tests.helpers.clocks import eventually
from tests.helpers.listening import VERSIONS, server_of
from tests.helpers.redis_acl import PASSWORD, as_user, users_file
from tests.helpers.redis_server import RedisServer
from tests.helpers.service_process import World
from tests.helpers.tls_proxy import TLSProxy, make_certificates


class LockedServer(RedisServer):
    """Its address is the administrator's."""

    @property
    def url(self) -> str:
        return as_user(super().url, "admin")


@pytest.fixture(scope="module", params=VERSIONS)
def locked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world whose service comes as its own user, over TLS, with a certificate."""
    directory = tmp_path_factory.mktemp("locked")
    certificates = make_certificates(directory / "tls", "localhost")
    arguments = ("--aclfile", str(users_file(directory)))
    with ExitStack() as stack:
        server = LockedServer(
            directory / "redis", executable=server_of(request.param), arguments=arguments
        )
        stack.enter_context(server)
        proxy = stack.enter_context(TLSProxy(server.port, certificates))
        exchange = stack.enter_context(running("--rate-limit", "0"))
        url = f"rediss://signalpaca:{PASSWORD % 'signalpaca'}@localhost:{proxy.port}/0"
        url += f"?ssl_ca_certs={certificates}/ca.crt&ssl_certfile={certificates}/client.crt"
        url += f"&ssl_keyfile={certificates}/client.key"
        made = World(server, exchange, directory / "service", exchange.url, {"REDIS_URL": url})
        stack.callback(made.end)
        yield made


@pytest.fixture(autouse=True)
def nothing_left_running(locked: World) -> Iterator[None]:
    """Whatever a test started ends with it."""
    yield
    for service in locked.services:
        if service.process.poll() is None:
            service.kill()


def publish(made: World, ticker: str = "NVDA") -> str:
    """As the producer of that stream."""
    url = as_user(f"redis://127.0.0.1:{made.redis_server.port}/0", "producer-nvda")
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return str(client.xadd("nvda", {"ticker": ticker, "direction": "b"}))


def consumers(made: World) -> str:
    """Names of the group's."""
    return str(made.redis.xinfo_consumers("nvda", "solution"))


def test_signals_trade_through_a_crash_and_a_stop(locked: World) -> None:
    """Read, told, acknowledged; a dead peer's entries taken over; nothing is refused by Redis."""
    made = locked
    first = made.start()
    entries = [publish(made, ticker) for ticker in ("NVDA", "F", "AAPL")]
    made.await_ends(entries)
    first.kill()
    left = [publish(made, "MSFT")]
    made.redis.xreadgroup("solution", "peer-that-died", {"nvda": ">"})
    second = made.start()
    made.await_ends(left)
    made.check([*entries, *left])
    assert eventually(lambda: "peer-that-died" not in consumers(made))
    assert second.stop() == 0
    for service in (first, second):
        assert "NOPERM" not in service.text
        assert "not_trimmed" not in service.text
        assert PASSWORD % "signalpaca" not in service.text


def test_commands_of_the_service_and_of_who_watches(locked: World) -> None:
    """Status is for the watcher as well; publishing is not."""
    made = locked
    service = made.start()
    port = made.redis_server.port
    watcher = as_user(f"redis://127.0.0.1:{port}/0", "watcher")
    for url in (made.settings["REDIS_URL"], watcher):
        assert eventually(
            lambda url=url: "instances" in made.command("status", "--json", REDIS_URL=url).stdout
        )  # type: ignore[misc]
    checked = made.command("check")
    assert checked.returncode == 0, checked.stdout
    assert made.command("publish", "F", "b", "--wait=20").returncode == 0
    refused = made.command("publish", "F", "b", REDIS_URL=watcher)
    assert refused.returncode == 1
    assert "no permissions" in refused.stderr.lower() or "NOPERM" in refused.stderr
    told = json.loads(made.command("why", "F", "--json").stdout or "{}")
    assert told
    assert service.stop() == 0


@pytest.fixture
def operator(locked: World, tmp_path: Path) -> dict[str, str]:
    """Settings of an operator on another machine: its own user, no ledger, no directory."""
    url = as_user(f"redis://127.0.0.1:{locked.redis_server.port}/0", "operator")
    switch = str(tmp_path / "stop")
    ledger = f"sqlite:///{tmp_path}/none.db"
    return {"REDIS_URL": url, "LEDGER_URL": ledger, "KILL_SWITCH_FILE": switch}


KEY = "0123456789abcdef0123456789abcdef"


def test_the_operators_user_stops_and_resumes(locked: World, operator: dict[str, str]) -> None:
    """All three commands, from another machine: the running service confirms each."""
    made = locked
    made.settings["CONTROL_HMAC_KEY"] = KEY
    try:
        service = made.start()
        steps = (
            ("kill", "HALTED: operator: killed by"),
            ("resume", "sends orders"),
            ("reduce-only", "REDUCING: operator_reducing"),
            ("resume", "sends orders"),
        )
        for name, words in steps:
            done = made.command(name, **operator, CONTROL_HMAC_KEY=KEY)
            assert done.returncode == 0, done.stdout + done.stderr
            assert words in done.stdout
            assert "NOPERM" not in done.stdout + done.stderr
        assert service.stop() == 0
    finally:
        del made.settings["CONTROL_HMAC_KEY"]


def test_an_operator_who_may_only_publish_still_stops_trading(
    locked: World, operator: dict[str, str]
) -> None:
    """No clock and no status for it: the command is published, and said not to be confirmed."""
    made = locked
    made.redis.execute_command("ACL", "SETUSER", "operator", "-time", "-scan", "-get")
    try:
        service = made.start()
        for name, state in (("kill", "HALTED"), ("reduce-only", "HALTED")):
            done = made.command(name, **operator)
            assert done.returncode == 1
            assert "not confirmed by any instance" in done.stderr
            assert "ONLY THE FILE" not in done.stderr
            assert eventually(lambda state=state: state_of(made) == state)  # type: ignore[misc]
        assert {"operator", "operator_reducing"} <= set(restrictions(made))
        assert made.command("resume").returncode == 0
        made.redis.execute_command("ACL", "SETUSER", "operator", "-xadd")
        done = made.command("kill", **operator)
        assert done.returncode == 1
        assert "ONLY THE FILE" in done.stderr
        assert "no new orders are sent" not in done.stdout
        assert service.stop() == 0
    finally:
        given = ("+time", "+scan", "+get", "+xadd")
        made.redis.execute_command("ACL", "SETUSER", "operator", *given)


def shown(made: World) -> Mapping[str, Any]:
    """The one running instance's snapshot."""
    return next(iter(read_all(made.redis, "solution").values()), {})


def state_of(made: World) -> str:
    return str(shown(made).get("trading_state"))


def restrictions(made: World) -> Mapping[str, Any]:
    return dict(shown(made).get("restrictions", {}))


def alerts(made: World) -> dict[str, int]:
    """What status tells the watcher of losses."""
    url = as_user(f"redis://127.0.0.1:{made.redis_server.port}/0", "watcher")
    said = made.command("status", "--json", REDIS_URL=url).stdout
    found: dict[str, int] = {}
    for instance in json.loads(said or "{}").get("instances", {}).values():
        found |= instance["redis"]["alerts"]
    return found


def test_what_a_producer_can_still_do_is_told(locked: World) -> None:
    """Erase what waits, and use up the ids: in the log, and in the status that a watcher sees."""
    made = locked
    service = made.start()
    url = as_user(f"redis://127.0.0.1:{made.redis_server.port}/0", "producer-nvda")
    last = f"{2**64 - 1}-{2**64 - 1}"
    with redis.Redis.from_url(url) as client:
        client.xadd("nvda", {"ticker": "F", "direction": "b"}, maxlen=0, approximate=False)
        assert eventually(lambda: "REDIS_UNREAD_LOST" in service.text)
        client.xadd("nvda", {"ticker": "F", "direction": "b"}, id=last)
    assert eventually(lambda: "REDIS_ID_IN_FUTURE" in service.text)
    assert eventually(lambda: {"REDIS_UNREAD_LOST", "REDIS_ID_IN_FUTURE"} <= alerts(made).keys())
    assert eventually(lambda: made.ended([last]))
    assert made.final(last)["reason"] == "FUTURE_TIMESTAMP"
    made.redis.rename("nvda", "nvda-broken")
    entry = publish(made, "F")
    made.await_ends([entry])
    assert service.stop() == 0


@pytest.mark.parametrize("cut", ["ssl_certfile", "ssl_ca_certs"])
def test_a_certificate_that_is_wrong_ends_the_start_with_one_line(locked: World, cut: str) -> None:
    """Named, without a traceback and without the password."""
    url = locked.settings["REDIS_URL"].replace(f"{cut}=", f"{cut}=/nowhere")
    done = locked.command("-w", "1", REDIS_URL=url)
    assert done.returncode != 0
    assert f"{cut}=/nowhere" in done.stderr + done.stdout
    assert "cannot be read: No such file or directory" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    assert PASSWORD % "signalpaca" not in done.stderr + done.stdout
