"""What ``--since`` understands."""

import re
from datetime import UTC, datetime, timedelta

import click

from solution.clock import SystemClock

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def since_time(ctx: click.Context, param: click.Parameter, text: str) -> datetime:
    """``90m``, ``24h``, ``7d`` back from now, or an RFC 3339 time."""
    now = SystemClock().now()
    match = re.fullmatch(r"([0-9]{1,4})([mhd])", text, re.ASCII)
    if match:
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong = f"{text!r} is neither like 90m, 24h, 7d nor an RFC 3339 time"
        raise click.BadParameter(wrong, ctx, param) from None
    if moment.tzinfo is None or moment > now:
        wrong = f"{text!r} must name its zone (as in …Z) and lie in the past"
        raise click.BadParameter(wrong, ctx, param)
    return moment.astimezone(UTC)
