"""A kill carried out by the command itself, when no instance runs that could."""

import threading
from collections.abc import Callable

from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.broker_client import client_of
from solution.clock import Deadline, SystemClock
from solution.commands.common import WrongUsage, broker_trouble, clean
from solution.commands.killing_ours import OursInLedger, ours_in_ledger
from solution.config import Settings
from solution.domain.kills import FLATTEN, KILL, Kill, Stage
from solution.errors import BrokerError, ConfigError, LedgerError
from solution.ledger import beside
from solution.rate_limiter import RateLimiter
from solution.trading.kill_barrier import Barrier, KillPorts, flatten_row
from solution.trading.kill_switch import KillSwitch


def carry_out(settings: Settings, kill: Kill, tell: Callable[[Kill], None], wait: float) -> Kill:
    """Cancel, and list until nothing is open, as the service would.

    Args:
        tell: called each time it got further.
        wait: seconds.

    Returns:
        where it stands then.

    Raises:
        WrongUsage: the keys are missing.
    """
    try:
        settings.require_keys()
    except ConfigError as e:
        raise WrongUsage(f"configuration: {e}") from None
    clock = SystemClock()
    limiter = RateLimiter(settings.rate_limit_per_minute, clock=clock)
    client = client_of(
        settings.broker,
        on_headers=lambda *answer: wrapper.observe(*answer),  # noqa: PLW0108 - made after this
    )
    wrapper = AlpacaAPIWrapper(client, limiter, Portfolio(clock), clock)
    try:
        ours = ours_in_ledger(settings, str(client.account().get("id", "")), wrapper, clock)
        ports = _ports(settings, ours)
    except BrokerError as e:
        client.close()
        kill.trouble = broker_trouble(settings, e)
        return kill

    def save(changed: Kill) -> None:
        tell(changed)
        _keep(settings, KILL + changed.id, changed.written())

    def flatten(changed: Kill) -> None:
        row = flatten_row(f"kill by {changed.by}", clock.epoch_ms())
        why = _keep(settings, FLATTEN + changed.id, row)
        if why:
            raise LedgerError(why)

    deadline, tick = Deadline(wait), threading.Event()
    barrier = Barrier(kill, wrapper, ports, clock, save=save, flatten=flatten, stop=deadline.passed)
    try:
        while not kill.ended and not deadline.passed():
            tick.wait(min(barrier.step(), deadline.left()))
    finally:
        client.close()
    if kill.stage is Stage.DONE and ours.blind:
        kill.trouble = (
            f"legs of our brackets may be open, which only the ledger knows: {ours.blind}; "
            "look at the broker's page"
        )
    return kill


def _ports(settings: Settings, ours: OursInLedger) -> KillPorts:
    switch = KillSwitch(setting=settings.gates.kill_switch, file=settings.gates.kill_switch_file)
    had_switch = switch.reason() is not None
    return KillPorts(
        in_flight=lambda: (),
        unclear=ours.count_unclear,
        is_ours=ours.has,
        sent_ms=lambda _coid: 0,
        settle=ours.settle,
        late=ours.late,
        # The file goes with a resume: whoever resumes meanwhile wants no more cancels.
        stands=lambda: not had_switch or switch.reason() is not None,
        exclusive=ours.alone,
    )


def _keep(settings: Settings, key: str, value: str) -> str:
    try:
        beside.keep(settings.ledger.url, {key: value})
    except (ConfigError, LedgerError) as e:
        return clean(settings, e)
    return ""
