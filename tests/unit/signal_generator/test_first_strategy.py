"""The tutorial shows the example's strategy, and what it says about the bundled day."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
TUTORIAL = ROOT / "docs/tutorial/first-strategy.md"
EXAMPLE = ROOT / "examples/strategy/breakout.py"


def members(source: str) -> dict[str, str]:
    """What a class of that source consists of, by the names it binds, as code without comments."""
    [found] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return {ast.unparse(node).partition("(")[0]: ast.unparse(node) for node in found.body}


def test_the_tutorial_shows_the_example() -> None:
    """Its two pieces together are the file, member by member."""
    pieces = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    shown = members(pieces[0]) | members(pieces[1])
    assert shown == members(EXAMPLE.read_text())


def test_the_recorded_day_gives_what_the_tutorial_shows() -> None:
    """As many bars and signals, and a signal for a buy and one for a sale."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "signal_generator", "run", f"{EXAMPLE}:Breakout"),
            *("--bars", str(ROOT / "examples/bars/day.csv")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    [summary] = re.findall(r"^Breakout: .*$", TUTORIAL.read_text(), re.MULTILINE)
    assert summary in (done.stdout + done.stderr).splitlines()
    published = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(published) == int(summary.split()[-2])
    assert {'"direction": "b"', '"direction": "s"'} <= set(
        re.findall(r'"direction": "."', done.stdout)
    )
