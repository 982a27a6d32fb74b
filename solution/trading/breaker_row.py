"""The circuit breaker's row in the ledger."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

KEY = "circuit_breaker_state"


@dataclass(frozen=True, slots=True)
class Standing:
    """How many orders in a row failed, and since when the breaker is open for it.

    ``at_ms`` is when it opened, or opened anew, else when the last failure came. ``probe`` is the
    order that was let through to see whether it works again, while its POST has no verdict.
    """

    tripped: bool = False
    failures: int = 0
    at_ms: int = 0
    why: str = ""
    probe: str = ""

    @property
    def is_clean(self) -> bool:
        """Nothing worth a row."""
        return not self.tripped and not self.failures

    def text(self) -> str:
        """As the row has it."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str | None) -> Self:
        """What a row says; no row is a closed breaker.

        Raises:
            ValueError: it cannot be read.
        """
        if text is None:
            return cls()
        try:
            found: Any = json.loads(text)
            return cls(
                tripped=bool(found["tripped"]),
                failures=max(0, int(found["failures"])),
                at_ms=int(found["at_ms"]),
                why=str(found.get("why", "")),
                probe=str(found.get("probe", "")),
            )
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise ValueError(f"{KEY}: {text[:200]!r}") from error
