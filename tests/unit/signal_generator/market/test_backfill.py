"""The thread that asks history."""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from signal_generator.bars import Timeframe
from signal_generator.market.backfill import Backfill
from signal_generator.market.bar_flow import Ask
from signal_generator.market.market_history import HistoryRefused, HistoryUnavailable, MarketHistory
from tests.helpers.clocks import eventually

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
ASK = Ask({"NVDA": START}, Timeframe.MINUTE, START, {})


class History:
    """Answers in two parts, or with the errors it was given."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    def clock_error(self) -> float:
        return -7.4

    def parts(self, *_: object) -> Iterator[Mapping[str, Any]]:
        if self._errors:
            raise self._errors.pop(0)
        yield {"NVDA": [1]}
        yield {"NVDA": [2]}


class Desk:
    """What came of the questions."""

    def __init__(self, *errors: Exception) -> None:
        self.events: list[object] = []
        self.backfill = Backfill(
            cast("MarketHistory", History(*errors)),
            refused=lambda why: self.events.append(f"refused: {why}"),
            log=logging.getLogger("test.backfill"),
            draw=lambda: -1024.0,
        )
        self.backfill.start(
            told=lambda _ask, bars, last: self.events.append((dict(bars), last)),
            failed=lambda: self.events.append("failed"),
        )


def test_an_answer_comes_in_parts_and_an_end() -> None:
    """Only the end says that it is complete."""
    desk = Desk()
    desk.backfill.ask(ASK)
    whole = [({"NVDA": [1]}, False), ({"NVDA": [2]}, False), ({}, True)]
    assert eventually(lambda: desk.events == whole)
    desk.backfill.ask_stop()


def test_no_answer_is_told_and_the_next_question_gets_one(caplog: pytest.LogCaptureFixture) -> None:
    """With a warning, and an error when it goes on."""
    desk = Desk(*[HistoryUnavailable("away") for _ in range(10)])
    for _ in range(11):
        desk.backfill.ask(ASK)
    assert eventually(lambda: ({}, True) in desk.events)
    assert desk.events[:10] == ["failed"] * 10
    levels = [record.levelno for record in caplog.records if "bars wait" in record.message]
    assert levels == [logging.WARNING] * 9 + [logging.ERROR]
    desk.backfill.ask_stop()


def test_refusals_in_a_row_are_told_as_one() -> None:
    """Somebody has to look after keys or plan; a single one may be a gateway's mistake."""
    desk = Desk(*[HistoryRefused("HTTP 403") for _ in range(3)])
    for _ in range(3):
        desk.backfill.ask(ASK)
    told = ["failed", "failed", "refused: HTTP 403", "failed"]
    assert eventually(lambda: desk.events == told)
    desk.backfill.ask_stop()


def test_a_wrong_clock_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """It takes bars for completed that are not."""
    desk = Desk()
    for _ in range(2):
        desk.backfill.ask(ASK)
    assert eventually(lambda: len(desk.events) == 6)
    assert caplog.messages == [
        "this machine's clock is 7 s ahead of the server's: bars may be wrong, set it by NTP"
    ]
    desk.backfill.ask_stop()


def test_a_defect_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody else closes gaps."""
    desk = Desk(LookupError("a defect"))
    desk.backfill.ask(ASK)
    desk.backfill.ask(ASK)
    assert eventually(lambda: desk.events[-1:] == [({}, True)])
    assert desk.events[0] == "failed"
    assert "LookupError: a defect" in caplog.text
    desk.backfill.ask_stop()
