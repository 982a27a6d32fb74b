"""Every operation the exchange serves, against Alpaca's own OpenAPI documents.

Short and repeatable here; ``python -m tests.contract.openapi.campaign`` goes on for as long as it
is told to.
"""

from collections.abc import Iterator

import pytest
import requests
import schemathesis

from paper_exchange.testing import Running, running
from tests.contract.openapi.documents import documented_as_not_served
from tests.contract.openapi.schemas import checked, make_schema, not_served, options

trading = make_schema("trading", max_examples=6)
data = make_schema("data", max_examples=4)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One exchange for the file; every operation is tried on an account of its own."""
    with running(*options()) as started:
        yield started


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Connections that are kept: one for each case would take half of the time."""
    with requests.Session() as kept:
        yield kept


@trading.parametrize()
def test_trading(case: schemathesis.Case, exchange: Running, session: requests.Session) -> None:
    """Answers are as documented, and what the document forbids is refused."""
    checked(case, exchange.url, session)


@data.parametrize()
def test_data(case: schemathesis.Case, exchange: Running, session: requests.Session) -> None:
    """Likewise for market data."""
    checked(case, exchange.url, session)


def test_list_of_operations_not_served(exchange: Running) -> None:
    """The reference lists exactly the operations that the running exchange does not know.

    When this fails, ``python -m tests.contract.openapi.not_served`` prints the list as it should
    be.
    """
    assert documented_as_not_served() == not_served(exchange.url)
