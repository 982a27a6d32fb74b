"""Cells and columns that several tables share."""

from decimal import Decimal

from paper_exchange.clock import stamp
from paper_exchange.page.model import Cell, Column
from paper_exchange.page.words import moment, signed_money

ACCOUNT = Column("Account", "id", "l")
CLIENT_ID = Column("Client order id", "id", "xxl")


def shown_of(shown: int, total: int, which: str = "newest") -> str:
    """How many there are, and that not all are shown."""
    return f"{which} {shown:,} of {total:,}" if total > shown else f"{total:,}"


def time_cell(ns: int, now_ns: int) -> Cell:
    """A time; hovering tells all its digits."""
    return Cell(moment(ns, now_ns), "time dim", stamp(ns))


def id_cell(text: str) -> Cell:
    """Something long that may be cut; hovering tells all of it."""
    return Cell(text, "id", text)


def side_cell(side: str) -> Cell:
    """``buy`` or ``sell``."""
    return Cell(side, "buy" if side == "buy" else "sell")


def gain_cell(value: Decimal) -> Cell:
    """Dollars with their sign."""
    look = "num up" if value > 0 else "num down" if value < 0 else "num"
    return Cell(signed_money(value), look)
