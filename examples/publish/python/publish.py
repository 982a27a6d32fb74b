"""Publish one signal: ``python publish.py TICKER b|s [FIELD VALUE]...``."""

import os
import sys
import time
import uuid

import redis

ATTEMPTS = 5


def publish(client: redis.Redis, stream: str, signal: dict[str, str]) -> str:
    """Add the signal to the stream and return the entry id.

    When the answer is lost the entry may or may not be there. The signal_id makes it safe to add
    it again, as long as the content is exactly the same: the service places one order for both.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return client.xadd(stream, signal)
        except (redis.ConnectionError, redis.TimeoutError):
            if attempt == ATTEMPTS:
                raise
            time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def main(arguments: list[str]) -> int:
    """Publish what the command line says."""
    if len(arguments) < 2 or len(arguments) % 2:
        print("usage: publish.py TICKER b|s [FIELD VALUE]...", file=sys.stderr)
        return 2
    ticker, direction, *more = arguments
    signal = {
        "ticker": ticker,
        "direction": direction,
        "signal_id": str(uuid.uuid4()),
        "ts": str(time.time_ns() // 1_000_000),
        **dict(zip(more[::2], more[1::2], strict=True)),
    }
    url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
    client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=2)
    print(publish(client, os.environ.get("STREAM", "nvda"), signal))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
