"""``signalpaca publish``: one signal, checked here before it leaves."""

import uuid
from collections.abc import Mapping, Sequence

import click
import redis

from solution.clock import Deadline, SystemClock
from solution.commands import publishing
from solution.commands.common import (
    FAILED,
    Failed,
    Seconds,
    WrongUsage,
    echo_json,
    json_option,
    redis_of,
    redis_trouble,
    refuse_real_orders,
    say,
    settings_of,
)
from solution.commands.signing import raw, signed
from solution.config import IntakeSettings, Settings
from solution.config_values import STREAM
from solution.domain.reasons import Reason
from solution.domain.signal import parse
from solution.errors import SignalError

WAIT = 30.0


def _pairs(
    _ctx: click.Context, _param: click.Parameter, given: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"takes NAME=VALUE, got {text!r}")
        pairs.append((name, value))
    return tuple(pairs)


@click.command()
@click.argument("ticker")
@click.argument("direction", required=False)
@click.option("--qty", help="Shares to trade.")
@click.option("--notional", help="Account currency to trade.")
@click.option("--weight", help="Buy up to this share of equity.")
@click.option("--target-qty", help="The position wanted, in shares.")
@click.option("--target-weight", help="The position wanted, as a share of equity.")
@click.option(
    "--field", "fields", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Any field."
)
@click.option("--stream", help="Default: the first of STREAMS.")
@click.option("--signal-id", help="Your own id; the same id never trades twice. Default: a UUID.")
@click.option(
    "--wait",
    type=Seconds(0.1, 86_400),
    is_flag=False,
    flag_value=WAIT,
    metavar="[SECONDS]",
    help=f"Print what happens until the signal's end; {WAIT:g} s without a number.",
)
@json_option
@click.pass_obj
def publish(  # noqa: PLR0913 - one parameter per option
    overrides: Mapping[str, str],
    /,
    *,
    ticker: str,
    direction: str | None,
    fields: tuple[tuple[str, str], ...],
    stream: str | None,
    signal_id: str | None,
    wait: float | None,
    as_json: bool,
    **sizes: str | None,
) -> None:
    """Publish one signal: signalpaca publish NVDA b --qty 5 --wait

    A wrong field is refused here and never published. With --wait, exit code 0 says that the
    broker took the order.
    """
    settings = settings_of(overrides)
    target = settings.redis.streams[0] if stream is None else _stream(settings, stream)
    signal = _signal(
        settings.intake, target, ticker, direction, [*_given(sizes), *fields], signal_id=signal_id
    )
    if target not in settings.redis.streams:
        streams = ",".join(settings.redis.streams)
        click.echo(f"note: STREAMS={streams} here does not name {target}", err=True)
    with redis_of(settings) as client:
        refuse_real_orders(settings, client, target)
        executions = settings.redis.executions_stream
        after = publishing.newest(client, executions) if wait else ""
        try:
            entry_id = publishing.add(client, target, signal)
        except redis.RedisError as e:
            raise Failed(
                f"{redis_trouble(settings, e)}; whether the signal is in the stream is not known: "
                f"with --signal-id {signal['signal_id']} it may be published again and trades once"
            ) from None
        told = {"stream": target, "entry_id": entry_id, "fields": signal}
        _say(told, entry_id, as_json=as_json)
        if wait is None:
            return
        events: list[publishing.Event] = []
        deadline = Deadline(wait, SystemClock())
        entry = (target, entry_id)
        for event in publishing.follow(client, executions, entry, after=after, deadline=deadline):
            events.append(event)
            _say(event, line_of(event), as_json=as_json)
    _conclude(publishing.outcome_of(events), wait)


def _stream(settings: Settings, name: str) -> str:
    """A name that STREAMS could hold: what is published elsewhere is read by nobody."""
    try:
        STREAM.parse(name)
    except ValueError:
        raise WrongUsage(f"--stream {name!r} is not {STREAM.allowed}") from None
    reports = settings.redis.executions_stream
    if name in {reports, reports.removesuffix("-dry-run")}:
        raise WrongUsage(f"--stream {name} is EXECUTIONS_STREAM: reports stand there, not signals")
    return name


def _given(sizes: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return [(name, text) for name, text in sizes.items() if text is not None]


def _signal(
    intake: IntakeSettings,
    stream: str,
    ticker: str,
    direction: str | None,
    more: Sequence[tuple[str, str]],
    *,
    signal_id: str | None,
) -> dict[str, str]:
    """The entry's fields, valid and signed where there is a key to sign with.

    A field given twice is an error, as it is in the stream.
    """
    pairs = [("ticker", ticker)]
    if direction is not None:
        pairs.append(("direction", direction))
    pairs += more
    if not any(name.lower() == "signal_id" for name, _ in pairs):
        pairs.append(("signal_id", str(uuid.uuid4()) if signal_id is None else signal_id))
    elif signal_id is not None:
        raise WrongUsage("DUPLICATE_FIELD: signal_id is given twice")
    try:
        checked = _checked(intake, stream, pairs)
    except SignalError as e:
        raise WrongUsage(f"{e.reason}: {e.message}; nothing was published") from None
    return {name.lower() if not name.lower().startswith("x_") else name: v for name, v in checked}


def _checked(
    intake: IntakeSettings, stream: str, pairs: Sequence[tuple[str, str]]
) -> Sequence[tuple[str, str]]:
    now_ms = SystemClock().epoch_ms()
    if intake.own_key is not None:
        pairs = signed(intake.own_key, stream, pairs, now_ms)
    signal = parse(stream, f"{now_ms}-0", raw(pairs))
    # A producer need not have the keys that the service verifies with.
    if intake.keys or intake.own_key is None:
        try:
            intake.verifier().check(signal, raw(pairs))
        except SignalError as e:
            if e.reason != Reason.MISSING_FIELD or intake.own_key is not None:
                raise
            message = f"{e.message}; set SIGNAL_HMAC_KEY to sign with"
            raise SignalError(e.reason, message) from None
    return pairs


def _say(fields: Mapping[str, object], line: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(fields)
    else:
        say(line)


def line_of(event: Mapping[str, str]) -> str:
    """One event for people."""
    parts = [event.get("at", "")[11:23], event.get("event", ""), event.get("side", "")]
    parts += [event.get("qty", ""), event.get("ticker", "")]
    if price := event.get("price"):
        parts.append(f"at {price}")
    if reason := event.get("reason"):
        parts.append(reason)
    if message := event.get("message"):
        parts.append(f"({message})")
    if event.get("final") == "1":
        parts.append("· end")
    return " ".join(part for part in parts if part)


def _conclude(outcome: publishing.Outcome, wait: float) -> None:
    if not outcome.final:
        what = "the order is still open" if outcome.good else "nothing final was reported"
        click.echo(f"{what} after {wait:g} s", err=True)
    if not outcome.good:
        raise click.exceptions.Exit(FAILED)
