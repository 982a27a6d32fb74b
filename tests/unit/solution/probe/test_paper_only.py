"""No sign of a live account passes, each on its own."""

from dataclasses import replace

import pytest

from solution.config import Settings, load_settings
from solution.probe.paper_only import refusal

PAPER = load_settings(environ={"ALPACA_API_KEY": "PK0123456789ABCDEF"}, env_file=None)
LOCAL = load_settings(
    environ={"ALPACA_API_KEY": "any", "ALPACA_TRADING_URL": "http://127.0.0.1:1"}, env_file=None
)


@pytest.mark.parametrize("settings", [PAPER, LOCAL])
def test_paper_and_servers_of_ones_own_are_probed(settings: Settings) -> None:
    """Nothing speaks against it."""
    assert refusal(settings) is None


@pytest.mark.parametrize("settings", [PAPER, LOCAL])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"paper": False}, "ALPACA_PAPER=false"),
        ({"trading_url": "https://api.alpaca.markets"}, "https://api.alpaca.markets"),
        ({"trading_url": "https://API.alpaca.markets.:443"}, "API.alpaca.markets"),
        ({"trading_url": "https://broker-api.alpaca.markets"}, "broker-api"),
        ({"stream_url": "wss://api.alpaca.markets/stream"}, "wss://api.alpaca.markets/stream"),
        ({"key_id": "AK0123456789ABCDEF"}, "ALPACA_API_KEY"),
        ({"key_id": "ak0123456789abcdef"}, "ALPACA_API_KEY"),
    ],
)
def test_one_sign_of_a_live_account_is_enough(
    settings: Settings, change: dict[str, object], named: str
) -> None:
    """However the others read, and even if loading the settings had let it through."""
    said = refusal(replace(settings, broker=replace(settings.broker, **change)))  # type: ignore[arg-type]
    assert said is not None
    assert named in said
    assert said.endswith("never to a live account")
    assert "0123456789" not in said
