"""The page in a real browser: live without a reload, its switches, and no other site's business."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from paper_exchange.testing import Running, running
from tests.helpers.browser import REQUIRED, NoBrowser, find_browser, node

#: A first run may have to fetch a browser.
pytestmark = pytest.mark.timeout(600)
HOSTILE = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Running]:
    """One exchange for the file, whose prices stand still."""
    with running("--rate-limit", "0", "--volatility", "0") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the file; without any the tests are skipped in sight, or they fail in CI."""
    try:
        found = find_browser()
    except NoBrowser as why:
        if REQUIRED in os.environ or "CI" in os.environ:
            pytest.fail(str(why))
        pytest.skip(str(why))
    with pytest.MonkeyPatch.context() as patch:
        if (path := node()) is not None:
            patch.setenv("PLAYWRIGHT_NODEJS_PATH", path)
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(
                executable_path=found.executable, env=os.environ | found.environment
            )
            yield started
            started.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A profile that the tabs of most tests share."""
    made = browser.new_context(viewport={"width": 1440, "height": 900})
    made.set_default_timeout(10_000)
    yield made
    made.close()


@contextmanager
def watched(page: Page, exchange: Running) -> Iterator[Page]:
    """A tab that shows the page; afterwards it has asked for nothing from elsewhere."""
    troubles: list[str] = []
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("console", lambda message: troubles.append(message.text))
    page.goto(exchange.url)
    yield page
    assert troubles == []
    assert [url for url in asked if not url.startswith(f"{exchange.url}/")] == []
    page.close()


@pytest.fixture
def page(context: BrowserContext, exchange: Running) -> Iterator[Page]:
    """A tab that is live."""
    with watched(context.new_page(), exchange) as opened:
        expect(opened.locator("#live")).to_have_text("live")
        yield opened


def order(exchange: Running, **fields: str) -> Any:
    """An order by REST, as any client sends it."""
    body = {"symbol": "NVDA", "qty": "2", "side": "buy", "type": "market", "time_in_force": "day"}
    keys = {"APCA-API-KEY-ID": "PKBROWSER", "APCA-API-SECRET-KEY": "s"}
    answer = requests.post(
        f"{exchange.url}/v2/orders", json=body | fields, headers=keys, timeout=10
    )
    answer.raise_for_status()
    return answer.json()


def last(exchange: Running, symbol: str) -> float:
    """The last trade as the market data has it."""
    keys = {"APCA-API-KEY-ID": "PKBROWSER", "APCA-API-SECRET-KEY": "s"}
    answer = requests.get(
        f"{exchange.url}/v2/stocks/{symbol}/trades/latest", headers=keys, timeout=10
    )
    return float(answer.json()["trade"]["p"])


def rules(exchange: Running) -> list[str]:
    """The fault rules in force."""
    answer = requests.get(f"{exchange.url}/admin/faults", timeout=10).json()
    return [rule["text"] for rule in answer["faults"]]


def tops(page: Page) -> list[float]:
    """Where each panel begins."""
    script = "all => all.map(one => one.getBoundingClientRect().top)"
    return list(page.locator(".panel").evaluate_all(script))


def test_an_order_appears_without_a_reload(page: Page, exchange: Running) -> None:
    """In the tables of orders, executions and requests, and nothing moves out of its place."""
    page.evaluate("window.sameDocument = true")
    before = tops(page)
    name = f"{uuid4()} {HOSTILE}"
    sent = order(exchange, client_order_id=name)
    row = page.locator(f'#ended-orders tr[data-key="{sent["id"]}"]')
    expect(row).to_contain_text("filled")
    expect(row.locator("td").last).to_have_text(name)
    expect(page.locator("#executions")).to_contain_text("NVDA")
    expect(page.locator("#requests")).to_contain_text(name)
    expect(page.locator("#accounts")).to_contain_text("PKBROWSER")
    resting = order(exchange, type="limit", limit_price="1", time_in_force="gtc")
    open_row = page.locator(f'#open-orders tr[data-key="{resting["id"]}"]')
    expect(open_row).to_contain_text("new")
    keys = {"APCA-API-KEY-ID": "PKBROWSER", "APCA-API-SECRET-KEY": "s"}
    requests.delete(f"{exchange.url}/v2/orders/{resting['id']}", headers=keys, timeout=10)
    expect(open_row).to_have_count(0)
    assert page.evaluate("window.sameDocument") is True
    assert tops(page) == before


def test_a_price_is_held_by_keyboard_and_let_go(page: Page, exchange: Running) -> None:
    """The form by tab and enter, the button in the table by its name."""
    page.get_by_label("Symbol", exact=True).focus()
    page.keyboard.type("ko")
    page.keyboard.press("Tab")
    page.keyboard.type("71.5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("KO is held at 71.5.")
    button = page.get_by_role("button", name="Let the price of KO move again")
    expect(button).to_be_visible()
    assert last(exchange, "KO") == 71.5
    # Updates go on around a button that has the focus, and leave it there.
    button.focus()
    clock = page.locator("#clock").inner_text()
    expect(page.locator("#clock")).not_to_have_text(clock)
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(button).to_have_count(0)
    expect(page.get_by_role("status")).to_have_text("KO moves again.")


def test_a_fault_is_added_strikes_and_is_removed(page: Page, exchange: Running) -> None:
    """From the form to the broker's clients, and back."""
    page.locator("select[name=kind]").select_option("status")
    page.get_by_label("Hits").fill("GET /v2/clock")
    page.get_by_label("Options").fill("status=503")
    page.get_by_role("button", name="Add").click()
    row = page.locator("#faults tbody tr", has_text="status")
    expect(row).to_contain_text("0 / 0")
    assert requests.get(f"{exchange.url}/v2/clock", timeout=10).status_code == 503
    expect(row).to_contain_text("1 / 1")
    expect(page.locator("#n-faults")).to_have_text("1")
    row.get_by_role("button", name="Remove the rule status on GET /v2/clock").click()
    expect(page.locator("#faults .empty")).to_be_visible()
    assert rules(exchange) == []


def test_many_tabs(page: Page, exchange: Running) -> None:
    """Each is live; one that is not seen gives its connection back until it is seen again."""
    with watched(page.context.new_page(), exchange) as other:
        expect(other.locator("#live")).to_have_text("live")
        seen = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        tell = "document.dispatchEvent(new Event('visibilitychange'));"
        page.evaluate(seen % "true" + tell)
        expect(page.locator("#live")).to_have_text("paused")
        sent = order(exchange)
        key = f'#ended-orders tr[data-key="{sent["id"]}"]'
        expect(other.locator(key)).to_be_attached()
        assert page.locator(key).count() == 0
        page.evaluate(seen % "false" + tell)
        expect(page.locator(key)).to_be_attached()


def test_errors_of_a_form_are_told(context: BrowserContext, exchange: Running) -> None:
    """In the words of the API, and they can be dismissed."""
    # Not watched: the browser itself notes the status of the answer on its console.
    page = context.new_page()
    page.goto(exchange.url)
    page.get_by_label("Symbol", exact=True).fill("<b>x</b>")
    page.get_by_label("Price", exact=True).fill("1")
    page.get_by_role("button", name="Hold price").click()
    expect(page.get_by_role("status")).to_have_text("asset not found for <B>X</B>")
    page.keyboard.press("Escape")
    expect(page.locator("#said")).to_be_hidden()
    page.close()


def test_without_a_script(browser: Browser, exchange: Running) -> None:
    """The page shows the same, and its forms and buttons work."""
    context = browser.new_context(java_script_enabled=False)
    with watched(context.new_page(), exchange) as page:
        expect(page.locator("#live")).to_have_text("not live")
        page.get_by_label("Symbol", exact=True).fill("F")
        page.get_by_label("Price", exact=True).fill("12.5")
        page.get_by_role("button", name="Hold price").click()
        button = page.get_by_role("button", name="Let the price of F move again")
        expect(button).to_be_visible()
        assert last(exchange, "F") == 12.5
        button.click()
        expect(button).to_have_count(0)
    context.close()


def test_it_fits(page: Page, tmp_path: Path) -> None:
    """On phones and wide screens, by day and by night; a screenshot shows more than a blank."""
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for width, scheme in product((390, 1440), schemes):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        brightness = sum(int(part) for part in ground[4:-1].split(","))
        assert (brightness < 200) is (scheme == "dark")
        shot = tmp_path / f"{width}-{scheme}.png"
        page.screenshot(path=shot)
        assert shot.stat().st_size > 10_000


def test_another_site_cannot_use_the_switches(browser: Browser, exchange: Running) -> None:
    """Neither by a form nor by fetch, whatever the browser lets out."""
    context = browser.new_context()
    form = (
        f'<form method="post" action="{exchange.url}/admin/page/prices">'
        '<input name="symbol" value="MSFT"><input name="price" value="55"></form>'
        f"<script>fetch('{exchange.url}/admin/prices', {{method: 'POST', mode: 'no-cors', "
        'body: \'{"MSFT": "55"}\'}).finally(() => document.forms[0].submit())</script>'
    )
    context.route(
        "http://elsewhere.example/",
        lambda route: route.fulfill(body=form, content_type="text/html"),
    )
    page = context.new_page()
    with page.expect_response(f"{exchange.url}/admin/page/prices") as answered:
        page.goto("http://elsewhere.example/")
    assert answered.value.status == 403
    assert last(exchange, "MSFT") != 55
    context.close()


def test_open_pages_do_not_hold_the_exchange_up() -> None:
    """SIGTERM ends it at once, whoever looks."""
    with running() as started:
        events = f"{started.url}/admin/page/events"
        with requests.get(events, stream=True, timeout=10) as open_page:
            lines = open_page.iter_lines()
            assert next(lines) == b"retry: 1000"
            started.process.terminate()
            assert started.process.wait(2) == 0
            assert all(not line or line.startswith(b"data: ") for line in lines)
