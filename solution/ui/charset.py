"""The same text for a terminal that shows ASCII only: character for character, so widths stay."""

import os
from collections.abc import Mapping
from typing import IO, Any

from solution.ui.reading import DASH
from solution.ui.updates import FILLED, NOT_FILLED, ON_ITS_WAY

OURS = {
    FILLED: "+",
    ON_ITS_WAY: "o",
    NOT_FILLED: "x",
    DASH: "-",
    "·": ",",
    "…": "~",
    "█": "#",
    "░": ".",
    "─": "-",
    "│": "|",
    "╭": "+",
    "╮": "+",
    "╰": "+",
    "╯": "+",
}
"""Every character of ours that is not ASCII."""
_TABLE = str.maketrans(OURS)
_PLAIN_LOCALES = frozenset({"C", "POSIX"})


def in_ascii(text: str) -> str:
    """Ours by what resembles it, all else by a question mark."""
    if text.isascii():
        return text
    return text.translate(_TABLE).encode("ascii", "replace").decode()


def needs_ascii(out: IO[Any], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the marks cannot be shown there.

    Python writes UTF-8 also where the locale is plain C. A terminal that was told so by its user
    may not read it; where no locale is set at all (a container) nothing speaks against UTF-8.
    """
    named = next((v for n in ("LC_ALL", "LC_CTYPE", "LANG") if (v := environ.get(n))), "")
    if named in _PLAIN_LOCALES:
        return True
    try:
        "".join(OURS).encode(getattr(out, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False
