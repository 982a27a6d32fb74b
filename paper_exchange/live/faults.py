"""Faults of the websockets: refused handshakes, and what happens to events on their way out.

Answers to what a client says (authentication, subscriptions) pass untouched,
except that silence swallows them too.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from paper_exchange.faults.rules import Facts, Faults, Rule, first
from paper_exchange.faults.spec import DATA, KINDS
from paper_exchange.live.messages import DataMessage
from paper_exchange.network.credentials import credentials
from paper_exchange.network.fault_replies import error_reply
from paper_exchange.network.http_io import rendered
from paper_exchange.network.line import line_of
from paper_exchange.network.sockets import HANG_UP, Outlet

_REFUSALS = frozenset({"refuse"})
_ON_EVENTS = frozenset(
    name for name, kind in KINDS.items() if DATA in kind.places and name not in _REFUSALS
)
#: Data messages of these types answer the client.
_CONTROL = frozenset({"success", "error", "subscription"})

KeyId = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Client:
    """Who is connected: the User-Agent, and the key once the client has authenticated."""

    agent: str
    key_id: KeyId


class StreamTamper:
    """What the rules of one place do to the messages of one connection."""

    def __init__(self, rules: list[Rule], outlet: Outlet, client: Client) -> None:
        self._rules = rules
        self._outlet = outlet
        self._client = client
        #: Delayed messages and what queues behind them: (due on the loop's clock, payload).
        self._waiting: deque[tuple[float, object]] = deque()
        self._held: list[object] = []
        self._held_until: asyncio.TimerHandle | None = None
        self._silence: tuple[Rule, float | None] | None = None
        self._ended = False

    def __bool__(self) -> bool:
        return bool(self._rules or self._waiting or self._held or self._silence or self._ended)

    def pass_on(self, payload: object) -> None:
        """Queue a message, unless a rule strikes it."""
        if self._ended or self._is_silent():
            return
        facts = self._facts(payload)
        if facts is None:
            self._queue(payload)
        elif self._held:
            # The successor that a reordered event has waited for: no rule is asked about it.
            self._queue(payload)
            self._release()
        else:
            rule = first(self._rules, facts, _ON_EVENTS)
            if rule is None:
                self._queue(payload)
            else:
                self._strike(rule, payload)

    def _strike(self, rule: Rule, payload: object) -> None:
        match rule.spec.kind:
            case "duplicate":
                self._queue(payload)
                self._queue(payload)
            case "delay":
                self._queue(payload, rule.delay_s())
            case "reorder":
                self._held.append(payload)
                loop = asyncio.get_running_loop()
                self._held_until = loop.call_later(rule.delay_s(), self._release)
            case "disconnect":
                self._disconnect(rule, payload)
            case "silence":
                loop = asyncio.get_running_loop()
                ends = None if rule.spec.ms is None else loop.time() + rule.delay_s()
                self._silence = (rule, ends)
            case _:  # drop
                pass

    def _queue(self, payload: object, delay_s: float = 0.0) -> None:
        """Send, after what is delayed: a stream keeps its order."""
        if not delay_s and not self._waiting:
            self._outlet.post(self._outlet.encode(payload))
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, payload))
        loop.call_at(due, self._flush)

    def _flush(self) -> None:
        # Timers of a loop may be a little early; without the margin the last would be stranded.
        now = asyncio.get_running_loop().time() + 0.002
        while self._waiting and self._waiting[0][0] <= now and not self._ended:
            self._outlet.post(self._outlet.encode(self._waiting.popleft()[1]))

    def _release(self) -> None:
        if self._held_until is not None:
            # Left running, it would cut short the wait of an event held later.
            self._held_until.cancel()
        held, self._held = self._held, []
        if not self._ended:
            for payload in held:
                self._queue(payload)

    def _disconnect(self, rule: Rule, payload: object) -> None:
        spec = rule.spec
        if spec.when == "after":
            self._queue(payload)
        self._ended = True
        for _, waiting in self._waiting:
            self._outlet.post(self._outlet.encode(waiting))
        self._waiting.clear()
        if spec.how == "reset":
            self._outlet.post(HANG_UP)
        else:
            self._outlet.post({"type": "websocket.close", "code": spec.code, "reason": ""})

    def _is_silent(self) -> bool:
        """Silence ends with its time or its rule; what was swallowed does not come back."""
        if self._silence is None:
            return False
        rule, ends = self._silence
        if rule.removed or (ends is not None and asyncio.get_running_loop().time() >= ends):
            self._silence = None
            return False
        return True

    def _facts(self, payload: object) -> Facts | None:
        """What rules are compared with; None for messages that are no events."""
        message = payload.row if isinstance(payload, DataMessage) else payload
        if not isinstance(message, dict):
            return None
        if message.get("stream") == "trade_updates":
            data = message["data"]
            return self._about(data["event"], data["order"]["symbol"])
        if "T" in message and message["T"] not in _CONTROL:
            return self._about(message["T"], message.get("S"))
        return None

    def _about(self, event: str, symbol: str | None) -> Facts:
        client = self._client
        return Facts(key=client.key_id(), client=client.agent, symbol=symbol, event=event)


class StreamFaults:
    """What the websocket endpoints ask the rules."""

    def __init__(self, faults: Faults) -> None:
        self._places = faults.places

    def refuses(self, place: str, scope: Scope) -> int | None:
        """The status with which a rule refuses this handshake, None when it may go on."""
        rules = self._places[place]
        if not rules:
            return None
        headers = dict(scope["headers"])
        pair = credentials(headers)
        facts = Facts(
            key=pair[0] if pair else None,
            client=headers.get(b"user-agent", b"").decode("latin-1"),
        )
        rule = first(rules, facts, _REFUSALS)
        return None if rule is None else rule.spec.status

    def tamper(
        self, place: str, outlet: Outlet, headers: Mapping[str, str], key_id: KeyId
    ) -> StreamTamper:
        """What is to stand before an outlet of this place."""
        client = Client(headers.get("user-agent", ""), key_id)
        return StreamTamper(self._places[place], outlet, client)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int) -> None:
    """Answer a handshake with an error status."""
    await receive()
    headers, content = rendered(error_reply(status), [])
    if status == 429:
        headers.append((b"retry-after", b"1"))
    start: dict[str, Any] = {"status": status, "headers": headers}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": content})
    line = line_of(scope)
    if line is not None:
        # uvicorn takes a return before the end of the connection for an unfinished handshake.
        await line.gone()
