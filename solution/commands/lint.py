"""``signalpaca lint``: signals in a file, judged as the service reads them; nobody is asked."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import click

from solution.commands.common import (
    FAILED,
    WrongUsage,
    echo_json,
    json_option,
    say,
    settings_of,
)
from solution.commands.lint_rules import notes, refusals
from solution.config_groups import IntakeSettings
from solution.domain.reasons import Reason
from solution.domain.signal import Signal, parse
from solution.domain.signal_fields import Fields
from solution.domain.signing import Verifier
from solution.errors import SignalError

_ENTRY = "0-0"
ALPACA = "ALPACA"
"""Stands for a reason where the service would send what the broker then refuses."""


class Verdict(NamedTuple):
    """What a line is worth; without a reason it is a valid signal."""

    line: int
    signal: Signal | None
    reason: str = ""
    message: str = ""
    notes: tuple[str, ...] = ()
    """What the service will change."""


class Rules(NamedTuple):
    """What signatures are checked with; a key may only sign for its symbols."""

    stream: str = "lint"
    verifier: Verifier = Verifier()
    symbols: Mapping[str, frozenset[str]] = {}
    """By kid; empty = all."""


def rules_of(stream: str, intake: IntakeSettings) -> Rules:
    """As the service has them, read from its settings."""
    symbols = {key.kid: key.limit.symbols for key in intake.keys}
    return Rules(stream, intake.verifier(), symbols)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--stream", help="The stream they are signed for. Default: the first of STREAMS.")
@json_option
@click.pass_obj
def lint(overrides: Mapping[str, str], *, file: str, stream: str | None, as_json: bool) -> None:
    """Check signals in FILE (- for standard input), one a line.

    A line is a JSON object, or fields and values as behind XADD STREAM '*'. Empty lines and those
    that begin with # are passed over. Exit code 1 says that at least one is no valid signal.

    Everything that a signal says by itself is judged: as the service reads it, by the rules of
    Alpaca's that need no market (reason ALPACA), and, where SIGNAL_HMAC_KEYS is set, its signature.
    What depends on the moment is not: its age, prices, positions, limits, and whether the symbol
    can be traded.
    """
    settings = settings_of(overrides)
    rules = rules_of(stream or settings.redis.streams[0], settings.intake)
    try:
        with click.open_file(file, encoding="utf-8", errors="surrogateescape") as opened:
            verdicts = list(judged(opened, rules))
    except OSError as e:
        raise WrongUsage(f"cannot read {file}: {e.strerror}") from None
    wrong = [one for one in verdicts if one.reason]
    if as_json:
        echo_json([_row(one) for one in verdicts])
    else:
        for one in verdicts:
            for note in one.notes:
                say(f"{file}:{one.line}: note: {note}")
            if one.reason:
                say(f"{file}:{one.line}: {one.reason}: {one.message}")
        noun = "signal" if len(verdicts) == 1 else "signals"
        click.echo(f"{len(verdicts)} {noun}, {len(wrong) or 'none'} wrong", err=bool(wrong))
    if wrong:
        raise click.exceptions.Exit(FAILED)


def judged(lines: Iterable[str], rules: Rules = Rules()) -> Iterator[Verdict]:  # noqa: B008 - frozen
    """Each line that holds something; ids are compared with those of the lines before."""
    known: dict[str, Verdict] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        verdict = _judge(number, text, rules)
        signal = verdict.signal
        if signal is not None and signal.signal_id:
            first = known.setdefault(signal.signal_id, verdict)
            if first.signal is not None and first.signal.digest != signal.digest:
                message = (
                    f"signal_id={signal.signal_id} stands in line {first.line} with other content"
                )
                verdict = Verdict(number, signal, Reason.SIGNAL_ID_REUSED, message)
        yield verdict


def _judge(number: int, text: str, rules: Rules) -> Verdict:
    try:
        fields = _fields(text)
        signal = parse(rules.stream, _ENTRY, fields)
        rules.verifier.check(signal, fields)
    except SignalError as error:
        return Verdict(number, None, error.reason, error.message)
    allowed = rules.symbols.get(signal.kid)
    # Nobody is asked how the broker spells it: BTCUSD is BTC/USD.
    if allowed and _plain(signal.ticker) not in map(_plain, allowed):
        message = f"key {signal.kid} may not trade {signal.ticker}"
        return Verdict(number, signal, Reason.KEY_LIMIT, message)
    refused = next(refusals(signal), None)
    if refused:
        return Verdict(number, signal, ALPACA, refused)
    return Verdict(number, signal, notes=tuple(notes(signal)))


def _plain(ticker: str) -> str:
    return ticker.replace("/", "")


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
    if one.notes:
        row["notes"] = list(one.notes)
    return row
