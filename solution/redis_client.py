"""Redis connections as this service uses them: no hidden retry, explicit timeouts, bytes.

redis-py 8 retries ten times in silence by default; a reply lost that way once left a delivered
entry unseen in the pending list. Every caller here owns its retry loop instead. RESP2 is asked for
explicitly, since under RESP3 stream replies change shape.
"""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT = 2.0
SOCKET_TIMEOUT = 3.0


def make_client(url: str, *, socket_timeout: float = SOCKET_TIMEOUT) -> "redis.Redis":
    """A client with one connection of its own.

    Args:
        url: ``redis://`` or ``rediss://``, with user, password and database.
        socket_timeout: seconds; above any BLOCK the caller uses.
    """
    return redis.Redis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        single_connection_client=False,
        socket_timeout=socket_timeout,
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_keepalive=True,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )
