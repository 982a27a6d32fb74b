"""Write what the documentation repeats from the code: settings, gates and reason codes.

    python scripts/generate_docs.py           # write the files
    python scripts/generate_docs.py --check   # exit 1 if a file is out of date

Generated are the tables of `docs/reference/configuration.md` (between two marks, the rest of the
page is written by hand); all of `docs/reference/reasons.md`, `docs/reference/gates.md` and
`docs/reference/probe.md`, and all of `.env.example`.
"""

import argparse
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from solution.config import OptionInfo, describe
from solution.domain.reasons import Reason, RedisFault
from solution.probe.assumptions import ASSUMED, UNTRIED
from solution.trading.gates import ORDER_GATES, SIGNAL_GATES
from solution.trading.gates.view import Gate

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = Path("docs/reference/configuration.md")
REASONS = Path("docs/reference/reasons.md")
GATES = Path("docs/reference/gates.md")
PROBE = Path("docs/reference/probe.md")
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

GATES_INTRO = (
    "Every check between a signal and its order, in the one order in which they are asked; the "
    "first that says no is the reason that is told. Each is a function without I/O over one "
    "picture of signal, market, account and rules (`solution/trading/gates/`), and one that cannot "
    "know refuses. What each code means and what to do: [reason codes](reasons.md); the limits: "
    "[configuration](configuration.md#limits). This page is generated from the code. All of them "
    "together take about 15 µs (`python -m benchmarks.gates`)."
)
SIGNAL_GATES_INTRO = (
    "Asked before a size is known, and again, with those below, when more than 250 ms have passed "
    "before the order can be sent."
)
ORDER_GATES_INTRO = (
    "Asked in the same step that reserves shares and money, so that decisions made side by side "
    "cannot use the same room twice. An order that only shrinks a position is never held up by a "
    "limit whose purpose is to keep exposure small. Kill switch and trading state are looked at "
    "once more immediately before each POST."
)
FROM_THE_STATE = "the code of what restricts it"
PROBE_INTRO = (
    "`signalpaca check --probe` tries on your *paper* account what this product assumes of "
    "Alpaca and nobody has verified: it was taken from documents. "
    "See [go live](../how-to/go-live.md). "
    "This page is generated from `solution/probe/assumptions.py`."
)
PROBE_RULES = (
    "Every order is for one share, with a limit at half of the lowest price known, and none is "
    "sent before the one before has ended with nothing bought: at most one share could ever be "
    "bought, for half of what it costs. Every order is cancelled in the end, after Ctrl-C and "
    "SIGTERM too, and those of a probe that was killed by the next one. Their `client_order_id` "
    "begins with `sp-probe-`, which no service takes for its own. Nothing is written to the "
    "ledger. A live flag, a live key or a live host, each alone, is refused with exit code 2."
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


def gates_page(_current: str) -> str:
    """The page of the gates, in the order in which they are asked."""
    out = ["# Gates", "", *textwrap.wrap(GATES_INTRO, 100)]
    number = 0
    for title, text, gates in (
        ("The signal", SIGNAL_GATES_INTRO, SIGNAL_GATES),
        ("The order", ORDER_GATES_INTRO, ORDER_GATES),
    ):
        out += ["", f"## {title}", "", *textwrap.wrap(text, 100), ""]
        out += ["| | Gate | Refuses with | What it checks |", "|---|---|---|---|"]
        for gate in gates:
            number += 1
            codes = ", ".join(f"`{code}`" for code in codes_of(gate)) or FROM_THE_STATE
            said = " ".join((inspect.getdoc(gate) or "").split("\n\n")[0].split())
            cells = (str(number), f"`{gate.__name__}`", codes, said.replace("``", "`"))
            out.append("| " + " | ".join(cell(text) for text in cells) + " |")
    return "\n".join(out) + "\n"


def source_of(gate: Gate) -> str:
    """The gate's code and that of the functions beside it that it calls."""
    module = inspect.getmodule(gate)
    own = inspect.getsource(gate)
    called = [
        inspect.getsource(found)
        for name in re.findall(r"\b(_\w+)\(", own)
        if inspect.isfunction(found := getattr(module, name, None))
    ]
    return "\n".join([own, *called])


def codes_of(gate: Gate) -> list[str]:
    """The reason codes a gate may refuse with, as its code names them."""
    return list(dict.fromkeys(re.findall(r"Reason\.([A-Z_]+)", source_of(gate))))


def probe_page(_current: str) -> str:
    """The page of assumptions."""
    out = ["# What a probe tries", "", PROBE_INTRO, "", PROBE_RULES, "", "## Tried", ""]
    out += ["| Name | Assumed | Where it is `different` |", "|---|---|---|"]
    for name, (assumed, advice) in ASSUMED.items():
        out.append(f"| {name} | {cell(assumed)} | {cell(advice)} |")
    out += ["", "## Not tried", "", "| Name | Why |", "|---|---|"]
    out += [f"| {name} | {cell(why)} |" for name, why in UNTRIED.items()]
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
    GATES: gates_page,
    PROBE: probe_page,
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
