"""What a broker, or a gateway before it, says when something is wrong with it."""

import pytest

from paper_exchange.network.fault_replies import error_reply, html_reply


@pytest.mark.parametrize(
    ("status", "payload"),
    [
        (401, {"message": "unauthorized."}),
        (429, {"code": 42910000, "message": "rate limit exceeded."}),
        (503, {"code": 50310000, "message": "service unavailable"}),
        (599, {"code": 59910000, "message": "unknown error"}),
    ],
)
def test_errors(status: int, payload: object) -> None:
    """In Alpaca's words where they are known."""
    reply = error_reply(status)
    assert (reply.status, reply.payload) == (status, payload)


def test_pages() -> None:
    """A status without a name has a page as well."""
    assert b"<h1>502 Bad Gateway</h1>" in bytes(html_reply(502).payload)  # type: ignore[call-overload]
    assert b"<h1>599 Unknown Error</h1>" in bytes(html_reply(599).payload)  # type: ignore[call-overload]
