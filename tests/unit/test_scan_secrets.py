"""The scanner finds what is planted, in the tree and in what was deleted, and nothing in ours."""

import random
import string
import subprocess
from pathlib import Path

import pytest

from tests.helpers.scripts import ROOT, script

scan_secrets = script("scan_secrets")
DRAWN = random.Random(7)


def drawn(length: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Random, so that no scanner finds one in this very file; always the same."""
    return "".join(DRAWN.choices(letters, k=length))


CAPITALS = string.ascii_uppercase + string.digits
PLANTED = {
    "Alpaca key id": f"ALPACA_API_KEY={'PK'}7{drawn(17, CAPITALS)}",
    "AWS key id": f"aws_id = '{'AKIA'}{drawn(16, CAPITALS)}'",
    "private key": f"-----BEGIN {'RSA '}PRIVATE KEY-----",
    "GitHub token": f"{'ghp'}_{drawn(36)}",
    "package registry token": f"password: {'pypi'}-{drawn(60)}",
    "chat token": f"{'xoxb'}-{drawn(24)}",
    "Google key": f"{'AIza'}{drawn(35)}",
    "JSON web token": f"Bearer {'eyJ'}{drawn(20)}.{'eyJ'}{drawn(30)}.{drawn(30)}",
    "password in a URL": f"REDIS_URL=rediss://trader:{drawn(24)}@redis.example.com:6379/0",
    "high-entropy value": f'"secret_key": "{drawn(40)}"',
}
HARMLESS = (
    "ALPACA_API_KEY=",
    "ALPACA_SECRET_KEY=your-secret-key-goes-here-please",
    "ALPACA_API_KEY=PKLOCALEXCHANGE",
    "secret_key = settings.broker.secret.reveal()",
    "REDIS_URL=redis://USER:PASSWORD@HOST:6379/0",
    'url = f"redis://:{password}@{host}/0"',
    "REDIS_URL=redis://:${REDIS_PASSWORD}@redis:6379/0",
    "    --hash=sha256:83490def1f723413db5096591f7609ac52544805be93849170088ed04f5a2e0b",
    "SIGNAL_HMAC_KEYS=k1:change-me-change-me-change-me-1",
)


@pytest.mark.parametrize("kind", scan_secrets.PATTERNS)
def test_a_planted_secret_is_found(kind: str) -> None:
    """Each kind has an example, which is named by its place and never repeated."""
    [*_, found] = [
        f for f in scan_secrets.scan("a/b.env", f"x\n{PLANTED[kind]}\n") if f.kind == kind
    ]
    assert str(found).startswith(f"a/b.env:2: {kind}: ")
    assert found.value in PLANTED[kind]
    assert found.value not in str(found)


@pytest.mark.parametrize("line", HARMLESS)
def test_what_is_none_is_not_found(line: str) -> None:
    """Or nobody would read the list."""
    assert list(scan_secrets.scan("docs/a.md", line)) == []


def test_an_exception_holds_for_its_path_and_value_alone() -> None:
    """What is allowed in a test is not allowed elsewhere."""
    allowed = [scan_secrets.Allowed(r"tests/.*", r"AKIA.*", "a reason")]
    line = PLANTED["AWS key id"]
    assert list(scan_secrets.scan("tests/a.py", line, allowed)) == []
    assert list(scan_secrets.scan("solution/a.py", line, allowed)) != []
    assert list(scan_secrets.scan("tests/a.py", PLANTED["Google key"], allowed)) != []


def test_every_exception_says_why() -> None:
    """A reason of at least a few words."""
    assert all(len(one.reason.split()) >= 4 for one in scan_secrets.ALLOWED)


def git(folder: Path, *words: str) -> None:
    ours = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *ours, *words], cwd=folder, check=True, capture_output=True)


def test_what_was_deleted_is_still_in_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Deleting takes nothing back; ignored files are nobody's business, new ones are."""
    git(tmp_path, "init", "-q")
    (tmp_path / "a b.env").write_text(PLANTED["Alpaca key id"])
    (tmp_path / "picture").write_bytes(b"\0" + PLANTED["Google key"].encode())
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "a b.env").unlink()
    (tmp_path / ".gitignore").write_text("ignored\n")
    (tmp_path / "ignored").write_text(PLANTED["private key"])
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "second")
    assert scan_secrets.main([], tmp_path) == 0
    assert scan_secrets.main(["--history"], tmp_path) == 1
    assert "a b.env:1: Alpaca key id" in capsys.readouterr().out
    (tmp_path / "new").write_text(PLANTED["private key"])
    assert scan_secrets.main([], tmp_path) == 1


def test_without_git_it_says_that_nothing_was_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence would look like a clean tree."""
    assert scan_secrets.main([], tmp_path) == 2
    assert "NOT SCANNED" in capsys.readouterr().out


def test_our_own_tree_holds_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Where it is a checkout; a copy without .git cannot be told from its leftovers."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    assert scan_secrets.main([]) == 0, capsys.readouterr().out
