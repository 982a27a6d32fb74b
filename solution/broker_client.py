"""A client of the broker that the settings name: the one place where its secret is revealed."""

from solution.alpaca_api_client import AlpacaAPIClient, HeadersHook
from solution.clock import Clock
from solution.config_groups import BrokerSettings


def client_of(
    broker: BrokerSettings,
    clock: Clock | None = None,
    *,
    on_headers: HeadersHook | None = None,
    user_agent: str = "signalpaca",
) -> AlpacaAPIClient:
    """Nothing is asked yet; to be closed by the caller. See :class:`AlpacaAPIClient`."""
    return AlpacaAPIClient(
        trading_url=broker.trading_url,
        data_url=broker.data_url,
        key_id=broker.key_id,
        secret_key=broker.secret.reveal(),
        data_feed=broker.data_feed,
        clock=clock,
        on_headers=on_headers,
        user_agent=user_agent,
    )
