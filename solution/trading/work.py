"""One signal on its way through this process."""

import math
from dataclasses import dataclass, field
from typing import Protocol

from solution.domain.ports import AssetView
from solution.domain.records import EntryRef, Intent
from solution.domain.signal import Signal
from solution.domain.stages import Stages


def _not_begun() -> Stages:
    return Stages(0.0, 0.0, 0.0)


@dataclass(slots=True)
class Work:
    """A parsed signal in a lane.

    Args:
        signal, asset, ref: what to do, of what, and the entry to acknowledge.
        received_at: monotonic seconds when this process read the entry.
        received_ms: the same on the wall clock, epoch milliseconds.
        redelivered: pending from an earlier delivery: its identity may have a row already.
        fresh: it met its age limit when first read, and the broker was never lost to it since.
        starved_at: what :meth:`Lanes.starved` said then; what is added since was for budget alone.
        waits_since: when it began to wait for budget to have its position asked for, monotonic.
        resend: client_order_id of a row whose stored body may be POSTed (again); "" for none.
        tries: how often the broker could not be reached for it.
        fields: the raw entry, kept should it become a dead letter.
        exempt: an operator's flatten: sent whatever the trading state and the kill switch say.
        stages: how long each took, once a worker has it.
        posting: its request is at the broker, and the answer is not booked.
        posted_at: when it was sent, monotonic.
        post_took: seconds that the last request took, answer included.
    """

    signal: Signal
    asset: AssetView
    ref: EntryRef
    received_at: float
    received_ms: int
    redelivered: bool = False
    fresh: bool = True
    starved_at: float = 0.0
    waits_since: float = math.inf
    resend: str = ""
    tries: int = 0
    fields: tuple[tuple[bytes, bytes], ...] = ()
    exempt: bool = False
    stages: Stages = field(default_factory=_not_begun)
    posting: bool = False
    posted_at: float = 0.0
    post_took: float = 0.0


class Lane(Protocol):
    """The hold on an asset's lane; its next signal runs only when this one lets go."""

    @property
    def urgent(self) -> bool:
        """Whether an exit waits behind the signal in hand."""
        ...

    def done(self) -> None: ...

    def requeue(self, item: Work) -> None:
        """Back to the front of the lane."""
        ...


class FreeLane:
    """Stands in where no lane is held: an order found in the ledger at start."""

    urgent = False

    def done(self) -> None:
        """Nothing is held."""

    def requeue(self, item: Work) -> None:
        """Nothing is held; work without a lane is not sent again."""
        raise ValueError(f"no lane to requeue {item.ref}")


def ends_at_once(intent: Intent) -> bool:
    """Whether the broker ends the order within moments, filled or not."""
    return intent.time_in_force in {"ioc", "fok"}
