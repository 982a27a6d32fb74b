"""The Redis that is there, or one of our own."""

from collections.abc import Callable
from pathlib import Path

import redis

from signal_generator.launch.child import Program, Spawn
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import LaunchError
from signal_generator.launch.surroundings import Surroundings
from signal_generator.publisher import make_client

DEFAULT = "redis://localhost:6379/0"
START_WITHIN = 25.0
"""Seconds; the server of a run that was killed a moment ago may have to end first."""


def existing(surroundings: Surroundings) -> str:
    """The address of a Redis that answers, empty where there is none at the default one.

    Raises:
        LaunchError: `REDIS_URL` is set and does not answer: where signals go is not for us to
            change.
    """
    said = surroundings.text("REDIS_URL")
    if not said and surroundings.text("REDIS_URL_FILE"):
        raise LaunchError("run_trading reads REDIS_URL, not REDIS_URL_FILE: set the one alone")
    why = _trouble(said or DEFAULT)
    if said and why:
        raise LaunchError(
            f"REDIS_URL is set and cannot be used ({why}); unset it to have a Redis started here"
        )
    return "" if why else said or DEFAULT


def start(spawn: Spawn, surroundings: Surroundings, folder: Path, *, real: bool) -> Program:
    """One of our own in a folder of its own, with its append-only file.

    Args:
        real: nothing but a redis-server will do; the simulator may take a stand-in in memory.
    """
    words = ["solution", "serve-redis", "--directory", str(folder / "redis")]
    words += ["--real"] if real else []
    return spawn("Redis", words, surroundings.without_settings(), folder / "redis.out")


def await_address(program: Program, within: Callable[[float], Deadline]) -> str:
    """Its address, with its password.

    Raises:
        LaunchError: it does not start.
    """
    return program.await_line(r"redis listening on (\S+)", within(START_WITHIN))


def _trouble(url: str) -> str:
    """Why it cannot be used, without its address; empty when it answers."""
    try:
        client = make_client(url)
    except ValueError as error:
        return str(error)
    try:
        client.ping()
    except (redis.RedisError, OSError) as error:
        return str(error)
    finally:
        client.close()
    return ""


def now_ms(url: str) -> int:
    """Its clock, which makes the ids of the entries in its streams.

    Raises:
        LaunchError: it does not answer.
    """
    client = make_client(url)
    try:
        seconds, micros = client.time()
    except (redis.RedisError, OSError) as error:
        raise LaunchError(f"Redis does not answer: {error}") from None
    finally:
        client.close()
    return int(seconds) * 1000 + int(micros) // 1000


def forget(url: str, *keys: str) -> None:
    """Delete what one simulated run has left in a Redis that is not ours; never raises."""
    client = make_client(url)
    try:
        client.unlink(*keys)
    except (redis.RedisError, OSError):
        pass  # it holds what it held: nobody reads these keys again
    finally:
        client.close()
