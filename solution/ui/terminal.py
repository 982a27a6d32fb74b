"""Snapshots as text and as a live screen. What is shown comes from the snapshot alone.

A snapshot is the JSON that :mod:`solution.ui.picture` composes. It may come from another version,
so an absent key is shown as a dash and never raises. ``rich`` is imported where a screen is drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from solution.domain.kills import Kill, told
from solution.ui.snapshot import LIVE

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

Snapshot = Mapping[str, Any]

DASH = "–"
FILLED, ON_ITS_WAY, NOT_FILLED = "✓", "◌", "✗"
STREAM_QUIET_S = 20.0
"""Seconds of silence above which the order stream is no longer connected (ping plus pong)."""
FLIPS_SHOWN = 5
LONGEST_NUMBER = 20
"""Digits before the point: `1e999999` written out would fill the screen, and the memory."""
_OPEN_STATES = frozenset({"SUBMITTING", "UNKNOWN", "OPEN", "EXPIRED_UNCONFIRMED"})


def money(text: object) -> str:
    """``100000.5`` → ``100,000.50``; a dash for what is no number."""
    found = number(text)
    return DASH if found is None else f"{found:,.2f}"


def number(text: object) -> Decimal | None:
    """What may be one, of a length that fits on a line; else None."""
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found.adjusted()) < LONGEST_NUMBER else None


def _whole(value: object) -> int:
    """A count; 0 for what is none."""
    return int(number(value) or 0)


def _listed(snapshot: Snapshot, name: str) -> list[Mapping[str, Any]]:
    """The objects of a member that is a list."""
    found = snapshot.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def mark_of(state: str) -> str:
    """✓ filled, ◌ on its way, ✗ ended otherwise."""
    if state == "FILLED":
        return FILLED
    return ON_ITS_WAY if state in _OPEN_STATES else NOT_FILLED


def part(snapshot: Snapshot, name: str) -> Mapping[str, Any]:
    """A member that is an object; empty when it is absent."""
    found = snapshot.get(name)
    return found if isinstance(found, Mapping) else {}


def dead_threads(snapshot: Snapshot) -> list[str]:
    """Names of the threads that should run and do not."""
    return [name for name, alive in part(snapshot, "threads").items() if not alive]


def troubles(snapshot: Snapshot) -> list[str]:
    """What a person should look at, each in a few words; empty when all is well."""
    found = []
    if reason := snapshot.get("kill_switch"):
        found.append(f"KILL SWITCH: {reason}")
    breaker = part(snapshot, "breaker")
    if breaker.get("state") in ("open", "half-open"):
        found.append(f"circuit breaker {breaker['state']}: {breaker.get('why', DASH)}")
    found += [f"{symbol} is halted: {why}" for symbol, why in part(snapshot, "halted").items()]
    found += _restricted(snapshot)
    for name, left in part(snapshot, "flattening").items():
        found.append(f"flatten {name} is under way{f': {left}' if left else ''}")
    if dead := dead_threads(snapshot):
        found.append(f"threads not running: {', '.join(dead)}")
    redis, stream = part(snapshot, "redis"), part(snapshot, "stream")
    if redis.get("connected") is False or redis.get("trouble"):
        found.append(f"Redis: {redis.get('trouble') or 'not connected'}")
    for code, times in part(redis, "alerts").items():
        found.append(f"Redis: {code} since the start, {times} in all: see the log")
    if stream.get("connected") is False:
        found.append(f"order stream: {stream.get('state') or 'not connected'}")
    return found


def _restricted(snapshot: Snapshot) -> list[str]:
    """Who restricts trading and why, and the kills that are being carried out."""
    rows = part(snapshot, "restrictions")
    found = [
        f"{part(rows, source).get('state')} by {source}: {part(rows, source).get('message')}"
        for source in rows
    ]
    found += [f"{symbol} only reduces: {why}" for symbol, why in part(snapshot, "reducing").items()]
    kills = [Kill.read(name, row) for name, row in part(snapshot, "kills").items()]
    found += [f"kill {kill.id[:8]}: {told(kill)}" for kill in kills if not kill.ended]
    control = part(snapshot, "control")
    if control.get("trouble"):
        found.append(f"control stream: {control['trouble']}")
    return found


def ends_of(snapshot: Snapshot) -> list[Mapping[str, Any]]:
    """The last ends of orders, oldest first."""
    return _listed(snapshot, "recent")


def updates_of(snapshot: Snapshot, most: int) -> list[Mapping[str, Any]]:
    """Orders on their way and the last ends, newest first."""
    return [*_listed(snapshot, "open_orders"), *reversed(ends_of(snapshot))][: max(0, most)]


# --- facts: (name, text) pairs that text and screen share ---------------------------------------


def facts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Everything but positions and orders, one line each."""
    return [
        ("account", _account(snapshot)),
        ("day", _day(snapshot)),
        ("breaker", _breaker(snapshot)),
        ("flips", _flips(snapshot)),
        ("signals", _signals(snapshot)),
        ("ends", _counts(snapshot)),
        ("rate", _rate(snapshot)),
        ("latency", _latency(snapshot)),
        ("redis", _redis(snapshot)),
        ("stream", _stream(snapshot)),
        ("threads", _threads(snapshot)),
    ]


def _account(snapshot: Snapshot) -> str:
    account = part(snapshot, "account")
    if not account:
        return "not known yet"
    shown = (
        f"equity {money(account.get('equity'))} · cash {money(account.get('cash'))}"
        f" · buying power {money(account.get('buying_power'))}"
    )
    if account.get("reserved_orders"):
        # Also what ended orders took, until the account was read again.
        shown += f" · {money(account.get('reserved_buying_power'))} reserved"
    return shown


def _day(snapshot: Snapshot) -> str:
    day = part(snapshot, "day")
    if not day:
        return "not known yet"
    shown = f"{_signed(day.get('change_pct'))} % since {money(day.get('opening'))}"
    shown += f" · {day.get('below_peak_pct', DASH)} % below {money(day.get('peak'))}"
    limits = part(day, "limits")
    words = (("daily_loss", "loss"), ("drawdown", "drawdown"))
    set_ = [f"{word} limit {limits[name]} %" for name, word in words if name in limits]
    return " · ".join([shown, *(set_ or ["no limit"])])


def _signed(text: object) -> str:
    found = number(text)
    return DASH if found is None else f"{found:+.2f}"


def _breaker(snapshot: Snapshot) -> str:
    breaker = part(snapshot, "breaker")
    state, limit = str(breaker.get("state") or DASH), breaker.get("limit")
    if not limit:
        return state
    shown = f"{state} · {breaker.get('failures', DASH)} failures in a row, {limit} open it"
    return f"{shown} · last: {breaker['why']}" if breaker.get("why") else shown


def _flips(snapshot: Snapshot) -> str:
    flips = part(snapshot, "flips")
    changes, limit = part(flips, "changes"), flips.get("limit")
    most = sorted(changes.items(), key=lambda item: (-_whole(item[1]), item[0]))[:FLIPS_SHOWN]
    shown = [f"{symbol} {times}" for symbol, times in most]
    return " · ".join([*(shown or ["none"]), f"{limit} halt a ticker" if limit else "no limit"])


def _signals(snapshot: Snapshot) -> str:
    signals = part(snapshot, "signals")
    names = (("read", "read"), ("waiting", "waiting"), ("in_hand", "in hand"))
    shown = [f"{signals.get(key, DASH)} {word}" for key, word in names]
    return " · ".join([*shown, f"{signals.get('dead_letters', DASH)} dead letters"])


def _counts(snapshot: Snapshot) -> str:
    counts = part(snapshot, "counts")
    ordered = sorted(counts.items(), key=lambda item: (-_whole(item[1]), item[0]))
    return " · ".join(f"{times} {word}" for word, times in ordered) or "none yet"


def _rate(snapshot: Snapshot) -> str:
    rate = part(snapshot, "rate")
    if not rate:
        return DASH
    if not rate.get("limit"):
        return "unlimited"
    return (
        f"{rate.get('used', DASH)} of {rate['limit']} requests used in the last minute"
        f" · {rate.get('left_for_entries', DASH)} left for entries"
    )


def _latency(snapshot: Snapshot) -> str:
    latency = part(snapshot, "latency_ms")
    if latency.get("p50") is None:
        return "no orders yet"
    return f"p50 {latency['p50']} ms · p99 {latency.get('p99')} ms, signal to the broker's answer"


def _redis(snapshot: Snapshot) -> str:
    redis = part(snapshot, "redis")
    state = "connected" if redis.get("connected") else "NOT CONNECTED"
    if trouble := redis.get("trouble"):
        state += f": {trouble}"
    waiting = _whole(redis.get("unpublished")) + _whole(redis.get("uncommitted"))
    return f"{state} · {waiting} events waiting to be written" if waiting else state


def _stream(snapshot: Snapshot) -> str:
    stream = part(snapshot, "stream")
    state = str(stream.get("state") or DASH)
    age = stream.get("age_s")
    if age is not None:
        state += f" · heard {age} s ago" + (
            " (QUIET)" if (number(age) or 0) > STREAM_QUIET_S else ""
        )
    return f"{state} · {again} reconnects" if (again := stream.get("reconnects")) else state


def _threads(snapshot: Snapshot) -> str:
    threads, dead = part(snapshot, "threads"), dead_threads(snapshot)
    alive = f"{len(threads) - len(dead)} running"
    return f"{alive} · NOT RUNNING: {', '.join(dead)}" if dead else alive


# --- plain text -----------------------------------------------------------------------------------


def text_lines(snapshot: Snapshot, *, orders: int = 5) -> list[str]:
    """One instance for a terminal of any kind, or for a file."""
    lines = [_title(snapshot)]
    lines += [f"  ! {trouble}" for trouble in troubles(snapshot)]
    lines += [f"  {name:<10} {shown}" for name, shown in facts(snapshot)]
    positions = _listed(snapshot, "positions")
    for i, row in enumerate(positions):
        lines.append(f"  {'positions' if i == 0 else '':<10} {_position_line(row)}")
    if not positions:
        lines.append(f"  {'positions':<10} none")
    for i, row in enumerate(updates_of(snapshot, orders)):
        lines.append(f"  {'orders' if i == 0 else '':<10} {update_line(row)}")
    return lines


def _title(snapshot: Snapshot) -> str:
    mode = "LIVE, REAL MONEY" if is_live(snapshot) else snapshot.get("mode", DASH)
    return f"{snapshot.get('instance', DASH)} · {mode} · {_at(snapshot)}"


def is_live(snapshot: Snapshot) -> bool:
    """Whether its orders are paid with money."""
    return snapshot.get("mode") == LIVE


def _at(row: Mapping[str, Any]) -> str:
    return str(row.get("at") or "")[11:19]


def _position_line(row: Mapping[str, Any]) -> str:
    return (
        f"{row.get('symbol', DASH)!s:<6} {row.get('qty', DASH)!s:>8}"
        f" at {money(row.get('avg_entry'))} · now {money(row.get('price'))}"
        f" · unrealised {money(row.get('unrealized_pl'))}"
    )


def update_line(row: Mapping[str, Any]) -> str:
    """``12:00:01 ✓ buy 10 NVDA FILLED``."""
    parts = (_at(row), mark_of(str(row.get("state", ""))), row.get("side"), row.get("qty"))
    words = (row.get("symbol"), row.get("state"), row.get("reason"))
    return " ".join(str(word) for word in (*parts, *words) if word)


def short_line(snapshot: Snapshot) -> str:
    """The whole state in one line, for output that is not a terminal."""
    signals, rate = part(snapshot, "signals"), part(snapshot, "rate")
    latency = part(snapshot, "latency_ms")
    held = ", ".join(
        f"{row.get('symbol')} {row.get('qty')}" for row in _listed(snapshot, "positions")
    )
    shown = [
        _at(snapshot),
        *(["LIVE"] if is_live(snapshot) else [str(snapshot["mode"])] if "mode" in snapshot else []),
        f"{signals.get('read', DASH)} signals, {signals.get('waiting', DASH)} waiting",
        _counts(snapshot),
        f"rate {rate.get('used', DASH)}/{rate.get('limit', DASH)}",
        f"p50 {_ms(latency.get('p50'))} p99 {_ms(latency.get('p99'))}",
        held or "flat",
        *troubles(snapshot),
    ]
    return " · ".join(shown)


def _ms(value: object) -> str:
    return DASH if value is None else f"{value} ms"


# --- the live screen ------------------------------------------------------------------------------


def screen(
    snapshots: Iterable[Snapshot], *, updates: int = 15, notes: Sequence[str] = ()
) -> "Group":
    """Every instance as a panel, for ``rich.live.Live``; ``notes`` are lines above them."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(note) for note in notes]
    parts += [_panel(snapshot, updates) for snapshot in snapshots]
    return Group(*parts)


def _panel(snapshot: Snapshot, updates: int) -> "RenderableType":
    from rich.columns import Columns
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    trouble = troubles(snapshot)
    head: list[RenderableType] = [
        Text(f" ! {line} ", style="bold white on red") for line in trouble
    ]
    body = Columns([_positions_table(snapshot), _updates_table(snapshot, updates)], padding=(0, 4))
    return Panel(
        Group(*head, _facts_table(snapshot), "", body),
        title=Text(_title(snapshot), style="bold white on red" if is_live(snapshot) else "bold"),
        border_style="red" if trouble or is_live(snapshot) else "cyan",
    )


def _facts_table(snapshot: Snapshot) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, shown in facts(snapshot):
        if name == "rate":
            table.add_row(Text(name, style="dim"), _bar(snapshot, shown))
        else:
            table.add_row(Text(name, style="dim"), Text(shown))
    return table


def _bar(snapshot: Snapshot, shown: str) -> "RenderableType":
    from rich.text import Text

    rate = part(snapshot, "rate")
    limit, used = _whole(rate.get("limit")), max(0, _whole(rate.get("used")))
    if limit <= 0:
        return Text(shown)
    cells = 20
    full = min(cells, round(cells * used / limit))
    style = "red" if full >= cells - 2 else "green"
    bar = Text("█" * full, style=style) + Text("░" * (cells - full), style="dim")
    return bar + Text(f" {shown}")


def _positions_table(snapshot: Snapshot) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="positions", title_justify="left", box=None, padding=(0, 1))
    table.add_column("symbol")
    for name in ("qty", "entry", "price", "unrealised"):
        table.add_column(name, justify="right")
    for row in _listed(snapshot, "positions"):
        gain = money(row.get("unrealized_pl"))
        style = "red" if gain.startswith("-") else "green"
        table.add_row(
            # As Text: in a plain string [brackets] would be markup.
            Text(str(row.get("symbol", DASH))),
            Text(str(row.get("qty", DASH))),
            money(row.get("avg_entry")),
            money(row.get("price")),
            Text(gain, style=style),
        )
    if not table.row_count:
        table.add_row("none", "", "", "", "")
    return table


_STYLES = {FILLED: "green", ON_ITS_WAY: "yellow", NOT_FILLED: "dim"}


def _updates_table(snapshot: Snapshot, updates: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title="orders and refusals", title_justify="left", box=None, padding=(0, 1))
    for name, justify in (("at", "left"), ("", "left"), ("side", "left"), ("qty", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    table.add_column("symbol")
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for row in updates_of(snapshot, updates):
        mark = mark_of(str(row.get("state", "")))
        texts = [_at(row), mark, row.get("side"), row.get("qty"), row.get("symbol")]
        ended = row.get("reason") or row.get("state")
        cells = [Text(str(text or ""), style=_STYLES[mark]) for text in (*texts, ended)]
        table.add_row(*cells)
    return table
