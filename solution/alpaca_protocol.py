"""How Alpaca's interface spells what we ask, and what its answers mean.

An answer is a value or an error named by what may be done next:

=======================================  =========================================================
answer                                   meaning
=======================================  =========================================================
2xx with JSON                            the value; 204 is None
2xx with an empty body or other text     ``OutcomeUnknown``: it may have worked
3xx                                      ``OutcomeUnknown``: redirects are never followed, and who
                                         redirects a POST has not said whether he took it
401 (JSON or the proxy's HTML)           ``Unauthorized``
403 with a JSON error without a code     ``Unauthorized``
404 with a JSON error                    ``NotFound``; but ``endpoint not found`` is ``Rejected``:
                                         a wrong base URL is no evidence that an order is absent
409, 422 saying that the                 ``DuplicateOrder`` (POST and PATCH)
``client_order_id`` is taken
429                                      ``RateLimited``, whatever the body
408, 5xx                                 ``OutcomeUnknown``
any other 4xx with a JSON error          ``Rejected``
any other 4xx without one                ``OutcomeUnknown``: a machine on the way spoke, not the
                                         broker
=======================================  =========================================================

A JSON error is an object with a text ``message`` or a numeric ``code``. Sources: Alpaca's OpenAPI
documents, its error tables for orders, and answers recorded from paper accounts. Alpaca says that
messages may change while status and code are stable; where one code has several causes
(40010001 with 422), the message is all there is to tell them apart.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import orjson

from solution.errors import (
    BrokerError,
    DuplicateOrder,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from solution.http_common import Response
from solution.security import Redactor

Json = dict[str, Any]
Params = Mapping[str, str | int | bool | Decimal | date | None]

MAX_MESSAGE = 500
"""Characters of the broker's words that an error carries."""

_ID_TAKEN = re.compile(
    r"client.?order.?id.*(unique|exist|duplicate|taken|in use)", re.IGNORECASE | re.DOTALL
)
_CONFLICT = re.compile(r"client.?order.?id|duplicate|already exist", re.IGNORECASE)


def segment(text: str) -> str:
    """A path segment, percent-encoded (``BTC/USD`` → ``BTC%2FUSD``).

    An empty id would address the collection, and ``DELETE`` on that cancels or closes everything;
    dots would be resolved as a relative path.
    """
    if not text.strip(". "):
        raise ValueError(f"not an id or a symbol: {text!r}")
    return quote(text, safe="")


def query(params: Params) -> dict[str, str]:
    """Query parameters as the API spells them; those that are None are left out."""
    return {name: _text(value) for name, value in params.items() if value is not None}


def _text(value: str | int | bool | Decimal | date) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time sent to the broker must know its zone")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def by_market(symbols: Sequence[str]) -> tuple[list[str], list[str]]:
    """Stocks and crypto pairs; only the latter have a slash."""
    stocks = [symbol for symbol in symbols if "/" not in symbol]
    return stocks, [symbol for symbol in symbols if "/" in symbol]


def loads_exactly(text: bytes) -> Any:
    """JSON whose numbers are all ``Decimal``, from their text.

    Whole ones too: a price may arrive as ``190``, and two such would divide to a float.
    """
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def object_of(path: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise OutcomeUnknown(f"{path}: the answer is not a JSON object")
    return value


def list_of_objects(path: str, value: Any) -> list[Json]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise OutcomeUnknown(f"{path}: the answer is not a list of JSON objects")
    return value


def member(path: str, answer: Json, name: str) -> Json:
    """The wrapped part of a market data answer; null stands for none."""
    return object_of(path, answer.get(name) or {})


def decoded(what: str, response: Response, loads: Callable[[bytes], Any] = orjson.loads) -> Any:
    """The JSON value of a 2xx answer; None for 204.

    Raises:
        OutcomeUnknown: the body is empty or no JSON.
    """
    if response.status == 204:
        return None
    try:
        return loads(response.body)
    except (ValueError, RecursionError):
        raise OutcomeUnknown(
            f"{what}: HTTP {response.status} with {len(response.body)} bytes that are no JSON"
        ) from None


def verdict(what: str, response: Response, *, now: float) -> BrokerError:
    """The error that an answer other than 2xx means; see the table of this module.

    Args:
        what: method and path, such as ``POST /v2/orders``.
        response: the answer.
        now: wall time in epoch seconds, to make a wait of ``X-RateLimit-Reset``.
    """
    status = response.status
    problem = _error_object(response.body)
    words = _printable(str((problem or {}).get("message", "")))
    code = _code(problem or {})
    if status == 429:
        return RateLimited(
            f"{what}: {words or 'too many requests'}", _retry_after(response.headers, now)
        )
    if status == 401:
        return Unauthorized(status, code, words or "unauthorized", problem)
    if not 400 <= status < 500 or status == 408 or problem is None:
        kind = _printable(response.headers.get("content-type", "no content type"))
        return OutcomeUnknown(f"{what}: HTTP {status} ({kind}) is no verdict of the broker")
    return _refusal(what, status, code, words)(status, code, words, problem)


def without_secrets(response: Response, redactor: Redactor) -> Response:
    """The answer with our own keys blotted out, should a server echo its request in an error.

    In what the body says, not in its bytes: JSON has many ways to write a character.
    """
    headers = {name: redactor.sweep(value) for name, value in response.headers.items()}
    try:
        body = orjson.dumps(redactor.values(orjson.loads(response.body)))
    except (ValueError, RecursionError):  # no JSON that counts; nobody is shown it
        body = b""
    return Response(response.status, headers, body)


def _refusal(what: str, status: int, code: int, words: str) -> type[Rejected]:
    """Which kind of a definite no."""
    if _says_id_taken(what, status, words):
        return DuplicateOrder
    if status == 404 and "endpoint not found" not in words:
        return NotFound
    if status == 403 and code == 0:
        return Unauthorized
    return Rejected


def _says_id_taken(what: str, status: int, words: str) -> bool:
    if not what.startswith(("POST ", "PATCH ")):
        return False
    return bool(
        (status == 422 and _ID_TAKEN.search(words)) or (status == 409 and _CONFLICT.search(words))
    )


def _error_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    if isinstance(value, dict) and (isinstance(value.get("message"), str) or _code(value)):
        return value
    return None


def _code(problem: Mapping[str, Any]) -> int:
    code = problem.get("code")
    return code if isinstance(code, int) else 0


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, as ``Retry-After`` or else ``X-RateLimit-Reset`` (epoch seconds) says."""
    wait = _seconds(headers.get("retry-after"))
    if wait is not None:
        return wait
    reset = _seconds(headers.get("x-ratelimit-reset"))
    return None if reset is None else max(0.0, reset - now)


def _seconds(text: str | None) -> float | None:
    """A plain number of seconds; None for anything else, HTTP dates included."""
    if text is None or not re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text.strip(), re.ASCII):
        return None
    return float(text)


def _printable(text: str) -> str:
    """At most 500 characters, with everything that could forge a log line escaped."""
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text[:MAX_MESSAGE]
    )
    return escaped[:MAX_MESSAGE]
