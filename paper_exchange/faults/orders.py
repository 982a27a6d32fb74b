"""Bad conduct of the venue towards orders: rejections after acceptance, cancels that hang."""

from collections.abc import Callable

from paper_exchange.clock import MILLISECOND
from paper_exchange.engine.conduct import Conduct
from paper_exchange.faults.rules import Facts, Faults, first
from paper_exchange.orders import Order

_REJECTIONS = frozenset({"reject"})
_CANCELS = frozenset({"stuck_cancel", "slow_cancel"})

#: The key id of an account's id, None when there is no such account.
KeyOf = Callable[[str], str | None]


class FaultyConduct:
    """What the engine asks, answered by the rules on ``orders``, and otherwise by ``usual``."""

    def __init__(self, faults: Faults, usual: Conduct, key_of: KeyOf) -> None:
        self._rules = faults.orders
        self._usual = usual
        self._key_of = key_of

    def rejects(self, order: Order) -> bool:
        """Whether a rule rejects an order that was accepted."""
        if self._rules and first(self._rules, self._facts(order), _REJECTIONS):
            return True
        return self._usual.rejects(order)

    def cancel_delay_ns(self, order: Order) -> int | None:
        """How long a cancel takes under the first rule that strikes; None: until released."""
        rule = first(self._rules, self._facts(order), _CANCELS) if self._rules else None
        if rule is None:
            return self._usual.cancel_delay_ns(order)
        if rule.spec.kind == "stuck_cancel":
            return None
        return round(rule.delay_s() * 1000) * MILLISECOND

    def _facts(self, order: Order) -> Facts:
        return Facts(key=self._key_of(order.account_id), symbol=order.asset.symbol)
