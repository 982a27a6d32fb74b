"""An exchange in a process of its own for each file that asks for one."""

from collections.abc import Iterator

import pytest

from paper_exchange.testing import Running, running


@pytest.fixture(scope="module")
def exchange(request: pytest.FixtureRequest) -> Iterator[Running]:
    """One for the file, without a request limit and with the file's ``OPTIONS``."""
    with running("--rate-limit", "0", *getattr(request.module, "OPTIONS", ())) as started:
        yield started
