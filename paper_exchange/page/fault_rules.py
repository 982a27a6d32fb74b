"""The exchange's fault rules, as the page's switches."""

from paper_exchange.errors import invalid, not_found
from paper_exchange.exchange import Exchange
from paper_exchange.faults.spec import KINDS, parse_text
from paper_exchange.faults.values import BadFault
from paper_exchange.page.faults import FaultKind, FaultRule, FaultState

#: Options that every kind takes; what else it takes to narrow a rule down, its errors list.
_COMMON = ("p", "next", "skip", "key")
_KINDS = tuple(
    FaultKind(name, " and ".join(sorted(kind.places)), kind.options, len(kind.required))
    for name, kind in KINDS.items()
)


class FaultRules:
    """Lists, adds and ends the rules of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def state(self) -> FaultState:
        """All kinds, and the rules in force."""
        rules = []
        for rule in self._exchange.faults:
            options = rule.spec.text().removeprefix(f"{rule.spec.target}: {rule.spec.kind}")
            rules.append(
                FaultRule(
                    id=rule.id,
                    target=rule.spec.target,
                    kind=rule.spec.kind,
                    options=options.strip(),
                    hits=rule.hits,
                    matched=rule.matched,
                )
            )
        return FaultState(_KINDS, _COMMON, tuple(rules))

    def add(self, line: str) -> None:
        """Put a rule into force.

        Raises:
            ApiError: 422 with what is wrong with it.
        """
        try:
            spec = parse_text(line)
        except BadFault as bad:
            raise invalid(str(bad)) from None
        self._exchange.faults.add(spec)

    def remove(self, rule_id: str) -> None:
        """End a rule.

        Raises:
            ApiError: 404 when there is no such rule.
        """
        if not self._exchange.faults.remove(rule_id):
            raise not_found(f"fault not found for {rule_id}")

    def clear(self) -> None:
        """End all rules."""
        self._exchange.faults.clear()

    def release_cancels(self) -> int:
        """Let held cancels take effect."""
        return self._exchange.engine.release_cancels(list(self._exchange.accounts))
