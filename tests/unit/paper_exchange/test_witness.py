"""The record of requests: complete, small in memory, read in pieces."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from paper_exchange.witness import Witness


@pytest.fixture
def witness() -> Iterator[Witness]:
    """An empty record."""
    made = Witness()
    yield made
    made.close()


def note(witness: Witness, *numbers: int, **more: Any) -> None:
    """One request per number, arriving at that second."""
    for n in numbers:
        witness.note(
            arrived=n / 8, at_ns=n, key_id=f"k{n % 3}", method="POST", path="/v2/orders",
            status=200, client_order_id=f"ü{n}" if n % 2 else None, **more,
        )  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 1000])
def test_nothing_is_forgotten(witness: Witness, count: int) -> None:
    """Every request is there, in order, with all that was noted."""
    note(witness, *range(count))
    entries = list(witness.since(0, 10_000))
    assert witness.count == len(entries) == count
    assert [one.index for one in entries] == list(range(count))
    assert all(one.arrived == one.index / 8 and one.at_ns == one.index for one in entries)
    assert [one.client_order_id for one in entries[:4]] == [None, "ü1", None, "ü3"][:count]


@pytest.mark.parametrize(
    ("since", "limit", "indexes"),
    [
        (0, 2, [0, 1]),
        (127, 3, [127, 128, 129]),
        (298, 9, [298, 299]),
        (255, 1, [255]),
        (300, 5, []),
        (9999, 1, []),
    ],
)
def test_pieces(witness: Witness, since: int, limit: int, indexes: list[int]) -> None:
    """A piece may begin and end anywhere, also across blocks and behind the end."""
    note(witness, *range(300))
    assert [one.index for one in witness.since(since, limit)] == indexes


def test_reading_does_not_disturb_writing(witness: Witness) -> None:
    """What is noted after a look is found as well."""
    note(witness, *range(200))
    assert len(list(witness.since(0, 150))) == 150
    note(witness, *range(200, 600))
    assert [one.at_ns for one in witness.since(0, 600)] == list(range(600))


def test_outcome(witness: Witness) -> None:
    """Answered, unless a fault says otherwise; both are shown."""
    note(witness, 1)
    note(witness, 2, outcome="reset_before")
    assert [one.render()["outcome"] for one in witness.since(0, 9)] == ["answered", "reset_before"]


def test_a_full_disk_costs_a_block_and_no_answer(
    witness: Witness, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost requests are missing, the others keep their places."""
    note(witness, *range(128))

    class Full:
        def seek(self, place: int) -> None:
            pass

        def write(self, block: bytes) -> int:
            return len(block) // 2

    with caplog.at_level(logging.ERROR), monkeypatch.context() as patch:
        patch.setattr(witness, "_spool", Full())
        note(witness, *range(128, 256))
    assert "witness_not_written" in caplog.text
    note(witness, *range(256, 400))
    found = [one.index for one in witness.since(0, 1000)]
    assert found == [*range(128), *range(256, 400)]
    assert witness.count == 400
