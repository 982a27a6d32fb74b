"""A kill carried out by the command itself, when no instance runs that could."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from solution.alpaca_api_client import AlpacaAPIClient
from solution.alpaca_api_wrapper import AlpacaAPIWrapper
from solution.book.positions import Portfolio
from solution.clock import Deadline, SystemClock
from solution.commands.common import WrongUsage, broker_trouble, clean
from solution.config import Settings
from solution.domain.kills import FLATTEN, KILL, Kill
from solution.domain.orders import CLIENT_ORDER_ID_PREFIX, deployment_id
from solution.domain.records import State
from solution.errors import BrokerError, ConfigError, LedgerError
from solution.ledger import beside, open_reader
from solution.rate_limiter import RateLimiter
from solution.trading.kill_barrier import Barrier, KillPorts, flatten_row
from solution.trading.kill_switch import KillSwitch

_OPEN = (State.SUBMITTING, State.UNKNOWN, State.OPEN, State.EXPIRED_UNCONFIRMED)


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
    clock, broker = SystemClock(), settings.broker
    limiter = RateLimiter(settings.rate_limit_per_minute, clock=clock)
    client = AlpacaAPIClient(
        trading_url=broker.trading_url,
        data_url=broker.data_url,
        key_id=broker.key_id,
        secret_key=broker.secret.reveal(),
        data_feed=broker.data_feed,
        on_headers=lambda *answer: wrapper.observe(*answer),  # noqa: PLW0108 - made after this
    )
    wrapper = AlpacaAPIWrapper(client, limiter, Portfolio(clock), clock)
    try:
        ports = _ports(settings, str(client.account().get("id", "")))
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
    return kill


def _ports(settings: Settings, account: str) -> KillPorts:
    """What the service would know of its orders, as far as the ledger has it."""
    alone = settings.broker.exclusive_account and not settings.gates.dry_run
    prefix = f"{CLIENT_ORDER_ID_PREFIX}-{deployment_id(account, settings.redis.group)}-"
    known = _known(settings)
    switch = KillSwitch(setting=settings.gates.kill_switch, file=settings.gates.kill_switch_file)
    had_switch = switch.reason() is not None

    def is_ours(order: Mapping[str, Any]) -> bool:
        name = str(order.get("client_order_id") or "")
        return alone or name.startswith(prefix) or name in known

    return KillPorts(
        in_flight=lambda: (),
        unclear=lambda: 0,
        is_ours=is_ours,
        sent_ms=lambda _coid: 0,
        # The file goes with a resume: whoever resumes meanwhile wants no more cancels.
        stands=lambda: not had_switch or switch.reason() is not None,
        exclusive=alone,
    )


def _known(settings: Settings) -> frozenset[str]:
    """Of orders that were open: the legs of brackets have ids of the broker's."""
    try:
        with open_reader(settings.ledger.url) as reader:
            rows = reader.list_intents(100_000, _OPEN)
    except (ConfigError, LedgerError):
        return frozenset()
    return frozenset(row.client_order_id for row in rows)


def _keep(settings: Settings, key: str, value: str) -> str:
    try:
        beside.keep(settings.ledger.url, {key: value})
    except (ConfigError, LedgerError) as e:
        return clean(settings, e)
    return ""
