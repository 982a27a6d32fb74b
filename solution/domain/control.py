"""Commands to a running service, as an entry of the control stream: their form and their signature.

What is signed (HMAC-SHA256, hexadecimal) is this text, every line ended by a line feed, with a line
for each field that the entry has, in this order::

    signalpaca-control-v1
    STREAM
    command=…
    ticker=…
    cancel_orders=…
    close_positions=…
    by=…
    ts=…
    id=…

A command that stops trading must not fail over a detail: what is odd about a kill is told, and the
kill counts.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from solution.domain.records import entry_key

SIGNED = ("command", "ticker", "cancel_orders", "close_positions", "by", "ts", "id")
"""In the order of the canonical form."""
STOP_MAX_AGE_MS = 300_000
MAX_AGE_MS = 60_000
AHEAD_MS = 5_000
"""How far in the future a command may be that allows more, or trades."""
_FLAGS = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
_TICKER = re.compile(r"[A-Z0-9./]{1,24}")
_TEXT = re.compile(r"[ -~]{0,128}")
_MS = re.compile(r"[0-9]{1,15}")


class Verb(StrEnum):
    """What a command wants."""

    KILL = "kill"
    REDUCE_ONLY = "reduce-only"
    RESUME = "resume"
    FLATTEN = "flatten"


STOPS = frozenset({Verb.KILL, Verb.REDUCE_ONLY})
"""Taken without a signature where no key is configured."""


class ControlError(Exception):
    """A command that is not carried out; the text is one sentence.

    Attributes:
        command: what was refused although its signature is right: a copy must not act later.
    """

    command: "Command | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Args:
        at_ms: when Redis took it, by its clock; a copy of the entry has another.
        stated_ms: its ``ts``, which a copy of a signed entry keeps; ``at_ms`` without one.
        odd: what was wrong about a kill that counts all the same.
    """

    verb: Verb
    id: str
    ticker: str = ""
    cancel_orders: bool = False
    close_positions: bool = False
    by: str = ""
    at_ms: int = 0
    stated_ms: int = 0
    odd: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether it only ever allows less."""
        return self.verb in STOPS

    @property
    def given_ms(self) -> int:
        """The older of both times."""
        return min(self.at_ms, self.stated_ms)


def canonical(stream: str, fields: Mapping[str, str]) -> bytes:
    """The bytes that are signed."""
    said = (f"{name}={fields[name]}" for name in SIGNED if name in fields)
    lines = ["signalpaca-control-v1", stream, *said]
    return "".join(f"{line}\n" for line in lines).encode()


def signature(key: str, stream: str, fields: Mapping[str, str]) -> str:
    """The value of ``sig``, hexadecimal."""
    return hmac.new(key.encode(), canonical(stream, fields), hashlib.sha256).hexdigest()


def entry(stream: str, command: Command, key: str, now_ms: int) -> dict[str, str]:
    """The fields that say it; signed where there is a key."""
    flags = {"cancel_orders": command.cancel_orders, "close_positions": command.close_positions}
    fields = {
        "command": str(command.verb),
        "ticker": command.ticker,
        **{name: "1" for name, on in flags.items() if on},
        "by": command.by,
        "ts": str(now_ms),
        "id": command.id,
    }
    fields = {name: value for name, value in fields.items() if value}
    return fields | ({"sig": signature(key, stream, fields)} if key else {})


def parse(
    stream: str, entry_id: str, raw: Iterable[tuple[bytes, bytes]], key: str, now_ms: int
) -> Command:
    """The command in an entry.

    Args:
        key: that commands are signed with; "" where none is configured.
        now_ms: Redis's clock.

    Raises:
        ControlError: it is none, or not to be carried out.
    """
    fields = _decoded(raw)
    said = fields.get("command", "").lower()
    try:
        verb = Verb(said)
    except ValueError:
        raise ControlError(f"there is no command {_short(said)}") from None
    _check_signature(stream, fields, key, verb)
    command = _command(verb, entry_id, fields)
    try:
        if command.odd and verb is not Verb.KILL:
            raise ControlError(command.odd[0])
        _check_age(command, now_ms, stated="ts" in fields)
    except ControlError as error:
        error.command = command if key else None
        raise
    return command


def _command(verb: Verb, entry_id: str, fields: Mapping[str, str]) -> Command:
    at_ms = entry_key(entry_id)[0]
    stated = fields.get("ts", "")
    return Command(
        verb=verb,
        id=_id_of(fields.get("id", "")) or entry_id,
        ticker="" if verb is Verb.KILL else fields.get("ticker", "").upper(),
        cancel_orders=_FLAGS.get(fields.get("cancel_orders", "").lower(), False),
        close_positions=_FLAGS.get(fields.get("close_positions", "").lower(), False),
        by=_short(fields.get("by", "") or "the control stream").strip("'"),
        at_ms=at_ms,
        stated_ms=int(stated) if _MS.fullmatch(stated) else at_ms,
        odd=tuple(_oddities(fields)),
    )


def _id_of(name: str) -> str:
    """As it is known by: one that is too long or not ASCII still has to be known again."""
    if _TEXT.fullmatch(name):
        return name
    return f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"


def _decoded(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in raw:
        fields[name.decode(errors="replace").lower()] = value.decode(errors="replace")
    return fields


def _check_signature(stream: str, fields: Mapping[str, str], key: str, verb: Verb) -> None:
    if not key:
        if verb not in STOPS:
            raise ControlError(f"{verb} is taken only when CONTROL_HMAC_KEY is set")
        return
    # As bytes: compare_digest takes no text beyond ASCII.
    given, wanted = fields.get("sig", "").lower(), signature(key, stream, fields)
    # A line feed within a value could stand for a field that is not there.
    plain = all(fields[name].isprintable() for name in SIGNED if name in fields)
    if not (hmac.compare_digest(given.encode(), wanted.encode()) and plain):
        raise ControlError(f"{verb} is {'not signed' if not given else 'signed wrongly'}")
    if not fields.get("id") or not fields.get("ts"):
        raise ControlError(f"{verb} has no id or no ts, which signed commands need")


def _oddities(fields: Mapping[str, str]) -> list[str]:
    """What is wrong about the fields, each in one sentence."""
    found = [f"there is no field {_short(n)}" for n in fields if n not in (*SIGNED, "sig")]
    found += [
        f"{name}={_short(fields[name])} is neither true nor false"
        for name in ("cancel_orders", "close_positions")
        if fields.get(name, "").lower() not in _FLAGS
    ]
    ticker = fields.get("ticker", "")
    if "ticker" in fields and not _TICKER.fullmatch(ticker.upper()):
        # An empty one is not meant for all: "$TICKER" of a script that did not set it.
        found.append(f"ticker={_short(ticker)} is no symbol")
    elif ticker and fields["command"].lower() == Verb.KILL:
        found.append("kill is for all tickers")
    if not _TEXT.fullmatch(fields.get("id", "")):
        found.append(f"id={_short(fields['id'])} is no printable ASCII of at most 128 characters")
    if not _MS.fullmatch(fields.get("ts", "0")):
        found.append(f"ts={_short(fields['ts'])} is not in milliseconds since 1970")
    return found


def _check_age(command: Command, now_ms: int, *, stated: bool) -> None:
    """By the older of ``ts`` and the entry's id.

    A stream whose last id somebody pushed into the future goes on from there: what stops trading is
    judged by its ``ts`` alone then, or not at all.
    """
    verb, oldest = command.verb, command.given_ms
    newest = max(command.at_ms, command.stated_ms)
    limit, ahead = MAX_AGE_MS, AHEAD_MS
    if command.stops:
        limit = ahead = STOP_MAX_AGE_MS
        newest = command.stated_ms if stated else now_ms
    if now_ms - oldest > limit:
        age = (now_ms - oldest) / 1000
        raise ControlError(f"{verb} is {age:.0f} s old, more than {limit / 1000:.0f} s")
    if newest - now_ms > ahead:
        raise ControlError(f"{verb} is {(newest - now_ms) / 1000:.0f} s in the future")


def _short(text: str) -> str:
    """At most 40 characters, without what a terminal or a log would act on."""
    return repr(text[:40])
