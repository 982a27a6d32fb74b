#!/usr/bin/env python3
"""Looks for secrets that do not belong into a repository: in the tree, or in all of its history.

    scripts/scan_secrets.py             every file of the working copy that git would take
    scripts/scan_secrets.py --history   every version of every file that any commit holds

Asks nobody and needs nothing but git. What it finds it names by place and kind, and shows only the
beginning of it. What is allowed stands in ALLOWED, each with its reason.
"""

import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

LARGEST = 4_000_000
"""Bytes; nobody keeps a key in a larger file."""

PATTERNS: dict[str, re.Pattern[str]] = {
    # Alpaca: PK (paper), AK (live) and CK (broker), then capitals and digits.
    "Alpaca key id": re.compile(r"\b((?:PK|AK|CK)(?=[A-Z]*\d)[A-Z0-9]{16,24})\b"),
    "AWS key id": re.compile(r"\b((?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16})\b"),
    "private key": re.compile(r"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)"),
    "GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "package registry token": re.compile(r"\b(pypi-[A-Za-z0-9_-]{50,}|npm_[A-Za-z0-9]{36})\b"),
    "chat token": re.compile(r"\b(xox[abprs]-[A-Za-z0-9-]{20,}|\d{8,10}:AA[A-Za-z0-9_-]{33})\b"),
    "Google key": re.compile(r"\b(AIza[0-9A-Za-z_-]{35})\b"),
    "JSON web token": re.compile(r"\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[\w-]{10,})"),
    "password in a URL": re.compile(
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'`{}<>]*:([^\s/@\"'`{}<>$*…]{8,})@[\w\[]"
    ),
    # NAME = VALUE, NAME: VALUE and "NAME": "VALUE" where the name says that it is one.
    "high-entropy value": re.compile(
        r"(?i)(?:secret|token|passw(?:or)?d|passphrase|api_?key|(?:private|access|hmac)_?keys?)"
        r"[a-z0-9_]{0,24}[\"']?\s{0,3}(?::|=|=>)\s{0,3}[\"']?(?:[\w-]{1,20}:)?"
        r"([A-Za-z0-9/+_=-]{20,})"
    ),
}
"""Kind to what finds it; the first group is the secret."""

LEAST_ENTROPY = 3.6
"""Bits per character. Forty random letters and digits have 4.6, words with dashes about 3.4."""


class Allowed(NamedTuple):
    """Something that looks like a secret and is none."""

    path: str
    """A regular expression for the whole path."""
    value: str
    """One for the whole value."""
    reason: str


ALLOWED = (
    Allowed(r".*", r"(?i).*canary.*", "made to be searched for by a test"),
    Allowed(
        r".*", r"(?i).*(?:012345|123456|abcdef0).*", "counted, not drawn: an example or a test"
    ),
    Allowed(
        r".*", r"PASSWORD|(?i:change[-_]?(?:me|this|it).*)", "stands for what a user puts there"
    ),
    Allowed(r"tests/.*", r".{8,15}", "passwords in URLs of servers that there are not"),
    Allowed(
        r"tests/contract/openapi/.*\.yaml",
        r".*",
        "Alpaca's published documents, page tokens in their examples",
    ),
    Allowed(r"tests/unit/test_scan_secrets\.py", r".*", "plants what the scanner must find"),
)


class Finding(NamedTuple):
    """One secret, perhaps."""

    path: str
    line: int
    kind: str
    value: str

    def __str__(self) -> str:
        shown = f"{self.value[:4]}… ({len(self.value)} characters)"
        return f"{self.path}:{self.line}: {self.kind}: {shown}"


def entropy(text: str) -> float:
    """Shannon's, in bits per character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


def scan(path: str, text: str, allowed: Sequence[Allowed] = ALLOWED) -> Iterator[Finding]:
    """Every finding in a text that is not allowed there."""
    for number, line in enumerate(text.splitlines(), 1):
        for kind, pattern in PATTERNS.items():
            for match in pattern.finditer(line):
                value = match[1]
                if kind == "high-entropy value" and not _looks_random(value):
                    continue
                if not any(_is_allowed(one, path, value) for one in allowed):
                    yield Finding(path, number, kind, value)


def _looks_random(value: str) -> bool:
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and entropy(value) >= LEAST_ENTROPY


def _is_allowed(allowed: Allowed, path: str, value: str) -> bool:
    return bool(re.fullmatch(allowed.path, path) and re.fullmatch(allowed.value, value, re.DOTALL))


def tree(root: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of what is tracked, and of what is not and is not ignored either."""
    names = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, names.decode("utf-8", "surrogateescape").split("\0")):
        path = root / name
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST:
            yield name, path.read_bytes()


def history(root: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file that any commit of any branch holds, each content once."""
    listed = _git(root, "rev-list", "--objects", "--all").decode("utf-8", "surrogateescape")
    named = dict(line.split(" ", 1) for line in listed.splitlines() if " " in line)
    asked = "".join(f"{name}\n" for name in named).encode()
    data = memoryview(_git(root, "cat-file", "--batch", put=asked))
    at = 0
    while at < len(data):
        end = at + bytes(data[at : at + 200]).index(b"\n")
        name, kind, size = bytes(data[at:end]).decode().split(" ")
        at = end + 1 + int(size) + 1
        if kind == "blob" and int(size) <= LARGEST:
            yield named[name], bytes(data[end + 1 : at - 1])


def findings(files: Iterable[tuple[str, bytes]]) -> list[Finding]:
    """All of them; what is not text is left out."""
    found: list[Finding] = []
    for path, content in files:
        if b"\0" not in content[:8_000]:
            found += scan(path, content.decode("utf-8", "replace"))
    return sorted(set(found))


def _git(root: Path, *words: str, put: bytes | None = None) -> bytes:
    done = subprocess.run(["git", *words], cwd=root, input=put, capture_output=True, check=True)
    return done.stdout


def main(argv: Sequence[str], root: Path = ROOT) -> int:
    """0: nothing found; 1: something; 2: not looked at."""
    try:
        found = findings(history(root) if "--history" in argv else tree(root))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"NOT SCANNED for secrets: git does not tell what belongs to the tree ({error})")
        return 2
    for one in found:
        print(one)
    if found:
        print(
            "if one is real: first revoke it where it was issued; see docs/explanation/security.md"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
