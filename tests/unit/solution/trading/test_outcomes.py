"""Ledger changes and events, worded in one place."""

from dataclasses import replace
from decimal import Decimal

import pytest

from solution.domain.events import Event
from solution.domain.order_state import News, Progress, merge
from solution.domain.records import TERMINAL, DeadLetter, EntryRef, Intent, State
from solution.trading import outcomes
from solution.trading.outcomes import rfc3339

AT = "2026-03-04T15:00:00.123Z"
AT_MS = 1_772_636_400_123
REF = EntryRef("other", "9-9")
INTENT = Intent(
    identity="nvda|id:s1",
    digest="d",
    stream="nvda",
    entry_id="1-0",
    client_order_id="sp-x",
    state=State.FILLED,
    signal_id="s1",
    symbol="NVDA",
    side="buy",
    qty=Decimal(10),
    reason="R",
    message="words",
    status="filled",
    filled_qty=Decimal(10),
    filled_avg_price=Decimal("100.5"),
    alpaca_order_id="A",
    strategy="sma",
    extra=(("x_a", "1"),),
)


@pytest.mark.parametrize(
    ("epoch_ms", "text"),
    [
        (AT_MS, AT),
        (0, "1970-01-01T00:00:00.000Z"),
        (999, "1970-01-01T00:00:00.999Z"),
        (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_with_milliseconds(epoch_ms: int, text: str) -> None:
    """Never rounded into the next second, always three digits."""
    assert rfc3339(epoch_ms) == text


def test_an_event_tells_all_of_its_order() -> None:
    """Every field the row knows, from the merge's standing where there is one."""
    progress = Progress(State.OPEN, "partially_filled", "B", Decimal(4), Decimal(99))
    event = outcomes.event_of(
        INTENT,
        "partial_fill",
        AT,
        progress=progress,
        qty=Decimal(4),
        price=Decimal(99),
        position_qty=Decimal(-4),
    )
    assert dict(event.fields()) == {
        "signal_id": "s1",
        "stream": "nvda",
        "entry_id": "1-0",
        "client_order_id": "sp-x",
        "order_id": "B",
        "event": "partial_fill",
        "status": "partially_filled",
        "final": "0",
        "ticker": "NVDA",
        "side": "buy",
        "qty": "4",
        "price": "99",
        "filled_qty": "4",
        "filled_avg_price": "99",
        "position_qty": "-4",
        "strategy": "sma",
        "at": AT,
        "x_a": "1",
    }


def test_an_event_without_a_standing_uses_the_row() -> None:
    """The order's own size, id and status; no fill is claimed."""
    event = outcomes.event_of(INTENT, "submitted", AT, ref=REF)
    assert (event.qty, event.order_id, event.status) == (Decimal(10), "A", "filled")
    assert (event.filled_qty, event.final, event.stream, event.entry_id) == (
        None, False, "other", "9-9",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "name"), [(State.REFUSED, Event.REFUSED), (State.DRY_RUN, Event.DRY_RUN)]
)
def test_a_signal_that_ends_unsent_has_one_final_event(state: State, name: Event) -> None:
    """Row, event and acknowledgement are one change; the row is stamped."""
    intent = replace(INTENT, state=state, status="", filled_qty=Decimal(0))
    refs = [EntryRef("nvda", "1-0"), REF]
    change = outcomes.ended_unsent(intent, name, at_ms=AT_MS, refs=refs)
    (event,) = change.events
    assert (event.event, event.final, event.reason, event.message, event.at) == (
        name, True, "R", "words", AT,
    )  # fmt: skip
    assert (change.insert, change.ack, change.update) == (intent, tuple(refs), {})
    assert (intent.ended_ms, intent.created_ms, intent.updated_ms) == (AT_MS,) * 3


def test_a_dead_letter_is_kept_told_and_acknowledged() -> None:
    """Also where nothing but the entry id is known of it."""
    letter = DeadLetter(stream="nvda", entry_id="1-0", reason="NOT_UTF8", message="no", at=AT)
    change = outcomes.dead_letter(letter)
    (event,) = change.events
    assert dict(event.fields()) == {
        "stream": "nvda",
        "entry_id": "1-0",
        "event": "dead_letter",
        "final": "1",
        "reason": "NOT_UTF8",
        "message": "no",
        "at": AT,
    }
    assert (change.dead_letter, change.ack) == (letter, (EntryRef("nvda", "1-0"),))


def test_a_dead_letter_is_told_under_the_producers_own_names() -> None:
    """Whoever waits for the end of a signal_id sees it, also where the rest is no signal."""
    fields = ((b"signal_id", b"s1"), (b"ticker", b"nvda"), (b"strategy", b"sma"), (b"x_A", b"1"))
    letter = DeadLetter(
        stream="nvda", entry_id="1-0", reason="MISSING_FIELD", message="no", at=AT, fields=fields
    )
    (event,) = outcomes.dead_letter(letter).events
    told = dict(event.fields())
    assert {name: told[name] for name in ("signal_id", "ticker", "strategy", "x_A", "final")} == {
        "signal_id": "s1",
        "ticker": "NVDA",
        "strategy": "sma",
        "x_A": "1",
        "final": "1",
    }


def test_an_acknowledgement_changes_nothing_else() -> None:
    """The entry's end is on record already."""
    change = outcomes.acknowledge(REF)
    assert (change.ack, change.events, change.insert, change.update) == ((REF,), (), None, {})


@pytest.mark.parametrize(
    ("state", "status", "name"),
    [
        (State.FILLED, "filled", "fill"),
        (State.CANCELED, "canceled", "canceled"),
        (State.EXPIRED, "expired", "expired"),
        (State.REPLACED, "replaced", "replaced"),
        (State.REJECTED, "rejected", "rejected"),
        (State.REFUSED, "", "refused"),
        (State.NOT_SENT, "", "refused"),
        (State.DRY_RUN, "", "dry_run"),
        (State.ABSENT_CONFIRMED, "", "expired_unconfirmed"),
    ],
)
def test_a_repeated_signal_hears_the_first_one_s_outcome(
    state: State, status: str, name: str
) -> None:
    """The documented name of the end, final, under the new entry's id; and that one is done."""
    assert state in TERMINAL
    change = outcomes.repeated(replace(INTENT, state=state, status=status), REF, at=AT)
    (event,) = change.events
    assert (event.event, event.final, event.status) == (name, True, status)
    assert (event.stream, event.entry_id) == ("other", "9-9")
    assert (event.reason, event.message, event.filled_qty) == ("R", "words", Decimal(10))
    assert (change.ack, change.insert, change.update) == ((REF,), None, {})


@pytest.mark.parametrize(
    ("state", "status", "name"),
    [
        (State.OPEN, "partially_filled", "partial_fill"),
        (State.OPEN, "new", "new"),
        (State.UNKNOWN, "", "unknown"),
        (State.EXPIRED_UNCONFIRMED, "", "expired_unconfirmed"),
    ],
)
def test_what_is_not_at_its_end_is_not_told_as_final(state: State, status: str, name: str) -> None:
    """final stands on an end only, whoever asks."""
    (event,) = outcomes.repeated(replace(INTENT, state=state, status=status), REF, at=AT).events
    assert (event.event, event.final) == (name, False)


def test_progress_and_row_are_two_forms_of_one_standing() -> None:
    """There and back is the same."""
    progress = outcomes.progress_of(INTENT)
    assert progress == Progress(State.FILLED, "filled", "A", Decimal(10), Decimal("100.5"))
    blank = replace(
        INTENT,
        state=State.SUBMITTING,
        status="",
        alpaca_order_id="",
        filled_qty=Decimal(0),
        filled_avg_price=None,
    )
    assert outcomes.with_progress(blank, progress) == INTENT
    assert blank.state is State.SUBMITTING


def test_an_execution_becomes_a_trade() -> None:
    """With the broker's id, or one made of order and standing, the same however often polled."""
    news = News("partially_filled", "A", Decimal(4), Decimal("100.5"))
    [row] = merge(Progress(State.OPEN, "new", "A"), news).executions
    trade = outcomes.trade_of(INTENT, row, at=AT)
    assert trade.execution_id == "A:4"
    assert (trade.qty, trade.price, trade.cum_qty) == (Decimal(4), Decimal("100.5"), Decimal(4))
    assert (trade.symbol, trade.side, trade.order_id, trade.client_order_id, trade.at) == (
        "NVDA", "buy", "A", "sp-x", AT,
    )  # fmt: skip
    told = news._replace(execution_id="e1", execution_qty=Decimal(4), execution_price=Decimal(101))
    [row] = merge(Progress(State.OPEN, "new", "A"), told).executions
    assert (outcomes.trade_of(INTENT, row, at=AT).execution_id, row.price) == ("e1", Decimal(101))


def test_an_execution_without_a_price_is_a_trade_all_the_same() -> None:
    """The shares moved; the price is recorded as 0 until it is known."""
    step = merge(Progress(State.OPEN, "new", "A"), News("filled", "A", Decimal("1E+1")))
    [trade] = [outcomes.trade_of(INTENT, row, at=AT) for row in step.executions]
    assert (trade.price, trade.execution_id) == (Decimal(0), "A:10")


def test_a_row_gets_its_executions_back() -> None:
    """After a restart: what was booked is known by its ids, and nothing is booked twice."""
    told = News(
        "filled", "A", Decimal(10), Decimal(100), execution_id="e9", execution_qty=Decimal(6)
    )
    step = merge(Progress(State.OPEN, "new", "A"), told)
    trades = [outcomes.trade_of(INTENT, row, at=AT) for row in step.executions]
    again = outcomes.with_trades(outcomes.progress_of(INTENT), trades)
    assert [row.id for row in again.fills.executions] == ["A:4", "e9"]
    assert not merge(again, told).executions


def test_a_row_without_executions_stands_as_it_stood() -> None:
    """Its shares came from a ledger that kept no executions of it."""
    before = outcomes.progress_of(INTENT)
    assert outcomes.with_trades(before, []) is before
