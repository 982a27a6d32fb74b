"""The locks hold what they promise, and a check that notices when one does not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.scripts import script

check_locks = script("check_locks")
HASH = f"--hash=sha256:{'a1' * 32}"
GOOD = f"# a comment\nredis[hiredis]==6.4.0 ; python_version < '4' \\\n    {HASH} \\\n    {HASH}\n"


def test_our_locks_are_as_they_should_be() -> None:
    """Every version pinned, hashed, without an address, and within pyproject's ranges."""
    assert check_locks.problems() == []


def test_a_good_lock_has_no_problem() -> None:
    """Continued lines, extras and markers are read."""
    assert list(check_locks.problems_of_lock("x.txt", GOOD)) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("redis==6.4.0", "redis has no sha256 hash"),
        (f"redis>=6 {HASH}", "redis is not pinned"),
        (f"redis {HASH}", "redis is not pinned"),
        (f"redis==6.4.0 {HASH} --hash=md5:00", "or another kind"),
        (f"redis @ https://example.com/redis.whl {HASH}", "names an index or an address"),
        ("--index-url https://example.com/simple", "names an index or an address"),
        ("--extra-index-url example", "names an index or an address"),
        ("-i example", "names an index or an address"),
        ("--find-links /wheels", "names an index or an address"),
        ("--trusted-host example.com", "names an index or an address"),
        ("# from https://example.com/simple", "names an index or an address"),
        ("!!! 1", "is no requirement"),
    ],
)
def test_a_bad_line_is_named(line: str, problem: str) -> None:
    """With the lock it stands in."""
    found = list(check_locks.problems_of_lock("x.txt", f"{GOOD}{line}\n"))
    assert any(problem in text for text in found), found
    assert all(text.startswith("x.txt") for text in found)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("redis[hiredis]>=6.2,<9", []),
        ("Redis>=7", ["x: Redis==6.4.0 is not >=7"]),
        ("other", ["x: other is missing; run scripts/lock"]),
    ],
)
def test_a_lock_is_compared_with_the_ranges(asked: str, problem: list[str]) -> None:
    """Names are compared as the index does."""
    requirements = map(check_locks.Requirement, [asked])
    assert list(check_locks.problems_of_ranges("x", GOOD, requirements)) == problem


def test_extras_within_extras_are_resolved() -> None:
    """dev asks for the project with other extras."""
    project = {
        "name": "Our_Own",
        "dependencies": ["a>1"],
        "optional-dependencies": {"dev": ["our-own[x]", "b"], "x": ["c<2"]},
    }
    assert [str(one) for one in check_locks.wanted(project, ["dev"])] == ["a>1", "c<2", "b"]


def test_a_package_of_npm_needs_its_hash_and_no_address() -> None:
    """The root itself and links have none."""
    text = '{"packages": {"": {}, "a": {"integrity": "x"}, "b": {"resolved": "https://h"}}}'
    found = list(check_locks.problems_of_npm("lock", text))
    assert [line.split(": ")[1] for line in found] == ["b has no integrity", "b names an address"]


@pytest.mark.parametrize(("content", "code"), [(GOOD, 0), ("redis==6.4.0\n", 1)])
def test_the_program_says_what_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
    code: int,
) -> None:
    """One line per problem, and the exit code."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/other.txt").write_text(content)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\ndependencies = []\n')
    problems: Callable[[Path], list[str]] = check_locks.problems
    monkeypatch.setattr(check_locks, "problems", lambda: problems(tmp_path))
    assert check_locks.main() == code
    assert len(capsys.readouterr().out.splitlines()) == code
