"""What the documentation shows exists: pages, commands, settings, snippets."""

import importlib.util
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from xml.parsers import expat

import click
import pytest

from paper_exchange.cli import main as exchange
from signal_generator.cli import main as generator
from signal_generator.scalping.machine import State as ScalpState
from solution.commands.cli import main as signalpaca
from solution.config import describe
from solution.domain.reasons import Reason, RedisFault
from solution.domain.records import State

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
INDEX = ROOT / "docs/README.md"
PAGES = sorted(
    [
        README,
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *(p for p in ROOT.glob("examples/**/*.md") if "node_modules" not in p.parts),
    ]
)
CLAIM = (
    "at-least-once intake, at most one broker order per signal identity, "
    "and no signal without a recorded end"
)
FOREIGN_NAMES = {
    "APCA_API_STREAM_URL",  # of Alpaca's old Python SDK
    "APCA_DATA_BASE_URL",  # of Alpaca's classic npm package
    "BAR_TIMEFRAME",  # of generators
    "CERTIFICATE_REQUIRED",  # of OpenSSL
    "KEY_VALUES_MISMATCH",  # of OpenSSL
    "NODE_EXTRA_CA_CERTS",  # of Node.js
    "NO_COLOR",  # a convention of terminals
    "PAPER_EXCHANGE_KEYS",  # the exchange's own
    "PIP_OPTIONS",  # of the Docker build
    "REDIS_PORT",  # of the compose file
    "REDIS_SERVER_7",  # of the tests
    "REQUESTS_CA_BUNDLE",  # of requests
    "REQUIRE_BROWSER",  # of the tests
    "REQUIRE_REDIS_7",  # of the tests
    "SIGNALPACA_HOME",  # where run_trading keeps its state
    "SIGNAL_ID",  # of examples/publish/shell
    "SIGN_ONLY",  # of examples/signing
    "SMA_FAST",  # of generators
    "SMA_SLOW",  # of generators
    "SMOKE_SECONDS",  # of scripts/compose-smoke
    "SSL_CERT_FILE",  # of OpenSSL
    "STREAM_FEED",  # of generators
    "UNKNOWN_CA",  # of OpenSSL
    "WAIT_SECONDS",  # of examples/publish/node
    "WEBHOOK_SECRET",  # of examples/webhook
    "XDG_STATE_HOME",  # a convention of desktops
}
FENCE = re.compile(
    r"^(?P<fence>```+)(?P<lang>\w*)\n(?P<body>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\((?P<md>[^)\s]+)\)|(?:src|srcset|href)=\"(?P<html>[^\"]+)\"")
PROGRAMS: dict[str, click.Command] = {
    "signalpaca": signalpaca,
    "solution": signalpaca,
    "signal_generator": generator,
    "paper_exchange": exchange,
}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    lang: str
    body: str


def name_of(value: object) -> str:
    """A page by its path below the root, anything else as it is."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(*langs: str) -> list[Block]:
    """All fenced blocks of these languages."""
    return [
        Block(page, found["lang"], found["body"])
        for page in PAGES
        for found in FENCE.finditer(text_of(page))
        if found["lang"] in langs
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]+`", "code", FENCE.sub("", text_of(page)))


def links(page: Path) -> Iterator[str]:
    """Link targets of a page that are not addresses."""
    for found in LINK.finditer(prose(page)):
        target = found["md"] or found["html"]
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command_lines() -> Iterator[tuple[Path, str]]:
    """Each line of a shell block, and each code span that calls one of our programs.

    Spans only on pages that tell what to type: reasons.md is written from another table.
    """
    for block in blocks("sh", "console", "shell", "bash"):
        for line in block.body.replace("\\\n", " ").splitlines():
            if block.lang != "console":
                yield block.page, line
            elif line.startswith("$ "):
                yield block.page, line[2:]
    for page in set(PAGES) - {ROOT / "docs/reference/reasons.md"}:
        for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", text_of(page))):
            if re.match(r"(signalpaca|python -m|scripts/)", span):
                yield page, span


def calls(line: str) -> Iterator[list[str]]:
    """The commands of a shell line as words, without assignments and the brackets of a usage."""
    plain = re.sub(r"[\[\]]", " ", line.replace("…", "x"))
    lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return  # one line of a text that spans several
    call: list[str] = []
    for word in [*words, ";"]:
        if re.fullmatch(r"[|&;]+", word):
            if call:
                yield call
            call = []
        elif call or not re.match(r"[A-Z_]+=", word):
            call.append(word)


def ours() -> list[tuple[Path, tuple[str, ...]]]:
    """Calls of our own programs: (page, words from the program on)."""
    found = set()
    for page, line in command_lines():
        for call in calls(line):
            words = [word for word in call if word not in {"docker", "compose", "exec", "trader"}]
            if words[:1] and Path(words[0]).name == "python" and words[1:2] == ["-m"]:
                words = words[2:]
            name = Path(words[0]).name if words else ""
            if name in PROGRAMS or name.startswith("benchmarks."):
                found.add((page, (name, *words[1:])))
    return sorted(found)


def scripts() -> list[tuple[Path, str]]:
    """Scripts of the checkout that a page calls."""
    found = set()
    for page, line in command_lines():
        for call in calls(line):
            if re.match(r"(scripts|examples)/", call[0]):
                found.add((page, call[0]))
    return sorted(found)


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Parse as click would, without running anything.

    Raises:
        click.UsageError: no such command or option, or a value outside its domain.
    """
    asked = [word for word in words if word not in {"--help", "--version"}]
    try:
        context = command.make_context(command.name or "", asked, parent=parent)
    except click.MissingParameter:
        return  # a page may name a command without its arguments
    if isinstance(command, click.Group) and context._protected_args:
        name, below, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert below is not None, name
        parse(below, rest, context)


def trouble_with(words: Sequence[str]) -> str:
    """Why a call cannot be made as it is shown, empty when it can."""
    program = PROGRAMS.get(words[0])
    if program is None:
        return "" if importlib.util.find_spec(words[0]) else f"no module {words[0]}"
    try:
        parse(program, list(words[1:]))
    except click.UsageError as e:
        return e.format_message()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    """To a file of the checkout, and to a heading where it names one."""
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_index_names_every_page() -> None:
    """docs/README.md leads to all of docs/."""
    linked = {(INDEX.parent / target.partition("#")[0]).resolve() for target in links(INDEX)}
    assert set(ROOT.glob("docs/**/*.md")) - linked - {INDEX} == set()


@pytest.mark.parametrize(("page", "words"), ours(), ids=lambda v: name_of(v)[:60])
def test_every_command_shown_exists(page: Path, words: tuple[str, ...]) -> None:
    """With the options and values it is shown with."""
    assert trouble_with(words) == "", page


def test_commands_were_found() -> None:
    """The test above looks at something."""
    shown = {words[:2] for _, words in ours()}
    assert {("signalpaca", "kill"), ("signalpaca", "dead-letters"), ("solution", "-w")} <= shown


@pytest.mark.parametrize(
    "line",
    ["signalpaca orders --opened", "signalpaca whence x", "solution -w 0", "benchmarks.nothing"],
)
def test_a_call_that_cannot_be_made_is_noticed(line: str) -> None:
    """What the check of commands rests on."""
    assert trouble_with(line.split()) != ""


@pytest.mark.parametrize(("page", "script"), scripts(), ids=name_of)
def test_every_script_shown_can_be_run(page: Path, script: str) -> None:
    """It is there, and executable unless Python is to read it."""
    mode = os.F_OK if script.endswith(".py") else os.X_OK
    assert os.access(ROOT / script, mode), page


def test_the_readme_shows_its_two_commands() -> None:
    """scripts/demo and scripts/test."""
    assert {(README, "scripts/demo"), (README, "scripts/test")} <= set(scripts())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_name_in_capitals_is_known(page: Path) -> None:
    """A setting, the file of a secret, a reason code, a state, or listed above."""
    settings = {name for option in describe() for name in option.names}
    secrets = {f"{name}_FILE" for option in describe() if option.secret for name in option.names}
    states = {*State} | {*ScalpState}
    known = settings | secrets | FOREIGN_NAMES | {*Reason, *RedisFault} | states
    shown = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", text_of(page)))
    assert shown - known == set()


@pytest.mark.parametrize("block", blocks("python"), ids=lambda b: name_of(b.page))
def test_every_python_snippet_compiles(block: Block) -> None:
    """As a module."""
    compile(block.body, name_of(block.page), "exec")


@pytest.mark.parametrize("page", [README, ROOT / "docs/explanation/one-order-per-signal.md"])
def test_the_claim_stands_in_exact_words(page: Path) -> None:
    """Neither more nor less."""
    assert CLAIM in " ".join(re.sub(r"^> ", "", text_of(page), flags=re.MULTILINE).split()).lower()


def test_the_layers_are_those_of_the_import_contract() -> None:
    """Line by line, and no module is left out."""
    tools = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one.get("containers") == ["solution"]]
    page = text_of(ROOT / "docs/explanation/architecture.md")
    drawn = page.split("## Layers")[1].split("```")[1].strip().splitlines()
    for layer, line in zip(layers, drawn, strict=True):
        patterns = re.findall(r"[\w*]+", line.split("  ")[0])
        left_out = [
            m for m in re.findall(r"\w+", layer) if not any(fnmatch(m, p) for p in patterns)
        ]
        assert not left_out
        assert ("|" in layer) == ("|" in line)


def test_every_file_that_the_architecture_names_exists() -> None:
    """Below the service's package, with stars or without."""
    page = text_of(ROOT / "docs/explanation/architecture.md")
    named = re.findall(r"`([\w/*]+\.(?:py|sql))`", page)
    assert len(named) > 5
    assert not [name for name in named if not list((ROOT / "solution").glob(name))]


def test_the_pictures_differ_in_colours_only() -> None:
    """One drawing, for light and for dark pages, well-formed."""
    light, dark = (text_of(ROOT / f"docs/assets/flow-{name}.svg") for name in ("light", "dark"))
    style = re.compile(r"<style>.*?</style>", re.DOTALL)
    assert style.sub("", light) == style.sub("", dark)
    assert light != dark
    expat.ParserCreate().Parse(dark, True)
