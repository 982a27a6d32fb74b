"""Tests of signal_generator.blocks.desk."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from signal_generator.blocks.desk import OrderDesk, is_given
from signal_generator.blocks.register import OrderRecord, OrderRegister

NOW = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)
GOOD = {"ticker": "AAPL", "quantity": 5, "side": "buy", "order_type": "market"}


class Desk:
    """An order desk with what it published and what failed."""

    def __init__(self, **options: Any) -> None:
        self.blocks: list[Sequence[Any]] = []
        self.failed: list[OrderRecord] = []
        self.register = OrderRegister()
        self.desk = OrderDesk(
            self.register,
            self.publish,
            self.failed.extend,
            label="mine",
            now=lambda: NOW,
            max_age=lambda: 99.6,
            run="run",
            **options,
        )

    def publish(self, signals: Sequence[Any]) -> None:
        """All orders must be known before the first execution can be told."""
        known = {record.signal_id for record in self.register.all()}
        assert known.issuperset(signal["signal_id"] for signal in signals)
        self.blocks.append(signals)


def test_a_block_is_published_at_once_and_in_order() -> None:
    """Each signal with its own identity, the strategy's label and how long it may wait."""
    made = Desk()
    assert made.desk.submit([GOOD, {**GOOD, "ticker": "MSFT"}]) == ["run-1", "run-2"]
    assert made.blocks == [
        [
            {
                "ticker": ticker,
                "direction": "b",
                "order_type": "market",
                "time_in_force": "day",
                "signal_id": f"run-{number}",
                "strategy": "mine",
                "ts": "2026-03-04T15:00:00.000Z",
                "max_age": "100",
                "qty": "5",
            }
            for number, ticker in enumerate(["AAPL", "MSFT"], start=1)
        ]
    ]


def test_a_dict_is_one_order() -> None:
    """As there."""
    made = Desk()
    made.desk.submit(GOOD)
    assert [len(block) for block in made.blocks] == [1]


@pytest.mark.parametrize("payload", [(GOOD, GOOD), iter([GOOD, GOOD])])
def test_any_sequence_is_a_block(payload: Any) -> None:
    """A tuple vanishes there."""
    made = Desk()
    made.desk.submit(payload)
    assert [len(block) for block in made.blocks] == [2]


def test_what_a_generator_yielded_before_it_failed_is_sent() -> None:
    """Each yield is an order; the failure is the caller's to show."""

    def failing() -> Iterator[Any]:
        yield GOOD
        yield "nonsense"
        raise ValueError("my mistake")

    made = Desk()
    with pytest.raises(ValueError, match="my mistake"):
        made.desk.submit(failing())
    assert [[s["signal_id"] for s in block] for block in made.blocks] == [["run-1"]]
    assert [r.signal_id for r in made.failed] == ["run-2"]


def test_a_malformed_order_does_not_take_the_others_with_it() -> None:
    """It keeps its place, is at its end and is told of."""
    made = Desk()
    made.desk.submit([GOOD, {**GOOD, "quantity": -1}, "nonsense", GOOD])
    assert [s["signal_id"] for s in made.blocks[0]] == ["run-1", "run-4"]
    assert [r.signal_id for r in made.failed] == ["run-2", "run-3"]
    assert [r.status for r in made.register.all()] == ["waiting", "error", "error", "waiting"]
    assert (
        made.failed[0].message
        == "quantity: -1 is not greater than 0 and less than 1,000,000,000,000"
    )


class Unspeakable:
    """Raises whatever is asked of it, as objects of a user's own may."""

    def __repr__(self) -> str:
        raise RuntimeError

    def item(self) -> float:
        raise RuntimeError


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({**GOOD, "quantity": np.array([1, 2])}, "it cannot be read: ValueError"),
        ({**GOOD, "quantity": Unspeakable()}, "it cannot be read: RuntimeError"),
        ({**GOOD, "ticker": Unspeakable()}, "ticker: a Unspeakable is not a symbol"),
        (Unspeakable(), "an order is a dict, not a Unspeakable"),
    ],
)
def test_not_even_one_whose_values_raise(wrong: Any, why: str) -> None:
    """An array where a number belongs is a usual slip of pandas' and numpy's users."""
    made = Desk()
    made.desk.submit([GOOD, wrong, GOOD])
    assert [s["signal_id"] for s in made.blocks[0]] == ["run-1", "run-3"]
    assert made.failed[0].message.startswith(why)


def test_what_has_no_truth_value_was_given() -> None:
    """An array of orders is a block; only what is empty or nothing is none."""
    given = [np.array([GOOD, GOOD]), [GOOD], GOOD, [], None, {}]
    assert [is_given(payload) for payload in given] == [True, True, True, False, False, False]


@pytest.mark.parametrize("payload", [True, 5, "AAPL", None])
def test_what_is_no_order_at_all_is_told_of(payload: Any) -> None:
    """And nothing is published."""
    made = Desk()
    made.desk.submit(payload)
    assert made.blocks == []
    assert "an order is a dict" in made.failed[0].message


def test_signals_are_signed_where_there_is_a_key() -> None:
    """As the last thing that happens to them."""
    made = Desk(sign=lambda fields: {**fields, "sig": "s"})
    made.desk.submit(GOOD)
    assert made.blocks[0][0]["sig"] == "s"


def test_a_fork_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would give its orders the identities of the run's next ones."""
    made = Desk()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RuntimeError, match="the process that called run_trading"):
            made.desk.submit(GOOD)
    assert (made.blocks, made.register.all()) == ([], [])
    assert made.desk.submit(GOOD) == ["run-1"]


def test_two_runs_never_share_an_identity() -> None:
    """Each has a UUID."""
    ids = set()
    for _ in range(2):
        desk = OrderDesk(
            OrderRegister(),
            lambda _: None,
            lambda _: None,
            label="mine",
            now=lambda: NOW,
            max_age=lambda: 1,
        )
        ids.update(desk.submit([GOOD, GOOD]))
    assert len(ids) == 4
