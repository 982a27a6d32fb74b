"""A real redis-server for tests; it stands in ``torture``, which needs it without the tests."""

from torture.redis_server import (
    RedisServer,
    all_servers,
    answers_ping,
    find_redis_server,
    free_port,
)

__all__ = ["RedisServer", "all_servers", "answers_ping", "find_redis_server", "free_port"]
