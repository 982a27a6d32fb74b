"""Write the table of New York Stock Exchange sessions that the three packages ship.

The services must not need a calendar library at run time (pandas alone costs 0.4 s and 60 MB), so
`exchange_calendars` is asked once, here, and its answer is committed. The packages import
nothing from each other, hence one identical copy in each.

    python scripts/generate_sessions.py           # write the files
    python scripts/generate_sessions.py --check   # exit 1 if a file is out of date
"""

import argparse
import json
import sys
from datetime import date, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars

# Explicit bounds: by default the library covers a window that moves with today's date, and the
# same version would write another table tomorrow. 2029 is also where Alpaca's own calendar ends.
FIRST_DAY = date(2015, 1, 1)
LAST_DAY = date(2029, 12, 31)

OPENS = time(9, 30)
CLOSES = time(16, 0)
NEW_YORK = ZoneInfo("America/New_York")
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("solution", "signal_generator", "paper_exchange")
FILE_NAME = "nyse_sessions.json"


def schedule() -> dict[date, tuple[time, time]]:
    """Return the New York opening and closing time of every session in the table's range."""
    calendar = exchange_calendars.get_calendar(
        "XNYS", start=FIRST_DAY.isoformat(), end=LAST_DAY.isoformat()
    )
    return {
        row.Index.date(): (
            row.open.tz_convert(NEW_YORK).time(),
            row.close.tz_convert(NEW_YORK).time(),
        )
        for row in calendar.schedule.itertuples()
    }


def weekdays() -> list[date]:
    """Return every Monday to Friday in the table's range."""
    every = range(FIRST_DAY.toordinal(), LAST_DAY.toordinal() + 1)
    return [day for day in map(date.fromordinal, every) if day.weekday() < 5]


def table(hours: dict[date, tuple[time, time]]) -> dict[str, Any]:
    """Reduce the schedule to its exceptions.

    Raises:
        ValueError: a session the table's form cannot express (a late open, a weekend session, a
            close after the usual one), which must not be dropped in silence.
    """
    for day, (opens, closes) in hours.items():
        if opens != OPENS or closes > CLOSES or day.weekday() >= 5:
            raise ValueError(f"{day}: a session {opens}-{closes} does not fit the table")
    return {
        "calendar": "XNYS",
        "timezone": "America/New_York",
        "first_day": FIRST_DAY.isoformat(),
        "last_day": LAST_DAY.isoformat(),
        "opens": f"{OPENS:%H:%M}",
        "closes": f"{CLOSES:%H:%M}",
        "weekday_holidays": [day.isoformat() for day in weekdays() if day not in hours],
        "early_closes": {
            day.isoformat(): f"{closes:%H:%M}"
            for day, (_, closes) in sorted(hours.items())
            if closes < CLOSES
        },
    }


def render() -> bytes:
    """Return the file's bytes: the same for the same sessions, one exception per line."""
    return (json.dumps(table(schedule()), indent=1) + "\n").encode()


def main() -> int:
    """Write or check the three copies; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the table of NYSE sessions.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    check = parser.parse_args().check
    content = render()
    stale = []
    for package in PACKAGES:
        path = ROOT / package / FILE_NAME
        if path.is_file() and path.read_bytes() == content:
            continue
        stale.append(path.relative_to(ROOT).as_posix())
        if not check:
            path.write_bytes(content)
    if stale:
        print(("out of date: " if check else "written: ") + ", ".join(stale))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
