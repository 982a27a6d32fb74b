"""One tick of a generator: is the market open, is there a signal, did it get through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from signal_generator.publisher import NotPublished, OutcomeUnclear

Fields = Mapping[str, str]


@dataclass(slots=True)
class Tally:
    """What became of the signals so far."""

    published: int = 0
    unclear: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        """Name the exceptions only when there were any."""
        parts = [f"published {self.published} signal{'' if self.published == 1 else 's'}"]
        if self.unclear:
            parts.append(f"{self.unclear} may or may not be in the stream")
        if self.dropped:
            parts.append(f"{self.dropped} not published")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Hours:
    """When to produce: both are asked with an aware moment in UTC.

    `around_the_clock` names the tickers that have no hours.
    """

    is_open: Callable[[datetime], bool]
    next_open: Callable[[datetime], datetime]
    around_the_clock: frozenset[str] = frozenset()


class Producer:
    """Publishes what a source yields while the market is open.

    Args:
        draw: called once per tick; returns the fields of a signal or None.
        publish: appends to the stream and returns the entry id; raises PublishError.
        hours: None to produce at any time. While closed, a signal drawn for a ticker with hours is
            let go.
        show: told each published entry's id and fields.
        report: told in one line what went wrong, and when the market opens or closes.
    """

    def __init__(
        self,
        draw: Callable[[], Fields | None],
        publish: Callable[[Fields], str],
        *,
        hours: Hours | None,
        show: Callable[[str, Fields], None],
        report: Callable[[str], None],
    ) -> None:
        self.tally = Tally()
        self._draw = draw
        self._publish = publish
        self._hours = hours
        self._show = show
        self._report = report
        self._was_open = True

    def step(self, now: datetime) -> None:
        """Do one tick.

        A signal that did not get through is counted and reported, and the run goes on.

        Raises:
            Refused: Redis will take no signal at all.
            LookupError: `now` is past the end of the table of sessions.
        """
        is_open = self._open(now)
        anytime = self._hours.around_the_clock if self._hours else frozenset()
        if not is_open and not anytime:
            return
        fields = self._draw()
        if fields is None or not (is_open or fields.get("Ticker") in anytime):
            return
        try:
            entry_id = self._publish(fields)
        except OutcomeUnclear as error:
            self.tally.unclear += 1
            self._report(f"{brief(fields)} may or may not be in the stream: {error}")
        except NotPublished as error:
            self.tally.dropped += 1
            self._report(f"{brief(fields)} was not published: {error}")
        else:
            self.tally.published += 1
            self._show(entry_id, fields)

    def _open(self, now: datetime) -> bool:
        if self._hours is None:
            return True
        is_open = self._hours.is_open(now)
        if is_open != self._was_open:
            self._was_open = is_open
            self._report(
                "the market is open"
                if is_open
                else f"the market is closed, it opens at {self._hours.next_open(now).isoformat()}"
            )
        return is_open


def brief(fields: Fields) -> str:
    """The values in one line, without the signature."""
    return " ".join(value for name, value in fields.items() if name != "sig")
