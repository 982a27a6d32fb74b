"""Keeps other machines, and other web sites in a browser on this one, away from ``/admin``.

A web page from elsewhere can make the user's browser send requests to this
machine. What tells them apart: the ``Origin`` of what changes something,
``Sec-Fetch-Site``, which all current browsers send, and the ``Host`` of a name
that its owner has rebound to 127.0.0.1. Programs such as curl send neither of
the first two.
"""

from ipaddress import IPv6Address, ip_address

from starlette.types import Scope

_SAFE = frozenset({"GET", "HEAD"})
_OWN_SITE = frozenset({b"same-origin", b"none"})


class Guard:
    """Decides about requests; ``host`` is the address that the exchange was told to listen on."""

    def __init__(self, host: str) -> None:
        self._host = host.lower().strip("[]")

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused, in one sentence; None when it is let in."""
        client = scope.get("client")
        if not client or not _is_loopback(client[0]):
            return "only from this machine"
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) > 1 or not all(self._is_own(host) for host in hosts):
            return "unknown Host: use localhost, 127.0.0.1 or [::1]"
        if self._is_foreign(scope, hosts):
            return "not from another web site"
        return None

    def _is_own(self, host: bytes) -> bool:
        """Whether a Host is a name of this machine that nobody else can own."""
        name = _without_port(host.decode("latin-1").lower())
        return name in {"localhost", self._host} or _is_loopback(name)

    def _is_foreign(self, scope: Scope, hosts: list[bytes]) -> bool:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        sites = [value for name, value in headers if name == b"sec-fetch-site"]
        safe = scope["method"] in _SAFE
        # Following a link to the page is fine; fetching or embedding it from elsewhere is not.
        linked = safe and (b"sec-fetch-mode", b"navigate") in headers
        if not linked and any(site not in _OWN_SITE for site in sites):
            return True
        origins = [value for name, value in headers if name == b"origin"]
        scheme = str(scope.get("scheme", "http")).encode()
        own = [scheme + b"://" + host.lower() for host in hosts]
        return not safe and any(origin.lower() not in own for origin in origins)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    try:
        address = ip_address(name)
    except ValueError:
        return False
    # Listening on [::] shows IPv4 clients as ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
