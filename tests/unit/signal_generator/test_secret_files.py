"""Secrets out of files."""

from pathlib import Path

import pytest

from signal_generator.secret_files import read_secret_file


def test_the_text_without_its_line_end(tmp_path: Path) -> None:
    """As editors and Docker write it."""
    file = tmp_path / "secret"
    file.write_text("very-secret\n")
    file.chmod(0o600)
    assert read_secret_file(str(file)) == "very-secret"


def test_a_file_open_to_everybody_is_refused(tmp_path: Path) -> None:
    """Without a word of what is in it."""
    file = tmp_path / "secret"
    file.write_text("very-secret")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="open to every user of this machine") as caught:
        read_secret_file(str(file))
    assert "very-secret" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_secret_file(str(tmp_path / "none"))
