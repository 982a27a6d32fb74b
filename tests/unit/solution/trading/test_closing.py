"""Closing orders: their ids, their rows, and how they are taken up after a crash."""

import orjson

from solution.domain.flattening import identity_of
from solution.domain.orders import client_order_id
from solution.domain.records import Intent, State
from solution.errors import NotSent, OutcomeUnknown
from solution.trading.closing import READ_WITHIN
from tests.helpers.flatten import FlattenRig
from tests.helpers.trading import DEPLOYMENT, accept, accept_then, fail


def coid(attempt: int, request: str = "one", symbol: str = "NVDA") -> str:
    return client_order_id(DEPLOYMENT, identity_of(request, symbol, attempt))


def close(made: FlattenRig, symbol: str = "NVDA") -> tuple[str, list[Intent]]:
    """One closing order; why not, and the rows that were begun."""
    begun: list[Intent] = []
    return made.closer.close(made.request(), symbol, begun.append), begun


def ready(**positions: str) -> FlattenRig:
    made = FlattenRig(**positions)
    made.ask()
    return made


def test_the_id_follows_from_deployment_request_symbol_and_attempt() -> None:
    """Whoever comes after a crash asks the broker by it."""
    made = ready(NVDA="10")
    made.answers(accept("new"))
    why, (intent,) = close(made)
    assert why == ""
    assert intent.client_order_id == coid(1)
    row = made.rig.row(coid(1))
    assert (row.signal_id, row.stream, row.entry_id) == ("flatten:one", "", "")
    assert row.message == "flatten: a test"
    assert orjson.loads(row.body)["client_order_id"] == coid(1)


def test_attempts_are_counted_by_the_rows_of_the_ledger() -> None:
    """A process that knows nothing of the first one sends the second one."""
    made = ready(NVDA="10")
    made.answers(fail(NotSent("no route")))
    close(made)
    made.rig.tracker.stopped_before_resend(coid(1), "NOTHING_TO_SELL", "a test")
    made.build(exclusive=False, allow_extended=False, dry_run=False)
    made.answers(accept("new"))
    _, (intent,) = close(made)
    assert intent.client_order_id == coid(2)


def test_its_shares_are_promised_and_nothing_is_sent_beside_it() -> None:
    """Until it ends."""
    made = ready(NVDA="10")
    made.answers(accept("new"))
    close(made)
    assert close(made) == ("other orders hold all of it", [])
    assert len(made.desk.posts) == 1


def test_a_short_is_covered_and_not_turned_into_a_long() -> None:
    """By what is short beside purchases on their way."""
    made = ready(NVDA="-4")
    made.answers(accept("new"), accept("new"))
    made.rig.send("b", qty="3", action="buy_to_cover")
    _, (intent,) = close(made)
    assert (intent.side, intent.qty) == ("buy", 1)


def test_no_asset_no_order() -> None:
    """What the broker does not list cannot be closed here."""
    made = ready(NVDA="10")
    assert close(made, "GONE") == ("the broker does not list it", [])


def test_a_row_without_a_post_is_sent_once_by_the_next_process() -> None:
    """The crash came between the two: looked up, absent, and its stored body goes out."""
    made = ready(NVDA="10")
    made.answers(fail(NotSent("no route")))
    close(made)
    posted = list(made.desk.posts)
    after = made.after_a_crash()
    after.desk.default = accept("new")
    after.run(10, until=lambda: len(after.desk.posts) > 1)
    assert after.desk.posts == posted * 2
    assert after.rig.row(coid(1)).state is State.OPEN


def test_an_order_that_the_crash_hid_is_adopted() -> None:
    """Found by its id: no second one."""
    made = ready(NVDA="10")
    made.answers(accept_then(OutcomeUnknown("reset")))
    close(made)
    after = made.after_a_crash()
    after.run(10, until=lambda: after.rig.row(coid(1)).state is State.OPEN)
    assert after.rig.row(coid(1)).state is State.OPEN
    assert len(after.desk.posts) == 1


def test_what_the_position_no_longer_covers_is_not_sent_again() -> None:
    """Somebody sold by hand while it waited: its row ends, and nothing goes out."""
    made = ready(NVDA="10")
    made.answers(fail(NotSent("no route")))
    close(made)
    made.desk.positions["NVDA"] -= 6
    made.rig.clock.advance(READ_WITHIN + 1)
    made.run(20)
    assert made.rig.row(coid(1)).state is State.REFUSED
    assert made.request().flat
    assert made.desk.positions["NVDA"] == 0
    assert [orjson.loads(body)["qty"] for body in made.desk.posts] == ["10", "4"]


def test_another_account_is_not_traded_whoever_asks() -> None:
    """Neither for the first time nor again: its positions are nobody's business here."""
    made = ready(NVDA="10")
    made.answers(fail(NotSent("no route")))
    close(made)
    made.other_account = "the keys open account B"
    assert close(made) == ("the keys open account B", [])
    made.run(5)
    assert len(made.desk.posts) == 1
    assert made.rig.row(coid(1)).state is State.REFUSED


def test_a_position_that_cannot_be_read_is_not_closed() -> None:
    """Neither for the first time nor again, until it can."""
    made = ready(NVDA="10")
    made.answers(fail(NotSent("no route")))
    close(made)
    made.rig.clock.advance(READ_WITHIN + 1)
    made.desk.lookup_error = OutcomeUnknown("HTTP 502")
    made.run(10)
    assert len(made.desk.posts) == 1
    made.desk.lookup_error = None
    made.run(20)
    assert made.request().flat


def test_a_market_that_closed_meanwhile_is_waited_for() -> None:
    """A body for the open market does not go out into the night."""
    made = ready(NVDA="10")
    made.answers(fail(NotSent("no route")))
    close(made)
    made.desk.is_open = False
    made.run(5)
    assert made.rig.row(coid(1)).state is State.REFUSED
    assert len(made.desk.posts) == 1
    assert made.left()["NVDA"][1].startswith("the market is closed")
