"""The bundled day of minute bars."""

import subprocess
import sys
from pathlib import Path

BARS = Path(__file__).parents[3] / "examples" / "bars"


def test_the_generator_writes_what_is_committed(tmp_path: Path) -> None:
    """To the byte: what tests and docs say about the file holds for one made anew."""
    command = [sys.executable, BARS / "make_bars.py", tmp_path / "day.csv"]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "day.csv").read_bytes() == (BARS / "day.csv").read_bytes()
