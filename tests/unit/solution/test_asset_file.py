"""The broker's asset list on disk: private, whole, or not there."""

import os
from pathlib import Path

import pytest

from solution.asset_file import AssetFile
from solution.book.assets import Asset

RAW = {"id": "1", "symbol": "NVDA", "class": "us_equity", "status": "active", "tradable": True}


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It says what one trades; nothing is left of writing it."""
    file = AssetFile(tmp_path / "assets.json")
    before = os.umask(0)
    try:
        file.write([Asset.of(RAW)])
        file.write([Asset.of(RAW)])
    finally:
        os.umask(before)
    assert [(p.name, p.stat().st_mode & 0o777) for p in tmp_path.iterdir()] == [
        ("assets.json", 0o600)
    ]
    kept = file.read()
    assert kept is not None
    assert kept[0] == [Asset.of(RAW)]


def test_what_cannot_be_kept_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The list is in memory too."""
    AssetFile(tmp_path / "none/assets.json").write([Asset.of(RAW)])
    assert [r.msg for r in caplog.records] == ["asset_list_not_kept"]


@pytest.mark.parametrize("content", [b"", b"[", b"{}", b"[1]"])
def test_a_foreign_or_broken_file_is_no_list(tmp_path: Path, content: bytes) -> None:
    """The broker is asked again."""
    (tmp_path / "assets.json").write_bytes(content)
    assert AssetFile(tmp_path / "assets.json").read() is None
