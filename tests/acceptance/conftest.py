"""What acceptance tests share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.service_process import World, world


@pytest.fixture
def make_world(redis_executable: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Worlds that end with the test."""
    with ExitStack() as stack:
        yield lambda *options, **settings: stack.enter_context(
            world(tmp_path, *options, **settings)
        )
