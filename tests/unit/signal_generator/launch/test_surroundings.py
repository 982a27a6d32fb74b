"""What the user has set, and where."""

from pathlib import Path

import pytest

from signal_generator.launch.options import LaunchError
from signal_generator.launch.surroundings import Surroundings


def test_the_environment_wins_and_empty_is_unset(tmp_path: Path) -> None:
    """As for the service; values of the file are literal."""
    file = tmp_path / ".env"
    file.write_text("REDIS_URL=redis://file\nA=in file\nB='pa$word ${A}'\nexport C=1\n")
    found = Surroundings.read({"A": "in environment", "REDIS_URL": " "}, file)
    assert found.text("A") == "in environment"
    assert found.text("REDIS_URL") == "redis://file"
    assert found.text("B") == "pa$word ${A}"
    assert found.text("NOWHERE", "C") == "1"
    assert found.text("NOWHERE") == ""
    assert found.merged()["REDIS_URL"] == "redis://file"


def test_without_a_file_there_is_the_environment(tmp_path: Path) -> None:
    found = Surroundings.read({"A": "x"}, tmp_path / "none")
    assert found.merged() == {"A": "x"}


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    """It may hold a limit."""
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\n")
    with pytest.raises(LaunchError, match="cannot be read: not UTF-8 text"):
        Surroundings.read({}, file)
    with pytest.raises(LaunchError, match="cannot be read: Is a directory"):
        Surroundings.read({}, tmp_path)


@pytest.mark.parametrize(("text", "expected"), [("True", True), ("on", True), ("0", False)])
def test_flags(text: str, expected: bool) -> None:
    """Spelled as the service takes them."""
    assert Surroundings({"DRY_RUN": text}).flag("DRY_RUN") is expected


def test_no_secret_is_shown_or_handed_on() -> None:
    """Neither by a repr nor to a program that needs none."""
    secret = {
        "ALPACA_SECRET_KEY": "canary",
        "APCA_API_SECRET_KEY": "canary",
        "REDIS_URL": "redis://:canary@h",
        "SIGNAL_HMAC_KEYS": "canary",
        "CONTROL_HMAC_KEY": "canary",
        "LEDGER_URL": "postgresql://u:canary@h/d",
    }
    found = Surroundings({**secret, "PATH": "/bin"}, secret)
    assert "canary" not in repr(found)
    assert found.without_settings() == {"PATH": "/bin"}
