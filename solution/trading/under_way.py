"""What flattens that are under way keep signals from: opening what is being closed.

Read from the requests' own rows, so that it holds for exactly as long as they stand, whatever else
a person lifts meanwhile: else what signals buy would be sold again at once, and bought again.
"""

from collections.abc import Mapping

from solution.domain.flattening import PREFIX, Flattening, read_or_none
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState


class UnderWay:
    """The requests among some rows. Safe from any thread: what it remembers is replaced."""

    def __init__(self) -> None:
        self._parsed: tuple[Mapping[str, str], Mapping[str, tuple[str, Flattening | None]]]
        self._parsed = ({}, {})

    def of_symbol(self, rows: Mapping[str, str], symbol: str, now_ms: int) -> list[Restriction]:
        """What counts for one symbol."""
        return [_only_reduce(r) for r in self._open(rows) if r.restricts(symbol, now_ms)]

    def of_account(self, rows: Mapping[str, str], now_ms: int) -> dict[str, Restriction]:
        """Those that close everything, by their key."""
        found = [r for r in self._open(rows) if not r.symbols and r.restricts("", now_ms)]
        return {request.key: _only_reduce(request) for request in found}

    def of_tickers(self, rows: Mapping[str, str], now_ms: int) -> dict[str, str]:
        """Ticker → why, of the others."""
        return {
            symbol: _only_reduce(request).message
            for request in self._open(rows)
            for symbol in request.symbols
            if request.restricts(symbol, now_ms)
        }

    def _open(self, rows: Mapping[str, str]) -> list[Flattening]:
        """Each row is parsed once: the rows are read anew several times a second."""
        of, known = self._parsed
        if of is not rows:
            found = {}
            for key, text in rows.items():
                if key.startswith(PREFIX):
                    before = known.get(key)
                    same = before is not None and before[0] == text
                    found[key] = before if same and before else (text, read_or_none(key, text))
            self._parsed = (rows, found)
            known = found
        return [request for _, request in known.values() if request and not request.done_ms]


def _only_reduce(request: Flattening) -> Restriction:
    message = f"{request.key} is under way: {request.why}"
    return Restriction(TradingState.REDUCING, Reason.REDUCING_ONLY, message)
