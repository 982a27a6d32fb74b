"""Addresses: what each kind of URL setting may be, and what kind of host it names."""

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from solution.config_values import Rule

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?")

PAPER_HOST = "paper-api.alpaca.markets"
"""Alpaca's host for paper trading."""
LIVE_HOST = "api.alpaca.markets"
"""Alpaca's host for real money."""


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


SENTINEL_PORT = 26379
_SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_LOGIN = ("sentinel_username", "sentinel_password")
_MASTER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


class SentinelAddress(NamedTuple):
    """A Sentinel URL, taken apart.

    Args:
        hosts: pairs of host and port, in the order given.
        master: the name that the Sentinels watch the master under.
        data_url: ``redis(s)://`` with user, password and database of the data nodes, and ssl_…
            parameters; its host stands for whichever node is the master.
        sentinel_login: ``user:password@`` for the Sentinels themselves, quoted, or nothing.
    """

    hosts: tuple[tuple[str, int], ...]
    master: str
    tls: bool
    data_url: str
    sentinel_login: str

    def sentinel_url(self, host: str, port: int) -> str:
        """The address of one Sentinel, as a plain Redis URL."""
        name = f"[{host}]" if ":" in host else host
        data = urlsplit(self.data_url)
        query = f"?{data.query}" if data.query else ""
        return f"{data.scheme}://{self.sentinel_login}{name}:{port}{query}"


def is_sentinel(url: str) -> bool:
    """Whether the URL names Sentinels and not a Redis."""
    return url.startswith(tuple(f"{scheme}:" for scheme in _SENTINEL_SCHEMES))


def split_sentinel_url(text: str) -> SentinelAddress:
    """Take ``redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/MASTER[/DB]`` apart, strictly.

    Raises:
        ValueError: not such a URL; the text says why and does not quote it.
    """
    scheme, _, rest = text.partition("://")
    netloc, _, tail = rest.partition("/")
    if scheme not in _SENTINEL_SCHEMES or "?" in netloc:
        raise ValueError("it must be redis+sentinel://HOST,HOST/MASTER/DB")
    tls = scheme.startswith("rediss")
    plain = "rediss" if tls else "redis"
    login, at, hosts = netloc.rpartition("@")
    path, _, query = tail.partition("?")
    split_url(f"{plain}://{login}{at}h/{path}", plain)  # its rules for the rest of the text
    master, _, database = path.partition("/")
    if not _MASTER.fullmatch(master):
        raise ValueError("the first part of the path is the master's name")
    if not re.fullmatch(r"[0-9]{0,4}", database):
        raise ValueError("the second part of the path is a database number")
    kept, sentinel_login = _split_sentinel_query(query, tls=tls)
    suffix = f"?{kept}" if kept else ""
    return SentinelAddress(
        hosts=tuple(_split_sentinel_host(host) for host in hosts.split(",")),
        master=master,
        tls=tls,
        data_url=f"{plain}://{login}{at}{master}/{database or 0}{suffix}",
        sentinel_login=sentinel_login,
    )


def _split_sentinel_host(text: str) -> tuple[str, int]:
    parts = split_url(f"redis://{text}", "redis")
    if parts.path or parts.query or parts.fragment:
        raise ValueError("hosts are separated by commas, each as HOST or HOST:PORT")
    return parts.hostname or "", parts.port or SENTINEL_PORT


def _split_sentinel_query(query: str, *, tls: bool) -> tuple[str, str]:
    """The parameters for all connections, and the Sentinels' own login in URL form."""
    items = query.split("&") if query else []
    own = [item for item in items if item.startswith(_SENTINEL_LOGIN)]
    kept = [item for item in items if item not in own]
    _check_parameters("&".join(kept), tls=tls)
    login = dict(parse_qsl("&".join(own), keep_blank_values=True))
    if not login.keys() <= set(_SENTINEL_LOGIN):
        raise ValueError("the Sentinels' login is sentinel_username and sentinel_password")
    user, password = (quote(login.get(name, ""), safe="") for name in _SENTINEL_LOGIN)
    return "&".join(kept), f"{user}:{password}@" if user or password else ""


_TLS: Final = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password"}
    | {"ssl_check_hostname", "ssl_cert_reqs"}
)


def _check_parameters(query: str, *, tls: bool) -> None:
    # Others change what redis-py returns (decode_responses, protocol) under the reader's feet.
    names = [item.partition("=")[0] for item in query.split("&") if item]
    if not all(name.startswith("ssl_") for name in names):
        raise ValueError("only ssl_… parameters are accepted")
    if not _TLS.issuperset(names):
        raise ValueError("of ssl_… parameters there are " + ", ".join(sorted(_TLS)))
    if names and not tls:
        raise ValueError("ssl_… parameters need rediss://")


def _parse_redis_url(text: str) -> str:
    if is_sentinel(text):
        split_sentinel_url(text)
        return text
    if re.fullmatch(r"unix://[!-\[\]-~]+", text) and re.fullmatch(r"[^?]*(\?db=[0-9]+)?", text):
        return text
    parts = split_url(text, "redis", "rediss")
    if not re.fullmatch(r"/?[0-9]{0,4}", parts.path):
        raise ValueError("the path is a database number")
    _check_parameters(parts.query, tls=parts.scheme == "rediss")
    return text


REDIS_URL = Rule(
    _parse_redis_url,
    "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://…, unix://…, or "
    "redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/MASTER[/DB]",
)


def host_of(url: str) -> str:
    """The host of a URL that passed a rule of this module: lower case, no trailing dot."""
    return (urlsplit(url).hostname or "").rstrip(".")


def is_alpaca(url: str) -> bool:
    """Whether the URL names a host of Alpaca's."""
    host = host_of(url)
    return host == "alpaca.markets" or host.endswith(".alpaca.markets")


def kind_of_host(url: str) -> str:
    """``paper`` or ``live`` for Alpaca's two hosts for orders, ``other`` for other servers.

    Any other host of Alpaca's is ``unknown``: what an order would do there, nobody here knows.
    """
    if not is_alpaca(url):
        return "other"
    return {PAPER_HOST: "paper", LIVE_HOST: "live"}.get(host_of(url), "unknown")


def to_websocket(url: str) -> str:
    """The same address with ws in place of http, and wss in place of https."""
    return "ws" + url.removeprefix("http")
