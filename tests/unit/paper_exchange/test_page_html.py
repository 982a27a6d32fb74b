"""HTML of the page: sound, complete, and nothing in it that was not meant as HTML."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from paper_exchange.page.document import document
from paper_exchange.page.fault_rules import FaultRules
from paper_exchange.page.html import cell_html, panel_html, rows_of
from paper_exchange.page.live import picture_of
from paper_exchange.page.model import Action, Cell, Column, Panel, Row
from paper_exchange.page.photographer import LIMIT, Photographer
from paper_exchange.page.recent import Recent
from tests.unit.paper_exchange.conftest import Make, World
from tests.unit.paper_exchange.test_page_snapshot import Clients

HOSTILE = """"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;{{7*7}}\u202e"""
_VOID = {"meta", "link", "input", "col"}
_PANEL = Panel(
    "things", "Things", (Column("Name"), Column("Size", "num", "s")), (), empty="Nothing there."
)


class Outline(HTMLParser):
    """All elements of a document; fails on what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def hostile_world(make: Make) -> World:
    """An exchange in which everything that clients name is an attack."""
    world = make(symbols=("<I>SYM</I>",))
    world.account = world.open_account(HOSTILE)
    world.send(client_order_id=HOSTILE, symbol="<I>SYM</I>")
    world.rest(50, client_order_id=HOSTILE + "2")
    world.exchange.witness.note(
        arrived=0,
        at_ns=world.clock.ns,
        key_id=HOSTILE,
        method="<b>GET</b>",
        path="/v2/<script>alert(3)</script>",
        status=200,
        client_order_id=HOSTILE,
    )
    FaultRules(world.exchange).add("GET /v2/<b>x</b>: latency ms=1 client='<i>\"y\"</i>'")
    return world


def page_of(world: World, clients: Clients | None = None, **options: object) -> Outline:
    recent = Recent(LIMIT)
    photographer = Photographer(
        world.exchange, recent, FaultRules(world.exchange), (clients,) if clients else ()
    )
    symbols = [asset.symbol for asset in world.exchange.assets]
    return Outline(document(photographer.take(), symbols, **options))  # type: ignore[arg-type]


def test_hostile_names_stay_text(make: Make) -> None:
    """Order ids, keys, symbols, paths and agents bring no element and no attribute in."""
    world = hostile_world(make)
    clients = Clients()
    clients.add(world.account.id, (HOSTILE,), HOSTILE)
    honest, attacked = page_of(make()), page_of(world, clients, said=HOSTILE, failed=True)
    assert {name for name, _ in attacked.elements} <= {name for name, _ in honest.elements} | {
        "form"
    }
    assert len(attacked.all("script")) == 1
    assert attacked.all("img") == []
    names = {attribute for _, attributes in attacked.elements for attribute in attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    # It is all there to be read, though: once per table, and as the outcome of a form.
    assert sum(text == HOSTILE for text in attacked.text) >= 5


def test_live_cells_are_escaped_too(make: Make) -> None:
    """What the script inserts is what the server would have rendered."""
    world = hostile_world(make)
    recent = Recent(LIMIT)
    photographer = Photographer(world.exchange, recent, FaultRules(world.exchange))
    cells = [
        cell
        for rows in picture_of(photographer.take()).panels.values()
        for cell_list in rows.values()
        for cell in cell_list
    ]
    assert not [cell for cell in cells if "<script" in cell or "<img" in cell or "<b>" in cell]
    for cell in cells:
        Outline(cell)


def test_tables_have_captions_and_headings(world: World) -> None:
    """Every table names itself, its columns and its rows."""
    page = page_of(world)
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables) == 10
    assert {heading.get("scope") for heading in page.all("th")} == {"col", "row"}
    regions = [one for one in page.all("div") if one.get("role") == "region"]
    assert all(region["tabindex"] == "0" and region["aria-labelledby"] for region in regions)


def test_ids_are_unique_and_labels_lead_somewhere(world: World) -> None:
    """Ids are what the script and screen readers go by."""
    page = page_of(world)
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    pointers = [attributes.get("aria-labelledby") for _, attributes in page.elements]
    assert {pointer for pointer in pointers if pointer} <= set(ids)
    lists = [attributes.get("list") for attributes in page.all("input")]
    assert {name for name in lists if name} <= set(ids)


def test_the_page_asks_for_nothing_from_elsewhere(world: World) -> None:
    """All addresses are paths of the exchange, and nothing is inline."""
    page = page_of(world)
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "action", "data-events"}
    ]
    assert len(addresses) > 8
    assert all(value and value[0] in "/#" and value[:2] != "//" for value in addresses)
    assert "style" not in {name for name, _ in page.elements}


def test_without_a_script_the_page_reloads(world: World) -> None:
    """Unless it is asked to hold still."""
    refreshes = [one for one in page_of(world).all("meta") if one.get("http-equiv")]
    assert refreshes == [{"http-equiv": "refresh", "content": "5"}]
    assert not [one for one in page_of(world, still=True).all("meta") if one.get("http-equiv")]


def test_every_kind_of_fault_can_be_chosen(world: World) -> None:
    """The form's choices come from where the rules are checked."""
    page = page_of(world)
    kinds = FaultRules(world.exchange).state().kinds
    assert {kind.name for kind in kinds} <= set(page.text)
    assert len(page.all("optgroup")) == len({kind.place for kind in kinds})


def test_a_cell_with_a_button() -> None:
    """A form with hidden fields, empty ones included, and a name for screen readers."""
    action = Action("/do", (("symbol", "A&B"), ("price", "")), "Let go", 'Let "A&B" go')
    text = cell_html(Cell("held", "act", action=action), heading=False)
    outline = Outline(text)
    assert outline.all("form") == [{"method": "post", "action": "/do"}]
    fields = [(one["name"], one["value"]) for one in outline.all("input")]
    assert fields == [("symbol", "A&B"), ("price", "")]
    assert outline.all("button")[0]["aria-label"] == 'Let "A&B" go'


def test_rows_are_known_by_their_keys() -> None:
    """The first cell is the row's heading; without rows there is one that says so."""
    row = Row("k", (Cell("a", "x", "more"), Cell("1", "num")))
    cells = ('<th scope="row" class="x" title="more">a</th>', '<td class="num">1</td>')
    assert rows_of(replace(_PANEL, rows=(row,))) == {"k": cells}
    assert rows_of(_PANEL) == {"empty": ('<td class="empty" colspan="2">Nothing there.</td>',)}


@pytest.mark.parametrize("css", ["", "half"])
def test_a_panel(css: str) -> None:
    """Heading, note, and tools between them and the table."""
    text = panel_html(replace(_PANEL, note="2 < 3"), css=css, tools="<hr>")
    assert text.index("2 &lt; 3") < text.index("<hr>") < text.index("<table")
    assert Outline(text.replace("<hr>", "")).all("section") == [{"class": f"panel {css}".strip()}]
