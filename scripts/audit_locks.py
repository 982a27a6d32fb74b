"""What scripts/audit does once pip-audit is there: ask, and tell an answer from silence.

pip-audit ends with 0 also where the service knows none of the packages, as a mirror of the index
does that has no vulnerabilities to tell: such an answer is none.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SERVICES = ("pypi", "osv")
"""Asked one after the other, until one has answered about everything."""
WITHIN = 300.0
"""Seconds for one lock at one service; silence is no answer either."""

CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 3


class Answer(NamedTuple):
    """What one service said of one lock."""

    asked: int
    vulnerable: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return self.asked > 0 and not self.unknown


NOTHING = Answer(0, (), ())
Ask = Callable[[str, Path], Answer]


def read(document: str) -> Answer:
    """pip-audit's JSON."""
    try:
        packages = json.loads(document)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return NOTHING
    bad = tuple(
        f"{one['name']} {one['version']}: {known['id']}, mended in "
        f"{', '.join(known.get('fix_versions') or ()) or 'no version yet'}"
        for one in packages
        for known in one.get("vulns") or ()
    )
    return Answer(len(packages), bad, tuple(o["name"] for o in packages if "skip_reason" in o))


def ask(service: str, lock: Path) -> Answer:
    """Run pip-audit; it neither installs nor resolves anything."""
    words = ["-m", "pip_audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    words += ["--format", "json", "--vulnerability-service", service, "--requirement", str(lock)]
    try:
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, timeout=WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        return NOTHING
    return read(done.stdout)


def audit(locks: Iterable[Path], ask: Ask) -> int:
    """Ask about each lock, say what was found, and return the exit code."""
    codes = {CLEAN}
    for lock in locks:
        answers = []
        for service in SERVICES:
            answers.append(ask(service, lock))
            if answers[-1].complete:
                break
        best = max(answers, key=lambda one: one.asked - len(one.unknown))
        for line in best.vulnerable:
            print(f"VULNERABLE: {lock.name}: {line}")
        if best.vulnerable:
            codes.add(VULNERABLE)
        if best.complete:
            print(
                f"{lock.name}: {best.asked} packages, {len(best.vulnerable)} known vulnerabilities"
            )
        else:
            codes.add(NOT_AUDITED)
            missing = f"{len(best.unknown)} of {best.asked} packages" if best.asked else "anything"
            print(f"NOT AUDITED: {lock.name}: no service ({', '.join(SERVICES)}) told of {missing}")
    return VULNERABLE if VULNERABLE in codes else max(codes)


def main(names: Sequence[str]) -> int:
    """The locks named, or all of them but the tools that scripts run apart."""
    chosen = names or ("service", "run", "dev")
    return audit((ROOT / f"requirements/{name}.txt" for name in chosen), ask)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
