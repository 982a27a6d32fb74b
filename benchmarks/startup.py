"""Start-up time and idle memory: ``python -m benchmarks.startup``.

A signal waits in the stream before the service starts. Measured: from process start to the moment
its group has read that signal, and the resident memory five seconds later, with ``-w 8``. The
exchange is the local one; against Alpaca the same questions take longer by its round trips.
"""

import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from statistics import median
from typing import Any

import redis

from benchmarks.processes import Child, Failed, redis_server
from benchmarks.rate_limit import environment
from benchmarks.report import goals, machine, write

FIRST_READ_S = 1.0
RESIDENT_MB = 80.0
SETTLE_S = 5.0


def main() -> int:
    """Run and report; 0 when both goals are met."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    seconds, resident = [], []
    with tempfile.TemporaryDirectory(prefix="signalpaca-start-") as folder:
        for run in range(asked.runs):
            place = Path(folder) / str(run)
            place.mkdir()
            took, memory = measure(place, asked.workers)
            seconds.append(took)
            resident.append(memory)
    result: dict[str, Any] = {
        "runs": asked.runs,
        "first_read_s": {"median": median(seconds), "max": max(seconds)},
        "resident_mb": {"median": median(resident), "max": max(resident)},
    }
    met = [
        (f"first read within {FIRST_READ_S} s (median)", median(seconds) <= FIRST_READ_S),
        (f"resident at most {RESIDENT_MB:g} MB", max(resident) <= RESIDENT_MB),
    ]
    print(f"start to first read: median {median(seconds):.3f} s, max {max(seconds):.3f} s")
    print(f"resident when idle:  median {median(resident):.1f} MB, max {max(resident):.1f} MB")
    print(goals(met))
    write("startup", {"machine": machine(), **result}, asked.json)
    return 0 if all(ok for _, ok in met) else 1


def measure(folder: Path, workers: int) -> tuple[float, float]:
    """Seconds to the first read, resident megabytes when idle."""
    exchange = Child("exchange", ["-m", "paper_exchange", "--port", "0"], folder)
    with redis_server(folder) as port, exchange as broker:
        url = broker.ready().rsplit(" ", 1)[-1]
        client = redis.Redis(port=port, protocol=2)
        client.xadd("bench", {"ticker": "NVDA", "direction": "b"})
        started = time.monotonic()
        command = ["-m", "solution", "-w", str(workers)]
        env = environment(url, port, folder)
        with Child("service", command, folder, env=env, announces=False) as service:
            while not has_read(client):
                service.check()
                if time.monotonic() - started > 20:
                    raise service.failed("has read nothing in 20 s")
                time.sleep(0.002)
            took = time.monotonic() - started
            time.sleep(SETTLE_S)
            memory = resident_mb(service.process.pid)
        client.close()
    return took, memory


def has_read(client: "redis.Redis") -> bool:
    """Whether the group has delivered anything."""
    try:
        groups = client.xinfo_groups("bench")
    except redis.ResponseError:
        return False
    return any(group["last-delivered-id"] != b"0-0" for group in groups)


def resident_mb(pid: int) -> float:
    """VmRSS of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Failed("no VmRSS: this needs Linux")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"error: {e}")
