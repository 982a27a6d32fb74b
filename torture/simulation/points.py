"""The product's failpoints by name, read from its source: a new one needs no list."""

import re
from pathlib import Path

import solution

_HIT = re.compile(r'failpoints\.hit\(\s*"([a-z_.]+)"')


def names() -> tuple[str, ...]:
    """Every name that the product hits, sorted."""
    root = Path(solution.__file__).parent
    found = {name for path in root.rglob("*.py") for name in _HIT.findall(path.read_text())}
    return tuple(sorted(found))
