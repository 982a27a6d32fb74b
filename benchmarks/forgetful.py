"""A healthy broker behind a network that loses the first answer to every order.

As :mod:`benchmarks.broker`, but the connection ends without an answer to an order's first POST,
whatever became of it (:data:`FATES`, by turns). Every other question and every later POST is
answered. What it knows of each order is handed out by ``GET /bench/unclear``.
"""

import argparse
import asyncio
import contextlib
import itertools
from typing import cast

import orjson
import uvloop

from benchmarks import broker_data
from benchmarks.broker import Broker, Connection, serve

FATES = ("accepted", "accepted, no event", "unseen")
"""Accepted, and the order stream tells of it a little later; accepted, and the stream is silent
about it; never arrived."""
TOLD_AFTER = 0.05
"""Seconds: what the stream tells before the connection ends leaves nothing unclear."""


class _Mute:
    """Takes the answer that nobody is to hear."""

    def say(self, status: int, body: bytes) -> None:
        """Lost."""


class Forgetful(Broker):
    """Loses the first answer to each client_order_id."""

    def reset(self) -> None:
        super().reset()
        self._fates = itertools.cycle(FATES)
        self.known: dict[str, dict[str, object]] = {}

    def post(self, connection: Connection, body: bytes, arrived: int) -> None:
        coid = str(orjson.loads(body)["client_order_id"])
        known = self.known.get(coid)
        if known is not None:
            self._again(known, body)
            super().post(connection, body, arrived)
            return
        fate = next(self._fates)
        self.known[coid] = {"fate": fate, "posts": 1, "bodies": [body.decode()]}
        if fate == "accepted":
            asyncio.get_running_loop().call_later(TOLD_AFTER, self._accept, body, arrived)
        elif fate != "unseen":
            told, self.listeners = self.listeners, set()
            self._accept(body, arrived)
            self.listeners = told
        connection.drop()

    def _again(self, known: dict[str, object], body: bytes) -> None:
        known["posts"] = cast("int", known["posts"]) + 1
        bodies = cast("list[str]", known["bodies"])
        if body.decode() not in bodies:
            bodies.append(body.decode())

    def _accept(self, body: bytes, arrived: int) -> None:
        self._answer(cast("Connection", _Mute()), body, arrived)

    def get(self, path: str, query: str) -> tuple[int, bytes]:
        if path != "/bench/unclear":
            return super().get(path, query)
        there = {coid for _, _, coid, _ in self.log}
        known = {
            coid: {
                "fate": of["fate"],
                "posts": of["posts"],
                "bodies": len(cast("list[str]", of["bodies"])),
                "there": coid in there,
            }
            for coid, of in self.known.items()
        }
        return 200, orjson.dumps(known)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tickers", type=int, default=100)
    asked = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(Forgetful(broker_data.tickers(asked.tickers), 0.0), asked.port))


if __name__ == "__main__":
    main()
