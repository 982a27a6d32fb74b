"""The page's endpoints: the document, its files, its live updates, and what its forms do."""

from collections.abc import Callable
from importlib.resources import files
from urllib.parse import parse_qsl

import orjson

from paper_exchange.api import admin
from paper_exchange.api.call import Call, Handler, Reply, Router
from paper_exchange.engine.events import Feed
from paper_exchange.errors import ApiError, invalid
from paper_exchange.exchange import Exchange
from paper_exchange.network.connections import Hub
from paper_exchange.page import document as doc
from paper_exchange.page.fault_rules import FaultRules
from paper_exchange.page.live import Live, Picture, picture_of
from paper_exchange.page.panels import FAULTS_URL, REMOVE_FAULT_URL
from paper_exchange.page.panels_market import PRICES_URL
from paper_exchange.page.photographer import LIMIT, Photographer
from paper_exchange.page.recent import Recent
from paper_exchange.page.words import count

EVENTS_URL = doc.EVENTS_URL

Headers = tuple[tuple[bytes, bytes], ...]
Form = dict[str, str]

_MOST_FIELDS = 20
_FORM = "application/x-www-form-urlencoded"
#: Nothing from anywhere else, nothing inline, and nobody may frame the page.
_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_SECURITY: Headers = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    # With no-referrer a browser would send "Origin: null" with the page's own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HTML: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    *_SECURITY,
)
_FILES = {
    doc.STYLE_URL: ("page.css", b"text/css; charset=utf-8"),
    doc.SCRIPT_URL: ("page.js", b"text/javascript; charset=utf-8"),
    doc.ICON_URL: ("page.svg", b"image/svg+xml"),
}


class Page:
    """The page of one exchange.

    Args:
        hubs: where stream clients are connected.
    """

    def __init__(self, exchange: Exchange, feed: Feed, *, hubs: tuple[Hub, ...] = ()) -> None:
        self._exchange = exchange
        self._faults = FaultRules(exchange)
        self._recent = Recent(LIMIT)
        self._photographer = Photographer(exchange, self._recent, self._faults, hubs)
        self.live = Live(self._look)
        feed.subscribe(self._recent.hear)

    def _look(self) -> Picture:
        return picture_of(self._photographer.take())

    def add_routes(self, router: Router) -> None:
        """Serve everything but ``EVENTS_URL``, which is ``live``'s and takes a connection."""
        router.add("GET", "/", self.show)
        for url, (name, kind) in _FILES.items():
            router.add("GET", url, _serves(name, kind))
        router.add("POST", PRICES_URL, self._switch(self._set_price))
        router.add("POST", FAULTS_URL, self._switch(self._add_fault))
        router.add("POST", REMOVE_FAULT_URL, self._switch(self._remove_fault))
        router.add("POST", doc.CLEAR_FAULTS_URL, self._switch(self._clear_faults))
        router.add("POST", doc.RELEASE_URL, self._switch(self._release_cancels))

    def show(self, call: Call) -> Reply:
        """``GET /``."""
        return self._document(still="still" in call.query)

    def _document(self, said: str = "", status: int = 200, *, still: bool = False) -> Reply:
        symbols = [asset.symbol for asset in self._exchange.assets]
        text = doc.document(
            self._photographer.take(), symbols, said=said, failed=status >= 400, still=still
        )
        return Reply(text.encode(), status, _HTML)

    # -- switches ------------------------------------------------------------------------------

    def _switch(self, act: Callable[[Call, Form], str]) -> Handler:
        """A form's endpoint: JSON for the script, a redirect or a page for browsers without it."""

        def handle(call: Call) -> Reply:
            scripted = b"application/json" in _header(call, b"accept")
            try:
                said, status = act(call, _form(call)), 200
            except ApiError as refusal:
                said, status = str(refusal), refusal.status
            if scripted:
                return Reply({"said": said}, status)
            if status >= 400:
                return self._document(said, status, still=True)
            return Reply(None, 303, ((b"location", b"/"),))

        return handle

    def _set_price(self, call: Call, form: Form) -> str:
        symbol = form.get("symbol", "").strip().upper()
        price = form.get("price", "").strip().replace(",", "")
        body = orjson.dumps({symbol: price or None})
        # The same endpoint that programs use, so that both have the same rules.
        admin.set_prices(Call(call.exchange, call.scope, {}, body, None))
        return f"{symbol} is held at {price}." if price else f"{symbol} moves again."

    def _add_fault(self, _: Call, form: Form) -> str:
        kind, target = form.get("kind", "").strip(), form.get("target", "").strip()
        if not (kind and target):
            raise invalid("choose a fault and what it hits")
        self._faults.add(f"{target}: {kind} {form.get('options', '')}".strip())
        return f"{kind} on {target} is in force."

    def _remove_fault(self, _: Call, form: Form) -> str:
        self._faults.remove(form.get("id", ""))
        return "The rule is removed."

    def _clear_faults(self, _: Call, __: Form) -> str:
        self._faults.clear()
        return "All rules are removed."

    def _release_cancels(self, _: Call, __: Form) -> str:
        return f"{count(self._faults.release_cancels(), 'cancel')} released."


def _header(call: Call, name: bytes) -> bytes:
    return next((value for key, value in call.scope["headers"] if key == name), b"")


def _form(call: Call) -> Form:
    if not _header(call, b"content-type").startswith(_FORM.encode()):
        raise invalid(f"Content-Type must be {_FORM}")
    try:
        pairs = parse_qsl(
            call.raw_body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise invalid("the form cannot be read") from None
    return dict(pairs)


def _serves(name: str, kind: bytes) -> Handler:
    content = files("paper_exchange.page").joinpath("static").joinpath(name).read_bytes()
    headers = ((b"content-type", kind), (b"cache-control", b"no-cache"), *_SECURITY)
    return lambda _: Reply(content, 200, headers)
