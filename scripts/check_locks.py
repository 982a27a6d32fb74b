#!/usr/bin/env python3
"""Holds requirements/*.txt to what they promise: one version each, hashes, no address, in range.

Asks nobody. That a hash is right is for pip to find out when it installs; that it is there, and
that nobody can slip in another index, is found here.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

EXTRAS = {
    "service": ("postgres", "strategies"),
    "run": ("embedded", "strategies"),
    "dev": ("dev",),
}
"""Lock to the extras of pyproject.toml that it must hold besides the dependencies."""

NPM = ("tests/contract/sdk/js/package-lock.json", "examples/publish/node/package-lock.json")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_ADDRESS = re.compile(
    r"(?i)\b[a-z][a-z+]*://|(?:^|\s)-(?:i|f)\s|--(?:[a-z-]*index|find-links|trusted)"
)


def entries(text: str) -> Iterator[str]:
    """The logical lines of a lock, without comments."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def problems_of_lock(name: str, text: str) -> Iterator[str]:
    """What is wrong with the lock by itself."""
    for number, line in enumerate(text.splitlines(), 1):
        if _ADDRESS.search(line):
            yield f"{name}:{number}: names an index or an address"
    for entry in entries(text):
        stated = entry.split(" --hash", 1)[0]
        try:
            requirement = Requirement(stated)
        except InvalidRequirement:
            yield f"{name}: {stated[:60]} is no requirement"
            continue
        if requirement.url or [one.operator for one in requirement.specifier] != ["=="]:
            yield f"{name}: {requirement.name} is not pinned to one version"
        if not _HASH.search(entry) or _HASH.sub("", entry).count("--hash"):
            yield f"{name}: {requirement.name} has no sha256 hash, or another kind"


def locked(text: str) -> dict[str, list[Version]]:
    """The versions of each package in a lock; more than one where markers part them."""
    found: dict[str, list[Version]] = {}
    for entry in entries(text):
        requirement = Requirement(entry.split(" --hash", 1)[0])
        version = Version(next(iter(requirement.specifier)).version)
        found.setdefault(canonicalize_name(requirement.name), []).append(version)
    return found


def wanted(project: dict[str, Any], extras: Sequence[str]) -> Iterator[Requirement]:
    """What pyproject.toml asks for, extras of the project within extras resolved."""
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    for text in asked:
        requirement = Requirement(text)
        if canonicalize_name(requirement.name) == canonicalize_name(project["name"]):
            yield from wanted({**project, "dependencies": []}, sorted(requirement.extras))
        else:
            yield requirement


def problems_of_ranges(name: str, text: str, asked: Iterator[Requirement]) -> Iterator[str]:
    """Where the lock does not hold what pyproject.toml asks for."""
    versions = locked(text)
    for requirement in asked:
        found = versions.get(canonicalize_name(requirement.name), [])
        if not found:
            yield f"{name}: {requirement.name} is missing; run scripts/lock"
        for version in found:
            if not requirement.specifier.contains(version, prereleases=True):
                yield f"{name}: {requirement.name}=={version} is not {requirement.specifier}"


def problems_of_npm(lock: str, text: str) -> Iterator[str]:
    """Every package has its hash, and none the address of a registry."""
    for name, package in json.loads(text)["packages"].items():
        if name and not package.get("link") and not package.get("integrity"):
            yield f"{lock}: {name} has no integrity"
        if "resolved" in package:
            yield f"{lock}: {name} names an address"


def problems(root: Path = ROOT) -> list[str]:
    """Everything that is wrong with any lock."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: list[str] = []
    for path in sorted((root / "requirements").glob("*.txt")):
        name, text = f"requirements/{path.name}", path.read_text(encoding="utf-8")
        own = list(problems_of_lock(name, text))
        found += own
        if path.stem in EXTRAS and not own:
            found += problems_of_ranges(name, text, wanted(project, EXTRAS[path.stem]))
    for lock in NPM:
        if (root / lock).is_file():
            found += problems_of_npm(lock, (root / lock).read_text(encoding="utf-8"))
    return found


def main() -> int:
    """0: the locks are as they should be."""
    found = problems()
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
