"""The broker's asset list on disk, kept for a day: a start needs no bulk request."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from solution.book.assets import Asset
from solution.private_files import write_private

KEPT = 86_400.0
"""Seconds that the list is used before it is asked for anew."""
LARGEST = 64_000_000
"""Bytes; a larger file is none of ours."""
VERSION = 2
"""Of the compact form. 1 was a bare list of rows without what crypto has; a file of any other
version is asked for anew."""

log = logging.getLogger(__name__)


class AssetFile:
    """One file, or none at all.

    Args:
        path: where; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> tuple[list[Asset], float] | None:
        """The list and its age in seconds; None when it is too old or there is none."""
        if self._path is None:
            return None
        try:
            about = self._path.stat()
            age = time.time() - about.st_mtime
            if age > KEPT or about.st_size > LARGEST:
                return None
            kept = orjson.loads(self._path.read_bytes())
            if kept["version"] != VERSION:
                return None
            assets = [Asset.of_row(row) for row in kept["assets"]]
        except (OSError, ValueError, TypeError, KeyError):
            return None  # absent, cut off or foreign: ask the broker again
        return (assets, age) if assets else None

    def write(self, assets: Sequence[Asset]) -> None:
        """Replace the file; a failure is logged, for the list is in memory too."""
        if self._path is None or not assets:
            return
        # Written beside and renamed: a process that dies half-way leaves no half list.
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            kept = {"version": VERSION, "assets": [a.row() for a in assets]}
            write_private(part, orjson.dumps(kept))
            part.replace(self._path)
        except OSError as e:
            log.warning("asset_list_not_kept", extra={"detail": str(e)})
