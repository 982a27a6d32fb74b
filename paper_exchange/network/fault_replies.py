"""What a broker, or a gateway in front of it, answers when something is wrong with it."""

from http import HTTPStatus

from paper_exchange.api.call import Reply

_MESSAGES = {
    400: "request body format is invalid",
    401: "unauthorized.",
    403: "forbidden.",
    408: "request timed out",
    422: "request cannot be processed",
    429: "rate limit exceeded.",
    500: "internal server error occurred",
    504: "request timed out",
}


def error_reply(status: int) -> Reply:
    """An error as Alpaca would word it."""
    message = _MESSAGES.get(status) or _phrase(status).lower()
    if status == 401:
        return Reply({"message": message}, status)
    return Reply({"code": status * 100_000 + 10_000, "message": message}, status)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Error"


def html_reply(status: int) -> Reply:
    """The page of a gateway in front of the broker."""
    title = f"{status} {_phrase(status)}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return Reply(page.encode(), status, ((b"content-type", b"text/html"),))
