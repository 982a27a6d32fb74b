"""Named places where a test may end, pause or break this process; nothing at all in production.

A crash matters where it happens: between the row and the POST, between the commit and the
acknowledgement. ``hit("submit.row_durable")`` marks such a place and costs some tens of
nanoseconds. Only a start with ``SIGNALPACA_FAILPOINTS`` arms any of them, and such a start is
refused unless every broker address is on this machine (:mod:`solution.config_checks`)::

    SIGNALPACA_FAILPOINTS = "submit.row_durable=kill:3;listener.read=pause:0.2:1"

One rule per point: ``name[~TEXT]=ACTION[:SECONDS][:NTH]``. It strikes at the NTH hit (1 by
default), and with ``~TEXT`` it counts only hits about something that contains TEXT. Actions:

=========  =====================================================================================
``kill``   SIGKILL to this process: no handler, no flush, no goodbye
``stop``   SIGSTOP to this process: it stands still until somebody sends SIGCONT
``raise``  raise :class:`Crash`, which no ``except Exception`` stops
``pause``  wait SECONDS, then go on
=========  =====================================================================================
"""

import os
import re
import signal
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

_STANDS_STILL = 0.1
_RULE = re.compile(
    r"(?P<name>[a-z_]+(?:\.[a-z_]+)+)(?:~(?P<about>[^=]+))?="
    r"(?:(?P<action>kill|stop|raise)|pause:(?P<seconds>\d+(?:\.\d+)?))(?::(?P<nth>[1-9]\d*))?"
)


class Crash(BaseException):
    """What the action ``raise`` raises: in one process, the stand-in for kill -9."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens at one point.

    Args:
        action: ``kill``, ``stop``, ``raise`` or ``pause``.
        seconds: of a pause.
        nth: which hit strikes, counted from 1.
        about: counts only hits whose ``about`` contains this.
    """

    name: str
    action: str
    seconds: float = 0.0
    nth: int = 1
    about: str = ""


class _Armed:
    """One rule and the hits it has counted; ``next`` on a counter is atomic."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._hits = count(1)

    def strike(self, about: str) -> None:
        rule = self.rule
        if rule.about not in about or next(self._hits) != rule.nth:
            return
        if rule.action != "raise":
            os.write(2, f"failpoint {rule.name}: {rule.action}\n".encode())
        if rule.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif rule.action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            # Another thread may be the one that takes the signal: this one must not run on until
            # the whole process stands still.
            threading.Event().wait(_STANDS_STILL)
        elif rule.action == "raise":
            raise Crash(f"{rule.name}, hit {rule.nth}")
        else:
            threading.Event().wait(rule.seconds)


_armed: dict[str, list[_Armed]] = {}


def hit(name: str, about: str = "") -> None:
    """A place where a crash would matter.

    Args:
        name: as in the rules.
        about: what is in hand, such as an entry id.

    Raises:
        Crash: a rule says so.
    """
    if _armed:
        for each in _armed.get(name, ()):
            each.strike(about)


def parse(text: str) -> list[Rule]:
    """Rules from the text of the setting.

    Raises:
        ValueError: one of them cannot be read; the message names it.
    """
    return [_rule(part.strip()) for part in text.split(";") if part.strip()]


def arm(rules: Iterable[Rule]) -> None:
    """Replace what is armed; counting starts anew."""
    found: dict[str, list[_Armed]] = {}
    for rule in rules:
        found.setdefault(rule.name, []).append(_Armed(rule))
    disarm()
    _armed.update(found)


def disarm() -> None:
    """Make every point a no-op again."""
    _armed.clear()


def _rule(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no rule such as 'submit.row_durable=kill:3'")
    return Rule(
        name=found["name"],
        action=found["action"] or "pause",
        seconds=float(found["seconds"] or 0),
        nth=int(found["nth"] or 1),
        about=found["about"] or "",
    )
