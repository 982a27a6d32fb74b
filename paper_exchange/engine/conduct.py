"""How the venue treats orders beyond the rules: slow cancels, late rejections.

The engine asks; faults answer. A well-behaved venue does neither.
"""

from typing import Protocol

from paper_exchange.orders import Order


class Conduct(Protocol):
    """What the engine asks before it acts on an order."""

    def rejects(self, order: Order) -> bool:
        """Whether an order that was accepted is rejected instead of entering the market."""
        ...

    def cancel_delay_ns(self, order: Order) -> int | None:
        """How long a requested cancel stays ``pending_cancel``; None: until it is released."""
        ...


class GoodConduct:
    """Rejects nothing, and cancels after a fixed delay (at once when it is 0)."""

    def __init__(self, cancel_delay_ns: int = 0) -> None:
        self._cancel_delay_ns = cancel_delay_ns

    def rejects(self, order: Order) -> bool:  # noqa: ARG002  -- the protocol's signature
        """Never."""
        return False

    def cancel_delay_ns(self, order: Order) -> int | None:  # noqa: ARG002  -- as above
        """The same for every order."""
        return self._cancel_delay_ns
