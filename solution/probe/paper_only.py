"""Nothing but a paper account is probed; every sign of another one refuses."""

from solution.config import Settings
from solution.config_checks import KEY_KINDS
from solution.config_urls import kind_of_host

NEVER = "the probe sends orders, and never to a live account"


def refusal(settings: Settings) -> str | None:
    """Why these settings may not be probed, in one line, or None.

    Each sign counts alone. That loading the settings refuses most mixtures already is no reason to
    rely on it here.
    """
    broker = settings.broker
    if not broker.paper:
        return f"ALPACA_PAPER=false: {NEVER}"
    for url in (broker.trading_url, broker.stream_url):
        if kind_of_host(url) in {"live", "unknown"}:
            return f"{url} is not Alpaca's paper host: {NEVER}"
    if KEY_KINDS.get(broker.key_id[:2].upper()) == "live":
        return f"ALPACA_API_KEY is the key id of a live account: {NEVER}"
    return None
