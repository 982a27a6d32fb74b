"""Builds a generator from its options, runs it, ends it."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from signal_generator import sessions
from signal_generator.producer import Fields, Hours, Producer, brief
from signal_generator.publisher import Publisher, PublishError, make_client
from signal_generator.runtime import Pacer, stop_on_signals
from signal_generator.signing import Signer, find_key


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What every generator command takes; times in seconds."""

    redis_url: str
    stream: str
    maxlen: int | None
    connect_timeout: float
    interval: float
    count: int | None
    always: bool
    as_json: bool
    hmac_key_file: str | None = None


def produce(
    draw: Callable[[], Fields | None], options: RunOptions, symbols: Sequence[str] = ()
) -> None:
    """Publish what `draw` yields until the count is reached or SIGINT or SIGTERM arrives.

    Args:
        symbols: what may be drawn; crypto pairs among them have no market hours.

    Raises:
        click.BadParameter: the Redis address or the key is unusable (exit code 2).
        click.ClickException: no Redis, or one that refuses, or no table of sessions (exit code 1).
    """
    try:
        client = make_client(options.redis_url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--redis-url") from None
    draw = _signing(draw, options)
    with stop_on_signals() as stop:
        publisher = Publisher(
            client, options.stream, stop=stop, maxlen=options.maxlen, report=_to_stderr
        )
        producer = Producer(
            draw,
            publisher.publish,
            hours=None if options.always else hours_for(symbols),
            show=printer(options.stream, as_json=options.as_json),
            report=_to_stderr,
        )
        failure: str | None = None
        try:
            publisher.connect(options.connect_timeout)
            run(producer, Pacer(options.interval, stop), options.count)
        except PublishError as error:
            # A wait that the user ended is no failure.
            failure = None if stop.is_set() else str(error)
        except sessions.OutsideTableError as error:
            failure = f"{error}; --always does not need it"
        finally:
            publisher.close()
    if failure is None or producer.tally.published:
        # Standard output holds nothing but JSON when JSON was asked for.
        click.echo(str(producer.tally), err=options.as_json)
    if failure is not None:
        raise click.ClickException(failure)


def hours_for(symbols: Sequence[str]) -> Hours | None:
    """When signals for these are produced: None is at any time, as crypto pairs alone are."""
    pairs = frozenset(symbol for symbol in symbols if "/" in symbol)
    if symbols and len(pairs) == len(set(symbols)):
        return None
    return Hours(sessions.is_open, sessions.next_open, pairs)


def _signing(draw: Callable[[], Fields | None], options: RunOptions) -> Callable[[], Fields | None]:
    """`draw` with every signal signed, where there is a key to sign with."""
    try:
        key = find_key(os.environ, options.hmac_key_file)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--hmac-key-file") from None
    if key is None:
        return draw
    sign = Signer(key, options.stream, now_ms=lambda: time.time_ns() // 1_000_000)

    def draw_signed() -> Fields | None:
        fields = draw()
        return None if fields is None else sign(fields)

    return draw_signed


def run(
    producer: Producer,
    pacer: Pacer,
    count: int | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Do one step per tick until stopped or `count` signals are in the stream."""
    while pacer.wait():
        producer.step(now())
        if count is not None and producer.tally.published >= count:
            return


def printer(stream: str, *, as_json: bool) -> Callable[[str, Mapping[str, str]], None]:
    """Return what shows one published entry on standard output, as JSON or for people."""

    def show_json(entry_id: str, fields: Mapping[str, str]) -> None:
        click.echo(json.dumps({"stream": stream, "entry_id": entry_id, "fields": dict(fields)}))

    def show_text(entry_id: str, fields: Mapping[str, str]) -> None:
        click.echo(f"{stream} {entry_id} {brief(fields)}")

    return show_json if as_json else show_text


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)
