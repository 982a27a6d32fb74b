"""``signalpaca kill``: no more orders, and what becomes of those that are there."""

import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from solution.clock import Deadline, SystemClock
from solution.commands.common import (
    FAILED,
    Failed,
    Seconds,
    WrongUsage,
    echo_json,
    json_option,
    settings_of,
)
from solution.commands.operating import (
    CONFIRM_WITHIN,
    Line,
    Told,
    give,
    line_to,
    refusal_of,
    warn,
    who,
)
from solution.config import Settings
from solution.domain.control import Command, Verb
from solution.domain.flattening import Flattening, words_of
from solution.domain.kills import KILL, TRADING_STATE, Kill, Stage, told
from solution.domain.reasons import Reason
from solution.domain.trading_state import Restriction, TradingState
from solution.errors import ConfigError, LedgerError
from solution.ledger import open_reader
from solution.trading.states import OPERATOR, Lasting, written
from solution.ui.reading import part

# Said before anybody has confirmed it: what the file does, and what is asked for.
STOPS = "a service that looks at it sends no new orders"
STAYS = "orders that rest at the broker are NOT cancelled"
CANCELS = "asked for: cancel open orders"
CLOSES = "asked for: cancel open orders, then close positions"
LOOK_EVERY = 0.1


@click.command()
@click.option("--cancel-orders", is_flag=True, help="Cancel every open order of ours.")
@click.option("--close-positions", is_flag=True, help="Cancel them, then close every position.")
@click.option(
    "--wait",
    "seconds",
    type=Seconds(min=0),
    default=300.0,
    show_default=True,
    help="How long to follow it, in seconds. It goes on after that.",
)
@json_option
@click.pass_obj
def kill(
    overrides: Mapping[str, str],
    *,
    cancel_orders: bool,
    close_positions: bool,
    seconds: float,
    as_json: bool,
) -> None:
    """Stop all new orders, until `resume`. What rests at the broker stays, unless you say so."""
    settings = settings_of(overrides)
    wanted = Kill(
        id=uuid.uuid4().hex,
        by=who(),
        at_ms=SystemClock().epoch_ms(),
        cancel_orders=cancel_orders,
        close_positions=close_positions,
    )
    with line_to(settings) as line:
        _Killing(settings, line, wanted, seconds, as_json=as_json).run()


class _Killing:
    """One run of the command.

    Args:
        wait: seconds to follow cancels and closing.
    """

    def __init__(
        self, settings: Settings, line: Line, wanted: Kill, wait: float, *, as_json: bool
    ) -> None:
        self._settings = settings
        self._line = line
        self._kill = wanted
        self._wait = wait
        self._as_json = as_json
        self._told = Told()
        self._created: bool | None = None
        self._wrong: list[str] = []
        self._last = ""
        self._deadline = Deadline(wait)
        self._flatten: dict[str, object] | None = None

    def run(self) -> None:
        """Stop first, by every way there is; then look who confirms it, and follow the cancels."""
        self._create_file()
        kill = self._kill
        row = {KILL + kill.id: kill.written()}
        self._told = give(self._settings, self._line, _command(kill), _state(kill), row)
        for failure in self._told.failures():
            warn(failure)
        if self._created is None and not self._told.given:
            raise Failed("nothing was stopped: none of the ways above worked")
        instances = self._confirm()
        try:
            self._follow(instances)
        except WrongUsage:
            for text in self._wrong:
                warn(text)
            raise
        if self._as_json:
            echo_json(self._report(instances))
        for text in self._wrong:
            warn(text)
        if self._wrong:
            raise click.exceptions.Exit(FAILED)

    # --- stopping -------------------------------------------------------------------------------

    def _create_file(self) -> None:
        """The file works without ledger and Redis."""
        path = self._settings.gates.kill_switch_file
        effect = CLOSES if self._kill.close_positions else STAYS
        effect = CANCELS if self._kill.cancel_orders and effect is STAYS else effect
        try:
            self._created = _create(path)
        except Failed as error:
            warn(error.message)
            self._say(effect)
            return
        was = "created" if self._created else "it was on already:"
        self._say(f"{was} {path}: {STOPS}; {effect}")

    def _confirm(self) -> dict[str, str | None]:
        """Each running instance's reason not to send, once all have one or time is up."""
        found = self._line.until(lambda shown: all(map(refusal_of, shown.values())), CONFIRM_WITHIN)
        self._told.snapshots = found
        if not self._told.given and not any(map(refusal_of, (found or {}).values())):
            self._wrong.append(
                f"ONLY THE FILE {self._settings.gates.kill_switch_file} WAS WRITTEN, and no "
                "instance confirms it: a service that does not look at this file goes on trading"
            )
        if found is None:
            self._wrong.append(f"not confirmed by any instance: {self._line.trouble}")
            return {}
        reasons = {name: refusal_of(snapshot) for name, snapshot in found.items()}
        for name, reason in reasons.items():
            self._say(f"{name}: {reason or 'has not confirmed'}")
        if not reasons:
            warn(f"no instance of group {self._settings.redis.group} runs now")
        if sending := [name for name, reason in reasons.items() if reason is None]:
            self._wrong.append(
                f"{', '.join(sending)} has not confirmed within {CONFIRM_WITHIN:g} s and may still "
                "send orders; compare LEDGER_URL, CONTROL_STREAM, KILL_SWITCH_FILE and the "
                "directory it was started in"
            )
        return reasons

    # --- following ------------------------------------------------------------------------------

    def _follow(self, instances: Mapping[str, str | None]) -> None:
        """Until the kill is at its end; carried out here when nobody does."""
        taken = self._watch(CONFIRM_WITHIN, lambda kill: kill.stage is not Stage.NEW)
        if not taken and not self._kill.cancels:
            return
        if not taken and not instances:
            # A fifth of a second, which a command that only stops has better things to do with.
            from solution.commands.killing import carry_out

            self._say("no instance carries it out: done from here")
            self._deadline = Deadline(self._wait)
            self._kill = carry_out(self._settings, self._kill, self._tell, self._wait)
        elif taken:
            self._deadline = Deadline(self._wait)
            self._watch(self._wait, lambda kill: kill.ended)
        if self._kill.stage is Stage.DONE:
            self._conclude(running=bool(instances) or taken)
        elif self._kill.stage is Stage.ABANDONED:
            self._wrong.append("trading was resumed before the kill was at its end")
        elif taken:
            self._wrong.append(
                f"not at its end after {self._wait:g} s: {told(self._kill)}; "
                "it goes on, see signalpaca status"
            )
        elif instances:
            self._wrong.append("NO ORDERS ARE CANCELLED: no instance has taken the command")
        else:
            self._wrong.append(f"NO END: {told(self._kill)}; give the command again")

    def _conclude(self, *, running: bool) -> None:
        """What the kill's own end leaves open."""
        kill = self._kill
        if kill.trouble:
            self._wrong.append(kill.trouble)
        flat = False
        if kill.close_positions:
            self._say(f"flatten {kill.id}: asked for")
            try:
                flat = self._follow_flatten(running=running)
            except Failed as error:
                self._wrong.append(f"whether positions are closed cannot be told: {error.message}")
        for order in () if flat else kill.late:  # closing has waited for what may open a position
            self._wrong.append(
                f"{order} may still arrive: its request was not answered, and the broker does not "
                "have it so far; a running service cancels what is open of it when it does"
            )

    def _follow_flatten(self, *, running: bool) -> bool:
        """Whether everything is closed, in the time that is left."""
        # A fifth of a second, as above.
        from solution.commands import flatten

        kill = self._kill
        if self._told.ledger:
            raise Failed("the service's ledger is out of reach; see signalpaca status")
        request = Flattening(kill.id, (), f"kill by {kill.by}", kill.at_ms)
        found = flatten.Followed(request, taken_up=False)
        if running:
            time = Deadline(max(self._deadline.left(), flatten.TAKEN_UP_WITHIN))
            found = flatten.follow(self._settings, request, time, self._say)
        self._flatten = flatten.told_of(found.request)
        if found.is_flat:
            self._say(flatten.flat_words(found.request))
            return True
        self._wrong += [f"left: {words}" for words in words_of(found.request.left)]
        self._wrong.append(flatten.why_not(self._settings, found, self._wait))
        return False

    def _watch(self, seconds: float, over: Any) -> bool:
        """Tell each change of where it stands; whether it came so far in time."""
        deadline, tick = Deadline(seconds), threading.Event()
        while True:
            found = self._look()
            if found is not None:
                self._kill = found
                self._tell(found)
                if over(found):
                    return True
            if deadline.passed() or (found is None and not self._told.snapshots and self._nobody):
                return False
            tick.wait(LOOK_EVERY)

    @property
    def _nobody(self) -> bool:
        """Whether it is known that no instance runs: Redis says so."""
        return self._told.snapshots is not None

    def _look(self) -> Kill | None:
        """Where it stands: as an instance says, else as the ledger does."""
        name = self._kill.id
        for snapshot in (self._line.snapshots() or {}).values():
            shown = part(part(snapshot, "kills"), name)
            if shown:
                return Kill.read(name, shown)
        if self._told.ledger:
            return None
        try:
            with open_reader(self._settings.ledger.url) as reader:
                row = reader.get_state(KILL + name)
        except (ConfigError, LedgerError):
            return None
        if row is None:
            self._kill.stage = Stage.ABANDONED
            return self._kill
        found = Kill.read(name, row)
        return None if found.stage is Stage.NEW else found

    def _tell(self, kill: Kill) -> None:
        """Each change once."""
        before, self._last = self._last, told(kill)
        if before != self._last:
            self._say(self._last)

    def _say(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)

    def _report(self, instances: Mapping[str, str | None]) -> dict[str, Any]:
        return {
            "kill_switch_file": str(self._settings.gates.kill_switch_file),
            "created": self._created,
            **self._told.ways(),
            "instances": instances,
            "kill": self._kill.shown(),
            "flatten": self._flatten,
            "confirmed": not self._wrong,
            "trouble": self._wrong,
        }


def _command(kill: Kill) -> Command:
    return Command(
        verb=Verb.KILL,
        id=kill.id,
        cancel_orders=kill.cancel_orders,
        close_positions=kill.close_positions,
        by=kill.by,
    )


def _state(kill: Kill) -> dict[str, str]:
    why = f"killed by {kill.by}"
    halted = Restriction(TradingState.HALTED, Reason.TRADING_HALTED, why)
    state = written(Lasting(halted, kill.at_ms))
    return {TRADING_STATE + OPERATOR: state}


def _create(path: Path) -> bool:
    """Whether nothing had that name; a link that leads nowhere is something."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise Failed(f"{path} cannot be created: {e.strerror or e}") from None
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        return False
    except OSError as e:
        raise Failed(f"{path} cannot be created: {e.strerror or e}") from None
    return True
