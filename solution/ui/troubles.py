"""What a person should look at, from a snapshot."""

from solution.domain.kills import Kill, told
from solution.ui.reading import DASH, Snapshot, part


def dead_threads(snapshot: Snapshot) -> list[str]:
    """Names of the threads that should run and do not."""
    return [name for name, alive in part(snapshot, "threads").items() if not alive]


def troubles(snapshot: Snapshot) -> list[str]:
    """Each in a few words; empty when all is well."""
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
