"""The reference's tables of routes against the routers."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from paper_exchange.api.call import Router
from paper_exchange.app import App
from paper_exchange.settings import Settings

PAGE = Path(__file__).parents[3] / "docs/reference/paper-exchange.md"
METHODS = {"GET", "POST", "PATCH", "PUT", "DELETE"}


def _plain(path: str) -> str:
    """A path with one name for all placeholders."""
    return re.sub(r"\{[^{}]*\}", "{}", path)


def _spelled_out(path: str) -> Iterator[str]:
    """``/a/{x,y}`` is two paths, and so is ``/a[/{b}]``; what follows ``?`` is none."""
    parts = re.split(r"\{(\w+(?:,\w+)+)\}", path.partition("?")[0])
    choices = [part.split(",") if odd % 2 else [part] for odd, part in enumerate(parts)]
    for chosen in itertools.product(*choices):
        whole = "".join(chosen)
        begun, bracket, rest = whole.partition("[")
        yield _plain(begun + rest.rstrip("]"))
        if bracket:
            yield _plain(begun)


def _documented() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for cell in re.findall(
        r"^\| (`(?:GET|POST|PATCH|DELETE).*?`) \|", PAGE.read_text(), re.MULTILINE
    ):
        methods: list[str] = []
        open_list = True
        for text in re.findall(r"`([^`]+)`", cell):
            method, _, path = text.partition(" ") if text.split()[0] in METHODS else ("", "", text)
            if method:
                methods = [*methods, method] if open_list else [method]
            open_list = not path
            if path:
                found |= {(one, plain) for one in methods for plain in _spelled_out(path)}
    return found


def _routes(router: Router) -> set[tuple[str, str]]:
    fixed = {(method, path) for path, methods in router._fixed.items() for method in methods}
    return fixed | {
        (method, f"{prefix}{{}}{suffix}")
        for (prefix, suffix, _), methods in router._patterns.items()
        for method in methods
    }


def test_every_route_is_documented_and_every_documented_route_is_served() -> None:
    """But for the page's own, which nobody else calls."""
    app = App(Settings())
    served = _routes(app.desk.trading) | _routes(app.desk.data) | _routes(app.desk.admin)
    own = {(method, path) for method, path in served if path.startswith("/admin/page/")}
    assert _documented() == served - own - {("GET", "/")}
    app.exchange.close()
