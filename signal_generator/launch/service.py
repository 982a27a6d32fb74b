"""The service that executes: one that runs already, or one of our own."""

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from signal_generator.launch.account import Account
from signal_generator.launch.child import Program
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError
from signal_generator.launch.service_settings import Names
from signal_generator.publisher import make_client

START_WITHIN = 100.0
"""Seconds. Usually less than one; right after a run that used up the rate limit, the service waits
up to a minute until the broker takes its first question."""
PATIENCE = 10.0
"""Seconds after which the user is told what it waits for."""
LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """One instance, as its status key shows it."""

    name: str
    shown: Mapping[str, Any]

    @property
    def is_ready(self) -> bool:
        """Whether it reads signals."""
        redis_part = self.shown.get("redis")
        return isinstance(redis_part, dict) and bool(redis_part.get("connected"))

    @property
    def executions(self) -> str:
        """The stream it reports to; an earlier version does not say."""
        return str(self.shown.get("executions") or "")


def find(url: str, group: str) -> list[Running]:
    """The live instances of a group that send orders.

    Raises:
        LaunchError: Redis does not answer.
    """
    client = make_client(url)
    prefix = f"signalpaca:{group}:"
    try:
        keys = list(client.scan_iter(match=f"{prefix}*", count=500))
        found = [(key.removeprefix(prefix), client.get(key)) for key in keys]
    except redis.ResponseError:
        found = []  # a key of another type under this prefix is nobody's status
    except (redis.RedisError, OSError) as error:
        raise LaunchError(f"Redis does not answer: {error}") from None
    finally:
        client.close()
    shown = ((name, _parsed(raw)) for name, raw in found)
    return [Running(name, one) for name, one in shown if one is not None and _is_alive(one)]


class Borrowed:
    """A service that somebody else has started, and may end; for one thread."""

    def __init__(self, url: str, group: str) -> None:
        self._url = url
        self._group = group
        self._missed = False

    def trouble(self) -> str:
        """One sentence when it has gone; asked every few seconds.

        Missed twice in a row, so that one that is only restarted, or taken over, ends no run.
        """
        try:
            missed = not find(self._url, self._group)
        except LaunchError:
            return ""  # while Redis does not answer, nobody knows
        missed_before, self._missed = self._missed, missed
        if missed and missed_before:
            return f"the service of {self._group}, which was not started by this run, has gone"
        return ""


def check(one: Running, names: Names, trading_url: str, account: Account) -> None:
    """Whether orders for this account may be given to it.

    Raises:
        LaunchError: it would not read them, or would trade them elsewhere.
    """
    streams, broker = one.shown.get("streams"), one.shown.get("broker")
    told = one.shown.get("account")
    theirs = told.get("id") if isinstance(told, dict) else None
    who = f"{one.name} already serves group {names.live_group}"
    if theirs not in {None, account.id}:
        raise LaunchError(
            f"{who} on another account ({theirs}): stop it, or set another CONSUMER_GROUP"
        )
    if broker not in {None, trading_url}:
        raise LaunchError(
            f"{who} at {broker}, not at {trading_url}: stop it, or set another CONSUMER_GROUP"
        )
    if not isinstance(streams, list) or names.stream not in streams:
        raise LaunchError(
            f"{who} and does not read the stream {names.stream}: add it to its STREAMS, or set "
            "another CONSUMER_GROUP"
        )


def await_ready(
    program: Program,
    url: str,
    names: Names,
    within: Callable[[float], Deadline],
    report: Callable[[str], None],
) -> Running | None:
    """Wait until ours reads signals.

    Returns:
        None when it does; another one that was started at the same moment and was faster.

    Raises:
        LaunchError: it refused to start, or does not in time.
    """
    deadline, patience = within(START_WITHIN), within(PATIENCE)
    told = False
    while True:
        if program.code is not None:
            raise LaunchError(f"the service did not start: {program.last_words()}")
        for one in find(url, names.live_group):
            ours = one.shown.get("pid") == program.pid
            if one.is_ready:
                return None if ours else one
        if deadline.passed():
            raise LaunchError(f"the service is not ready in time: {program.last_words()}")
        if patience.passed() and not told:
            told = True
            report(f"the service still starts: {program.last_words()}")
        deadline.pause(LOOK_EVERY)


def _parsed(raw: Any) -> Mapping[str, Any] | None:
    try:
        found = json.loads(raw or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_alive(shown: Mapping[str, Any]) -> bool:
    """Its key outlives a killed one by five seconds; a shadow sends no orders at all."""
    pid = shown.get("pid")
    if shown.get("mode") == "shadow":
        return False
    if shown.get("host") != socket.gethostname() or not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
