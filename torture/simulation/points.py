"""The product's failpoints by name, read from its source: a new one needs no list."""

import re
from pathlib import Path

import solution

_HIT = re.compile(r'failpoints\.hit\(\s*(?:"([a-z_]+(?:\.[a-z_]+)+)"\s*[,)])?')


def names() -> tuple[str, ...]:
    """Every name that the product hits, sorted.

    Raises:
        ValueError: a hit whose name is no plain text: nothing would ever be tried there.
    """
    root = Path(solution.__file__).parent
    found = [(path, name) for path in root.rglob("*.py") for name in _HIT.findall(path.read_text())]
    unnamed = [str(path) for path, name in found if not name]
    if unnamed:
        raise ValueError(f"a failpoint without a plain name in {', '.join(unnamed)}")
    return tuple(sorted({name for _, name in found}))
