"""What producers and brokers wrote is listed as characters: one row a line, no commands."""

import json

import pytest

from solution.domain.records import Change, DeadLetter, Note, State
from solution.ledger.sqlite import SqliteLedger
from tests.helpers.hostile import HOSTILE
from tests.helpers.ledger_rows import AT, make_intent
from tests.unit.solution.commands.conftest import Shell

LONG = "\x1b[2J" * 100_000


TEXTS = (*HOSTILE, LONG)


@pytest.fixture(params=TEXTS, ids=lambda text: f"text-{TEXTS.index(text)}")
def hostile(request: pytest.FixtureRequest) -> str:
    """Each text of the corpus, and a very long one."""
    text: str = request.param
    return text


@pytest.fixture
def told(shell: Shell, ledger: SqliteLedger, hostile: str) -> Shell:
    """A ledger with the text in everything that others write."""
    intent = make_intent(
        1,
        state=State.REJECTED,
        symbol=hostile[:40],
        signal_id=hostile[:128],
        strategy=hostile,
        reason=hostile[:60],
        message=hostile,
        status=hostile,
        alpaca_order_id=hostile,
        extra=(("x_note", hostile), (f"x_{hostile}", "1")),
        body=hostile.encode(),
    )
    raw = hostile.encode()
    letter = DeadLetter(
        stream="nvda",
        entry_id="9-9",
        reason="INVALID_VALUE",
        message=hostile,
        at=AT,
        fields=((raw, raw), (b"a", b"b")),
    )
    note = Note(client_order_id="sp-test-1", at_ms=1, kind="refused", detail=hostile)
    ledger.apply([Change(insert=intent, notes=(note,)), Change(dead_letter=letter)])
    return shell


@pytest.mark.parametrize(
    ("words", "lines"),
    [("orders", 2), ("dead-letters", 2), ("dead-letters show 9-9", 4)],
)
def test_a_table_has_as_many_lines_as_rows(told: Shell, words: str, lines: int) -> None:
    """And none is endless."""
    shown = told.run(*words.split()).stdout.splitlines()
    assert len(shown) == lines
    assert all(line.isprintable() for line in shown)
    assert max(map(len, shown)) < 20_000


@pytest.mark.parametrize("key", ["sp-test-1", "9-9"])
def test_a_story_is_printable(told: Shell, key: str) -> None:
    """Request, refusal, producer's fields."""
    result = told.run("why", key)
    assert result.exit_code == 0
    assert all(line.isprintable() for line in result.output.splitlines())
    assert "CRITICAL forged" not in [line[11:26] for line in result.output.splitlines()]


@pytest.mark.parametrize("words", ["orders", "dead-letters", "why sp-test-1", "why 9-9"])
def test_json_is_one_printable_line_with_all_of_it(told: Shell, words: str, hostile: str) -> None:
    """A program reads back what was written."""
    out = told.run(*words.split(), "--json").stdout
    assert out.removesuffix("\n").isprintable()
    assert json.dumps(hostile) in json.dumps(json.loads(out))


def test_an_error_that_quotes_it_is_one_line(shell: Shell, ledger: SqliteLedger) -> None:
    """What is asked for is repeated, as characters."""
    for text in HOSTILE:
        result = shell.run("why", f"x{text}".replace("\0", ""))
        assert result.stderr.removesuffix("\n").isprintable()
