"""The file of events: lines that are whole, whatever the disk does."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from paper_exchange.engine.events import TradeEvent
from paper_exchange.storage.order_log import OrderLog
from tests.unit.paper_exchange.conftest import World


class FullDisk(io.FileIO):
    """Takes as many bytes as are left, and raises when there are none."""

    def __init__(self, path: Path, left: int) -> None:
        super().__init__(path, "ab")
        self.left = left

    def write(self, content: Any) -> int:
        if not self.left:
            raise OSError(28, "No space left on device")
        taken = content[: self.left]
        self.left -= len(taken)
        return super().write(taken) or 0


def told(world: World) -> list[TradeEvent]:
    """Four events of two orders."""
    events: list[TradeEvent] = []
    world.sinks.append(events.append)
    world.send()
    world.send()
    return events


def names(path: Path) -> list[str]:
    """The events in the file."""
    return [json.loads(line)["event"] for line in path.read_bytes().splitlines()]


def test_lines_are_appended(world: World, tmp_path: Path) -> None:
    """What was there stays."""
    path = tmp_path / "orders.jsonl"
    events = told(world)
    for event in events:
        log = OrderLog(path)
        log.write(event)
        log.close()
    assert names(path) == ["new", "fill", "new", "fill"]


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Under the most open umask."""
    before = os.umask(0)
    try:
        OrderLog(tmp_path / "log").close()
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_costs_lines_and_nothing_else(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sink of an engine must not raise; a line that was cut off is taken back."""
    path = tmp_path / "orders.jsonl"
    events = told(world)
    log = OrderLog(path)
    log.write(events[0])
    log.close()
    disk = FullDisk(path, left=100)
    log._file = disk
    log.write(events[1])
    log.write(events[2])
    assert [record.message for record in caplog.records] == ["order_log_not_written"] * 2
    disk.left = 10_000
    log.write(events[3])
    log.close()
    assert names(path) == ["new", "fill"]
