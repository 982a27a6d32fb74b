"""``signalpaca dead-letters``: entries that were no valid signals; look at them, try them again."""

from collections.abc import Mapping
from typing import Any

import click
import redis

from solution.alpaca_api_client import AlpacaAPIClient
from solution.clock import SystemClock
from solution.commands import publishing
from solution.commands.broker import account_of, broker_of
from solution.commands.common import (
    Failed,
    WrongUsage,
    broker_trouble,
    echo_json,
    json_option,
    reader_of,
    redis_of,
    redis_trouble,
    refuse_real_orders,
    say,
    settings_of,
    table,
)
from solution.commands.retrying import NotRetried, Retry, prepare
from solution.config import Settings
from solution.domain.orders import deployment_id
from solution.domain.records import DeadLetter
from solution.errors import BrokerError, NotFound
from solution.ledger.reader import LedgerReader
from solution.printable import visible

USUAL, MOST = 50, 100_000
"""Dead letters that are listed."""


@click.group(name="dead-letters", invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, MOST), help=f"At most; default {USUAL}.")
@json_option
@click.pass_context
def dead_letters(ctx: click.Context, *, limit: int | None, as_json: bool) -> None:
    """List, show or retry entries that were no valid signals."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_letters, limit=limit or USUAL, as_json=as_json)
    elif as_json or limit is not None:
        raise WrongUsage(f"{'--json' if as_json else '--limit'} goes behind the sub-command")


@dead_letters.command("list")
@click.option(
    "--limit", type=click.IntRange(1, MOST), default=USUAL, help=f"At most; default {USUAL}."
)
@json_option
@click.pass_obj
def list_letters(overrides: Mapping[str, str], *, limit: int, as_json: bool) -> None:
    """The newest first."""
    settings = settings_of(overrides)
    with reader_of(settings) as reader:
        found = reader.list_dead_letters(limit=limit)
    if as_json:
        echo_json({"dead_letters": [as_object(letter) for letter in found]})
    elif found:
        head = ("AT", "STREAM", "ENTRY", "REASON", "MESSAGE")
        click.echo(table(head, [_row(letter) for letter in found]))
    else:
        click.echo("no dead letters", err=True)


@dead_letters.command("show")
@click.argument("entry")
@click.option("--stream", default="", help="Where entries of two streams share the id.")
@json_option
@click.pass_obj
def show_letter(overrides: Mapping[str, str], *, entry: str, stream: str, as_json: bool) -> None:
    """One entry with its raw content."""
    settings = settings_of(overrides)
    with reader_of(settings) as reader:
        letter = _find(reader, entry, stream)
    if as_json:
        echo_json(as_object(letter))
        return
    say(f"{letter.stream} {letter.entry_id} at {letter.at}")
    say(f"{letter.reason}: {letter.message}")
    for name, value in letter.fields:
        say(f"  {_shown(name)} = {_shown(value)}")


@dead_letters.command("retry")
@click.argument("entry")
@click.option("--stream", default="", help="Where entries of two streams share the id.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def retry_letter(
    overrides: Mapping[str, str], *, entry: str, stream: str, yes: bool, as_json: bool
) -> None:
    """Publish it as a new signal {old id}.r1, if the broker has no order of the old one."""
    settings = settings_of(overrides)
    with broker_of(settings) as client, reader_of(settings) as reader:
        letter = _find(reader, entry, stream)
        retry = _prepared(settings, reader, client, letter)
    if not as_json:
        say(f"{letter.stream} {letter.entry_id}: {letter.reason}: {letter.message}")
        for coid in retry.looked_up:
            say(f"the broker has no order {coid}")
        shown = " ".join(f"{name}={_shown(text.encode())}" for name, text in retry.fields.items())
        say(f"to be published to {retry.stream}: {shown}")
    if not yes:
        click.confirm("publish it?", abort=True, err=True)
    entry_id = _publish(settings, retry)
    told = {
        "stream": retry.stream,
        "entry_id": entry_id,
        "fields": retry.fields,
        "no_order_under": list(retry.looked_up),
    }
    if as_json:
        echo_json(told)
    else:
        click.echo(entry_id)


def _prepared(
    settings: Settings, reader: LedgerReader, client: AlpacaAPIClient, letter: DeadLetter
) -> Retry:
    def exists(coid: str) -> bool:
        try:
            client.get_order_by_client_id(coid)
        except NotFound:
            return False
        return True

    try:
        account = str(account_of(settings, reader, client)["id"])
        return prepare(
            letter,
            reader,
            deployment_id(account, settings.redis.group),
            exists,
            intake=settings.intake,
            now_ms=SystemClock().epoch_ms(),
        )
    except BrokerError as e:
        raise Failed(f"not retried: {broker_trouble(settings, e)}") from None
    except NotRetried as e:
        raise Failed(f"not retried: {e}") from None


def _publish(settings: Settings, retry: Retry) -> str:
    with redis_of(settings) as client:
        refuse_real_orders(settings, client, retry.stream)
        try:
            return publishing.add(client, retry.stream, retry.fields)
        except redis.RedisError as e:
            raise Failed(
                f"{redis_trouble(settings, e)}; whether it is in the stream is not known: the same "
                "command may be repeated, the service recognises the signal"
            ) from None


def _find(reader: LedgerReader, entry: str, stream: str) -> DeadLetter:
    found = [d for d in reader.find_dead_letters(entry) if stream in {"", d.stream}]
    if not found:
        raise Failed(f"there is no dead letter {entry}" + (f" of {stream}" if stream else ""))
    if len(found) > 1:
        streams = ", ".join(letter.stream for letter in found)
        raise WrongUsage(f"{entry} stands in several streams ({streams}): name one with --stream")
    return found[0]


def as_object(letter: DeadLetter) -> dict[str, Any]:
    """JSON values; bytes that are no UTF-8 are escaped."""
    return {
        "stream": letter.stream,
        "entry_id": letter.entry_id,
        "reason": letter.reason,
        "message": letter.message,
        "at": letter.at,
        "fields": [[_text(name), _text(value)] for name, value in letter.fields],
    }


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _shown(raw: bytes) -> str:
    """Fit for a terminal: no control characters, not a megabyte."""
    text = visible(_text(raw[:400]))
    return text + (f"… ({len(raw)} bytes)" if len(raw) > 400 else "")


def _row(letter: DeadLetter) -> tuple[str, ...]:
    when = letter.at.replace("T", " ")[:19]
    return (when, letter.stream, letter.entry_id, letter.reason, letter.message)
