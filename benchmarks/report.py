"""Tables for people and JSON for machines."""

import os
import platform
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).resolve().parent / "results"
_LIBRARIES = ("redis", "hiredis", "requests", "httptools", "uvloop", "orjson")


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of an ascending sequence does not exceed."""
    rank = max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))
    return ordered[rank]


def machine() -> dict[str, Any]:
    """What figures depend on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "load_before": [round(x, 2) for x in os.getloadavg()],
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned text: the first column to the left, numbers to the right."""
    lines = [[_cell(value) for value in row] for row in (header, *rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if n == 0 else text.rjust(width)
            for n, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def write(kind: str, result: dict[str, Any], also: Path | None) -> Path:
    """Keep a result under ``results/``, and where the user asked for it; the first path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    text = orjson.dumps(result, option=orjson.OPT_INDENT_2)
    for target in filter(None, (path, also)):
        target.write_bytes(text)
    return path


def goals(lines: Sequence[tuple[str, bool]]) -> str:
    """What was asked for, and whether this run reached it."""
    return "\n".join(f"{'reached' if held else 'MISSED '}  {text}" for text, held in lines)
