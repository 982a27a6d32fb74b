"""The documentation says what the code says."""

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from dotenv import dotenv_values

from solution.config import OptionInfo, describe, effective, load_settings
from solution.domain.reasons import Reason, RedisFault

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/generate_docs.py"


def script(path: Path) -> ModuleType:
    """It as a module; scripts are not a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """What writes the pages."""
    return script(SCRIPT)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def uncommented(text: str) -> str:
    """`.env.example` with every setting in force."""
    lines = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    return "\n".join(lines)


def copy_of_the_pages(tmp_path: Path) -> None:
    pages = ("configuration", "reasons", "gates", "probe")
    for name in (".env.example", *(f"docs/reference/{page}.md" for page in pages)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(read(name), encoding="utf-8")


def test_the_committed_pages_are_current() -> None:
    """`scripts/generate_docs.py --check`, as the gate runs it."""
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_stale_page_fails_the_check_and_is_rewritten(
    generate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--check only looks; without it the page is put right."""
    copy_of_the_pages(tmp_path)
    page = tmp_path / ".env.example"
    page.write_text("stale")
    assert generate.main(["--check"], tmp_path) == 1
    assert page.read_text() == "stale"
    assert generate.main([], tmp_path) == 0
    assert page.read_text() == read(".env.example")
    assert generate.main(["--check"], tmp_path) == 0
    assert capsys.readouterr().out == "out of date: .env.example\nwritten: .env.example\n"


def test_a_page_without_its_marks_is_an_error(generate: ModuleType, tmp_path: Path) -> None:
    """Otherwise the tables would vanish in silence."""
    copy_of_the_pages(tmp_path)
    (tmp_path / "docs/reference/configuration.md").write_text("# Configuration\n")
    with pytest.raises(ValueError, match="0 generated parts, expected one"):
        generate.main([], tmp_path)


@pytest.mark.parametrize("option", describe(), ids=lambda option: option.name)
def test_every_setting_is_in_the_reference_with_its_default(option: OptionInfo) -> None:
    """One row each."""
    rows = [
        line
        for line in read("docs/reference/configuration.md").splitlines()
        if line.startswith(f"| `{option.name}` |")
    ]
    assert len(rows) == 1
    assert (option.shown_default or option.default) in rows[0]
    assert all(f"`{name}`" in rows[0] for name in option.aliases)


def test_the_example_names_every_setting_with_its_default() -> None:
    """Read by an independent parser, in the reference's order."""
    values = dotenv_values(stream=io.StringIO(uncommented(read(".env.example"))))
    assert values == {option.name: option.default for option in describe()}
    assert list(values) == [option.name for option in describe()]


def test_the_example_sets_nothing_but_empty_keys() -> None:
    """Copied as it is, it changes nothing."""
    values = dotenv_values(ROOT / ".env.example")
    assert values == {"ALPACA_API_KEY": "", "ALPACA_SECRET_KEY": ""}


def test_the_example_with_everything_in_force_equals_the_defaults(tmp_path: Path) -> None:
    """Each line is a value one may set."""
    path = tmp_path / ".env"
    path.write_text(uncommented(read(".env.example")))
    path.chmod(0o600)
    from_file = effective(load_settings(environ={}, env_file=str(path)))
    defaults = effective(load_settings(environ={}, env_file=None))
    assert [row[:2] for row in from_file] == [row[:2] for row in defaults]


@pytest.mark.parametrize("reason", [*Reason, *RedisFault])
def test_every_reason_is_in_its_reference(reason: Reason | RedisFault) -> None:
    """With its sentence and what to do about it."""
    row = f"| `{reason.value}` | {reason.summary} | {reason.advice} |"
    assert read("docs/reference/reasons.md").count(row) == 1


def test_the_picture_of_top_is_what_top_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The committed one is current; a stale one fails the check and is drawn anew."""
    draw = script(ROOT / "scripts/picture_of_top.py")
    assert draw.main(["--check"]) == 0
    (tmp_path / "docs/assets").mkdir(parents=True)
    assert draw.main(["--check"], tmp_path) == 1
    assert draw.main([], tmp_path) == 0
    assert (tmp_path / draw.PICTURE).read_text() == read(str(draw.PICTURE))
    assert capsys.readouterr().out == f"out of date: {draw.PICTURE}\nwritten: {draw.PICTURE}\n"


def test_the_picture_of_top_loads_nothing() -> None:
    """No font, no script and no style of another server."""
    text = read("docs/assets/top.svg")
    assert "@font-face" not in text
    assert "url(http" not in text
    assert text.count("http") == 2  # the namespace, and who generated it
