"""Who may see the page and use /admin: programs and pages of this machine, no other web site."""

from typing import Any

import pytest

from paper_exchange.network.guard import Guard

HOST = (b"host", b"127.0.0.1:8787")
OWN = (b"origin", b"http://127.0.0.1:8787")
ELSEWHERE = (b"origin", b"https://elsewhere.example")
SITE = b"sec-fetch-site"


def refusal(
    *headers: tuple[bytes, bytes],
    method: str = "POST",
    client: tuple[str, int] | None = ("127.0.0.1", 1),
    listening_on: str = "127.0.0.1",
    **scope: Any,
) -> str | None:
    return Guard(listening_on).refusal(
        {"method": method, "client": client, "headers": list(headers), **scope}
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_let_in(address: str) -> None:
    """By any of its loopback addresses."""
    assert refusal(HOST, client=(address, 1)) is None


@pytest.mark.parametrize(
    "address", ["192.168.1.7", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", ""]
)
def test_other_machines_are_not(address: str) -> None:
    """Whatever they say they are."""
    assert refusal(HOST, client=(address, 1)) == "only from this machine"


def test_an_unknown_peer_is_not_let_in() -> None:
    """A connection without an address is nobody's."""
    assert refusal(HOST, client=None) == "only from this machine"


@pytest.mark.parametrize(
    "host", [b"localhost", b"LocalHost:1", b"127.0.0.1:8787", b"[::1]:8787", b"127.0.0.9"]
)
def test_names_of_this_machine(host: bytes) -> None:
    """Names that nobody else can own are accepted, with any port."""
    assert refusal((b"host", host)) is None


@pytest.mark.parametrize(
    "host",
    [b"evil.example", b"localhost.evil.example:8787", b"127.0.0.1.evil.example", b"", b"10.0.0.1"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_rebound_name_is_refused(host: bytes, method: str) -> None:
    """A page whose name was pointed at 127.0.0.1 can neither read nor write."""
    said = refusal((b"host", host), method=method)
    assert said == "unknown Host: use localhost, 127.0.0.1 or [::1]"


def test_the_configured_host_is_a_name_of_this_machine() -> None:
    """What the exchange was told to listen on is no stranger."""
    assert refusal((b"host", b"box.lan:8787"), listening_on="box.lan") is None


def test_two_hosts_are_refused() -> None:
    """The second could be what a browser believes."""
    assert refusal(HOST, (b"host", b"evil.example")) is not None
    assert refusal(HOST, HOST) is not None


def test_a_program_sends_neither_origin_nor_site() -> None:
    """curl and requests go on working, HTTP/1.0 without a Host too."""
    assert refusal(HOST) is None
    assert refusal() is None


def test_the_page_itself_may_post() -> None:
    """Its own origin, with what a browser sends along."""
    assert refusal(HOST, OWN, (SITE, b"same-origin")) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [
        b"https://elsewhere.example",
        b"null",
        b"http://127.0.0.1:3000",  # another program's page on this machine
        b"https://127.0.0.1:8787",
        b"http://localhost:8787",
        b"",
    ],
)
def test_another_origin_changes_nothing(origin: bytes, method: str) -> None:
    """An origin is scheme, host and port, and all three must be those of the request."""
    assert refusal(HOST, (b"origin", origin), method=method) == "not from another web site"


def test_the_scheme_is_that_of_the_connection() -> None:
    """Behind TLS the page's origin is https."""
    own = (b"origin", b"https://127.0.0.1:8787")
    assert refusal(HOST, own, scheme="https") is None
    assert refusal(HOST, OWN, scheme="https") is not None


def test_one_foreign_origin_of_several_is_enough() -> None:
    """No header can be hidden behind another."""
    assert refusal(HOST, OWN, ELSEWHERE) is not None
    assert refusal(HOST, (SITE, b"same-origin"), (SITE, b"cross-site")) is not None


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"whatever"])
def test_a_request_that_another_site_caused(site: bytes) -> None:
    """Browsers tell where a request comes from; fetching and embedding are refused as well."""
    assert refusal(HOST, (SITE, site)) is not None
    assert refusal(HOST, (SITE, site), method="GET") is not None
    assert refusal(HOST, (SITE, site), (b"sec-fetch-mode", b"no-cors"), method="GET") is not None


def test_a_link_from_another_site_may_be_followed() -> None:
    """Navigation shows the page to its user and nobody else."""
    navigation = (b"sec-fetch-mode", b"navigate")
    assert refusal(HOST, (SITE, b"cross-site"), navigation, method="GET") is None
    assert refusal(HOST, (SITE, b"cross-site"), navigation, method="POST") is not None
