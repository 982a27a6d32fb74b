"""What is left when the server has ended."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paper_exchange import server
from paper_exchange.settings import Settings
from paper_exchange.storage.database import StateError


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Serves for no time, and loses what is said."""

    async def at_once(**_: Any) -> None:
        return None

    def run(lost: str | None) -> None:
        monkeypatch.setattr(server, "App", lambda _: SimpleNamespace(lost=lost))
        monkeypatch.setattr(server, "make_server", lambda *_: SimpleNamespace(serve=at_once))
        listener: Any = None
        asyncio.run(server.serve(Settings(state=Path("kept.db")), listener, lambda: None))

    return run


def test_changes_that_were_lost_are_an_error(serve: Callable[[str | None], None]) -> None:
    """So that the process does not end with exit code 0."""
    with pytest.raises(StateError, match=r"are not in kept\.db: database or disk is full"):
        serve("database or disk is full")


def test_an_end_without_losses(serve: Callable[[str | None], None]) -> None:
    """Is none."""
    serve(None)
