"""A kill that is being carried out, as its row ``kill:{id}`` holds it."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson

KILL = "kill:"
"""Prefix of its key in ``bot_state``."""
FLATTEN = "flatten:"
"""Prefix of a request to close positions."""
CONTROL_RESUMED = "control_resumed"
"""When (Redis's clock, ms) a person resumed: stops published before that are over."""
BREAKER = "circuit_breaker_state"
TRADING_STATE = "trading_state:"


class Stage(StrEnum):
    """How far a kill has come; each is done again after a crash in it."""

    NEW = "new"
    DRAINING = "draining"
    """Requests that were on their way are awaited: answered, or UNKNOWN."""
    CANCELLING = "cancelling"
    """Open orders are cancelled, and listed until there is none, twice."""
    FLATTENING = "flattening"
    """The request to close positions is being written."""
    DONE = "done"
    ABANDONED = "abandoned"
    """Trading was resumed meanwhile."""


ENDED = frozenset({Stage.DONE, Stage.ABANDONED})


@dataclass(slots=True, kw_only=True)
class Kill:
    """One kill and where it stands.

    Args:
        in_flight: POSTs whose answer is awaited now.
        asked: cancels asked for so far; ``refused`` of them met an order that had ended.
        left: cancels still to be asked for; they wait for the rate budget where ``waits`` is set.
        open: orders that were open in the last list; None before the first.
        unclear: orders of which nobody knows yet whether the broker has them, and brackets of which
            nobody knows the legs yet.
        late: orders that were given up without an answer, in words: they may still arrive.
        drained_ms: when nothing was on its way any more.
        trouble: what the broker answered last, when it did not do what was asked.
    """

    id: str
    by: str = ""
    at_ms: int = 0
    cancel_orders: bool = False
    close_positions: bool = False
    stage: Stage = Stage.NEW
    in_flight: int = 0
    asked: int = 0
    refused: int = 0
    left: int = 0
    open: int | None = None
    unclear: int = 0
    one_request: bool = False
    waits: bool = False
    drained_ms: int = 0
    ended_ms: int = 0
    trouble: str = ""
    late: list[str] = field(default_factory=list)

    @property
    def cancels(self) -> bool:
        """Positions cannot be closed while orders hold their shares."""
        return self.cancel_orders or self.close_positions

    @property
    def ended(self) -> bool:
        return self.stage in ENDED

    def shown(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self) | {"stage": str(self.stage)}

    def written(self) -> str:
        """The row's value."""
        return orjson.dumps(self.shown()).decode()

    @classmethod
    def read(cls, name: str, value: Any) -> "Kill":
        """The row's meaning: text, or what :meth:`shown` made of it.

        What cannot be read is a kill all the same, one without cancels.
        """
        try:
            said = dict(orjson.loads(value) if isinstance(value, str) else value)
            stage, usual = Stage(said.get("stage", Stage.NEW)), cls(id=name)
            known = {k: v for k, v in said.items() if _fits(k, v, getattr(usual, k, None))}
            late = [str(one) for one in known.get("late", ())]
            return cls(**(known | {"id": name, "stage": stage, "late": late}))
        except (ValueError, TypeError):
            return cls(id=name, trouble=f"the row {KILL}{name} cannot be read")


def _fits(name: str, value: object, usual: object) -> bool:
    """Whether a field of a row can be what the kill has under that name."""
    return name in Kill.__slots__ and type(value) is (int if name == "open" else type(usual))


def told(kill: Kill) -> str:
    """Where it stands, in one line for people."""
    parts = []
    if kill.stage is Stage.DRAINING:
        parts.append(f"{kill.in_flight} requests on their way are awaited")
    if kill.one_request:
        parts.append("all open orders cancelled in one request")
    elif kill.asked or kill.stage is Stage.CANCELLING:
        parts.append(f"{kill.asked} cancels asked for")
    if kill.left:
        wait = " wait for the rate budget" if kill.waits else " to go"
        parts.append(f"{kill.left}{wait}")
    if kill.open is not None:
        parts.append(f"{kill.open} open in the last list")
    parts += _doubts(kill)
    if kill.trouble:
        parts.append(kill.trouble)
    return f"{kill.stage}: {', '.join(parts)}" if parts else str(kill.stage)


def _doubts(kill: Kill) -> list[str]:
    named = (
        (kill.unclear, "unclear, being looked up"),
        (len(kill.late), "may still arrive"),
    )
    return [f"{count} {words}" for count, words in named if count]
