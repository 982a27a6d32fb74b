"""Mutates the modules that must be right, runs their tests on each mutant, and counts.

Run by ``scripts/mutate``, in an environment that has cosmic-ray. A copy of the tree is mutated, one
for each module, so that nothing of this one changes, whatever ends the run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db

ROOT = Path(__file__).resolve().parent.parent
WANTED = 90.0
"""Per cent of a module's mutants that must be noticed."""
AT_ONCE = 2
ONE_MUTANT = 60.0
"""Seconds for the tests of one mutant; the slowest take some 3 without one, on an idle machine."""
UNIT = "tests/unit/solution"
TESTS = {
    # Longest first: two are under way at any time.
    "solution/domain/order_state.py": ("domain/test_order_state.py", "domain/test_fills.py"),
    "solution/trading/recovery.py": (
        "trading/test_recovery.py",
        "trading/test_orphans.py",
        "trading/test_legs.py",
    ),
    "solution/trading/submit.py": ("trading/test_submit.py", "trading/test_order_safety.py"),
}
"""Module → the tests that must notice its mutants."""
LEFT_OUT = (
    # Only annotations of these modules hold a "|" ("Lane | None"): no mutant could be imported.
    "core/ReplaceBinaryOperator_BitOr_.*",
    # Of an "is", only its opposite: "<" beside None raises whatever the tests look at, and "==" is
    # the same for None and for members of an enumeration. The same for "==" turned into "is".
    "core/ReplaceComparisonOperator_Is(Not)?_(Eq|NotEq|Lt|LtE|Gt|GtE)",
    "core/ReplaceComparisonOperator_(Eq_Is|Eq_IsNot|NotEq_Is|NotEq_IsNot)",
)
"""Kinds of mutants that say nothing about the tests, as regular expressions."""
PYTEST = "-x -q --assert=plain -p no:cacheprovider -p scripts.mutation_plugin"
"""Plain asserts: rewriting those of the tests again for each mutant would double the time."""
NEEDED = (
    "solution",
    "signal_generator",
    "paper_exchange",
    "torture",
    "tests",
    "scripts",
    "pyproject.toml",
)


@dataclass(frozen=True)
class Result:
    """What became of one module's mutants; ``survivors`` are differences to read."""

    module: str
    killed: int
    timeouts: int
    survivors: tuple[str, ...]
    untried: int

    @property
    def noticed(self) -> float:
        """In per cent; a mutant that was not tried counts as one that survived."""
        found = self.killed + self.timeouts
        total = found + len(self.survivors) + self.untried
        return 100.0 * found / total if total else 0.0


def mutate(module: str, python: Path, work: Path, deadline: float) -> Result:
    """Try every mutant of one module in a copy of the tree."""
    tree = work / Path(module).stem
    _copy(tree, module, python)
    config, session = tree / "mutation.toml", tree / "session.sqlite"
    config.write_text(_config(module, python), encoding="utf-8")
    _tool(tree, "cosmic-ray", "init", config.name, session.name)
    _tool(tree, "cr-filter-operators", session.name, config.name)
    _tool(tree, "cosmic-ray", "baseline", config.name)
    _exec(tree, config.name, session.name, deadline)
    return _count(module, session)


def _copy(tree: Path, module: str, python: Path) -> None:
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy2(source, tree / name)
    # Byte code of all but the mutated module: a stale one could be taken for it, since a mutant
    # may have the size and, within a second, the time of the one before.
    command = [python, "-m", "compileall", "-q", "solution", "tests", "torture", "scripts"]
    subprocess.run(command, cwd=tree, check=True)
    stale = (tree / module).parent / "__pycache__"
    for path in stale.glob(f"{Path(module).stem}.*"):
        path.unlink()


def _config(module: str, python: Path) -> str:
    tests = " ".join(f"{UNIT}/{name}" for name in TESTS[module])
    left_out = ", ".join(f"'{each}'" for each in LEFT_OUT)
    return f"""\
[cosmic-ray]
module-path = "{module}"
timeout = {ONE_MUTANT}
excluded-modules = []
test-command = "'{python}' -m pytest {PYTEST} {tests}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [{left_out}]
"""


def _tool(tree: Path, name: str, *arguments: str) -> None:
    command = [Path(sys.executable).parent / name, *arguments]
    done = subprocess.run(
        command, cwd=tree, env=_env(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"error: {name} {' '.join(arguments)}: {done.stdout}{done.stderr}")


def _exec(tree: Path, config: str, session: str, deadline: float) -> None:
    """Run the session to its end, or to the deadline."""
    command = [Path(sys.executable).parent / "cosmic-ray", "exec", config, session]
    process = subprocess.Popen(command, cwd=tree, env=_env())
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            process.kill()  # the tests that it started end by themselves, by pytest's own timeout
            process.wait()


def _env() -> dict[str, str]:
    # The path of this file's environment must not reach the tests' python.
    kept = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_STORAGE_DIRECTORY": ".hypothesis"}


def _count(module: str, session: Path) -> Result:
    killed = timeouts = tried = 0
    survivors: list[str] = []
    with use_db(session, WorkDB.Mode.open) as db:
        total = db.num_work_items
        for _, result in db.results:
            tried += 1
            if result.worker_outcome.value in {"skipped", "no-test"}:
                total -= 1
                tried -= 1
            elif result.output == "timeout":
                timeouts += 1
            elif result.is_killed:
                killed += 1
            else:
                survivors.append(str(result.diff))
    return Result(module, killed, timeouts, tuple(survivors), total - tried)


def _show(results: list[Result]) -> None:
    for result in results:
        for diff in result.survivors:
            lines = [line for line in diff.splitlines() if line.startswith(("@@", "-", "+"))]
            print(f"survived in {result.module}:", *lines[2:], sep="\n  ")
    print(
        f"\n{'module':34}{'killed':>8}{'timeout':>9}{'survived':>10}{'not tried':>11}{'noticed':>9}"
    )
    for r in results:
        print(
            f"{r.module:34}{r.killed:8}{r.timeouts:9}{len(r.survivors):10}{r.untried:11}"
            f"{r.noticed:8.1f}%"
        )


def main() -> int:
    """Exit code 1 when a module stays below what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as submit; all by default")
    parser.add_argument("--python", type=Path, required=True, help="the one that has our packages")
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    modules = [m for m in TESTS if not options.modules or Path(m).stem in options.modules]
    if not modules:
        parser.error(f"no module of {', '.join(Path(m).stem for m in TESTS)}")
    deadline = time.monotonic() + options.minutes * 60
    python = options.python.absolute()
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(mutate, m, python, Path(work), deadline) for m in modules]
        results = [job.result() for job in jobs]
    _show(results)
    return 0 if all(r.noticed >= WANTED for r in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
