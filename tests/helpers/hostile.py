"""Texts that forge lines, command terminals, or hide: what producers and brokers may send."""

HOSTILE = (
    "a\r\n[00:00:00] CRITICAL forged=yes",
    "a\nb",
    "\x1b[2J\x1b[1;1Hwiped",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31mred",
    "\x85next line",
    "a\x00b",
    "a\x08\x08b",
    "a\u202egnp.exe",
    "\u2066isolate\u2069",
    "line\u2028separator\u2029paragraph",
    "zero\u200bwidth\ufeff",
    "\x7fdelete",
    "private\ue000use",
    "tag\U000e0041",
    "[bold red]markup[/bold red] [/]",
    "%s %(name)s {0} {name!r}",
    '"quote\\ and = and , and |',
    "{\"level\": \"CRITICAL\"}\n{\"a\": 1}",
)  # fmt: skip
"""Line breaks, terminal sequences (7 and 8 bit), NUL, bidirectional and invisible characters,
markup of our own libraries, and what would break a format, CSV or JSON."""
