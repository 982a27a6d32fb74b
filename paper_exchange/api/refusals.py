"""What is answered before any handler sees a request."""

from paper_exchange.api.call import Reply
from paper_exchange.rate_limit import RETRY_AFTER

#: What the front proxy answers when no credentials are sent at all (observed).
_NO_CREDENTIALS = (
    b"<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n"
    b"<center><h1>401 Authorization Required</h1></center>\r\n</body>\r\n</html>\r\n"
)


def unauthorized(pair: tuple[str, str] | None) -> Reply:
    """401: without credentials the proxy's page, with wrong ones Alpaca's body."""
    if pair is None:
        return Reply(_NO_CREDENTIALS, 401, ((b"content-type", b"text/html"),))
    return Reply({"message": "unauthorized."}, 401)


def too_many_requests() -> Reply:
    """429 past the rate limit."""
    body = {"code": 42910000, "message": "rate limit exceeded."}
    return Reply(body, 429, ((b"retry-after", RETRY_AFTER),))
