"""The simulator: an exchange on this machine that fills at the ask and at the bid, at once."""

from collections.abc import Callable, Sequence
from pathlib import Path

from signal_generator.connection import Connection
from signal_generator.launch.child import Program, Spawn
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.surroundings import Surroundings

START_WITHIN = 20.0
_KEY = "simulated"


def start(
    spawn: Spawn, surroundings: Surroundings, folder: Path, tickers: Sequence[str]
) -> Program:
    """Open round the clock, without a rate limit of its own: the service keeps the user's."""
    shares = [ticker for ticker in tickers if "/" not in ticker]
    words = ["paper_exchange", "--port", "0", "--rate-limit", "0"]
    words += ["--symbols", ",".join(shares)] if shares else []
    return spawn("simulator", words, surroundings.without_settings(), folder / "exchange.out")


def await_connection(program: Program, within: Callable[[float], Deadline]) -> Connection:
    """How it is reached; any keys are an account there.

    Raises:
        LaunchError: it does not start.
    """
    url = program.await_line(r"listening on (http://\S+)", within(START_WITHIN))
    return Connection(
        key=_KEY,
        secret=_KEY,
        trading_url=url,
        data_url=url,
        data_stream_url=f"{url.replace('http', 'ws', 1)}/v2/iex",
    )
