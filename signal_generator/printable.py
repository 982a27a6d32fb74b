"""Text of a strategy, a broker or Redis, made fit for a terminal and for a log.

It may hold escape sequences that repaint the screen, line breaks that forge a second record, or
characters that turn the reading direction. Kept as it came, it is escaped where it is shown.
"""

import logging

_GOES_ON = "  "
"""Before all lines of a record but its first: none of them looks like a record of its own."""


def visible(text: str) -> str:
    """The text with everything a terminal would act on, or that hides, written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible_lines(text: str) -> str:
    """The same, with its lines: a traceback is read in lines."""
    return f"\n{_GOES_ON}".join(visible(line) for line in text.split("\n"))


class VisibleFormatter(logging.Formatter):
    """Escapes whole records, their tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """As the format says, with nothing in it that a terminal acts on."""
        return visible_lines(super().format(record))
