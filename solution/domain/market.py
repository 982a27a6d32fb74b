"""What the broker's clock says."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Market:
    """``is_open`` is None when the broker's clock could not be read.

    ``at`` is the broker's time as far as we know it, aware UTC.
    """

    is_open: bool | None
    at: datetime
