"""``signalpaca orders``: what the ledger says of each signal, newest first."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import click

from solution.clock import moment_of
from solution.commands.common import echo_json, json_option, reader_of, settings_of, table
from solution.domain.legs import is_leg
from solution.domain.records import TERMINAL, Intent, State

OPEN = tuple(state for state in State if state not in TERMINAL)


@click.command()
@click.option("--open", "only_open", is_flag=True, help="Only those not at their end.")
@click.option("--symbol", default="", help="Only this symbol.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="At most; default 50.")
@json_option
@click.pass_obj
def orders(
    overrides: Mapping[str, str], *, only_open: bool, symbol: str, limit: int, as_json: bool
) -> None:
    """List signals and their orders from the ledger, newest first; works while the service runs."""
    settings = settings_of(overrides)
    with reader_of(settings) as reader:
        found = reader.list_intents(
            limit=limit, states=OPEN if only_open else None, symbol=symbol.upper()
        )
    if as_json:
        echo_json({"orders": [as_object(intent) for intent in found]})
    elif found:
        head = ("AT", "SYMBOL", "SIDE", "QTY", "STATE", "FILLED", "PRICE", "REASON", "SIGNAL")
        click.echo(table(head, [_row(intent) for intent in found], right=(3, 5, 6)))
    else:
        click.echo("no orders", err=True)


def as_object(intent: Intent) -> dict[str, Any]:
    """One row as JSON values: decimals as text, times as RFC 3339 UTC, nothing as null."""
    out: dict[str, Any] = {}
    for name in intent.__slots__:
        value = getattr(intent, name)
        if name.endswith("_ms"):
            out[f"{name[:-3]}_at"] = at(value) or None
        elif isinstance(value, Decimal):
            out[name] = format(value, "f")
        elif isinstance(value, bytes):
            out[name] = value.decode(errors="replace") or None
        else:
            out[name] = dict(value) if name == "extra" else value
    return out


def at(epoch_ms: int) -> str:
    """RFC 3339 UTC with milliseconds; empty for never."""
    if not epoch_ms:
        return ""
    moment = moment_of(epoch_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


def _row(intent: Intent) -> tuple[str, ...]:
    size = intent.qty if intent.notional is None else intent.notional
    unit = "" if intent.notional is None else "$"
    return (
        at(intent.created_ms).replace("T", " ")[:19],
        intent.symbol,
        intent.side,
        "" if size is None else f"{unit}{size:f}",
        str(intent.state),
        f"{intent.filled_qty:f}" if intent.filled_qty else "",
        "" if intent.filled_avg_price is None else f"{intent.filled_avg_price:f}",
        intent.reason or (intent.message if is_leg(intent) else ""),
        intent.signal_id or intent.entry_id,
    )
