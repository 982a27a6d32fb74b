"""Real redis-servers under real Sentinels: one master, replicas, and a failover on demand."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.helpers.clocks import eventually
from tests.helpers.redis_server import RedisServer, answers_ping, free_port

MASTER = "mymaster"


class Sentinels:
    """One master, its replicas, and the Sentinels that watch them.

    Args:
        directory: where all of them live.
        executable: the server's binary; a Sentinel is the same one with ``--sentinel``.
        count: how many Sentinels; the majority has to agree.
        replicas: how many.
        password: of the data nodes, empty for none.
        sentinel_password: of the Sentinels.
        down_after_ms: how long a master has to be silent to count as dead. A replica that lost it
            ten times as long ago is not promoted.
    """

    def __init__(
        self,
        directory: Path,
        *,
        executable: str,
        count: int = 3,
        replicas: int = 2,
        password: str = "",
        sentinel_password: str = "",
        down_after_ms: int = 1000,
    ) -> None:
        self.ports = [free_port() for _ in range(count)]
        self._directory = directory
        self._executable = executable
        self._password = password
        self._sentinel_password = sentinel_password
        self._down_after_ms = down_after_ms
        secret = ("--requirepass", password, "--masterauth", password) if password else ()
        self.nodes = [
            RedisServer(
                directory / f"node-{number}", executable=executable, aof=True, arguments=secret
            )
            for number in range(replicas + 1)
        ]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """The ``redis+sentinel://`` address."""
        login = f":{self._password}@" if self._password else ""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        query = f"?sentinel_password={self._sentinel_password}" if self._sentinel_password else ""
        return f"redis+sentinel://{login}{hosts}/{MASTER}/0{query}"

    def client(self, node: RedisServer) -> "redis.Redis":
        """A client of one node."""
        return redis.Redis(port=node.port, password=self._password or None)

    def master(self) -> RedisServer:
        """The node that the first Sentinel calls the master."""
        with redis.Redis(port=self.ports[0], password=self._sentinel_password or None) as asked:
            found: Any = asked.sentinel_get_master_addr_by_name(MASTER)
        return next(node for node in self.nodes if node.port == int(found[1]))

    def fail_over(self) -> RedisServer:
        """kill -9 the master; returns the one that was promoted, once it takes writes."""
        old = self.master()
        old.kill()
        assert eventually(lambda: self.master() is not old and self._is_master(self.master()), 60)
        return self.master()

    def cut_off(self, node: RedisServer) -> None:
        """End a replica's link to its master for good: it no longer knows the password."""
        assert self._password, "needs a password"
        with self.client(node) as client:
            client.config_set("masterauth", "forgotten")
            client.client_kill_filter(_type="master")
            assert eventually(lambda: client.info("replication")["master_link_status"] == "down")

    def replicated(self) -> bool:
        """Whether every running replica has all that the master has."""
        offsets = set()
        for node in self.nodes:
            if node.pid is not None:
                with self.client(node) as client:
                    info: Any = client.info("replication")
                    if info["role"] == "slave" and info["master_link_status"] != "up":
                        return False
                    offsets.add(info.get("slave_repl_offset", info["master_repl_offset"]))
        return len(offsets) == 1

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        master = self.nodes[0]
        for node in self.nodes[1:]:
            with self.client(node) as client:
                client.replicaof("127.0.0.1", master.port)
        assert eventually(self.replicated, 60)
        for number, port in enumerate(self.ports):
            self._start_sentinel(number, port, master.port)
        assert eventually(self._see_each_other, 60)

    def stop(self) -> None:
        # Killed: nobody needs their data, and a master that ends well waits for its replicas.
        for process in self._sentinels:
            process.kill()
        for process in self._sentinels:
            process.wait(10)
        for node in self.nodes:
            node.kill()

    def _start_sentinel(self, number: int, port: int, master: int) -> None:
        folder = self._directory / f"sentinel-{number}"
        folder.mkdir(parents=True)
        quorum = len(self.ports) // 2 + 1
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"logfile {folder / 'sentinel.log'}",
            f"sentinel monitor {MASTER} 127.0.0.1 {master} {quorum}",
            f"sentinel down-after-milliseconds {MASTER} {self._down_after_ms}",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        if self._password:
            lines.append(f"sentinel auth-pass {MASTER} {self._password}")
        if self._sentinel_password:
            lines.append(f"requirepass {self._sentinel_password}")
        config = folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        self._sentinels.append(
            subprocess.Popen(
                [self._executable, str(config), "--sentinel"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        assert eventually(lambda: answers_ping(port))

    def _see_each_other(self) -> bool:
        for port in self.ports:
            with redis.Redis(port=port, password=self._sentinel_password or None) as asked:
                state: Any = asked.sentinel_master(MASTER)
            seen = (int(state["num-other-sentinels"]), int(state["num-slaves"]))
            if seen != (len(self.ports) - 1, len(self.nodes) - 1):
                return False
        return True

    def _is_master(self, node: RedisServer) -> bool:
        with self.client(node) as client:
            role: Any = client.role()
        return bool(role[0] in {b"master", "master"})


@contextlib.contextmanager
def sentinels(directory: Path, *, executable: str, **options: Any) -> Iterator[Sentinels]:
    """All of it, running; see :class:`Sentinels`."""
    made = Sentinels(directory, executable=executable, **options)
    try:
        made.start()
        yield made
    finally:
        made.stop()
