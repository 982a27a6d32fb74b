"""The whole document: panels, facts and switches in their places."""

from collections.abc import Iterable
from html import escape
from itertools import groupby

from paper_exchange.page.facts import facts_of
from paper_exchange.page.faults import TARGETS, FaultKind, FaultState
from paper_exchange.page.html import attributes, panel_html
from paper_exchange.page.model import Facts, Panel
from paper_exchange.page.panels import FAULTS_URL, panels_of
from paper_exchange.page.panels_market import PRICES_URL
from paper_exchange.page.snapshot import Snapshot

STYLE_URL = "/admin/page/page.css"
SCRIPT_URL = "/admin/page/page.js"
ICON_URL = "/admin/page/page.svg"
EVENTS_URL = "/admin/page/events"
CLEAR_FAULTS_URL = "/admin/page/faults/clear"
RELEASE_URL = "/admin/page/release-cancels"
#: Seconds between reloads where no script runs.
_RELOAD = 5

_TILES = (
    ("Requests", "n-requests"),
    ("Open orders", "n-open"),
    ("Positions", "n-positions"),
    ("Stream clients", "n-streams"),
    ("Fault rules", "n-faults"),
)


def document(
    snapshot: Snapshot,
    symbols: Iterable[str],
    *,
    said: str = "",
    failed: bool = False,
    still: bool = False,
) -> str:
    """The page.

    Args:
        symbols: those that a price can be set for.
        said: the outcome of a form that was sent without the script; ``failed``: it is an error.
        still: do not reload where no script runs, so that forms can be filled in.
    """
    facts = facts_of(snapshot)
    panels = {panel.id: panel for panel in panels_of(snapshot)}
    reload = (
        "" if still else f'<noscript><meta http-equiv="refresh" content="{_RELOAD}"></noscript>'
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>paper_exchange</title>{reload}'
        f'<link rel="icon" href="{ICON_URL}"><link rel="stylesheet" href="{STYLE_URL}">'
        f'<script src="{SCRIPT_URL}" defer></script></head>'
        f'<body data-events="{EVENTS_URL}"><a class="skip" href="#main">Skip to the tables</a>'
        f"{_top(facts)}{_said(said, failed=failed)}{_without_script(still=still)}"
        f'<main id="main">{_tiles(facts)}{_body(snapshot, panels, symbols)}</main>'
        "<footer>Times in tables are UTC. Served to this machine only; as JSON: "
        '<a href="/admin/orders">/admin/orders</a>, <a href="/admin/log?limit=100">/admin/log</a>.'
        "</footer></body></html>"
    )


def _fact(facts: Facts, name: str, look: str = "") -> str:
    return f"<span{attributes({'id': name, 'class': look})}>{escape(facts[name])}</span>"


def _top(facts: Facts) -> str:
    phase = facts["phase"].partition(" ")[0]
    return (
        '<header class="top"><h1>paper_exchange</h1>'
        f'<p class="session"><span id="phase" data-phase="{escape(phase)}">'
        f"{escape(facts['phase'])}</span> {_fact(facts, 'phase-next', 'dim')}</p>"
        f'<p class="clock">{_fact(facts, "clock")} <span class="dim">New York</span> '
        f'<span class="utc">{_fact(facts, "clock-utc")} <span class="dim">UTC</span></span> '
        f"{_fact(facts, 'pace', 'pace dim')}</p>"
        '<p class="live" id="live" data-state="off">not live</p></header>'
    )


def _said(said: str, *, failed: bool) -> str:
    look = "failed" if failed else "done"
    return f'<p id="said" role="status" data-look="{look}">{escape(said)}</p>'


def _without_script(*, still: bool) -> str:
    other = (
        '<a href="/">Go on</a>' if still else '<a href="/?still=1">Hold still</a> to fill in forms.'
    )
    state = "This page stands still." if still else f"This page reloads every {_RELOAD} seconds."
    return f'<noscript><p class="noscript">{state} {other}</p></noscript>'


def _tiles(facts: Facts) -> str:
    tiles = "".join(
        f"<div><dt>{title}</dt><dd>{_fact(facts, name, 'big')}"
        f"{_fact(facts, f'{name}-more', 'dim')}</dd></div>"
        for title, name in _TILES
    )
    return f'<dl class="tiles">{tiles}</dl>'


def _body(snapshot: Snapshot, panels: dict[str, Panel], symbols: Iterable[str]) -> str:
    parts = [
        panel_html(panels["book"], css="half", tools=_price_form(symbols)),
        panel_html(panels["faults"], css="half", tools=_fault_form(snapshot.faults)),
        panel_html(panels["accounts"], css="half"),
        panel_html(panels["positions"], css="half"),
        panel_html(panels["open-orders"]),
        panel_html(panels["ended-orders"]),
        panel_html(panels["executions"], css="half"),
        panel_html(panels["streams"], css="half"),
        panel_html(panels["requests"]),
    ]
    return f'<div class="grid">{"".join(parts)}</div>'


def _price_form(symbols: Iterable[str]) -> str:
    options = "".join(f'<option value="{escape(symbol)}"></option>' for symbol in symbols)
    return (
        f'<form class="switch" method="post" action="{PRICES_URL}" data-reset="price">'
        '<label>Symbol <input name="symbol" list="symbols" required maxlength="20" size="9" '
        'autocomplete="off" autocapitalize="characters" spellcheck="false"></label>'
        '<label>Price <input name="price" required inputmode="decimal" maxlength="20" size="9" '
        'autocomplete="off"></label>'
        f'<button>Hold price</button><datalist id="symbols">{options}</datalist></form>'
    )


def _fault_form(faults: FaultState) -> str:
    targets = "".join(f'<option value="{escape(target)}"></option>' for target in TARGETS)
    return (
        f'<form class="switch" method="post" action="{FAULTS_URL}">'
        f'<label>Fault <select name="kind" required>{_kinds(faults.kinds)}</select></label>'
        '<label class="grow">Hits <input name="target" list="targets" required maxlength="200" '
        'placeholder="POST /v2/orders" autocomplete="off" spellcheck="false"></label>'
        '<label class="grow">Options <input name="options" maxlength="500" '
        'placeholder="p=0.5 next=3" autocomplete="off" autocapitalize="none" spellcheck="false">'
        "</label>"
        f'<button>Add</button><datalist id="targets">{targets}</datalist></form>'
        '<div class="tools">'
        f'<form method="post" action="{CLEAR_FAULTS_URL}"><button>Remove all</button></form>'
        f'<form method="post" action="{RELEASE_URL}"><button>Release held cancels</button></form>'
        f"{_kinds_help(faults)}</div>"
    )


def _by_place(kinds: tuple[FaultKind, ...]) -> Iterable[tuple[str, list[FaultKind]]]:
    for place, group in groupby(
        sorted(kinds, key=lambda kind: kind.place), lambda kind: kind.place
    ):
        yield place, list(group)


def _kinds(kinds: tuple[FaultKind, ...]) -> str:
    groups = "".join(
        f'<optgroup label="{escape(place)}">'
        + "".join(f"<option>{escape(kind.name)}</option>" for kind in group)
        + "</optgroup>"
        for place, group in _by_place(kinds)
    )
    return f'<option value="">choose …</option>{groups}'


def _kinds_help(faults: FaultState) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(kind.name)}</th><td>{escape(kind.place)}</td>'
        f"<td>{escape(_options(kind))}</td></tr>"
        for _, group in _by_place(faults.kinds)
        for kind in group
    )
    common = escape(", ".join(faults.common))
    return (
        "<details><summary>What each takes</summary><table><caption>Faults and their options"
        '</caption><thead><tr><th scope="col">Fault</th><th scope="col">Hits</th>'
        f'<th scope="col">Options</th></tr></thead><tbody>{rows}</tbody></table>'
        f"<p>Each rule also takes: {common}.</p></details>"
    )


def _options(kind: FaultKind) -> str:
    needed = [f"{name} (needed)" for name in kind.options[: kind.required]]
    return ", ".join([*needed, *kind.options[kind.required :]]) or "–"
