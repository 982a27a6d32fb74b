"""The scalper's day, minute by minute, with whatever dies on the way: the same must be left.

    python -m torture.scalper_day --seed 7 --crashes 60

Everything is real: ``python -m signal_generator scalp``, ``python -m solution``, a redis-server,
and ``paper_exchange`` with recorded bars and a clock that is moved by hand. A minute passes;
scalper and service come to rest, by what they themselves tell; a buy that has rested for two
minutes of the exchange's time is cancelled at the exchange, which is what the service does after
two minutes of real time (a replay has none); the next minute passes. The day runs twice undisturbed
and must lead to the same orders, and then with a ``kill -9`` of the scalper or the service at
random moments of it, and must lead to them once more.
"""

import argparse
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import redis
import requests

from paper_exchange.testing import Running, running
from torture.redis_server import RedisServer
from torture.scalper_plan import (
    CLOSES,
    MINUTE,
    SYMBOLS,
    NotTheSame,
    Outcome,
    Plan,
    compare,
    crashes,
)

ROOT = Path(__file__).resolve().parents[1]
BARS = ROOT / "examples" / "bars" / "day.csv"
SETTLED = timedelta(seconds=6)
"""After a minute's end the clock stops: from five seconds on, history counts as knowing its bar."""
BUY_LIVES = timedelta(minutes=2)
PATIENCE = 60.0
"""Seconds of real time for everything to come to rest, a restart included."""
KEY, SECRET = "KEY-SCALPER-DAY", "SECRET-SCALPER-DAY"
BY_HAND = "by-hand"
STREAM, GROUP, STATE = "scalp", "solution", "signal_generator:scalp"
_OFF = dict.fromkeys(
    (
        *("MAX_POSITION_PCT", "MAX_ORDER_NOTIONAL", "MAX_GROSS_EXPOSURE_PCT", "MAX_TRADES_PER_DAY"),
        *("MAX_ORDERS_PER_MINUTE_PER_TICKER", "MAX_DAILY_LOSS_PCT", "MAX_FLIPS"),
        # A quote is as old as the exchange's clock says, which is another one; and in real seconds
        # a day of orders is a burst.
        *("MAX_QUOTE_AGE", "MAX_SPREAD_BPS", "PRICE_COLLAR_PCT", "CIRCUIT_BREAKER_FAILURES"),
    ),
    "0",
)
_OURS = ("ALPACA_", "APCA_", "REDIS_", "STREAMS", "LEDGER_", "KILL_SWITCH", "SIGNAL_", "SYMBOLS")


class Day:
    """One replay in a directory of its own."""

    def __init__(self, directory: Path, plan: Plan, store: RedisServer, exchange: Running) -> None:
        self._directory = directory
        self._plan = plan
        self._store = store
        self._exchange = exchange
        self._redis = redis.Redis.from_url(store.url, decode_responses=True)
        self._http = requests.Session()
        self._http.headers.update({"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": SECRET})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pause = threading.Event()
        self.kills = 0

    def run(self) -> Outcome:
        """Play it to the close.

        Raises:
            NotTheSame: something did not come to rest, or the day did not end flat.
        """
        began = time.monotonic()
        try:
            if self._plan.held:
                self._buy_dearly(self._plan.held)
            self._start("service")
            self._start("scalper")
            self._await_start()
            for at in self._plan.steps():
                self._step(at)
            self._await_end()
            return Outcome(self._orders(), self.kills, time.monotonic() - began)
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()
            self._http.close()
            self._redis.close()

    # --- one minute -------------------------------------------------------------------------

    def _step(self, at: datetime) -> None:
        planned = self._plan.crashes.get(at, ())
        before = {crash.who for crash in planned if crash.delay is None}
        for who in before:
            self._kill(who)
        self._admin("clock", {"to": (at + SETTLED).isoformat()})
        for who in sorted(before):
            self._start(who)
        for crash in planned:
            if crash.delay is not None:
                self._pause.wait(crash.delay)
                self._kill(crash.who)
                self._start(crash.who)
        if at < CLOSES:
            self._await("rest", lambda: self._at_rest(at))
            if old := self._old_buys(at):
                if self._plan.cancel_after:
                    self._await("cancel by the service", lambda: not self._old_buys(at))
                else:
                    self._cancel(old)
                self._await("rest after cancels", lambda: self._at_rest(at))

    def _old_buys(self, at: datetime) -> Sequence[str]:
        """Ids of those that have rested for two minutes of the exchange's time."""
        return [
            str(order["id"])
            for order in self._admin("orders")
            if order["side"] == "buy"
            and order["status"] in {"new", "partially_filled"}
            and at + SETTLED - datetime.fromisoformat(order["submitted_at"]) >= BUY_LIVES
        ]

    def _cancel(self, order_ids: Sequence[str]) -> None:
        for order_id in order_ids:
            url = f"{self._exchange.url}/v2/orders/{order_id}"
            self._http.delete(url, timeout=10).raise_for_status()

    def _at_rest(self, at: datetime) -> bool:
        """Nothing more will happen before the clock moves.

        Read in the order in which work flows, and the scalper's position in `executions` again at
        the end: what it published with that position is then known to have been carried out.
        """
        kept: Any = self._redis.hgetall(STATE)
        bars = json.loads(kept.get("bars", "{}"))
        last = (at - MINUTE).isoformat()
        if [bars.get(f"{symbol}|1Min") for symbol in SYMBOLS] != [last] * len(SYMBOLS):
            return False
        return (
            self._all_taken()
            and self._all_told()
            and kept.get("execution", "") == self._last_told() != ""
        )

    def _all_taken(self) -> bool:
        """Every signal was read and acknowledged."""
        if not self._redis.exists(STREAM):
            return True
        info: Any = self._redis.xinfo_stream(STREAM)
        groups: Any = self._redis.xinfo_groups(STREAM)
        mine = next((group for group in groups if group["name"] == GROUP), None)
        return (
            mine is not None
            and not mine["pending"]
            and mine["last-delivered-id"] == info["last-generated-id"]
        )

    def _all_told(self) -> bool:
        """What the exchange knows of each order has been told, and each signal's end or order."""
        told: dict[str, tuple[str, str]] = {}
        rows: Any = self._redis.xrange("executions")
        for _, event in rows:
            told[event.get("client_order_id", "")] = (event["final"], event.get("filled_qty", "0"))
        for order in self._admin("orders"):
            if order["client_order_id"] == BY_HAND:
                continue
            final, filled = told.get(order["client_order_id"], ("", "0"))
            over = order["status"] in {"filled", "canceled", "expired", "rejected"}
            if (final == "1") != over or Decimal(filled) != Decimal(order["filled_qty"]):
                return False
        return True

    def _last_told(self) -> str:
        rows: Any = self._redis.xrevrange("executions", count=1)
        return str(rows[0][0]) if rows else "0-0"

    def _buy_dearly(self, symbol: str) -> None:
        last = self._http.get(
            f"{self._exchange.url}/v2/stocks/trades/latest", params={"symbols": symbol}, timeout=10
        ).json()["trades"][symbol]["p"]
        self._admin("prices", {symbol: f"{2 * last:.2f}"})
        order = {"symbol": symbol, "side": "buy", "qty": "10", "client_order_id": BY_HAND}
        order |= {"type": "market", "time_in_force": "day"}
        self._http.post(
            f"{self._exchange.url}/v2/orders", json=order, timeout=10
        ).raise_for_status()
        self._admin("clock", {"advance": 1})
        self._admin("prices", {symbol: f"{last:.2f}"})  # where it stays

    # --- processes --------------------------------------------------------------------------

    def _start(self, who: str) -> None:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(_OURS)}
        env = kept | {
            "PYTHONPATH": str(ROOT),
            "ALPACA_API_KEY": KEY,
            "ALPACA_SECRET_KEY": SECRET,
            "ALPACA_TRADING_URL": self._exchange.url,
            "ALPACA_DATA_URL": self._exchange.url,
            "REDIS_URL": self._store.url,
        }
        with (self._directory / f"{who}.log").open("ab") as out:
            self._processes[who] = subprocess.Popen(
                [sys.executable, "-m", *self._command(who)],
                cwd=self._directory,
                env=env | (self._settings() if who == "service" else {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def _command(self, who: str) -> Sequence[str]:
        if who == "service":
            return ("solution", "-w", "2")
        options = ("--stream", STREAM, "--lot", str(self._plan.lot), "--no-stamp", "--take-over")
        clock = ("--broker-clock", "0", "--log-file", "")
        plan = self._plan
        algo = ("--algo", plan.algo) if plan.algo else ()
        cancel = ("--cancel-after", plan.cancel_after) if plan.cancel_after else ()
        return ("signal_generator", "scalp", *options, *clock, *algo, *cancel, *SYMBOLS)

    def _settings(self) -> Mapping[str, str]:
        return {
            "STREAMS": STREAM,
            "LEDGER_URL": f"sqlite:///{self._directory / 'ledger.db'}",
            "LOG_DIR": "",
            "RATE_LIMIT_PER_MINUTE": "0",
            "SYMBOLS": ",".join(SYMBOLS),
            **_OFF,
        }

    def _kill(self, who: str) -> None:
        self._processes[who].kill()
        self._processes[who].wait()
        self.kills += 1

    def _await_start(self) -> None:
        self._await("start", lambda: self._redis.exists(STATE) == 1)
        self._await("bars", lambda: "bars" in (self._redis.hgetall(STATE) or ()))

    def _await_end(self) -> None:
        """The scalper ends by itself, flat and DONE; the service has nothing more to say."""
        scalper = self._processes["scalper"]
        try:
            code = scalper.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise NotTheSame(f"the scalper did not end at the close\n{self._tail()}") from None
        if code:
            raise NotTheSame(f"the scalper ended with {code}\n{self._tail()}")
        self._await("all told", self._all_told)
        kept: Any = self._redis.hget(STATE, "state")
        machines = json.loads(kept)["symbols"]
        for symbol, machine in machines.items():
            if Decimal(machine["held"]) or machine["orders"] or not machine["closing"]:
                raise NotTheSame(f"{symbol} is not DONE: {machine}\n{self._tail()}")
        url = f"{self._exchange.url}/v2/positions"
        if positions := self._http.get(url, timeout=10).json():
            raise NotTheSame(f"positions are left: {positions}\n{self._tail()}")

    # --- what is there ----------------------------------------------------------------------

    def _orders(self) -> Mapping[str, Sequence[tuple[str, ...]]]:
        found: dict[str, list[tuple[str, ...]]] = {symbol: [] for symbol in SYMBOLS}
        for order in sorted(self._admin("orders"), key=lambda o: o["submitted_at"]):
            names = ("side", "type", "qty", "limit_price", "filled_qty", "status")
            found[order["symbol"]].append(tuple(str(order[name]) for name in names))
        return found

    def _admin(self, path: str, body: object = None) -> Any:
        url = f"{self._exchange.url}/admin/{path}"
        answer = (
            self._http.get(url, timeout=30)
            if body is None
            else self._http.post(url, json=body, timeout=30)
        )
        answer.raise_for_status()
        return answer.json()

    def _await(self, what: str, condition: Any) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            for who, process in self._processes.items():
                if process.poll() is not None:
                    raise NotTheSame(f"{who} ended with {process.returncode}\n{self._tail()}")
            if time.monotonic() > end:
                raise NotTheSame(f"no {what} within {PATIENCE:g} s\n{self._tail()}")
            self._pause.wait(0.004)

    def _tail(self) -> str:
        logs = sorted(self._directory.glob("*.log"))
        kept: Any = self._redis.hgetall(STATE)
        told = f"kept: {kept}\nall taken: {self._all_taken()}, all told: {self._all_told()}"
        told += f", last told: {self._last_told()}\n"
        return told + "\n".join(f"--- {log.name}\n{log.read_text()[-4000:]}" for log in logs)


@contextlib.contextmanager
def _exchange(plan: Plan, seed: int) -> Iterator[Running]:
    with running(
        *("--stepped", "--start", (plan.begins + SETTLED).isoformat(), "--session", "nyse"),
        *("--replay", str(BARS), "--replay-times", "recorded"),
        *("--seed", str(seed), "--rate-limit", "0"),
        start_within=PATIENCE,
    ) as made:
        yield made


def play(directory: Path, plan: Plan, seed: int = 1) -> Outcome:
    """One replay.

    Raises:
        NotTheSame: something did not come to rest, or the day did not end flat.
    """
    directory.mkdir(parents=True)
    with RedisServer(directory / "redis") as store, _exchange(plan, seed) as exchange:
        return Day(directory, plan, store, exchange).run()


def main(arguments: Sequence[str]) -> int:
    """Run the whole day; 0 when all was the same."""
    parser = argparse.ArgumentParser(prog="torture.scalper_day", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--crashes", type=int, default=60)
    asked = parser.parse_args(arguments)
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as directory:
        first = _played("undisturbed", Path(directory) / "1", Plan())
        try:
            compare(first, _played("once more", Path(directory) / "2", Plan()))
            plan = Plan(crashes=crashes(asked.seed, asked.crashes))
            compare(first, _played("with crashes", Path(directory) / "3", plan))
        except NotTheSame as error:
            print(f"NOT THE SAME (seed {asked.seed}): {error}")
            return 1
    print("the same orders, and flat, each time")
    return 0


def _played(what: str, directory: Path, plan: Plan) -> Outcome:
    outcome = play(directory, plan)
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(outcome.counts.items()))
    print(f"{what}: {outcome.kills} kills, {outcome.seconds:.1f} s; {counts}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
