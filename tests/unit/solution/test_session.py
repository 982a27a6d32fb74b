"""Tests of solution.session."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import ClassVar
from zoneinfo import ZoneInfo

import pytest

from solution import session
from tests.helpers.session_contract import SessionContract

ROOT = Path(session.__file__).parent.parent


def new_york(text: str) -> datetime:
    """Read `2026-11-27 13:00` as New York time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York"))


class TestSessions(SessionContract):
    """The service's copy."""

    module: ClassVar[ModuleType] = session


def test_three_packages_ship_one_table() -> None:
    """The copies are the same bytes."""
    names = ("solution", "signal_generator", "paper_exchange")
    assert len({(ROOT / name / "nyse_sessions.json").read_bytes() for name in names}) == 1


def test_generating_again_gives_the_same_bytes() -> None:
    """The script finds nothing to write, whatever today's date is."""
    command = [sys.executable, str(ROOT / "scripts" / "generate_sessions.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-20 09:27:59", True),
        ("2026-11-20 09:28", False),
        ("2026-11-20 18:59:59", False),
        ("2026-11-20 19:00", True),
        ("2026-11-21 12:00", False),  # a Saturday: the rule names no days
        ("2026-07-20 09:28", False),  # summer time
    ],
)
def test_opg_window(at: str, expected: bool) -> None:
    """Opening-auction orders are refused from 09:28 to 19:00 New York time."""
    assert session.opg_window_open(new_york(at)) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-20 15:49:59", True),
        ("2026-11-20 15:50", False),
        ("2026-11-20 18:59:59", False),
        ("2026-11-20 19:00", True),
        ("2026-11-27 12:49:59", True),  # half day
        ("2026-11-27 12:50", False),
        ("2026-11-27 19:00", True),
        ("2026-11-21 15:49", True),  # a Saturday keeps the usual hours
        ("2026-11-21 15:50", False),
    ],
)
def test_cls_window(at: str, expected: bool) -> None:
    """Closing-auction orders are refused from ten minutes before the close to 19:00."""
    assert session.cls_window_open(new_york(at)) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-11-20 03:59:59", "overnight"),
        ("2026-11-20 04:00", "pre"),
        ("2026-11-20 09:29:59", "pre"),
        ("2026-11-20 09:30", "regular"),
        ("2026-11-20 15:59:59", "regular"),
        ("2026-11-20 16:00", "post"),
        ("2026-11-20 19:59:59", "post"),
        ("2026-11-20 20:00", "closed"),  # Friday evening
        ("2026-11-21 00:00", "closed"),
        ("2026-11-22 19:59:59", "closed"),
        ("2026-11-22 20:00", "overnight"),  # Sunday evening before a session
        ("2026-11-23 20:00", "overnight"),
        ("2026-11-25 20:00", "closed"),  # evening before Thanksgiving
        ("2026-11-26 03:00", "closed"),
        ("2026-11-26 20:00", "overnight"),  # Thanksgiving evening: Friday trades
        ("2026-11-27 12:59:59", "regular"),
        ("2026-11-27 13:00", "post"),  # half day
        ("2026-11-01 20:00", "overnight"),  # Sunday on which the clocks went back
    ],
)
def test_extended_session(at: str, expected: str) -> None:
    """Each part of the day begins at its moment and only around a session."""
    assert session.extended_session(new_york(at)) == expected


@pytest.mark.parametrize("name", ["opg_window_open", "cls_window_open", "extended_session"])
def test_windows_refuse_naive_time(name: str) -> None:
    """A time without a zone is a programming error here too."""
    with pytest.raises(ValueError, match="time zone"):
        getattr(session, name)(datetime(2026, 11, 20, 16, 0))  # noqa: DTZ001  # the naive input under test
