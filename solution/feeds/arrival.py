"""What a stream entry is: a signal that may trade, or none, and why."""

from collections.abc import Callable
from dataclasses import dataclass

from solution.clock import Clock
from solution.domain.ports import AssetView
from solution.domain.reasons import Reason
from solution.domain.records import EntryRef
from solution.domain.signal import Signal, parse
from solution.domain.signing import Verifier
from solution.errors import SignalError
from solution.feeds.stream_watch import FUTURE_MS

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A valid signal as it was read; ``redelivered`` holds for anything delivered before."""

    signal: Signal
    asset: AssetView
    ref: EntryRef
    fields: Fields
    redelivered: bool
    received_at: float
    received_ms: int


class EntryJudge:
    """Parses entries and measures their age by the clock of Redis, which made their ids.

    Args:
        max_signal_age: seconds; a signal's own ``max_age`` may be shorter.
        find_asset: by any spelling.
        is_known: whether the ledger has a row for the identity.
        redis_ms: Redis's clock.
        verifier: of signatures.
        clock: ours, for the time of arrival.
    """

    def __init__(
        self,
        *,
        max_signal_age: float,
        find_asset: Callable[[str], AssetView | None],
        is_known: Callable[[str], bool],
        redis_ms: Callable[[], int],
        verifier: Verifier,
        clock: Clock,
    ) -> None:
        self._max_signal_age = max_signal_age
        self._find_asset = find_asset
        self._is_known = is_known
        self._redis_ms = redis_ms
        self._verifier = verifier
        self._clock = clock

    def judge(self, ref: EntryRef, fields: Fields | None, *, redelivered: bool) -> Arrival:
        """The signal in an entry.

        Args:
            fields: None when its content is gone from the stream.

        Raises:
            SignalError: it is none, or it is too old to begin with.
            LedgerError: whether an old entry is known cannot be told.
        """
        if fields is None:
            raise SignalError(
                Reason.PAYLOAD_LOST, f"entry {ref.entry_id} is no longer in stream {ref.stream}"
            )
        signal = parse(ref.stream, ref.entry_id, fields)
        self._verifier.check(signal, fields)
        asset = self._find_asset(signal.ticker)
        if asset is None:
            raise SignalError(
                Reason.UNKNOWN_TICKER, f"ticker {signal.ticker!r} is not listed by the broker"
            )
        if self._too_old(signal) and not redelivered:
            # First read here, yet maybe handled before: a group rebuilt after data loss.
            if not self._is_known(signal.identity):
                age = (self._redis_ms() - signal.oldest_ms()) / 1000
                raise SignalError(
                    Reason.EXPIRED, f"{age:.1f} s old, the limit is {self._limit(signal):g} s"
                )
            redelivered = True
        return Arrival(
            signal=signal,
            asset=asset,
            ref=ref,
            fields=fields,
            redelivered=redelivered,
            received_at=self._clock.monotonic(),
            received_ms=self._clock.epoch_ms(),
        )

    def _limit(self, signal: Signal) -> float:
        own = signal.max_age
        return self._max_signal_age if own is None else min(self._max_signal_age, float(own))

    def _too_old(self, signal: Signal) -> bool:
        now = self._redis_ms()
        newest = max(signal.entry_ms, signal.ts_ms if signal.ts_ms is not None else 0)
        if newest > now + FUTURE_MS:
            raise SignalError(
                Reason.FUTURE_TIMESTAMP,
                f"the entry id or ts lies {(newest - now) / 1000:.1f} s in the future",
            )
        return now - signal.oldest_ms() > self._limit(signal) * 1000
