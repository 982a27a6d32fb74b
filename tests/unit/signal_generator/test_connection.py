"""Keys, addresses and feed from the environment."""

import re
from pathlib import Path

import pytest

from signal_generator.connection import Connection

KEYS = {"ALPACA_API_KEY": "PKTEST", "ALPACA_SECRET_KEY": "very-secret"}


def test_without_addresses_it_is_alpacas_paper() -> None:
    """Keys alone are enough."""
    connection = Connection.from_env(KEYS)
    assert connection == Connection(key="PKTEST", secret="very-secret")
    assert connection.trading_url == "https://paper-api.alpaca.markets"
    assert connection.data_stream_url == "wss://stream.data.alpaca.markets/v2/iex"
    assert connection.crypto_stream_url == "wss://stream.data.alpaca.markets/v1beta3/crypto/us"


def test_no_repr_shows_a_key() -> None:
    """A traceback or a log line may show the settings."""
    shown = repr(Connection.from_env(KEYS))
    assert "PKTEST" not in shown
    assert "very-secret" not in shown


def test_alpacas_own_names_are_read_too() -> None:
    """Who comes from another system sets APCA_… and STREAM_FEED."""
    connection = Connection.from_env(
        {
            "APCA_API_KEY_ID": "PKTEST",
            "APCA_API_SECRET_KEY": "very-secret",
            "APCA_API_BASE_URL": "http://127.0.0.1:8787/v2/",
            "APCA_API_DATA_URL": "http://127.0.0.1:8787",
            "STREAM_FEED": "SIP",
        }
    )
    assert connection.trading_url == "http://127.0.0.1:8787"
    assert connection.data_url == "http://127.0.0.1:8787"
    assert connection.data_stream_url == "ws://127.0.0.1:8787/v2/sip"
    assert connection.crypto_stream_url == "ws://127.0.0.1:8787/v1beta3/crypto/us"


def test_keys_in_files(tmp_path: Path) -> None:
    """As Docker's secrets come, with a line end."""
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    file.chmod(0o600)
    given = {"ALPACA_API_KEY": "PKTEST", "APCA_API_SECRET_KEY_FILE": str(file)}
    assert Connection.from_env(given).secret == "from-a-file"


def test_the_live_account_has_another_address() -> None:
    """Only reading is done there."""
    connection = Connection.from_env({**KEYS, "ALPACA_PAPER": "False"})
    assert connection.trading_url == "https://api.alpaca.markets"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ALPACA_API_KEY": ""}, "ALPACA_API_KEY is not set"),
        ({"ALPACA_SECRET_KEY": "two words"}, "ALPACA_SECRET_KEY holds a space"),
        ({"ALPACA_SECRET_KEY_FILE": "/none"}, "ALPACA_SECRET_KEY and ALPACA_SECRET_KEY_FILE are"),
        ({"ALPACA_API_KEY": "", "APCA_API_KEY_ID_FILE": "/none"}, "APCA_API_KEY_ID_FILE: '/none'"),
        ({"DATA_FEED": "otc"}, "DATA_FEED must be iex or sip, not 'otc'"),
        ({"STREAM_FEED": "x"}, "STREAM_FEED must be iex or sip, not 'x'"),
        ({"DATA_FEED": "iex", "STREAM_FEED": "sip"}, "DATA_FEED and STREAM_FEED mean the same"),
        ({"ALPACA_PAPER": "perhaps"}, "ALPACA_PAPER must be true or false, not 'perhaps'"),
        ({"ALPACA_DATA_URL": "ftp://h"}, "ALPACA_DATA_URL must be https://HOST[:PORT] or http"),
        ({"ALPACA_DATA_URL": "https://u:p@h"}, "ALPACA_DATA_URL must not hold a user"),
        ({"ALPACA_DATA_URL": "https://h:port"}, "ALPACA_DATA_URL is not a valid address"),
        ({"ALPACA_DATA_URL": "https://a b"}, "ALPACA_DATA_URL is not a valid address"),
        ({"ALPACA_DATA_STREAM_URL": "https://h"}, "ALPACA_DATA_STREAM_URL must be wss://"),
        ({"APCA_API_BASE_URL": "http://a.example"}, "APCA_API_BASE_URL would send the keys in"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, str], sentence: str) -> None:
    """One sentence with the name, and never a secret."""
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        Connection.from_env({**KEYS, **given})
    assert str(caught.value).startswith(sentence)
    assert "very-secret" not in str(caught.value)
