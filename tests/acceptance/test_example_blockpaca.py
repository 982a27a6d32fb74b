"""The example of a blockpaca script, run as its README says."""

import csv
import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.service_process import ROOT


def test_the_ported_script_trades_and_ends_flat(redis_executable: str, tmp_path: Path) -> None:
    """Without keys, at the exchange on this machine: it fills, logs, and sells what it holds."""
    del redis_executable  # its absence skips
    ours = ("ALPACA_", "APCA_", "REDIS_", "SIGNAL_HMAC")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, ROOT / "examples/blockpaca/momentum.py", "3"],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(ROOT), "SIGNALPACA_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "logs" / "momentum.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    bought = sum(float(r["executed_qty"]) for r in rows if r["side"] == "buy" and _is_end(r))
    sold = sum(float(r["executed_qty"]) for r in rows if r["side"] == "sell" and _is_end(r))
    assert bought == sold > 0
    assert "no positions\n" in done.stdout[done.stdout.rindex("session ends") :]


def _is_end(row: dict[str, str]) -> bool:
    return row["status"] == "filled"
