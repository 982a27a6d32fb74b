"""``signalpaca resume``: send orders again, of one ticker or of all."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import click

from solution.clock import SystemClock
from solution.commands.common import (
    FAILED,
    Failed,
    WrongUsage,
    clean,
    echo_json,
    json_option,
    settings_of,
)
from solution.commands.operating import (
    CONFIRM_WITHIN,
    Line,
    Snapshots,
    line_to,
    restriction_of,
    resumed_at,
    tickers_of,
    warn,
    who,
)
from solution.config import Settings
from solution.domain.control import Command, Verb
from solution.domain.flattening import read_or_none
from solution.domain.kills import BREAKER, FLATTEN, KILL, TRADING_STATE, Kill, told
from solution.errors import ConfigError, LedgerError
from solution.ledger import beside
from solution.trading.halts import PREFIX as HALTED
from solution.trading.halts import plain
from solution.trading.states import REDUCING, read


@click.command()
@click.argument("ticker", required=False)
@json_option
@click.pass_obj
def resume(overrides: Mapping[str, str], *, ticker: str | None, as_json: bool) -> None:
    """Send orders again: of TICKER alone, or of all, whatever stopped them."""
    settings = settings_of(overrides)
    # `resume "$TICKER"` with an unset variable is not meant for all.
    if ticker is not None and not ticker.strip():
        raise WrongUsage("TICKER is empty; leave it out to send orders of all tickers again")
    with line_to(settings) as line:
        run = _Resuming(settings, line, (ticker or "").upper(), as_json=as_json)
        run.ticker() if ticker else run.all()


class _Resuming:
    """One run of the command."""

    def __init__(self, settings: Settings, line: Line, ticker: str, *, as_json: bool) -> None:
        self._settings = settings
        self._line = line
        self._ticker = ticker
        self._as_json = as_json
        self._wrong: list[str] = []
        self._gone: dict[str, str] = {}
        self._stays: dict[str, str] = {}

    # --- all --------------------------------------------------------------------------------------

    def all(self) -> None:
        """The rows first: while the file stands, nothing is sent by halves."""
        kept = resumed_at(self._line)
        no_clock = self._line.trouble
        mine = (TRADING_STATE, KILL, FLATTEN)
        self._forget(lambda key: key.startswith(mine) or key == BREAKER, kept)
        for line in filter(None, map(_lifted, sorted(self._gone.items()))):
            self._say(line)
        for line in filter(None, map(_left, sorted(self._stays.items()))):
            self._say(line)
        removed = self._remove_file()
        if self._settings.gates.kill_switch:
            self._wrong.append("KILL_SWITCH is set: unset it and restart; resume cannot undo it")
        found = self._confirm(lambda one: restriction_of(one) is None)
        if not kept and found is not None:
            warn(f"a stop published before now may count again at a start: {no_clock}")
        said = {name: restriction_of(one) for name, one in (found or {}).items()}
        for name, state in said.items():
            self._say(f"{name}: {state or 'sends orders'}")
        if still := [name for name, state in said.items() if state is not None]:
            self._wrong.append(
                f"not confirmed within {CONFIRM_WITHIN:g} s: {', '.join(still)} still refuses; "
                "compare LEDGER_URL, KILL_SWITCH_FILE and KILL_SWITCH; what a limit tripped may "
                "have tripped again"
            )
        self._end(
            {
                "kill_switch_file": str(self._settings.gates.kill_switch_file),
                "removed": removed,
                "lifted": sorted(self._gone),
                "instances": said,
            }
        )

    def _remove_file(self) -> bool:
        path = self._settings.gates.kill_switch_file
        try:
            path.unlink()
        except FileNotFoundError:
            self._say(f"{path} did not exist")
            return False
        except OSError as e:
            raise Failed(f"{path} cannot be removed: {e.strerror or e}") from None
        self._say(f"removed {path}")
        return True

    # --- one ticker -------------------------------------------------------------------------------

    def ticker(self) -> None:
        """Its halt, its reduce-only, and what closes it alone."""
        wanted = plain(self._ticker)
        listed: set[str] = set()

        def is_its(key: str) -> bool:
            if key.startswith(FLATTEN):
                return True  # its row tells of which ticker
            if not key.startswith((HALTED, REDUCING)):
                return False
            symbol = key.partition(":")[2]
            listed.add(symbol)
            return plain(symbol) == wanted

        self._forget(is_its, {})
        if not self._gone and not self._wrong and not self._given:
            others = ", ".join(sorted(listed)) or "none"
            raise Failed(f"{self._ticker} is not halted; halted are: {others}")
        withdrawn = sorted(row for row in self._gone.items() if row[0].startswith(FLATTEN))
        halts = {k: v for k, v in self._gone.items() if not k.startswith(FLATTEN)}
        symbols = {key.partition(":")[2] for key in halts} or {self._ticker}
        symbol, was = min(symbols), "; ".join(halts.values())
        if halts:
            self._say(f"{symbol} takes orders again; it was halted: {was}")
        for line in filter(None, map(_lifted, withdrawn)):
            self._say(line)
        found = self._confirm(lambda one: wanted not in tickers_of(one)) or {}
        still = [name for name, one in found.items() if wanted in tickers_of(one)]
        if still:
            names = ", ".join(still)
            self._wrong.append(f"not confirmed within {CONFIRM_WITHIN:g} s: {names} still halts it")
        gone = [key.removeprefix(FLATTEN) for key, _ in withdrawn]
        told = {"symbol": symbol, "was": was, "withdrawn": gone, "instances": sorted(found)}
        self._end({**told, "still_halted_by": still})

    # --- both -------------------------------------------------------------------------------------

    _given = False
    """Whether the command was given on the control stream."""

    def _forget(self, wanted: Callable[[str], bool], kept: Mapping[str, str]) -> None:
        """Delete rows in the ledger; where it cannot be reached from here, ask the service to."""
        if self._nothing_there():
            return

        def work(url: str) -> None:
            self._gone = beside.forget(url, wanted, spare=self._spares)
            if kept:
                beside.keep(url, kept)

        try:
            work(self._settings.ledger.url)
        except (ConfigError, LedgerError) as e:
            self._out_of_reach(e)

    def _spares(self, key: str, value: str) -> bool:
        """Requests to flatten that go on, or are done."""
        if not key.startswith(FLATTEN):
            return False
        request = read_or_none(key, value)
        now_ms = SystemClock().epoch_ms()
        if request is not None and request.ends_with_resume(now_ms, self._ticker):
            return False
        self._stays[key] = value
        return True

    def _out_of_reach(self, error: ConfigError | LedgerError) -> None:
        """The service can reach its ledger; without a key it must not be asked to allow more."""
        failure = clean(self._settings, error)
        if self._settings.control.key.reveal():
            self._ask_service(failure)
        elif isinstance(error, ConfigError):
            raise WrongUsage(f"configuration: {failure}")
        else:
            self._wrong.append(f"ledger: {failure}")

    def _nothing_there(self) -> bool:
        """Whether no service has begun a ledger here; one with another says what it thinks."""
        path = self._settings.ledger.path
        if path is None or path.exists() or self._settings.control.key.reveal():
            return False
        if self._ticker:
            raise Failed(f"ledger: there is no ledger at {path}")
        return True

    def _ask_service(self, failure: str) -> None:
        """The ledger cannot be written from here: the service can."""
        command = Command(verb=Verb.RESUME, id=uuid.uuid4().hex, ticker=self._ticker, by=who())
        self._given = self._line.publish(command)
        if self._given:
            self._say(f"ledger: {failure}; asked for on the control stream")
        else:
            self._wrong.append(f"ledger: {failure}; control stream: {self._line.trouble}")

    def _confirm(self, wanted: Callable[[Mapping[str, Any]], bool]) -> Snapshots | None:
        found = self._line.until(lambda shown: all(map(wanted, shown.values())), CONFIRM_WITHIN)
        if found is None:
            cleared = "cleared, and " if self._gone else ""
            self._wrong.append(f"{cleared}not confirmed by any instance: {self._line.trouble}")
        elif not found:
            warn(f"no instance of group {self._settings.redis.group} runs now")
        return found

    def _say(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)

    def _end(self, told: Mapping[str, object]) -> None:
        if self._as_json:
            echo_json({**told, "confirmed": not self._wrong, "trouble": self._wrong})
        for text in self._wrong:
            warn(text)
        if self._wrong:
            raise click.exceptions.Exit(FAILED)


def _lifted(row: tuple[str, str]) -> str:
    """One row that is gone, for people; "" where that changes nothing."""
    key, value = row
    if key.startswith(TRADING_STATE):
        source = key.removeprefix(TRADING_STATE)
        found = read(source, value).restriction
        return f"lifted {found.state} by {source}: {found.message}"
    if key.startswith(KILL):
        kill = Kill.read(key.removeprefix(KILL), value)
        return "" if kill.ended else f"the kill by {kill.by} ends here: {told(kill)}"
    if key.startswith(FLATTEN):
        return _withdrawn(key, value)
    return "closed the circuit breaker"


def _withdrawn(key: str, value: str) -> str:
    request = read_or_none(key, value)
    if request is None:
        return ""
    sent = [f"{o.side} {o.qty} {o.symbol}" for o in request.orders.values() if not o.over]
    stays = f"; sent already and not taken back: {', '.join(sent)}" if sent else ""
    return f"withdrew flatten {request.id} ({request.why}){stays}"


def _left(row: tuple[str, str]) -> str:
    """A request to flatten that goes on, for people; "" for one that is done."""
    request = read_or_none(*row)
    if request is None or request.done_ms:
        return ""
    return f"flatten {request.id} goes on: {request.why}; to end it: signalpaca flatten --withdraw"
