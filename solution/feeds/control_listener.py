"""Reads the control stream: commands of operators, from wherever they reach Redis.

Redis only carries the news; what counts is the row of the ledger that a command leads to. A command
that stops trading is carried out before it is remembered, so that a crash between the two repeats
it; one that allows more, or trades, is remembered first, so that none ever is. What was published
while nobody listened is found at the next start, as far back as a command may be old.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import orjson
import redis

from solution import failpoints
from solution.clock import Clock
from solution.domain import control
from solution.domain.control import Command, ControlError
from solution.domain.reasons import RedisFault
from solution.domain.records import entry_key
from solution.errors import LedgerError
from solution.feeds.stream_watch import ahead_of_clock
from solution.redis_client import describe
from solution.runtime.service import Service

log = logging.getLogger(__name__)

BLOCK_MS = 500
"""A stop waits for no longer; a command is seen at once."""
AFTER_ERROR = 0.25
AT_ONCE = 100
LOOK_EVERY = 1.0
"""Seconds between two looks at where the stream ends."""
IDS_KEPT = 1_000
REPORT_EVERY = 60.0
"""Seconds between two reports of the same words: whoever may write there may write a lot."""
_REPORTS_KEPT = 200
SEEN = "control_seen:"
"""Prefix of the key of what was handled last, by stream."""

Fields = tuple[tuple[bytes, bytes], ...]


class ControlLedger(Protocol):
    """Where it is remembered what was handled."""

    def get_state(self, key: str) -> str | None: ...
    def set_state(self, key: str, value: str) -> None: ...


class Seen:
    """The last entry handled, and the ids of commands that could come again."""

    def __init__(self, ledger: ControlLedger, stream: str) -> None:
        self._ledger = ledger
        self._key = SEEN + stream
        self.last = "0-0"
        self.ids: dict[str, int] = {}

    def load(self) -> None:
        """As an earlier life left it.

        Raises:
            LedgerError: it cannot be read.
        """
        text = self._ledger.get_state(self._key)
        try:
            said = orjson.loads(text or "{}")
            entry_key(str(said.get("last", "0-0")))
            self.last = str(said.get("last", "0-0"))
            self.ids = {str(name): int(ms) for name, ms in said.get("ids", {}).items()}
        except (ValueError, TypeError, AttributeError):
            log.error("control_memory_lost", extra={"detail": text})  # noqa: TRY400 - not a bug

    def keep(self, entry_id: str, command: Command, now_ms: int) -> None:
        """Durable on return; until no copy of it can be young enough any more.

        Raises:
            LedgerError: it is not kept.
        """
        since = now_ms - 2 * control.STOP_MAX_AGE_MS
        ids = {name: ms for name, ms in self.ids.items() if ms >= since}
        ids[command.id] = max(now_ms, command.stated_ms)
        while len(ids) > IDS_KEPT:
            del ids[next(iter(ids))]
        last = max(self.last, entry_id, key=entry_key)
        value = orjson.dumps({"last": last, "ids": ids}).decode()
        self._ledger.set_state(self._key, value)
        self.last, self.ids = last, ids


class ControlListener(Service):
    """One thread, one connection.

    Args:
        connect: makes a client; called again after each failure.
        stream: whose entries are commands.
        key: that they are signed with; "" takes those that stop trading, unsigned.
        ledger: remembers what was handled.
        carry_out: does it; may raise ControlError or LedgerError.
        refused: told the entry id and why, of what was not carried out.
    """

    def __init__(
        self,
        connect: Callable[[], "redis.Redis"],
        stream: str,
        key: str,
        *,
        ledger: ControlLedger,
        carry_out: Callable[[Command], None],
        refused: Callable[[str, str], None],
        clock: Clock,
    ) -> None:
        super().__init__("control-listener", error_pause=AFTER_ERROR, clock=clock)
        self._connect = connect
        self._stream = stream
        self._secret = key
        self._carry_out = carry_out
        self._refused = refused
        self._seen = Seen(ledger, stream)
        self._client: Any = None
        self._position = ""
        self._since_ms = 0
        self._reported: dict[str, float] = {}
        self._looked: float | None = None
        self._ahead = ""
        self.alerts: Counter[RedisFault] = Counter()
        self.handled = self.refusals = 0
        self.trouble = "not connected"

    def picture(self) -> dict[str, Any]:
        """For the status snapshot."""
        return {
            "stream": self._stream,
            "connected": not self.trouble,
            "trouble": self.trouble or self._ahead,
            "signed": bool(self._secret),
            "handled": self.handled,
            "refused": self.refusals,
        }

    def step(self) -> float:
        try:
            if self._client is None:
                self._open()
            found = self._client.xread({self._stream: self._position}, AT_ONCE, BLOCK_MS)
            entries = found[0][1] if found else ()
            now_ms = self._now_ms()
            self._judge_end(now_ms)
            if not entries:
                self._stay_in_place(now_ms)
            for entry_id, fields in entries:
                self._handle(entry_id.decode(), tuple((fields or {}).items()), now_ms)
        except redis.RedisError as error:
            self._lost(describe(error))
            return AFTER_ERROR
        except LedgerError as error:
            # The entry is read again: it is not at an end before the ledger says so.
            self._lost(f"the ledger: {error}")
            return AFTER_ERROR
        return 0.0

    def on_stop(self) -> None:
        self._close()

    def _open(self) -> None:
        """Connect, and find the place to read on from."""
        self._client = self._connect()
        now_ms = self._now_ms()
        if not self._position:
            self._seen.load()
            self._since_ms = now_ms
        oldest = f"{max(0, now_ms - control.STOP_MAX_AGE_MS)}-0"
        self._position = max(self._seen.last, self._position or "0-0", oldest, key=entry_key)
        self._stay_in_place(now_ms)
        self.trouble = ""

    def _stay_in_place(self, now_ms: int) -> None:
        """Not beyond the end: after Redis lost its data, what comes now may have lower ids."""
        ms = entry_key(self._position)[0]
        if ms > now_ms and ms > self._end()[0]:
            self._position = f"{max(0, now_ms - control.STOP_MAX_AGE_MS)}-0"

    def _end(self) -> tuple[int, int]:
        try:
            return entry_key(self._client.xinfo_stream(self._stream)["last-generated-id"].decode())
        except redis.ResponseError:
            return (0, 0)  # there is no such stream yet

    def _judge_end(self, now_ms: int) -> None:
        """Told once: in the future no `resume` is taken; at the last id nothing can be added."""
        now = self._clock.monotonic()
        if self._looked is not None and now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        before, found = self._ahead, ahead_of_clock(self._end(), now_ms)
        self._ahead = f"{RedisFault.ID_IN_FUTURE}: {found}" if found else ""
        if found and not before:
            self.alerts[RedisFault.ID_IN_FUTURE] += 1
            extra = {"stream": self._stream, "reason": str(RedisFault.ID_IN_FUTURE)}
            log.error("stream_id_in_future", extra={**extra, "detail": found})

    def _now_ms(self) -> int:
        seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def _handle(self, entry_id: str, raw: Fields, now_ms: int) -> None:
        command: Command | None = None
        try:
            command = control.parse(self._stream, entry_id, raw, self._secret, now_ms)
            self._check(command)
            self._do(entry_id, command, now_ms)
        except ControlError as error:
            self._forbid(entry_id, command or error.command, now_ms)
            self._report(entry_id, str(error))
        except (LedgerError, redis.RedisError):
            raise
        except Exception as error:  # an entry must not keep the next kill from being read
            log.exception("control_command_failed", extra={"entry_id": entry_id})
            self._report(entry_id, f"it failed: {type(error).__name__}: {error}")
        self._position = entry_id

    def _check(self, command: Command) -> None:
        if command.id in self._seen.ids:
            raise ControlError(f"{command.verb} {command.id} was given before")
        if not command.stops and command.given_ms < self._since_ms:
            # Much may have happened while nobody listened; a stop counts whatever happened.
            # By its ts as well: a copy made after the start has a new entry id.
            raise ControlError(f"{command.verb} was given before this instance started")

    def _forbid(self, entry_id: str, refused: Command | None, now_ms: int) -> None:
        """What was signed and refused never acts, whenever somebody copies its entry."""
        if self._secret and refused is not None and refused.id not in self._seen.ids:
            self._seen.keep(entry_id, refused, now_ms)

    def _do(self, entry_id: str, command: Command, now_ms: int) -> None:
        for words in command.odd:
            self._report(entry_id, f"{words}; the kill counts")
        log.warning(
            "control_command",
            extra={"detail": f"{command.verb} {command.ticker}".strip(), "by": command.by},
        )
        if not command.stops:
            self._seen.keep(entry_id, command, now_ms)
            failpoints.hit("control.remembered")
            self._once(command)
        else:
            self._carry_out(command)
            failpoints.hit("control.carried_out")
            self._seen.keep(entry_id, command, now_ms)
        self.handled += 1

    def _once(self, command: Command) -> None:
        try:
            self._carry_out(command)
        except LedgerError as error:
            # Remembered as given: whoever gave it is told that it was not done, and gives another.
            raise ControlError(f"{command.verb} failed, give it again: {error}") from error

    def _report(self, entry_id: str, words: str) -> None:
        self.refusals += 1
        now = self._clock.monotonic()
        if now - self._reported.get(words, -REPORT_EVERY) < REPORT_EVERY:
            return
        self._reported[words] = now
        while len(self._reported) > _REPORTS_KEPT:
            del self._reported[next(iter(self._reported))]
        log.error(
            "control_refused",
            extra={"stream": self._stream, "entry_id": entry_id, "detail": words},
        )
        self._refused(entry_id, words)

    def _lost(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("control_stream_lost", extra={"detail": trouble})
        self._close()
        self.trouble = trouble

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
