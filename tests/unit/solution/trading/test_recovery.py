"""Recovery: what a new process makes of the rows an old one left."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from solution.book.positions import Portfolio
from solution.domain.records import Intent, State
from solution.errors import OutcomeUnknown, StartupError
from solution.ledger.sqlite import SqliteLedger
from solution.rate_limiter import Priority, RateLimiter
from solution.trading import recovery
from tests.helpers.clocks import ManualClock
from tests.helpers.trading import DEPLOYMENT, Rig, RigRules, accept, fail

UNCLEAR = OutcomeUnknown("no usable answer")
LIMIT = {"order_type": "limit", "limit_price": "50", "time_in_force": "day"}


def restarted(dead: Rig, rules: RigRules | None = None) -> Rig:
    """A new process on the old one's ledger and broker, some seconds later."""
    rig = Rig(rules, ledger=dead.ledger)
    rig.clock.advance(dead.clock.monotonic() - rig.clock.monotonic() + 1)
    rig.desk.orders = dead.desk.orders
    rig.limiter = RateLimiter(200, clock=rig.clock)
    rig.snapshot()
    rig.clock.advance(0.001)
    recovery.restore_budget(rig.ledger, rig.limiter, rig.clock)
    recovery.restore(
        ledger=rig.ledger,
        tracker=rig.tracker,
        portfolio=rig.portfolio,
        schedule=rig.schedule,
        clock=rig.clock,
    )
    return rig


def test_an_order_that_filled_meanwhile_ends_by_poll() -> None:
    """OPEN in the ledger, filled at the broker: asked for at once, told once, final."""
    dead = Rig()
    dead.desk.script.append(accept("new"))
    entry = dead.send(**LIMIT)
    dead.desk.fill(dead.only_coid(), "50")
    rig = restarted(dead)
    rig.advance(0)
    assert rig.outcomes.told(entry) == ["fill!"]
    assert rig.row(dead.only_coid()).state is State.FILLED


@pytest.mark.parametrize("answer", [fail(UNCLEAR), accept("new")])
def test_a_row_whose_post_may_have_left_is_looked_up_first(answer: object) -> None:
    """SUBMITTING and UNKNOWN rows: nothing is sent before three lookups found nothing."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    entry = dead.send()
    coid = dead.only_coid()
    rig = restarted(dead)
    rig.desk.script.append(answer)  # type: ignore[arg-type]
    rig.redeliver(entry)
    assert rig.desk.posts == []
    rig.advance(2.2)
    assert rig.desk.posts == []
    rig.advance(0.2)
    assert rig.desk.posts == dead.desk.posts
    assert rig.row(coid).body == dead.desk.posts[0]


def test_a_row_that_died_before_its_post_is_sent_after_the_lookups() -> None:
    """Killed between commit and POST: found absent, still fresh, sent under the same id."""
    dead = Rig()

    def killed(_desk: object, _body: object) -> None:
        raise KeyboardInterrupt  # no Exception: nothing of the process runs after it

    dead.desk.script.append(killed)  # type: ignore[arg-type]
    entry = dead.publish()
    with pytest.raises(KeyboardInterrupt):
        dead.work()
    coid = dead.only_coid()
    assert dead.row(coid).state is State.SUBMITTING
    rig = restarted(dead)
    rig.redeliver(entry)
    rig.advance(5)
    assert rig.desk.posts == dead.desk.posts
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.outcomes.acks == [entry]


def test_a_row_whose_post_got_through_is_adopted() -> None:
    """Killed before the answer: found, adopted, never sent again."""
    dead = Rig()

    def killed(desk: Rig, body: dict[str, str]) -> None:
        dead.desk.place(body)
        raise KeyboardInterrupt

    dead.desk.script.append(killed)  # type: ignore[arg-type]
    entry = dead.publish()
    with pytest.raises(KeyboardInterrupt):
        dead.work()
    dead.desk.fill(dead.only_coid())
    rig = restarted(dead)
    rig.redeliver(entry)
    rig.advance(1)
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["unknown", "submitted", "fill!"]
    assert rig.outcomes.acks == [entry]


def test_without_its_entry_an_absent_order_is_given_up() -> None:
    """Its entry is gone from Redis, so nobody can judge it: not sent, and given up with its age."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    dead.send()
    rig = restarted(dead)
    rig.advance(50)
    assert rig.row(dead.only_coid()).state is State.UNKNOWN
    rig.advance(30)
    assert rig.desk.posts == []
    assert rig.row(dead.only_coid()).state is State.EXPIRED_UNCONFIRMED
    assert len(rig.desk.asked) < 10


@pytest.mark.parametrize(("limit", "sent"), [(7200.0, 1), (3000.0, 0)])
def test_what_was_sent_is_remembered_for_as_long_as_signals_are_young(
    limit: float, sent: int
) -> None:
    """With MAX_SIGNAL_AGE=7200 a buy that turns up after 90 minutes may still follow its sell."""
    rules = RigRules(max_signal_age=limit)
    dead = Rig(rules)
    buy = f"{dead.clock.epoch_ms() - 1000}-0"
    dead.send()
    dead.clock.advance(5400)
    rig = restarted(dead, rules)
    rig.recover()
    assert len(rig.pipeline._newest) == sent
    rig.redeliver(buy)
    assert rig.desk.posts == []
    assert rig.outcomes.events[-1]["reason"] == ("SUPERSEDED" if sent else "STALE_SIGNAL")


def test_an_entry_that_comes_late_is_waited_for() -> None:
    """The budget was spent at the start, so a worker had it only when the lookups were over."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    entry = dead.send()
    rig = restarted(dead)
    rig.advance(20)
    assert rig.desk.posts == []
    rig.redeliver(entry)
    rig.advance(0.1)
    assert rig.desk.posts == dead.desk.posts
    assert rig.outcomes.told(entry) == ["submitted", "fill!"]
    assert rig.outcomes.acks == [entry]


def test_an_entry_that_may_not_be_sent_again_is_not_waited_for() -> None:
    """RESEND_UNKNOWN=false: whoever has it could decide nothing else."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    dead.send()
    rig = restarted(dead, RigRules(may_resend=False))
    rig.advance(5)
    assert rig.row(dead.only_coid()).state is State.EXPIRED_UNCONFIRMED


def two_unclear() -> tuple[Rig, list[str]]:
    """Two orders of one asset under way at a time, whose answers are lost; and their entries."""
    dead = Rig(RigRules(ordered=False))
    entries = [dead.publish(qty="1"), dead.publish(qty="2")]

    def meanwhile() -> None:
        dead.desk.connecting = lambda: None
        dead.desk.script.append(fail(UNCLEAR))
        dead.work()  # the other worker, on the second one

    dead.desk.connecting = meanwhile
    dead.desk.script.append(fail(UNCLEAR))
    dead.work()
    return dead, entries


def test_of_two_unclear_orders_the_elder_goes_first() -> None:
    """Each in doubt because of the other, both would be given up, and the asset with them."""
    dead, entries = two_unclear()
    assert len(dead.desk.posts) == 2
    rig = restarted(dead, RigRules(ordered=False))
    for entry, qty in zip(entries, "12", strict=True):
        rig.redeliver(entry, qty=qty)
    while len(rig.desk.posts) < 1:
        rig.advance(0.1)
    rig.snapshot(NVDA="1")
    rig.advance(8)
    assert [rig.outcomes.told(entry)[-1] for entry in entries] == ["fill!", "fill!"]
    assert [orjson.loads(body)["qty"] for body in rig.desk.posts] == ["1", "2"]


def unclear_with_a_doubt() -> tuple[Rig, Rig, str]:
    """Who died beside an unclear order, who follows and doubts the position, and the entry."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    entry = dead.send()
    rig = restarted(dead)
    rig.portfolio.moved_elsewhere("NVDA", Decimal(1))
    rig.redeliver(entry)
    return dead, rig, entry


def test_a_doubt_that_passes_gives_no_order_up() -> None:
    """Executions that may not be in the position yet: after the next snapshot it goes."""
    dead, rig, entry = unclear_with_a_doubt()
    rig.advance(6)
    assert rig.desk.posts == []
    assert rig.row(dead.only_coid()).state is State.UNKNOWN
    rig.snapshot(NVDA="1")
    rig.advance(3)
    assert rig.outcomes.told(entry)[-1] == "fill!"
    assert rig.desk.posts == dead.desk.posts


def test_a_doubt_that_stays_gives_it_up_when_its_signal_is_too_old() -> None:
    """It is looked up until then, and no longer."""
    _, rig, entry = unclear_with_a_doubt()
    rig.advance(70)
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry)[-1] == "expired_unconfirmed"


def test_a_younger_one_ends_with_the_elder_that_stays_in_doubt() -> None:
    """It waits while the elder is looked up, and no longer; nor does the elder wait for it."""
    dead, entries = two_unclear()
    rig = restarted(dead, RigRules(ordered=False))
    rig.redeliver(entries[1], qty="2")
    rig.advance(5)
    assert rig.desk.posts == []  # the elder's entry has not come yet
    rig.advance(120)
    assert rig.outcomes.told(entries[0])[-1] == "expired_unconfirmed"
    assert rig.outcomes.told(entries[1])[-1] == "expired_unconfirmed"
    assert rig.desk.posts == []


def test_a_stale_signal_is_not_sent_after_a_restart() -> None:
    """Sent unclearly, and the process stayed down for longer than the age limit."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    entry = dead.send()
    dead.clock.advance(120)
    rig = restarted(dead)
    rig.redeliver(entry)
    rig.advance(5)
    assert rig.desk.posts == []
    assert rig.outcomes.told(entry) == ["expired_unconfirmed"]
    assert rig.outcomes.acks == [entry]
    assert rig.is_free()


def test_an_unconfirmed_order_stays_watched() -> None:
    """EXPIRED_UNCONFIRMED survives the restart: entries refused, a late order cancelled."""
    dead = Rig()
    dead.desk.script.append(fail(UNCLEAR))
    entry = dead.send(**LIMIT)
    dead.tracker.expire_unconfirmed(dead.only_coid(), "not found")
    rig = restarted(dead)
    refused = rig.send()
    assert rig.outcomes.events[-1]["reason"] == "EXPOSURE_UNCONFIRMED"
    assert rig.outcomes.told(refused) == ["refused!"]
    order = rig.desk.place(orjson.loads(dead.desk.posts[0]))
    rig.advance(6)
    assert rig.desk.cancels == [order["id"]]
    order["status"] = "canceled"
    rig.advance(6)
    assert rig.outcomes.told(entry) == ["corrected", "canceled!"]


def test_what_open_orders_hold_is_reserved_again() -> None:
    """An accepted order is in the snapshot; one that may not exist is charged in full."""
    dead = Rig()
    dead.desk.script.append(accept("new"))
    dead.send(**LIMIT)
    dead.desk.script.append(fail(UNCLEAR))
    dead.send(ticker="AAPL")
    rig = restarted(dead)
    orders, power = rig.portfolio.reserved()
    assert (orders, power) == (2, Decimal(1000))
    assert rig.portfolio.view("NVDA").pending_qty == 10


def test_an_exit_holds_its_shares_again() -> None:
    """The shares of a sale under way cannot be sold twice after a restart."""
    dead = Rig()
    dead.snapshot(NVDA="10")
    dead.desk.script.append(accept("new"))
    dead.send("s", **LIMIT)
    rig = restarted(dead)
    rig.snapshot(NVDA="10")
    assert rig.portfolio.view("NVDA").available_qty == 0


def test_a_half_filled_order_holds_its_remainder() -> None:
    """What was filled before the restart is in the position, not in the reservation."""
    dead = Rig()
    dead.desk.script.append(accept("new"))
    dead.send(**LIMIT)
    coid = dead.only_coid()
    dead.desk.fill(coid, "50", "4")
    dead.hear(dead.update(coid, "partial_fill", position_qty=Decimal(4)))
    rig = restarted(dead)
    assert rig.portfolio.view("NVDA").pending_qty == 6


def test_the_rate_window_is_rebuilt_from_the_ledger() -> None:
    """What the old process sent within the last minute still counts."""
    dead = Rig()
    for _ in range(3):
        dead.send()
    rig = restarted(dead)
    assert rig.limiter.view().used == 3


def test_a_ledger_belongs_to_one_account_at_one_host() -> None:
    """Bound at the first start; another account or host is refused in one line."""
    ledger = SqliteLedger("sqlite://")
    recovery.bind_ledger(ledger, "account-1", "https://broker")
    recovery.bind_ledger(ledger, "account-1", "https://broker")
    for other in ("account-0", "account-2"):
        with pytest.raises(StartupError, match="belongs to account account-1@https://broker"):
            recovery.bind_ledger(ledger, other, "https://broker")
    with pytest.raises(StartupError, match="another LEDGER_URL"):
        recovery.bind_ledger(ledger, "account-1", "https://other")


def test_an_endless_list_of_orders_is_no_empty_one() -> None:
    """Nobody knows which orders lack a row then: the start ends, in one line."""
    rig = Rig()
    rig.desk.orders_since = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(StartupError, match="since 2026-03-04T13:59:00Z has no end"):
        rig.recover()


def test_a_row_without_reserved_shares_restores_an_empty_reservation() -> None:
    """A row of zero shares must not divide by zero."""
    intent = Intent(
        identity="i",
        digest="d",
        stream="s",
        entry_id="1-0",
        client_order_id="c",
        state=State.UNKNOWN,
        side="buy",
    )
    held = recovery.reservation_of(intent)
    assert (held.qty, held.price, held.opens) == (Decimal(0), Decimal(0), False)
    Portfolio(ManualClock()).restore(held)


# --- what is asked of ledger and broker -----------------------------------------------------------

NOW_MS = 1_772_640_000_000


class Asked:
    """Ledger, limiter and desk in one: answers as told, and keeps what it was asked for."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: dict[str, tuple[Any, ...]] = {}

    def __getattr__(self, name: str) -> Any:
        def answer(*arguments: Any) -> Any:
            self.asked[name] = arguments
            return self.answers.get(name)

        return answer


def clock_at_now() -> Any:
    return Asked(epoch_ms=NOW_MS)


def test_the_budget_counts_one_minute() -> None:
    """Orders older than the broker's window cost nothing any more."""
    both: Any = Asked(send_times=[NOW_MS - 5, NOW_MS - 1])
    recovery.restore_budget(both, both, clock_at_now())
    assert both.asked["send_times"] == (NOW_MS - 60_000,)
    assert both.asked["restore"] == ([NOW_MS - 5, NOW_MS - 1], NOW_MS)


def test_the_newest_sent_is_the_highest_entry_of_stream_and_asset() -> None:
    """By number, in whatever order the rows come; orders that no signal explains are passed by."""
    ledger: Any = Asked(
        sent_since=[
            ("nvda", "1", "5-9"),
            ("nvda", "1", ""),
            ("nvda", "1", "5-10"),
            ("nvda", "1", "4-99"),
            ("nvda", "2", "7"),
            ("other", "1", "6-0"),
        ]
    )
    found = recovery.newest_sent(ledger, NOW_MS, 3_600_000)
    assert found == {("nvda", "1"): (5, 10), ("nvda", "2"): (7, 0), ("other", "1"): (6, 0)}
    assert ledger.asked["sent_since"] == (NOW_MS - 3_600_000,)


@pytest.mark.parametrize(
    ("last", "since_ms"), [(NOW_MS - 5250, NOW_MS - 65_250), (None, NOW_MS - 3_660_000)]
)
def test_the_broker_is_asked_for_what_may_have_no_row(last: int | None, since_ms: int) -> None:
    """A minute before the last order we know; of the last hour when we know none."""
    both: Any = Asked(last_sent_ms=last, orders_since=[])
    assert recovery.unclaimed(both, both, DEPLOYMENT, clock_at_now()) == {}
    since, priority = both.asked["orders_since"]
    assert since == datetime.fromtimestamp(since_ms / 1000, UTC)
    assert priority is Priority.LOOKUP


def test_unclaimed_is_what_is_ours_and_has_no_row() -> None:
    """Neither another deployment's, nor a stranger's, nor one that the ledger knows."""
    ours, known = f"sp-{DEPLOYMENT}-1", f"sp-{DEPLOYMENT}-2"
    listed = [{"client_order_id": each} for each in (ours, known, "sp-other-3", "by hand")]
    both: Any = Asked(last_sent_ms=NOW_MS, orders_since=[*listed, {}])
    both.find_by_client_order_id = lambda coid: object() if coid == known else None
    assert recovery.unclaimed(both, both, DEPLOYMENT, clock_at_now()) == {ours: listed[0]}


def row(**of: Any) -> Intent:
    """A row of a buy of 10 for 1,000 that is on its way."""
    return Intent(
        **{
            "identity": "i",
            "digest": "d",
            "stream": "s",
            "entry_id": "1-0",
            "client_order_id": "c",
            "state": State.UNKNOWN,
            "symbol": "NVDA",
            "side": "buy",
            "reserved_qty": Decimal(10),
            "reserved_cash": Decimal(1000),
            **of,
        }
    )


@pytest.mark.parametrize(
    ("of", "price", "opens"),
    [
        ({}, "100", True),
        ({"reserved_cash": Decimal("0.5"), "reserved_qty": Decimal(2)}, "0.25", True),
        ({"reserved_cash": Decimal(0), "side": "sell"}, "0", False),
        ({"reserved_qty": Decimal(0)}, "0", True),
    ],
)
def test_what_a_row_holds(of: dict[str, Any], price: str, opens: bool) -> None:
    """Cash where it opens exposure, at the price it was charged at; shares otherwise."""
    held = recovery.reservation_of(row(filled_qty=Decimal(3), **of))
    assert (held.price, held.opens) == (Decimal(price), opens)
    assert (held.symbol, held.client_order_id, held.filled_qty) == ("NVDA", "c", Decimal(3))
    assert held.side == of.get("side", "buy")


@pytest.mark.parametrize("state", [State.OPEN, State.SUBMITTING, State.UNKNOWN])
def test_only_an_accepted_order_is_in_every_snapshot(state: State) -> None:
    """One that may not exist is charged beside whatever the account says."""
    accepted_at = recovery.reservation_of(row(state=state)).accepted_at
    assert accepted_at == (float("-inf") if state is State.OPEN else None)


def test_orders_at_the_broker_are_asked_for_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The others have their lookup; how many of each is told once, and nothing where none is."""
    caplog.set_level("WARNING", logger="solution.trading.recovery")
    rows = [row(state=State.OPEN, client_order_id="a"), row(client_order_id="b")]
    parts: Any = Asked(open_intents=rows, monotonic=7.5)
    parts.epoch = 3
    everything = dict.fromkeys(("ledger", "tracker", "portfolio", "schedule", "clock"), parts)
    assert recovery.restore(**everything) == 2
    assert parts.asked["poll_now"] == (["a"], 7.5)
    assert [(vars(r)["open"], vars(r)["at_broker"]) for r in caplog.records] == [(2, 1)]
    parts.answers["open_intents"] = []
    assert recovery.restore(**everything) == 0
    assert len(caplog.records) == 1
