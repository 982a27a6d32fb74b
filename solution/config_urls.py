"""Addresses: what each kind of URL setting may be, and what kind of host it names."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from solution.config_values import PATH, Rule

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?")

PAPER_HOST = "paper-api.alpaca.markets"
"""The only host of Alpaca's own that orders may go to."""


def split_url(text: str, *schemes: str) -> SplitResult:
    """Take a URL apart, strictly.

    A parser that is more generous than the one that later connects is how ``host`` comes to mean
    two things: backslashes, spaces, user names and foreign alphabets are refused.

    Raises:
        ValueError: not such a URL; the text says why and does not quote it.
    """
    if re.search(r"[^!-~]|\\", text):
        raise ValueError("it holds a space, a backslash or a character that is not ASCII")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # its text quotes what may be a piece of a password
        raise ValueError(
            "it is not a valid URL; is a character of the password not %-encoded?"
        ) from None
    if parts.scheme not in schemes:
        raise ValueError("it must start with " + " or ".join(f"{name}://" for name in schemes))
    if not is_address(host) and not _HOST.fullmatch(host):
        raise ValueError("it names no host")
    return parts


def is_address(host: str) -> bool:
    """Whether the host is a numeric IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by name or by number."""
    return host.lower() == "localhost" or (
        is_address(host) and ipaddress.ip_address(host).is_loopback
    )


def is_local(host: str) -> bool:
    """Whether the host is on this machine or a private network: keys may travel in the clear."""
    if is_address(host):
        return ipaddress.ip_address(host).is_private
    return "." not in host or host.lower().endswith((".local", ".internal", ".localhost"))


def _endpoint(*schemes: str) -> Rule:
    def parse(text: str) -> str:
        parts = split_url(text, *schemes)
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("user, query and fragment have no place in it")
        # Alpaca's dashboard shows the address with /v2; every client adds it itself.
        path = parts.path.rstrip("/")
        path = path.removesuffix("/v2") if schemes[0] == "https" else path
        return f"{parts.scheme}://{parts.netloc}{path}"

    return Rule(parse, " or ".join(f"{name}://HOST[:PORT]" for name in schemes))


HTTP_URL = _endpoint("https", "http")
WS_URL = _endpoint("wss", "ws")


def _parse_redis_url(text: str) -> str:
    if text.startswith("redis+sentinel:"):
        raise ValueError("this version does not speak to Sentinel; use redis:// or rediss://")
    if re.fullmatch(r"unix://[!-\[\]-~]+", text) and re.fullmatch(r"[^?]*(\?db=[0-9]+)?", text):
        return text
    parts = split_url(text, "redis", "rediss")
    if not re.fullmatch(r"/?[0-9]{0,4}", parts.path):
        raise ValueError("the path is a database number")
    # Others change what redis-py returns (decode_responses, protocol) under the reader's feet.
    if not all(item.startswith("ssl_") for item in parts.query.split("&") if item):
        raise ValueError("only ssl_… parameters are accepted")
    return text


REDIS_URL = Rule(
    _parse_redis_url, "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… or unix://…"
)


def _parse_ledger_url(text: str) -> str:
    if re.match(r"postgres", text):
        raise ValueError("this version has no PostgreSQL ledger; use sqlite:///PATH")
    path = text.removeprefix("sqlite:///")
    if path == text or not path or "?" in path or "#" in path:
        raise ValueError
    PATH.parse(path)
    if ":memory:" in path:
        raise ValueError("a ledger in memory forgets which orders were sent")
    return text


LEDGER_URL = Rule(_parse_ledger_url, "sqlite:///PATH")


def host_of(url: str) -> str:
    """The host of a URL that passed a rule of this module: lower case, no trailing dot."""
    return (urlsplit(url).hostname or "").rstrip(".")


def is_alpaca(url: str) -> bool:
    """Whether the URL names a host of Alpaca's."""
    host = host_of(url)
    return host == "alpaca.markets" or host.endswith(".alpaca.markets")


def is_live(url: str) -> bool:
    """Whether orders sent there could move money: any trading host of Alpaca's but paper's."""
    return is_alpaca(url) and host_of(url) != PAPER_HOST


def to_websocket(url: str) -> str:
    """The same address with ws in place of http, and wss in place of https."""
    return "ws" + url.removeprefix("http")
