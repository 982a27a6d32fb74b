"""Tests of signal_generator.sessions."""

from pathlib import Path
from types import ModuleType
from typing import ClassVar

import signal_generator
from signal_generator import sessions
from tests.helpers.session_contract import SessionContract


class TestSessions(SessionContract):
    """The generator's copy."""

    module: ClassVar[ModuleType] = sessions


def test_the_exchange_has_the_same_code() -> None:
    """A correction made in one copy only is noticed."""
    mine = Path(signal_generator.__file__).with_name("sessions.py")
    theirs = mine.parent.parent / "paper_exchange" / "sessions.py"
    assert mine.read_text() == theirs.read_text()
