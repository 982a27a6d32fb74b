"""Tests of paper_exchange.sessions."""

from types import ModuleType
from typing import ClassVar

from paper_exchange import sessions
from tests.helpers.session_contract import SessionContract


class TestSessions(SessionContract):
    """The exchange's copy."""

    module: ClassVar[ModuleType] = sessions
