"""Write what the documentation repeats from the code: settings and reason codes.

    python scripts/generate_docs.py           # write the files
    python scripts/generate_docs.py --check   # exit 1 if a file is out of date

Generated are the tables of `docs/reference/configuration.md` (between two marks, the rest of the
page is written by hand), all of `docs/reference/reasons.md`, and all of `.env.example`.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from solution.config import OptionInfo, describe
from solution.domain.reasons import Reason, RedisFault

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = Path("docs/reference/configuration.md")
REASONS = Path("docs/reference/reasons.md")
ENV_EXAMPLE = Path(".env.example")

BEGIN = "<!-- generated from solution/config_options.py by scripts/generate_docs.py -->"
END = "<!-- end of the generated part -->"

SECTION_NOTES = {
    "Later": "Parts this version does not have: all of it is off. Setting one to anything that "
    "is not off stops the start, so that nobody relies on a limit that is not enforced.",
}

ENV_INTRO = (
    "Copy to .env, fill in the two keys, and `chmod 600 .env`. What is commented out shows the",
    "default. The real environment wins over this file. An empty value means the default.",
    "Values are taken literally; put one that holds a $ in single quotes, for Compose.",
    "Each secret can come from a file instead: ALPACA_SECRET_KEY_FILE=/run/secrets/alpaca",
)

REASONS_INTRO = (
    "Why a signal did not become, or did not remain, an order. The code stands in `reason` of the "
    "`executions` stream, in the ledger and in `signalpaca orders`. Codes are stable; the "
    "sentences are for people. This page is generated from `solution/domain/reasons.py`."
)

REASON_SECTIONS: dict[Reason | RedisFault, tuple[str, str]] = {
    Reason.MISSING_FIELD: (
        "Dead letters",
        "The entry is no valid signal. It is acknowledged and listed by `signalpaca dead-letters`.",
    ),
    Reason.KILL_SWITCH: (
        "Refusals",
        "A valid signal that did not become an order, by our decision or the broker's.",
    ),
    Reason.OUTCOME_UNKNOWN: (
        "Unclear answers",
        "The broker's answer was lost, or contradicts the ledger.",
    ),
    RedisFault.UNREACHABLE: (
        "Redis out of service",
        (
            "No signal ends by one of these. They stand in the log (`redis_lost`, "
            "`publish_failed`) and in `signalpaca status`; what cannot be read or acknowledged "
            "stays where it is. See [when Redis fails](../how-to/redis-faults.md)."
        ),
    ),
    RedisFault.WRONGTYPE: (
        "Redis does not hold what it held",
        (
            "In the log, under the event's own name. See "
            "[when Redis fails](../how-to/redis-faults.md)."
        ),
    ),
}
"""The first code of each section, in the order of the enumerations."""


def cell(text: str) -> str:
    """A text as it may stand in a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def shown_default(option: OptionInfo) -> str:
    """The default, or what stands for it, or a dash."""
    if option.shown_default:
        return option.shown_default
    return f"`{option.default}`" if option.default else "–"


def setting_row(option: OptionInfo) -> str:
    """One line of a settings table."""
    meaning = option.description
    if option.aliases:
        meaning += " Also read as " + ", ".join(f"`{name}`" for name in option.aliases) + "."
    if option.secret:
        meaning += f" Or a file: `{option.name}_FILE`."
    cells = (f"`{option.name}`", shown_default(option), option.allowed, meaning)
    return "| " + " | ".join(cell(text) for text in cells) + " |"


def sections() -> list[tuple[str, list[OptionInfo]]]:
    """The settings by section, in the order of the reference."""
    return [(name, list(rows)) for name, rows in groupby(describe(), lambda row: row.section)]


def configuration_tables() -> str:
    """The generated part of the configuration page."""
    out = [BEGIN]
    for name, rows in sections():
        out += ["", f"### {name}", ""]
        if name in SECTION_NOTES:
            out += [SECTION_NOTES[name], ""]
        out += ["| Name | Default | Allowed | Meaning |", "|---|---|---|---|"]
        out += [setting_row(row) for row in rows]
    return "\n".join([*out, "", END])


def configuration_page(current: str) -> str:
    """The page with its generated part replaced.

    Raises:
        ValueError: the page has lost the marks around that part.
    """
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    page, count = pattern.subn(lambda _: configuration_tables(), current)
    if count != 1:
        raise ValueError(f"{CONFIGURATION}: {count} generated parts, expected one")
    return page


def reasons_page(_current: str) -> str:
    """The page of reason codes.

    Raises:
        ValueError: the enumeration does not begin with a section of its own.
    """
    out = ["# Reason codes", "", REASONS_INTRO]
    if next(iter(Reason)) not in REASON_SECTIONS:
        raise ValueError("REASON_SECTIONS does not name the first reason")
    for reason in (*Reason, *RedisFault):
        if reason in REASON_SECTIONS:
            title, text = REASON_SECTIONS[reason]
            out += [
                "",
                f"## {title}",
                "",
                text,
                "",
                "| Code | Meaning | What to do |",
                "|---|---|---|",
            ]
        out.append(f"| `{reason.value}` | {cell(reason.summary)} | {cell(reason.advice)} |")
    return "\n".join(out) + "\n"


def example_of(option: OptionInfo) -> list[str]:
    """The lines of one setting in `.env.example`."""
    text = option.description.replace("`", "")
    note = f"{text} [{option.allowed}]"
    if option.shown_default:
        note += f" Default: {option.shown_default.replace('`', '')}."
    lines = textwrap.wrap(note, 96, initial_indent="# ", subsequent_indent="#   ")
    # The two that everyone has to fill in are the two that are not commented out.
    mark = "" if option.name in {"ALPACA_API_KEY", "ALPACA_SECRET_KEY"} else "#"
    return [*lines, f"{mark}{option.name}={option.default}"]


def env_example(_current: str) -> str:
    """The whole of `.env.example`."""
    out = [f"# {line}" for line in ENV_INTRO]
    for name, rows in sections():
        out += ["", f"# --- {name} " + "-" * (90 - len(name))]
        if name in SECTION_NOTES:
            out += textwrap.wrap(
                SECTION_NOTES[name], 96, initial_indent="# ", subsequent_indent="# "
            )
        for row in rows:
            out += ["", *example_of(row)]
    return "\n".join(out) + "\n"


FILES: dict[Path, Callable[[str], str]] = {
    CONFIGURATION: configuration_page,
    REASONS: reasons_page,
    ENV_EXAMPLE: env_example,
}


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated documentation.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    check = parser.parse_args(arguments).check
    stale = []
    for name, render in FILES.items():
        path = root / name
        current = path.read_text(encoding="utf-8") if path.is_file() else ""
        wanted = render(current)
        if current == wanted:
            continue
        stale.append(name.as_posix())
        if not check:
            path.write_text(wanted, encoding="utf-8")
    if stale:
        print(("out of date: " if check else "written: ") + ", ".join(stale))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
