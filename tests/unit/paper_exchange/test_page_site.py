"""The page's endpoints through the application: document, files, forms, and who is let in."""

from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest

from paper_exchange.app import App
from paper_exchange.clock import ManualClock
from paper_exchange.settings import Settings
from tests.unit.paper_exchange.asking import Raw, request
from tests.unit.paper_exchange.conftest import NOON

HOST = (b"host", b"localhost:8787")
OWN = (b"origin", b"http://localhost:8787")
FORM = (b"content-type", b"application/x-www-form-urlencoded")
SCRIPT = (b"accept", b"application/json")
FOREIGN = (b"origin", b"https://elsewhere.example")


class Site:
    """One application; forms are sent as the page's script sends them."""

    def __init__(self, state: Path | None = None) -> None:
        self.app = App(Settings(rate_limit=0, state=state), clock=ManualClock(NOON))

    def ask(self, method: str, path: str, *headers: tuple[bytes, bytes], body: bytes = b"") -> Raw:
        """One request from this machine."""
        return request(self.app, method, path, HOST, *headers, body=body)

    def post(self, path: str, *headers: tuple[bytes, bytes], **fields: str) -> Raw:
        """A form of the page's own, answered to the script unless told otherwise."""
        body = urlencode(fields).encode()
        return self.ask("POST", path, FORM, OWN, *(headers or (SCRIPT,)), body=body)

    def held(self) -> dict[str, str]:
        """The prices held by hand."""
        return {symbol: str(price) for symbol, price in self.app.exchange.market.held().items()}

    def rules(self) -> list[str]:
        """The fault rules in force."""
        return [rule.spec.text() for rule in self.app.exchange.faults]


@pytest.fixture
def site() -> Site:
    """A fresh one."""
    return Site()


def test_the_document(site: Site) -> None:
    """HTML that nobody may frame, that loads nothing from elsewhere and is not kept."""
    answer = site.ask("GET", "/")
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"text/html; charset=utf-8"
    policy = answer.headers[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'none'; ")
    for part in ("style-src", "script-src", "connect-src", "form-action", "img-src"):
        assert f"{part} 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers[b"cache-control"] == b"no-store"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert answer.headers[b"referrer-policy"] == b"same-origin"
    assert answer.body.startswith(b"<!doctype html>")


def test_the_page_can_hold_still(site: Site) -> None:
    """For browsers without a script."""
    assert b'http-equiv="refresh"' in site.ask("GET", "/").body
    assert b'http-equiv="refresh"' not in site.ask("GET", "/?still=1").body


@pytest.mark.parametrize(
    ("name", "kind"), [("css", b"text/css"), ("js", b"text/javascript"), ("svg", b"image/svg+xml")]
)
def test_files(site: Site, name: str, kind: bytes) -> None:
    """They ship with the package and name no other host."""
    answer = site.ask("GET", f"/admin/page/page.{name}")
    assert answer.status == 200
    assert answer.headers[b"content-type"].startswith(kind)
    content = answer.body.replace(b"http://www.w3.org/2000/svg", b"")
    assert b"://" not in content
    assert b"@import" not in content


def test_only_those_files(site: Site) -> None:
    """There is no folder behind the addresses."""
    for path in ("/admin/page/page.py", "/admin/page/../app.py", "/admin/page/", "/index.html"):
        assert site.ask("GET", path).status == 404


def test_after_a_restart_the_page_knows_what_was(tmp_path: Path) -> None:
    """Ended orders, executions and held prices of the state file are shown at the first look."""
    before = Site(tmp_path / "state")
    keys = ((b"apca-api-key-id", b"PKBEFORE"), (b"apca-api-secret-key", b"s"))
    order = {"symbol": "KO", "qty": "3", "side": "buy", "type": "market", "time_in_force": "ioc"}
    body = orjson.dumps({**order, "client_order_id": "from-before"})
    assert before.ask("POST", "/v2/orders", *keys, body=body).status == 200
    before.post("/admin/page/prices", symbol="NVDA", price="120.5")
    before.app.exchange.close()
    after = Site(tmp_path / "state")
    text = after.ask("GET", "/").body.decode()
    assert text.count("from-before") == 2  # the cell and what hovering tells
    assert "newest 1" in text
    assert "Let the price of NVDA move again" in text
    after.app.exchange.close()


# -- prices ----------------------------------------------------------------------------------------


def test_a_price_is_held_and_let_go(site: Site) -> None:
    """As the endpoint for programs does it."""
    answer = site.post("/admin/page/prices", symbol=" ko ", price="1,070.5")
    assert (answer.status, answer.json["said"]) == (200, "KO is held at 1070.5.")
    assert site.held() == {"KO": "1070.50"}
    assert site.post("/admin/page/prices", symbol="KO", price="").json["said"] == "KO moves again."
    assert site.held() == {}


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"symbol": "NOPE", "price": "1"}, 404, "asset not found for NOPE"),
        ({"symbol": "KO", "price": "much"}, 422, "price of KO must be a number"),
        ({"price": "1"}, 404, "asset not found for "),
    ],
)
def test_a_price_that_cannot_be(site: Site, fields: dict[str, str], status: int, said: str) -> None:
    """The form is told why in the same words, and nothing changes."""
    answer = site.post("/admin/page/prices", **fields)
    assert (answer.status, answer.json["said"]) == (status, said)
    assert site.held() == {}


# -- faults ----------------------------------------------------------------------------------------


def test_a_fault_is_added_and_removed(site: Site) -> None:
    """From the form's three fields to a rule, and back by its id."""
    answer = site.post(
        "/admin/page/faults", kind="latency", target="POST /v2/orders", options="ms=100 p=0.5"
    )
    assert (answer.status, answer.json["said"]) == (200, "latency on POST /v2/orders is in force.")
    assert site.rules() == ["POST /v2/orders: latency p=0.5 ms=100 when=before"]
    (rule,) = list(site.app.exchange.faults)
    assert site.post("/admin/page/faults/remove", id=rule.id).status == 200
    assert site.rules() == []
    answer = site.post("/admin/page/faults/remove", id=rule.id)
    assert (answer.status, answer.json["said"]) == (404, f"fault not found for {rule.id}")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "latency"}, "choose a fault and what it hits"),
        ({"kind": "latency", "target": "stream"}, "latency is for request, not for 'stream'"),
        (
            {"kind": "latency", "target": "GET /", "options": "fast"},
            "option 'fast' must be name=value",
        ),
        ({"kind": "", "target": "stream"}, "choose a fault and what it hits"),
    ],
)
def test_a_fault_that_cannot_be(site: Site, fields: dict[str, str], said: str) -> None:
    """One sentence, and no rule."""
    answer = site.post("/admin/page/faults", **fields)
    assert (answer.status, answer.json["said"]) == (422, said)
    assert site.rules() == []


def test_all_faults_at_once(site: Site) -> None:
    """And cancels that were held back can go on."""
    for _ in range(3):
        site.post("/admin/page/faults", kind="drop", target="stream")
    assert len(site.rules()) == 3
    assert site.post("/admin/page/faults/clear").json["said"] == "All rules are removed."
    assert site.rules() == []
    assert site.post("/admin/page/release-cancels").json["said"] == "0 cancels released."


# -- without the script ----------------------------------------------------------------------------


def test_without_the_script_a_form_leads_back_to_the_page(site: Site) -> None:
    """As browsers do it: 303, and GET."""
    answer = site.post("/admin/page/prices", (b"accept", b"text/html"), symbol="KO", price="70")
    assert (answer.status, answer.headers[b"location"], answer.body) == (303, b"/", b"")
    assert site.held() == {"KO": "70.00"}


def test_without_the_script_an_error_is_shown_on_the_page(site: Site) -> None:
    """Escaped, and standing still so that it can be read."""
    answer = site.post(
        "/admin/page/prices", (b"accept", b"text/html"), symbol="<b>x</b>", price="70"
    )
    assert answer.status == 404
    assert b"asset not found for &lt;B&gt;X&lt;/B&gt;" in answer.body
    assert b'http-equiv="refresh"' not in answer.body


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"application/json", b'{"symbol": "KO", "price": "70"}'),
        (b"text/plain", b"symbol=KO&price=70"),
        (b"application/x-www-form-urlencoded", b"\xff\xfe"),
        (b"application/x-www-form-urlencoded", b"a=b&" * 1000),
    ],
)
def test_what_is_no_form(site: Site, kind: bytes, body: bytes) -> None:
    """Refused whole."""
    answer = site.ask("POST", "/admin/page/prices", (b"content-type", kind), SCRIPT, body=body)
    assert answer.status == 422
    assert site.held() == {}


# -- who is let in ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/admin/prices", b'{"KO": "70.00"}'),
        ("POST", "/admin/faults", b'{"text": "stream: drop"}'),
        ("DELETE", "/admin/faults", b""),
        ("POST", "/admin/release-cancels", b""),
        ("POST", "/admin/clock", b'{"advance": 1}'),
        ("POST", "/admin/page/prices", b"symbol=KO&price=70"),
        ("POST", "/admin/page/faults", b"kind=drop&target=stream"),
    ],
)
def test_no_other_web_site_changes_anything(
    site: Site, method: str, path: str, body: bytes
) -> None:
    """Neither by the page's endpoints nor by those for programs."""
    site.post("/admin/page/faults", kind="silence", target="stream")
    for headers in (
        (FOREIGN,),
        ((b"sec-fetch-site", b"cross-site"),),
        ((b"host", b"evil.example"),),
    ):
        answer = site.ask(method, path, *headers, body=body)
        assert answer.status == 403
    assert site.held() == {}
    assert site.rules() == ["stream: silence"]


def test_programs_go_on_working(site: Site) -> None:
    """curl sends no origin."""
    assert site.ask("POST", "/admin/prices", body=b'{"KO": "70.00"}').status == 200
    assert site.held() == {"KO": "70.00"}


@pytest.mark.parametrize(
    "path", ["/", "/admin/page/events", "/admin/orders", "/admin/page/page.js"]
)
def test_no_rebound_name_reads_anything(site: Site, path: str) -> None:
    """A name that was pointed at this machine is not one of its names."""
    answer = site.ask("GET", path, (b"host", b"evil.example"))
    assert answer.status == 403


def test_events_are_for_get(site: Site) -> None:
    """Nothing else opens a connection that stays."""
    assert site.ask("POST", "/admin/page/events").status == 404
