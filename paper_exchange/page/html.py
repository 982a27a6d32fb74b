"""HTML from panels and facts. Everything that is shown passes ``escape`` here and nowhere else."""

from collections.abc import Mapping
from html import escape

from paper_exchange.page.model import Action, Cell, Column, Panel, Row


def attributes(values: Mapping[str, str]) -> str:
    """Attributes with a leading space each; empty ones are left out."""
    return "".join(f' {name}="{escape(value)}"' for name, value in values.items() if value)


def button(action: Action) -> str:
    """A form that consists of one button."""
    hidden = "".join(
        f'<input{attributes({"type": "hidden", "name": name})} value="{escape(value)}">'
        for name, value in action.fields
    )
    label = attributes({"aria-label": action.says, "title": action.says})
    return (
        f'<form method="post"{attributes({"action": action.url})}>{hidden}'
        f"<button{label}>{escape(action.label)}</button></form>"
    )


def cell_html(cell: Cell, *, heading: bool) -> str:
    """One cell as an element."""
    tag = "th" if heading else "td"
    scope = "row" if heading else ""
    known = attributes({"scope": scope, "class": cell.look, "title": cell.title})
    content = escape(cell.text)
    if cell.action is not None:
        content = f"<span>{content}</span>{button(cell.action)}" if content else button(cell.action)
    return f"<{tag}{known}>{content}</{tag}>"


def cells_html(row: Row) -> tuple[str, ...]:
    """The cells of a row, the first as its heading."""
    return tuple(cell_html(cell, heading=index == 0) for index, cell in enumerate(row.cells))


def rows_of(panel: Panel) -> dict[str, tuple[str, ...]]:
    """The cells of all rows by their keys; without rows, one that says so."""
    if not panel.rows:
        empty = f'<td class="empty" colspan="{len(panel.columns)}">{escape(panel.empty)}</td>'
        return {"empty": (empty,)}
    return {row.key: cells_html(row) for row in panel.rows}


def _column_html(column: Column) -> str:
    if not column.label:
        return "<td></td>"
    return f"<th{attributes({'scope': 'col', 'class': column.look})}>{escape(column.label)}</th>"


def table_html(panel: Panel) -> str:
    """The table in a region that can be scrolled, by keyboard too."""
    # Widths by class: the page's security policy forbids style attributes.
    columns = "".join(f'<col class="{column.size}">' for column in panel.columns)
    head = "".join(_column_html(column) for column in panel.columns)
    body = "".join(
        f"<tr{attributes({'data-key': key})}>{''.join(cells)}</tr>"
        for key, cells in rows_of(panel).items()
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-labelledby="{panel.id}-title">'
        f'<table id="{panel.id}"><caption>{escape(panel.title)}</caption>'
        f"<colgroup>{columns}</colgroup><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def panel_html(panel: Panel, *, css: str = "", tools: str = "") -> str:
    """A table with its heading; ``tools`` is HTML between the two."""
    return (
        f"<section{attributes({'class': f'panel {css}'.strip()})}>"
        f'<header><h2 id="{panel.id}-title">{escape(panel.title)}</h2>'
        f'<span class="note" id="{panel.id}-note">{escape(panel.note)}</span></header>'
        f"{tools}{table_html(panel)}</section>"
    )
