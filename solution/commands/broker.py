"""What commands that ask the broker share: a client, and whether it is the ledger's account."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from solution.alpaca_api_client import AlpacaAPIClient
from solution.broker_client import client_of
from solution.commands.common import Failed, WrongUsage
from solution.config import Settings
from solution.errors import ConfigError
from solution.ledger.reader import LedgerReader


@contextmanager
def broker_of(settings: Settings) -> Iterator[AlpacaAPIClient]:
    """A client for the block.

    Raises:
        WrongUsage: the keys are missing.
    """
    try:
        settings.require_keys()
    except ConfigError as e:
        raise WrongUsage(f"configuration: {e}") from None
    client = client_of(settings.broker)
    try:
        yield client
    finally:
        client.close()


def account_of(
    settings: Settings, reader: LedgerReader, client: AlpacaAPIClient
) -> Mapping[str, Any]:
    """The account that the keys open; one request.

    Raises:
        Failed: the ledger belongs to another one.
        BrokerError: it could not be asked.
    """
    account = client.account()
    number = str(account.get("id", ""))
    bound = reader.get_state("account")
    mine = f"{number}@{settings.broker.trading_url}"
    if not number or (bound is not None and bound != mine):
        raise Failed(f"the ledger belongs to account {bound}, the keys open {mine}")
    return account
