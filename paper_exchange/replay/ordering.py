"""Rows in order of time."""

from itertools import pairwise
from operator import le, lt

from paper_exchange.replay.tables import Table


def put_in_order(table: Table) -> None:
    """Sort a table by time, in place; rows of the same time stay in the order of the files.

    Of several bars of the same time, only the last one is kept.
    """
    bars = table.kind == "bars"
    in_order = lt if bars else le
    times = table.times
    if all(in_order(before, after) for before, after in pairwise(times)):
        return
    order = sorted(range(len(times)), key=times.__getitem__)
    if bars:
        order = [
            place
            for place, following in zip(order, [*order[1:], None], strict=True)
            if following is None or times[following] != times[place]
        ]
    table.times = type(times)("q", map(times.__getitem__, order))
    for meaning, column in table.columns.items():
        table.columns[meaning] = type(column)("d", map(column.__getitem__, order))
