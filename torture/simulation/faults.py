"""What the way to the broker and back can do to one request."""

from collections.abc import Callable
from enum import StrEnum

from solution.errors import NotSent, OutcomeUnknown
from solution.http_common import Response
from torture.simulation.exchange import problem

HTML = b"<html><body>502 Bad Gateway</body></html>"
LATE = 1.3
VERY_LATE = 5.0


class PostFault(StrEnum):
    """One answer to a POST. ``*_after``: the order exists; ``*_before``: it does not."""

    OK = "ok"
    NOT_SENT = "not_sent"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    LATE = "late"
    VERY_LATE = "very_late"
    HTTP_500_BEFORE = "500_before"
    HTTP_500_AFTER = "500_after"
    HTML_502_BEFORE = "502_html_before"
    HTML_502_AFTER = "502_html_after"
    HTTP_504_BEFORE = "504_before"
    HTTP_504_AFTER = "504_after"
    CUT_JSON = "cut_json_after"
    EMPTY_200 = "empty_200_after"
    OTHER_OBJECT = "other_object_after"
    SLOW = "slow"
    RATE_LIMITED = "429"
    REFUSED_422 = "422"
    FORBIDDEN_403 = "403"
    UNAUTHORIZED = "401"


class GetFault(StrEnum):
    """One answer to any other request."""

    OK = "ok"
    NOT_SENT = "not_sent"
    TIMEOUT = "timeout"
    HTTP_500 = "500"
    HTML_502 = "502_html"
    CUT_JSON = "cut_json"
    RATE_LIMITED = "429"


_PLAIN = {
    "500": problem(500, 50010000, "internal server error"),
    "502_html": Response(502, {"content-type": "text/html"}, HTML),
    "504": problem(504, 50410000, "gateway timeout"),
    "429": Response(429, {"retry-after": "1"}, b'{"code":42910000,"message":"too many requests"}'),
    "422": problem(422, 42210000, "limit price must be > 0"),
    "403": problem(403, 40310000, "account is restricted"),
    "401": problem(401, 40110000, "request is not authorized"),
}
WITHOUT_EFFECT = frozenset(
    {
        PostFault.NOT_SENT,
        PostFault.TIMEOUT_BEFORE,
        PostFault.HTTP_500_BEFORE,
        PostFault.HTML_502_BEFORE,
        PostFault.HTTP_504_BEFORE,
        PostFault.RATE_LIMITED,
        PostFault.REFUSED_422,
        PostFault.FORBIDDEN_403,
        PostFault.UNAUTHORIZED,
    }
)


def answer_post(fault: PostFault, run: Callable[[bool], Response]) -> Response:
    """The answer under a fault.

    Args:
        run: does the POST, with whether it takes effect; what it answers.
    """
    if fault is PostFault.NOT_SENT:
        raise NotSent("connection refused")
    effective = fault not in WITHOUT_EFFECT and fault not in {PostFault.LATE, PostFault.VERY_LATE}
    answer = run(effective)
    if fault in {PostFault.OK, PostFault.SLOW}:
        return answer
    if answer.status == 422 and effective:
        return answer  # the id is taken: that verdict is not lost in these schedules
    if fault in {
        PostFault.TIMEOUT_BEFORE,
        PostFault.TIMEOUT_AFTER,
        PostFault.LATE,
        PostFault.VERY_LATE,
    }:
        raise OutcomeUnknown("POST /v2/orders: timed out")
    if fault is PostFault.CUT_JSON:
        return Response(200, {}, answer.body[: len(answer.body) // 2])
    if fault is PostFault.EMPTY_200:
        return Response(200, {}, b"")
    if fault is PostFault.OTHER_OBJECT:
        return Response(200, {}, b'{"status":"ok"}')
    return _PLAIN[fault.value.removesuffix("_before").removesuffix("_after")]


def answer_get(fault: GetFault, run: Callable[[], Response]) -> Response:
    """As :func:`answer_post`, for a request without effect (or a cancel)."""
    if fault is GetFault.NOT_SENT:
        raise NotSent("connection refused")
    answer = run()
    if fault is GetFault.OK:
        return answer
    if fault is GetFault.TIMEOUT:
        raise OutcomeUnknown("timed out")
    if fault is GetFault.CUT_JSON:
        return Response(200, {}, answer.body[: len(answer.body) // 2] or b"{")
    return _PLAIN[fault.value]
