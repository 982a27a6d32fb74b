"""What a handler is given and what it gives back; the network stays outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from urllib.parse import parse_qsl

from starlette.types import Scope

from paper_exchange.books.accounts import Account
from paper_exchange.engine.validation import parse_body
from paper_exchange.errors import endpoint_not_found, invalid, method_not_allowed
from paper_exchange.exchange import Exchange
from paper_exchange.instants import parse_time

_EARLIEST = date(1900, 1, 1)
_LATEST = date(2199, 12, 31)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


class Call:
    """One request, addressed and read.

    Attributes:
        params: what the route's placeholders matched.
        client_order_id: noted by handlers that see one, for the witness.
    """

    def __init__(
        self,
        exchange: Exchange,
        scope: Scope,
        params: Mapping[str, str],
        raw_body: bytes,
        account: Account | None,
    ) -> None:
        self.exchange = exchange
        self.scope = scope
        self.params = params
        self.raw_body = raw_body
        self._account = account
        self.client_order_id: str | None = None

    @property
    def account(self) -> Account:
        """The account of the caller; only trading routes may ask."""
        if self._account is None:
            raise LookupError("this route is served without an account")
        return self._account

    @property
    def now_ns(self) -> int:
        """The exchange's time."""
        return self.exchange.clock.now_ns()

    @cached_property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated one the last counts, empty ones are dropped."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1")))

    def body(self) -> dict[str, object]:
        """The JSON object sent, empty without a body.

        Raises:
            ApiError: 400 when it is anything else.
        """
        return parse_body(self.raw_body)

    def choice(self, name: str, default: str, allowed: frozenset[str]) -> str:
        """A query parameter out of a fixed set."""
        value = self.query.get(name, default).lower()
        if value not in allowed:
            raise invalid(f"invalid {name}")
        return value

    def number(self, name: str, default: int, largest: int) -> int:
        """A positive whole query parameter, cut to ``largest``."""
        text = self.query.get(name)
        if text is None:
            return default
        if not is_whole_number(text) or int(text) < 1:
            raise invalid(f"invalid {name}")
        return min(int(text), largest)

    def time(self, name: str) -> int | None:
        """A query parameter holding a time, in nanoseconds."""
        text = self.query.get(name)
        if text is None:
            return None
        try:
            return parse_time(text)
        except ValueError:
            raise invalid(f"invalid {name}") from None

    def day(self, name: str, default: date) -> date:
        """A query parameter holding a date (or a time, of which the date counts)."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            day = datetime.fromisoformat(text.replace(" ", "+")).date()
        except ValueError:
            raise invalid(f"invalid {name}") from None
        # Within what can be counted on from: there is no day after 9999-12-31.
        return min(max(day, _EARLIEST), _LATEST)

    def flag(self, name: str) -> bool:
        """A boolean query parameter; Python's ``True`` and JavaScript's ``true`` both count."""
        value = self.query.get(name, "false").lower()
        if value not in _BOOLEANS:
            raise invalid(f"invalid {name}")
        return _BOOLEANS[value]

    def names(self, name: str) -> list[str]:
        """A comma-separated query parameter as a list."""
        return [part for part in self.query.get(name, "").split(",") if part]


def is_whole_number(text: str) -> bool:
    """Whether a text is a number of a few ASCII digits (Python refuses to read thousands)."""
    return text.isascii() and text.isdigit() and len(text) < 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer: a status and something that becomes JSON (None: no body)."""

    payload: object = None
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


Handler = Callable[[Call], Reply]


class Router:
    """Finds a handler: fixed paths by dictionary, the rest by trying each pattern.

    A pattern is a fixed prefix, one placeholder, and a fixed suffix, which is
    all that Alpaca's routes need and is faster than regular expressions. The
    placeholder may hold slashes (``BTC/USD``); the longest prefix is tried first.
    """

    def __init__(self) -> None:
        self._fixed: dict[str, dict[str, Handler]] = {}
        self._patterns: dict[tuple[str, str, str], dict[str, Handler]] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Serve ``method path``; one ``{name}`` in the path is a placeholder."""
        if "{" not in path:
            self._fixed.setdefault(path, {})[method] = handler
            return
        prefix, _, rest = path.partition("{")
        name, _, suffix = rest.partition("}")
        self._patterns.setdefault((prefix, suffix, name), {})[method] = handler
        self._patterns = dict(
            sorted(self._patterns.items(), key=lambda item: -len(item[0][0]) - len(item[0][1]))
        )

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and what the placeholder matched.

        Raises:
            ApiError: 404 for an unknown path, 405 for a method it does not serve.
        """
        handlers = self._fixed.get(path)
        if handlers is not None:
            return _of_method(handlers, method), {}
        for (prefix, suffix, name), candidates in self._patterns.items():
            if path.startswith(prefix) and path.endswith(suffix):
                value = path[len(prefix) : len(path) - len(suffix)]
                # With a slash the placeholder may have swallowed a path of its own: 404, not 405.
                if value and (method in candidates or "/" not in value):
                    return _of_method(candidates, method), {name: value}
        raise endpoint_not_found()


def _of_method(handlers: dict[str, Handler], method: str) -> Handler:
    handler = handlers.get(method)
    if handler is None:
        raise method_not_allowed(handlers)
    return handler
