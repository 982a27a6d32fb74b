"""What a run showed, as a table."""

from collections import Counter
from collections.abc import Iterable, Sequence

from torture.violation import describe
from torture.world import Result

_LOST = {"lost", "ack before row", "ack before end"}
_STUCK = {"stuck", "ack before outbox"}


def table(results: Sequence[Result], seconds: float) -> str:
    """Everything counted over all rounds."""
    kills: Counter[str] = sum((r.kills for r in results), Counter())
    faults: Counter[str] = sum((r.faults for r in results), Counter())
    ends: Counter[str] = sum((r.other_ends for r in results), Counter())
    kinds: Counter[str] = sum((r.kinds for r in results), Counter())
    unsent: Counter[str] = sum((r.unsent for r in results), Counter())
    checks = Counter(v.check for r in results for v in r.violations)
    posts, bad = sum(r.posts for r in results), sum(r.bad_posts for r in results)
    lines = [
        *_rows("kills at", kills),
        *_rows("other ends of a life", ends),
        *_rows("faults", faults),
        *_rows("signals", kinds),
        *_rows("rows without an order at the broker", unsent),
        "",
        f"kills                      {kills.total():8}",
        f"  per second               {kills.total() / max(seconds, 0.001):8.1f}",
        f"signals                    {kinds.total():8}",
        f"orders at the broker       {sum(r.orders for r in results):8}",
        f"POSTs while faults were on  {posts:7}",
        f"  answered badly           {bad:8}   {bad / max(posts, 1):.0%}",
        f"lost                       {sum(n for c, n in checks.items() if c in _LOST):8}",
        f"duplicates                 {checks['duplicate'] + checks['second id']:8}",
        f"stuck                      {sum(n for c, n in checks.items() if c in _STUCK):8}",
        f"other violations           {_others(checks):8}",
        _times("process start → first POST, forked", (t for r in results for t in r.warm)),
        _times("process start → first POST, cold", (t for r in results for t in r.cold)),
        _times("POST unclear → resolved, in one life", (t for r in results for t in r.resolved)),
        _times("POST unclear → given up, in one life", (t for r in results for t in r.given_up)),
        _times("active dies → standby's first POST", (t for r in results for t in r.takeovers)),
        _times("  with a lease that expires first", (t for r in results for t in r.leased)),
        _times("faults stop → all at rest", (t for r in results for t in r.settled)),
    ]
    return "\n".join(lines)


def failures(results: Sequence[Result], per_round: int, postgres: str = "") -> str:
    """What went wrong, and how to see it again; empty when nothing did."""
    lines = []
    for result in results:
        if not result.violations:
            continue
        seed, _, number = result.seed.rpartition(".")
        lines.append(f"round {result.seed}: {describe(result.violations)}")
        lines += [f"  {line}" for line in result.story]
        again = f"--seed {seed} --per-round {per_round} --round {number}"
        again += f" --postgres {postgres}" if postgres else ""
        lines.append(f"  again: scripts/torture {again}")
    return "\n".join(lines)


def _others(checks: Counter[str]) -> int:
    named = _LOST | _STUCK | {"duplicate", "second id"}
    return sum(n for check, n in checks.items() if check not in named)


def _rows(title: str, counts: Counter[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {n:7}  {name}" for name, n in counts.most_common() if n)]


def _times(title: str, seconds: Iterable[float]) -> str:
    found = sorted(seconds)
    if not found:
        return f"{title}: none"
    p50, p99 = found[len(found) // 2], found[min(len(found) - 1, len(found) * 99 // 100)]
    return f"{title}: p50 {p50:.2f} s, p99 {p99:.2f} s, max {found[-1]:.2f} s, n {len(found)}"
