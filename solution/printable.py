"""Text that anybody may have written, made fit for a terminal and for a line of a log.

A ticker, a producer's field, a broker's sentence or what Redis says may hold line breaks that forge
a second record, escape sequences that repaint the screen, or characters that turn the reading
direction. Whatever is shown passes here last; what is stored stays as it came.
"""

import json
from collections.abc import Mapping
from typing import Any

LONGEST = 2_000
"""Characters of one value on a screen: a producer's fields must not fill it."""


def visible(text: str) -> str:
    """The text with everything a terminal would act on, or that hides, written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """:func:`visible`, and cut where it is longer than anybody reads."""
    if len(text) <= longest:
        return visible(text)
    return f"{visible(text[:longest])}… ({len(text)} characters)"


def visible_json(document: str) -> str:
    """The same JSON on one line, with what a terminal would act on as JSON's own escapes.

    JSON itself escapes only what is below a space: not the C1 controls, which are escape sequences
    to many terminals, nor line separators and bidirectional controls.
    """
    if document.isprintable():
        return document
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in document)


def visible_values(value: Any) -> Any:
    """A JSON value with every text in it, names included, made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(name)): visible_values(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [visible_values(one) for one in value]
    return value
