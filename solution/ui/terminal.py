"""The live screen: every instance in a frame of its own, never more lines than the terminal has.

Lines are composed one by one, so that what there is room for is arithmetic: the head line with mode
and trading state stays longest, what is cut is counted. Texts are rich's, never markup: a symbol or
a reason may hold brackets.
"""

from collections.abc import Callable, Sequence
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from solution.printable import visible
from solution.ui import facts
from solution.ui.grid import beside, cut, fit
from solution.ui.reading import Snapshot, is_live, part, title, trading_state, whole, word
from solution.ui.tables import positions, positions_height, updates, updates_height
from solution.ui.troubles import troubles

WIDE = 100
"""Cells from which positions and updates stand side by side."""
FRAMED = 7
"""Lines from which there is a frame."""
TROUBLES_SHOWN = 4
FACTS_FIRST, TABLES_FIRST = 5, 6
"""Lines that facts have before positions and updates get more, and those that these have before."""
NAME_WIDTH = 8
BETWEEN = 3
"""Cells between positions and updates."""
BAR_CELLS = 20

ALARM = "bold white on red"
_STATES = {"ACTIVE": "bold green", "REDUCING": "bold black on yellow", "HALTED": ALARM}

_FACTS: Sequence[tuple[str, Callable[[Snapshot], str]]] = (
    ("signals", facts.signals),
    ("rate", facts.rate),
    ("latency", facts.latency),
    ("streams", facts.ages),
    ("day", facts.day),
    ("orders", facts.orders),
    ("ends", facts.counts),
    ("breaker", facts.breaker),
    ("flips", facts.flips),
    ("threads", facts.threads),
)
"""The most wanted first: where there is no room for all, the last are left out."""


def screen(
    snapshots: Sequence[Snapshot],
    *,
    width: int,
    height: int,
    updates: int = 15,
    notes: Sequence[str] = (),
    alarm: str = "",
) -> list[Text]:
    """At most ``height`` lines of exactly ``width`` cells.

    Args:
        updates: how many order updates of each instance, at most.
        notes: lines above everything.
        alarm: another text, in red, on as many lines as it takes.
    """
    lines = [Text(visible(note)) for note in notes]
    lines += [Text(f" ! {line}", style=ALARM) for line in wrap(visible(alarm), max(1, width - 4))]
    lines = lines[: height if not snapshots else height // 2]
    room = height - len(lines)
    if len(snapshots) * FRAMED <= room or len(snapshots) == 1:
        share, more = divmod(room, max(1, len(snapshots)))
        for n, snapshot in enumerate(snapshots):
            lines += _instance(snapshot, width, share + (n < more), updates)
    else:
        lines += _crowd(snapshots, room)
    return [fit(line, width) for line in lines[:height]]


def _crowd(snapshots: Sequence[Snapshot], height: int) -> list[Text]:
    """A line each, where there is no room for more."""
    shown = sorted(snapshots, key=lambda one: not troubles(one))  # those that want a person first
    shown = shown if len(shown) <= height else shown[: max(0, height - 1)]
    lines = []
    for snapshot in shown:
        found = troubles(snapshot)
        line = Text().append(f"{word(snapshot, 'instance')} ", "bold")
        line.append_text(_badges(snapshot)).append(
            f" ! {visible(found[0])} " if found else "", ALARM
        )
        lines.append(line.append(f"  {visible(facts.account(snapshot))}"))
    if rest := len(snapshots) - len(shown):
        lines.append(Text(f"… {rest} more", style="dim"))
    return lines


# --- one instance ---------------------------------------------------------------------------------


def _instance(snapshot: Snapshot, width: int, height: int, most: int) -> list[Text]:
    """Its frame, as high as what it shows and at most ``height``."""
    if height < FRAMED:
        return _body(snapshot, width, height, most)
    lines = _body(snapshot, width - 4, height - 2, most)
    live = is_live(snapshot)
    style = "red" if live or troubles(snapshot) else "cyan"
    name = Text(f" {title(snapshot)} ", style=ALARM if live else "bold")
    return [
        _edge("╭", "╮", width, style, name),
        *(_inside(line, width, style) for line in lines),
        _edge("╰", "╯", width, style, Text()),
    ]


def _edge(left: str, right: str, width: int, style: str, name: Text) -> Text:
    name.truncate(max(0, width - 4), overflow="ellipsis")
    rest = max(0, width - 2 - name.cell_len)
    line = Text().append(left + "─" * (rest // 2), style)
    return line.append_text(name).append("─" * (rest - rest // 2) + right, style)


def _inside(line: Text, width: int, style: str) -> Text:
    framed = Text().append("│ ", style)
    return framed.append_text(fit(line, width - 4)).append(" │", style)


def _body(snapshot: Snapshot, width: int, height: int, most: int) -> list[Text]:
    """Head, troubles, facts, then positions and updates in what is left."""
    lines = [_head(snapshot, width), *_troubles(snapshot, max(1, min(TROUBLES_SHOWN, height - 3)))]
    left = height - len(lines)
    needed = positions_height(snapshot), updates_height(snapshot, most)
    wanted = 1 + (max(needed) if width >= WIDE else sum(needed) + 1)
    shown = max(0, left - wanted, min(FACTS_FIRST, left - TABLES_FIRST))
    lines += _facts(snapshot, width)[:shown]
    lines += [Text()] if height - len(lines) > TABLES_FIRST else []
    left = height - len(lines)
    if width >= WIDE:
        lines += _side_by_side(snapshot, width, left, most)
    else:
        gap = left > TABLES_FIRST
        above = min(needed[0], max(left // 2, left - needed[1] - gap))
        lines += [*positions(snapshot, width, above), *([Text()] if gap else [])]
        lines += updates(snapshot, most, width, height - len(lines))
    return lines[:height]


def _side_by_side(snapshot: Snapshot, width: int, height: int, most: int) -> list[Text]:
    """Positions take what they need up to half of the width, updates the rest."""
    left = positions(snapshot, width // 2 - 1, height)
    taken = max((line.cell_len for line in left), default=0) + BETWEEN
    return beside(left, updates(snapshot, most, width - taken, height), gap=BETWEEN)


def _head(snapshot: Snapshot, width: int) -> Text:
    """Whose money, whether orders go out, and how much there is of it."""
    line = _badges(snapshot)
    return line.append(" " + cut(visible(facts.account(snapshot)), width - line.cell_len - 1))


def _badges(snapshot: Snapshot) -> Text:
    state = trading_state(snapshot)
    mode = "LIVE" if is_live(snapshot) else word(snapshot, "mode")
    line = Text().append(f" {mode} ", ALARM if is_live(snapshot) else "bold")
    return line.append(f" {state} ", _STATES.get(state, "bold"))


def _troubles(snapshot: Snapshot, most: int) -> list[Text]:
    found = troubles(snapshot)
    shown = found if len(found) <= most else found[: most - 1]
    lines = [Text(f" ! {visible(line)} ", style=ALARM) for line in shown]
    if rest := len(found) - len(shown):
        lines.append(Text(f" ! … {rest} more ", style=ALARM))
    return lines


def _facts(snapshot: Snapshot, width: int) -> list[Text]:
    lines = []
    for name, tell in _FACTS:
        line, told = Text().append(f"{name:<{NAME_WIDTH}} ", "dim"), visible(tell(snapshot))
        bar = _bar(snapshot) if name == "rate" else Text()
        if line.cell_len + bar.cell_len + cell_len(told) <= width:
            line.append_text(bar)
        lines.append(line.append(cut(told, width - line.cell_len)))
    return lines


def _bar(snapshot: Snapshot) -> Text:
    """How far the rate budget is used."""
    rate = part(snapshot, "rate")
    limit, used = whole(rate.get("limit")), max(0, whole(rate.get("used")))
    if limit <= 0:
        return Text()
    full = min(BAR_CELLS, round(BAR_CELLS * used / limit))
    bar = Text("█" * full, style="red" if full >= BAR_CELLS - 2 else "green")
    return bar.append("░" * (BAR_CELLS - full) + " ", "dim")
