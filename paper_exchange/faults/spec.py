"""A fault as somebody writes it: the kinds there are, and text and JSON as a checked record.

``TARGET: KIND [name=value ...]``, for instance ``POST /v2/orders: reset_after p=0.1``
or ``stream: duplicate next=3``; as JSON the same names in one object.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paper_exchange.faults.values import BadFault, read, shown, written

REQUEST, STREAM, DATA, ORDERS = "request", "stream", "data", "orders"
_STREAMS = frozenset({STREAM, DATA})
_METHODS = frozenset({"*", "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})
_FILTERS = {
    REQUEST: ("key", "client"),
    STREAM: ("key", "client", "symbol", "event"),
    DATA: ("key", "client", "symbol", "event"),
    ORDERS: ("key", "symbol"),
}
_WHEN = ("p", "next", "skip")


@dataclass(frozen=True, slots=True)
class Kind:
    """What may be said about one kind of fault: options without a default are required."""

    places: frozenset[str]
    required: tuple[str, ...] = ()
    defaults: Mapping[str, object] = field(default_factory=dict)
    optional: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """All option names of this kind."""
        return (*self.required, *self.defaults, *self.optional)


_ON_REQUESTS = frozenset({REQUEST})
_ON_ORDERS = frozenset({ORDERS})

KINDS: Mapping[str, Kind] = {
    "latency": Kind(_ON_REQUESTS, ("ms",), {"when": "before"}),
    "status": Kind(_ON_REQUESTS, ("status",), {"taken": False}, ("body", "headers")),
    "html": Kind(_ON_REQUESTS, (), {"status": 502, "taken": False}),
    "cut": Kind(_ON_REQUESTS),
    "garbage": Kind(_ON_REQUESTS, (), {"body": "<<< not JSON >>>", "taken": True}),
    "reset_before": Kind(_ON_REQUESTS),
    "reset_after": Kind(_ON_REQUESTS),
    "no_answer": Kind(_ON_REQUESTS),
    "hang_before": Kind(_ON_REQUESTS),
    "late": Kind(_ON_REQUESTS, ("ms",), {"answer": "504"}),
    "storm": Kind(_ON_REQUESTS, (), {"limit_headers": True}, ("ms", "requests")),
    "drop": Kind(_STREAMS),
    "duplicate": Kind(_STREAMS),
    "delay": Kind(_STREAMS, ("ms",)),
    "reorder": Kind(_STREAMS, (), {"ms": (1000, 1000)}),
    "disconnect": Kind(_STREAMS, (), {"when": "before", "how": "close", "code": 1011}),
    "silence": Kind(_STREAMS, (), {}, ("ms",)),
    "refuse": Kind(_STREAMS, (), {"status": 429}),
    "stuck_cancel": Kind(_ON_ORDERS),
    "slow_cancel": Kind(_ON_ORDERS, ("ms",)),
    "reject": Kind(_ON_ORDERS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One fault, checked. Which of the later fields count depends on the kind.

    Attributes:
        target: ``METHOD PATH`` (``*`` in either matches anything), ``stream``,
            ``data`` or ``orders``.
        key, client, symbol, event: only what concerns this key id, a
            User-Agent containing this text, this symbol, this event.
        p: probability of a hit per match.
        next: how often at most; None is always.
        skip: how many matches pass first.
        ms: smallest and largest duration.
    """

    target: str
    kind: str
    key: str | None = None
    client: str | None = None
    symbol: str | None = None
    event: str | None = None
    p: float = 1.0
    next: int | None = None
    skip: int = 0
    ms: tuple[int, int] | None = None
    when: str = "before"
    status: int = 0
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    taken: bool = False
    answer: str = ""
    requests: int | None = None
    limit_headers: bool = True
    how: str = "close"
    code: int = 1011

    @property
    def place(self) -> str:
        """``request``, ``stream``, ``data`` or ``orders``."""
        return self.target if self.target in {STREAM, DATA, ORDERS} else REQUEST

    def render(self) -> dict[str, object]:
        """The JSON form; reading it again gives an equal record."""
        row: dict[str, object] = {"target": self.target, "kind": self.kind}
        for name in (*_FILTERS[self.place], *_WHEN, *KINDS[self.kind].options):
            value = getattr(self, name)
            if value != _DEFAULTS[name] or name in KINDS[self.kind].defaults:
                row[name] = written(name, value)
        return row

    def text(self) -> str:
        """The text form, which the draws of its rule are seeded with."""
        words = [f"{self.target}: {self.kind}"]
        for name, value in self.render().items():
            if isinstance(value, dict):
                words += [f"headers={shlex.quote(f'{k}: {v}')}" for k, v in value.items()]
            elif name not in {"target", "kind"}:
                plain = str(value).lower() if isinstance(value, bool) else str(value)
                words.append(f"{name}={shlex.quote(plain)}")
        return " ".join(words)


_DEFAULTS: Mapping[str, object] = {
    name: one.default for name, one in Spec.__dataclass_fields__.items()
}


def split_target(target: str) -> tuple[str, str]:
    """Method and path pattern of a request target."""
    first, _, rest = target.partition(" ")
    return (first, rest) if rest else ("*", first)


def _checked_target(target: object) -> str:
    if not isinstance(target, str) or not target.strip():
        raise BadFault(f"target must be METHOD PATH, stream, data or orders, not {shown(target)}")
    words = target.split()
    if len(words) == 1 and words[0] in {STREAM, DATA, ORDERS, "*"}:
        return words[0]
    method, path = ("*", words[0]) if len(words) == 1 else (words[0].upper(), words[1])
    if len(words) > 2 or method not in _METHODS or not path.startswith(("/", "*")):
        raise BadFault(f"target must be METHOD PATH, stream, data or orders, not {shown(target)}")
    return f"{method} {path}"


def build(target: object, kind: object, options: Mapping[str, object]) -> Spec:
    """A checked record out of its parts.

    Raises:
        BadFault: in one sentence that names the field and its value.
    """
    where = _checked_target(target)
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None or not isinstance(kind, str):
        raise BadFault(f"kind must be one of {', '.join(KINDS)}, not {shown(kind)}")
    place = where if where in {STREAM, DATA, ORDERS} else REQUEST
    if place not in known.places:
        raise BadFault(f"{kind} is for {' and '.join(sorted(known.places))}, not for {where!r}")
    accepted = (*_FILTERS[place], *_WHEN, *known.options)
    for name, value in options.items():
        if name not in accepted:
            raise BadFault(
                f"{name[:60]} {shown(value)} is not an option of {kind} on {place}, "
                f"which takes {', '.join(accepted)}"
            )
    values: dict[str, Any] = {name: read(name, value) for name, value in options.items()}
    missing = [name for name in known.required if name not in values]
    if missing:
        raise BadFault(f"{kind} requires {missing[0]}")
    if kind == "storm" and not {"ms", "requests"} & values.keys():
        raise BadFault("storm requires ms or requests")
    return Spec(target=where, kind=kind, **{**known.defaults, **values})


def parse_json(row: Mapping[str, object]) -> Spec:
    """A fault from a JSON object.

    Raises:
        BadFault: as ``build``; null is the same as leaving a field out.
    """
    options = {name: value for name, value in row.items() if value is not None}
    return build(options.pop("target", None), options.pop("kind", None), options)


def parse_text(text: str) -> Spec:
    """A fault from ``TARGET: KIND [name=value ...]``; values with spaces are quoted as in a shell.

    Raises:
        BadFault: as ``build``.
    """
    # Paths may hold a colon (/v2/orders:by_client_order_id), so the space belongs to it.
    target, colon, rest = text.partition(": ")
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise BadFault(f"fault {shown(text)} cannot be read: {error}") from None
    if not colon or not words:
        raise BadFault(f"fault must be TARGET: KIND [name=value ...], not {shown(text)}")
    options: dict[str, object] = {}
    headers: list[str] = []
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadFault(f"option {shown(word)} must be name=value")
        if name == "headers":
            headers.append(value)
        elif name in options:
            raise BadFault(f"{name} is given twice, the second time as {shown(value)}")
        else:
            options[name] = value
    if headers:
        options["headers"] = headers
    return build(target, words[0], options)
