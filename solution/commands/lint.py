"""``signalpaca lint``: signals in a file, judged as the service reads them; nobody is asked."""

import json
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click

from solution.commands.common import FAILED, WrongUsage, echo_json, json_option, say
from solution.domain.reasons import Reason
from solution.domain.signal import Signal, parse
from solution.domain.signal_fields import Fields
from solution.domain.signal_rules import check_unsigned
from solution.errors import SignalError

_ENTRY = "0-0"


class Verdict(NamedTuple):
    """What a line is worth; without a reason it is a valid signal."""

    line: int
    signal: Signal | None
    reason: str = ""
    message: str = ""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@json_option
def lint(*, file: str, as_json: bool) -> None:
    """Check signals in FILE (- for standard input), one a line.

    A line is a JSON object, or fields and values as behind XADD STREAM '*'. Empty lines and those
    that begin with # are passed over. Exit code 1 says that at least one is no valid signal.

    Everything that a signal says by itself is judged. What depends on the moment is not: its age,
    prices, positions, limits, and whether the symbol can be traded.
    """
    try:
        with click.open_file(file, encoding="utf-8", errors="surrogateescape") as opened:
            verdicts = list(judged(opened))
    except OSError as e:
        raise WrongUsage(f"cannot read {file}: {e.strerror}") from None
    wrong = [one for one in verdicts if one.reason]
    if as_json:
        echo_json([_row(one) for one in verdicts])
    else:
        for one in wrong:
            say(f"{file}:{one.line}: {one.reason}: {one.message}")
        noun = "signal" if len(verdicts) == 1 else "signals"
        click.echo(f"{len(verdicts)} {noun}, {len(wrong) or 'none'} wrong", err=bool(wrong))
    if wrong:
        raise click.exceptions.Exit(FAILED)


def judged(lines: Iterable[str]) -> Iterator[Verdict]:
    """Each line that holds something; ids are compared with those of the lines before."""
    known: dict[str, Verdict] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        verdict = _judge(number, text)
        signal = verdict.signal
        if signal is not None and signal.signal_id:
            first = known.setdefault(signal.signal_id, verdict)
            if first.signal is not None and first.signal.digest != signal.digest:
                message = (
                    f"signal_id={signal.signal_id} stands in line {first.line} with other content"
                )
                verdict = Verdict(number, signal, Reason.SIGNAL_ID_REUSED, message)
        yield verdict


def _judge(number: int, text: str) -> Verdict:
    try:
        signal = parse("lint", _ENTRY, _fields(text))
        check_unsigned(signal)
    except SignalError as error:
        return Verdict(number, None, error.reason, error.message)
    return Verdict(number, signal)


def _fields(text: str) -> Fields:
    """The entry that a line stands for.

    Raises:
        SignalError: the line is neither JSON nor pairs.
    """
    if text.startswith(("{", "[")):
        return [(b"json", text.encode(errors="surrogateescape"))]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SignalError(Reason.INVALID_VALUE, f"the line cannot be read: {error}") from None
    if len(words) % 2:
        message = f"{json.dumps(words[-1])} is a field without a value"
        raise SignalError(Reason.INVALID_VALUE, message)
    raw = [word.encode(errors="surrogateescape") for word in words]
    return list(zip(raw[::2], raw[1::2], strict=True))


def _row(one: Verdict) -> dict[str, object]:
    ticker = one.signal.ticker if one.signal else None
    row: dict[str, object] = {"line": one.line, "ticker": ticker, "valid": not one.reason}
    if one.reason:
        row |= {"reason": str(one.reason), "message": one.message}
    return row
