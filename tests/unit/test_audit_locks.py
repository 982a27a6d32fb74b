"""An audit that nobody answered is no clean audit."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.scripts import ROOT, script

audit_locks = script("audit_locks")
CLEAN = {"name": "redis", "version": "6.4.0", "vulns": []}
BAD = {
    "name": "requests",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2"}],
}
SKIPPED = {"name": "uvloop", "skip_reason": "not found"}


def answer(*packages: dict[str, Any]) -> Any:
    """What pip-audit would print, read."""
    return audit_locks.read(json.dumps({"dependencies": packages}))


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([answer(CLEAN)], 0, "x.txt: 1 packages, 0 known vulnerabilities"),
        ([answer(BAD, CLEAN)], 1, "VULNERABLE: x.txt: requests 2.0: PYSEC-1, mended in 2.1"),
        ([answer(BAD)], 1, "PYSEC-2, mended in no version yet"),
        ([answer(SKIPPED), answer(CLEAN)], 0, "0 known vulnerabilities"),
        (
            [answer(SKIPPED, CLEAN), audit_locks.NOTHING],
            3,
            "NOT AUDITED: x.txt: .* 1 of 2 packages",
        ),
        ([audit_locks.NOTHING] * 2, 3, "NOT AUDITED: .*told of anything"),
        ([answer(SKIPPED, BAD), audit_locks.NOTHING], 1, "VULNERABLE"),
        ([answer()] * 2, 3, "NOT AUDITED"),
    ],
)
def test_the_exit_code_tells_clean_from_unasked(
    answers: Sequence[Any], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A known vulnerability counts most, and silence is never 0."""
    waiting = list(answers)
    assert audit_locks.audit([Path("x.txt")], lambda _service, _lock: waiting.pop(0)) == code
    assert waiting == []
    said = capsys.readouterr().out
    assert re.search(words, said)


@pytest.mark.parametrize("document", ["", "<html>", "[]", '{"a": 1}', "null"])
def test_what_is_no_answer_says_nothing(document: str) -> None:
    """pip-audit that crashed prints no JSON."""
    assert audit_locks.read(document) == audit_locks.NOTHING


def test_the_audit_is_no_part_of_the_tests() -> None:
    """They must pass without a network; CI runs it apart."""
    for name in ("scripts/test", "scripts/check"):
        assert "audit" not in (ROOT / name).read_text()
