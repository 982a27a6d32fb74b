"""A real redis-server for tests; it stands in ``torture``, which needs it without the tests."""

from torture.redis_server import (
    SERVER_7,
    RedisServer,
    all_servers,
    answers_ping,
    find_redis_server,
    free_port,
)

__all__ = [
    "SERVER_7",
    "RedisServer",
    "all_servers",
    "answers_ping",
    "find_redis_server",
    "free_port",
]
