"""``signalpaca reduce-only``: only orders that shrink a position, of one ticker or of all."""

import uuid
from collections.abc import Mapping

import click

from solution.clock import SystemClock
from solution.commands.common import (
    FAILED,
    Failed,
    WrongUsage,
    echo_json,
    json_option,
    settings_of,
)
from solution.commands.operating import (
    CONFIRM_WITHIN,
    Line,
    Snapshots,
    give,
    line_to,
    restriction_of,
    tickers_of,
    warn,
    who,
)
from solution.config import Settings
from solution.domain.control import Command, Verb
from solution.domain.kills import TRADING_STATE
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState
from solution.trading.halts import plain
from solution.trading.states import OPERATOR_REDUCING, REDUCING, Lasting, written


@click.command()
@click.argument("ticker", required=False)
@json_option
@click.pass_obj
def reduce_only(overrides: Mapping[str, str], *, ticker: str | None, as_json: bool) -> None:
    """Send only orders that shrink a position: of TICKER, or of all, until `resume`."""
    settings = settings_of(overrides)
    if ticker is not None and not ticker.strip():
        raise WrongUsage("TICKER is empty; leave it out to mean all tickers")
    command = Command(
        verb=Verb.REDUCE_ONLY, id=uuid.uuid4().hex, ticker=(ticker or "").upper(), by=who()
    )
    with line_to(settings) as line:
        told = give(settings, line, command, _rows(command))
        for failure in told.failures():
            warn(failure)
        if not told.given:
            raise Failed("nothing was restricted: none of the ways above worked")
        if not as_json:
            what = command.ticker or "all tickers"
            click.echo(f"{what}: asked for: only orders that shrink a position")
        found = line.until(lambda shown: not _wrong(shown, command), CONFIRM_WITHIN)
        _conclude(settings, line, command, found, told.ways(), as_json=as_json)


def _rows(command: Command) -> dict[str, str]:
    why = f"reduce-only by {command.by}"
    if command.ticker:
        return {REDUCING + command.ticker: why}
    reducing = Restriction(TradingState.REDUCING, Reason.REDUCING_ONLY, why)
    row = written(Lasting(reducing, SystemClock().epoch_ms()))
    return {TRADING_STATE + OPERATOR_REDUCING: row}


def _wrong(shown: Snapshots, command: Command) -> list[str]:
    """Instances that do not say so (yet)."""
    if command.ticker:
        symbol = plain(command.ticker)
        return [n for n, one in shown.items() if symbol not in tickers_of(one)]
    return [name for name, one in shown.items() if restriction_of(one) is None]


def _conclude(
    settings: Settings,
    line: Line,
    command: Command,
    found: Snapshots | None,
    ways: Mapping[str, object],
    *,
    as_json: bool,
) -> None:
    wrong = [] if found is None else _wrong(found, command)
    said = {name: restriction_of(one) for name, one in (found or {}).items()}
    if as_json:
        told = {"ticker": command.ticker or None, **ways, "instances": said}
        echo_json({**told, "confirmed": found is not None and not wrong})
    elif not command.ticker:
        for name, state in said.items():
            click.echo(f"{name}: {state or 'sends orders'}")
    if found is None:
        raise Failed(f"not confirmed by any instance: {line.trouble}")
    if not found:
        warn(f"no instance of group {settings.redis.group} runs now")
    if wrong:
        warn(
            f"not confirmed within {CONFIRM_WITHIN:g} s: {', '.join(wrong)} does not say so; "
            "compare LEDGER_URL and CONTROL_STREAM"
        )
        raise click.exceptions.Exit(FAILED)
