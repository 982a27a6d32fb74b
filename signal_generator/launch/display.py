"""The live display: `signalpaca top` on the user's terminal, which is left as it was."""

import sys
from contextlib import suppress

from signal_generator.launch.child import Program, Spawn
from signal_generator.launch.options import StackOptions
from signal_generator.launch.service_settings import Names
from signal_generator.launch.surroundings import Surroundings

FASTEST, SLOWEST = 0.05, 60.0
MOST_UPDATES = 1000
"""What `top` takes."""
_LEAVE = "\x1b[?1049l\x1b[?25h\x1b[0m"
"""The usual screen, a cursor, no colour."""


def start(
    spawn: Spawn, surroundings: Surroundings, options: StackOptions, redis_url: str, names: Names
) -> Program:
    """It reads no keys: the terminal is the strategy's, and its Ctrl-C too."""
    refresh = min(SLOWEST, max(FASTEST, options.refresh))
    updates = min(MOST_UPDATES, max(0, options.updates))
    words = ["solution", "top", "--refresh", f"{refresh:g}", "--updates", str(updates)]
    environ = {
        **surroundings.without_settings(),
        "REDIS_URL": redis_url,
        "CONSUMER_GROUP": names.group,
    }
    return spawn("display", words, environ, None)


def restore_terminal(program: Program) -> None:
    """Leave the screen for a display that was killed and could not; it changes no terminal mode."""
    out = sys.__stdout__
    if program.code == 0 or out is None or not out.isatty():
        return
    with suppress(OSError, ValueError):
        out.write(_LEAVE)
        out.flush()
