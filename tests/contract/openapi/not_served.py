"""Prints the list of documented operations that this exchange does not serve, for the reference."""

import sys

from paper_exchange.testing import running
from tests.contract.openapi.schemas import not_served, options

if __name__ == "__main__":
    with running(*options()) as exchange:
        sys.stdout.writelines(f"- `{one}`\n" for one in not_served(exchange.url))
