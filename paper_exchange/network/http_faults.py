"""Faults of the REST API: each kind is one function that does to a request what its rule says.

Whatever becomes of the answer, the witness is told what was sent (status 0 for
nothing) and whether the request was carried out.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import orjson
from starlette.types import Send

from paper_exchange.api.call import Reply
from paper_exchange.faults.rules import Facts, Faults, Rule, first
from paper_exchange.faults.spec import KINDS, REQUEST, Spec
from paper_exchange.network.credentials import credentials
from paper_exchange.network.fault_replies import error_reply, html_reply
from paper_exchange.network.http_io import (
    Answer,
    Headers,
    Request,
    rendered,
    request_id,
    send_reply,
)
from paper_exchange.network.line import Line, line_of
from paper_exchange.witness import ANSWERED

_LATENCY = "latency"
_DECIDING = frozenset(
    name for name, kind in KINDS.items() if REQUEST in kind.places and name != _LATENCY
)


class Desk(Protocol):
    """What faults need of the application."""

    def carry_out(self, request: Request) -> Answer:
        """Do what a request asks."""
        ...

    def record(
        self, request: Request, answer: Answer | None, outcome: str, status: int | None = None
    ) -> int:
        """Tell the witness; returns the entry's index. Without an answer it was not carried out."""
        ...

    def amend(self, index: int, answer: Answer) -> None:
        """A recorded request was carried out after all."""
        ...


@dataclass(slots=True)
class _Strike:
    """One request that a rule has hit, and what is needed to mistreat it."""

    rule: Rule
    request: Request
    desk: Desk
    line: Line
    send: Send
    #: Seconds between acceptance and answer.
    after_s: float

    @property
    def spec(self) -> Spec:
        return self.rule.spec

    def carry_out(self, status: int | None = None) -> Answer:
        """Take the request; ``status`` is what the client is told instead of the answer."""
        answer = self.desk.carry_out(self.request)
        self.desk.record(self.request, answer, self.spec.kind, status)
        return answer

    def leave_undone(self, status: int) -> int:
        """Do not take it."""
        return self.desk.record(self.request, None, self.spec.kind, status)

    async def tell(self, reply: Reply, extra: Headers) -> None:
        """Answer, unless the server ends before it is time to."""
        if await self.line.pause(self.after_s):
            await send_reply(self.send, reply, extra)
        else:
            await self.reset()

    async def reset(self) -> None:
        """End the connection, and wait for that: uvicorn expects an answer otherwise."""
        self.line.reset()
        await self.line.gone()


async def _instead(strike: _Strike, reply: Reply) -> None:
    """Answer something else; whether the request is carried out is the rule's choice."""
    if strike.spec.taken:
        strike.carry_out(reply.status)
    else:
        strike.leave_undone(reply.status)
    await strike.tell(reply, [request_id()])


async def _status(strike: _Strike) -> None:
    spec = strike.spec
    reply = error_reply(spec.status)
    own = tuple((name.encode(), value.encode()) for name, value in spec.headers)
    if spec.body is None:
        await _instead(strike, Reply(reply.payload, spec.status, own))
        return
    if not any(name.lower() == b"content-type" for name, _ in own):
        own += ((b"content-type", b"text/plain; charset=utf-8"),)
    await _instead(strike, Reply(spec.body.encode(), spec.status, own))


async def _html(strike: _Strike) -> None:
    await _instead(strike, html_reply(strike.spec.status))


async def _garbage(strike: _Strike) -> None:
    body = (strike.spec.body or "").encode()
    await _instead(strike, Reply(body, 200, ((b"content-type", b"application/json"),)))


async def _cut(strike: _Strike) -> None:
    """Send the first half of the body, under the length of the whole."""
    answer = strike.carry_out()
    headers, content = rendered(answer.reply, answer.headers)
    if not await strike.line.pause(strike.after_s):
        await strike.reset()
        return
    if content:
        start = {
            "type": "http.response.start",
            "status": answer.reply.status,
            "headers": headers,
        }
        await strike.send(start)
        half = content[: len(content) // 2]
        await strike.send({"type": "http.response.body", "body": half, "more_body": True})
    # An answer without a body is cut off altogether.
    strike.line.close()
    await strike.line.gone()


async def _reset_before(strike: _Strike) -> None:
    strike.leave_undone(0)
    await strike.reset()


async def _reset_after(strike: _Strike) -> None:
    strike.carry_out(0)
    await strike.line.pause(strike.after_s)
    await strike.reset()


async def _no_answer(strike: _Strike) -> None:
    strike.carry_out(0)
    await strike.line.gone()


async def _hang_before(strike: _Strike) -> None:
    strike.leave_undone(0)
    await strike.line.gone()


async def _storm(strike: _Strike) -> None:
    strike.leave_undone(429)
    extra = [request_id()]
    if strike.spec.limit_headers:
        seconds = max(1, -(-strike.rule.storm_left_s() // 1))
        extra += [
            (b"retry-after", b"%d" % seconds),
            (b"x-ratelimit-limit", b"200"),
            (b"x-ratelimit-remaining", b"0"),
            (b"x-ratelimit-reset", b"%d" % (time.time() + seconds)),
        ]
    await strike.tell(error_reply(429), extra)


class HttpFaults:
    """Serves requests while there are rules about them."""

    def __init__(self, faults: Faults, desk: Desk) -> None:
        self._faults = faults
        self._desk = desk
        self._late: set[asyncio.Task[None]] = set()
        self._acts: dict[str, Callable[[_Strike], Awaitable[None]]] = {
            "status": _status,
            "html": _html,
            "garbage": _garbage,
            "cut": _cut,
            "reset_before": _reset_before,
            "reset_after": _reset_after,
            "no_answer": _no_answer,
            "hang_before": _hang_before,
            "storm": _storm,
            "late": self._answer_first,
        }

    def stop(self) -> None:
        """Forget what was to be accepted later."""
        for task in self._late:
            task.cancel()

    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, or whatever the rules make of that.

        All ``latency`` rules that strike add up; of the others the first counts.
        """
        facts = _facts(request)
        line = line_of(request.scope)
        if line is None:
            raise RuntimeError("faults need a connection below the application")
        before_s, after_s, slowed = self._latency(facts)
        rule = first(self._faults.requests, facts, _DECIDING)
        if not await line.pause(before_s):
            line.reset()
            await line.gone()
        elif rule is not None:
            strike = _Strike(rule, request, self._desk, line, send, after_s)
            await self._acts[rule.spec.kind](strike)
        else:
            await self._usual(request, send, line, _LATENCY if slowed else None, after_s)

    def _latency(self, facts: Facts) -> tuple[float, float, bool]:
        before_s = after_s = 0.0
        slowed = False
        for rule in self._faults.requests:
            if rule.spec.kind == _LATENCY and rule.matches(facts) and rule.strikes():
                slowed = True
                if rule.spec.when == "before":
                    before_s += rule.delay_s()
                else:
                    after_s += rule.delay_s()
        return before_s, after_s, slowed

    async def _usual(
        self, request: Request, send: Send, line: Line, outcome: str | None, after_s: float
    ) -> None:
        answer = self._desk.carry_out(request)
        if answer.witnessed or outcome:
            self._desk.record(request, answer, outcome or ANSWERED)
        if await line.pause(after_s):
            await send_reply(send, answer.reply, answer.headers)
        else:
            line.reset()
            await line.gone()

    async def _answer_first(self, strike: _Strike) -> None:
        """``late``: an answer now, or none, and acceptance only afterwards."""
        wanted = strike.spec.answer
        index = strike.leave_undone(int(wanted) if wanted.isdigit() else 0)
        later = self._take_later(index, strike.rule.delay_s(), strike.request)
        task = asyncio.create_task(later)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        if wanted == "none":
            await strike.line.gone()
        elif wanted == "reset":
            await strike.reset()
        else:
            await strike.tell(error_reply(int(wanted)), [request_id()])

    async def _take_later(self, index: int, seconds: float, request: Request) -> None:
        await asyncio.sleep(seconds)
        self._desk.amend(index, self._desk.carry_out(request))


def _facts(request: Request) -> Facts:
    headers = dict(request.scope["headers"])
    pair = credentials(headers)
    return Facts(
        method=request.scope["method"],
        path=request.scope["path"],
        key=pair[0] if pair else None,
        client=headers.get(b"user-agent", b"").decode("latin-1"),
    )


def named_order(request: Request) -> str | None:
    """The client order id in a body that nobody has read, for the witness."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return None
    given = body.get("client_order_id") if isinstance(body, dict) else None
    return given if isinstance(given, str) else None
