"""The life of an order: the table of moves, and the merging of news in any order."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from solution.domain.order_state import (
    LEGAL_MOVES,
    STATE_OF_STATUS,
    News,
    Progress,
    Step,
    decimal_or_none,
    is_legal,
    merge,
    news_of,
)
from solution.domain.records import TERMINAL, State

SENT = Progress(state=State.SUBMITTING)
ALPACA = {
    "new", "partially_filled", "filled", "done_for_day", "canceled", "expired", "replaced",
    "pending_cancel", "pending_replace", "accepted", "pending_new", "accepted_for_bidding",
    "stopped", "rejected", "suspended", "calculated", "held", "pending_review",
}  # fmt: skip
TEN = Decimal(10)


def news(status: str, qty: str = "0", average: str | None = None, order_id: str = "A") -> News:
    price = None if average is None else Decimal(average)
    return News(status=status, order_id=order_id, filled_qty=Decimal(qty), filled_avg_price=price)


def told(*messages: News, start: Progress = SENT) -> list[Step]:
    """Every step that a sequence of messages makes."""
    steps: list[Step] = []
    for message in messages:
        steps.append(merge(steps[-1].progress if steps else start, message))
    return steps


# --- the table ------------------------------------------------------------------------------------


AT_BROKER = "OPEN FILLED CANCELED EXPIRED REPLACED REJECTED"
MOVES = {
    None: "SUBMITTING REFUSED DRY_RUN",
    "SUBMITTING": f"{AT_BROKER} UNKNOWN NOT_SENT REFUSED EXPIRED_UNCONFIRMED",
    "UNKNOWN": f"{AT_BROKER} SUBMITTING EXPIRED_UNCONFIRMED",
    "EXPIRED_UNCONFIRMED": f"{AT_BROKER} ABSENT_CONFIRMED",
    "OPEN": "FILLED CANCELED EXPIRED REPLACED REJECTED",
}
"""The table once more, in words of its own: no move is lost or won unseen."""
OPEN_RANKS = (
    {"accepted", "accepted_for_bidding", "pending_review"},
    {"pending_new", "held"},
    {"new"},
    {"partially_filled"},
    {"pending_cancel", "pending_replace", "stopped", "suspended", "done_for_day", "calculated"},
)
"""Statuses of an open order, those that an order leaves for good first."""


def test_the_table_holds_these_moves() -> None:
    """From each state that has any."""
    found = {before: {str(s) for s in moves} for before, moves in LEGAL_MOVES.items() if moves}
    assert found == {before: set(moves.split()) for before, moves in MOVES.items()}


def test_the_broker_s_ends_are_these_five() -> None:
    """Everything else it says is of an order that may still trade."""
    ends = {status: str(s) for status, s in STATE_OF_STATUS.items() if s is not State.OPEN}
    assert ends == {name: name.upper() for name in ("filled", "canceled", "expired", "rejected",
                                                    "replaced")}  # fmt: skip


def test_every_state_has_a_row() -> None:
    """No state without its moves, and none invented."""
    assert set(LEGAL_MOVES) == {None, *State}


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_terminal_states_absorb(state: State) -> None:
    """I6: out of an end nothing leads, not even to another end."""
    assert LEGAL_MOVES[state] == frozenset()
    assert [after for after in State if is_legal(state, after)] == [state]


def test_every_other_state_has_an_end() -> None:
    """I7: from each state that is no end, an end can be reached in one move."""
    dead_ends = [
        s for s, moves in LEGAL_MOVES.items() if s not in TERMINAL and not moves & TERMINAL
    ]
    assert dead_ends == []


def test_a_row_begins_as_one_of_three() -> None:
    """On its way, refused, or dry: never at the broker before it was durable."""
    assert LEGAL_MOVES[None] == {State.SUBMITTING, State.REFUSED, State.DRY_RUN}


@pytest.mark.parametrize("after", [State.REJECTED, State.CANCELED, State.EXPIRED, State.FILLED])
def test_an_unclear_answer_can_turn_out_as_anything_at_the_broker(after: State) -> None:
    """UNKNOWN and EXPIRED_UNCONFIRMED adopt whatever the broker says in the end."""
    assert is_legal(State.UNKNOWN, after)
    assert is_legal(State.EXPIRED_UNCONFIRMED, after)


@pytest.mark.parametrize("state", [State.UNKNOWN, State.EXPIRED_UNCONFIRMED, State.OPEN])
def test_what_may_be_at_the_broker_never_ends_as_unsent(state: State) -> None:
    """Never turn "unknown" into "did not happen"."""
    ours = {State.NOT_SENT, State.REFUSED, State.DRY_RUN}
    assert not ours & LEGAL_MOVES[state]


def test_only_a_watched_order_is_declared_absent() -> None:
    """ABSENT_CONFIRMED follows EXPIRED_UNCONFIRMED and nothing else."""
    before = [s for s, moves in LEGAL_MOVES.items() if State.ABSENT_CONFIRMED in moves]
    assert before == [State.EXPIRED_UNCONFIRMED]


def test_every_status_of_the_broker_has_a_state() -> None:
    """The table knows Alpaca's statuses, all of them."""
    assert set(STATE_OF_STATUS) == ALPACA


@pytest.mark.parametrize("state", list(State))
def test_staying_put_is_always_legal(state: State) -> None:
    """A repetition is no move."""
    assert is_legal(state, state)


# --- one message ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "state"), sorted(STATE_OF_STATUS.items()))
def test_the_first_word_of_the_broker_sets_the_state(status: str, state: State) -> None:
    """Whatever comes first after the POST is believed."""
    step = merge(SENT, news(status))
    assert (step.progress.state, step.progress.status) == (state, status)
    assert step.progress.order_id == "A"
    assert step.status_changed


@pytest.mark.parametrize("state", [State.SUBMITTING, State.UNKNOWN, State.EXPIRED_UNCONFIRMED])
@pytest.mark.parametrize("status", ["quantum_entangled", ""])
def test_an_unknown_status_means_that_the_order_exists(state: State, status: str) -> None:
    """New words of the broker neither crash nor end an order."""
    step = merge(Progress(state=state), news(status))
    assert step.progress.state is State.OPEN


def test_an_unknown_status_is_left_again() -> None:
    """The next word that we know moves it on."""
    steps = told(news("new"), news("quantum_entangled"), news("filled", "10", "100"))
    assert [s.progress.status for s in steps] == ["new", "quantum_entangled", "filled"]
    assert steps[-1].progress.state is State.FILLED


@pytest.mark.parametrize(("before", "after"), list(permutations(["accepted", "pending_new"], 2)))
@pytest.mark.parametrize("standing", ["new", "pending_cancel", "suspended", "quantum_entangled"])
def test_stale_acknowledgements_are_no_step_back(before: str, after: str, standing: str) -> None:
    """The POST's answer may be read after the stream has told more."""
    steps = told(news(before), news(standing), news(after), news(before))
    assert [s.status_changed for s in steps[2:]] == [False, False]
    assert steps[-1].progress.status == standing


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in range(5) for b in range(5)], ids=str)
def test_a_status_of_the_same_shares_moves_forward_only(first: int, second: int) -> None:
    """From the last group an order may go back to new, and no further."""
    leads_on = second >= (2 if first == 4 else first)
    for before, after in product(sorted(OPEN_RANKS[first]), sorted(OPEN_RANKS[second])):
        step = told(news(before), news(after))[-1]
        assert step.status_changed is (leads_on and before != after), (before, after)


@pytest.mark.parametrize("status", sorted(OPEN_RANKS[0] | OPEN_RANKS[1]))
@pytest.mark.parametrize("standing", ["", "replaced"])
def test_the_first_words_of_an_order_are_taken(status: str, standing: str) -> None:
    """Nothing was said of it yet, or its successor's life begins."""
    before = Progress(state=State.OPEN, status=standing, order_id="A")
    assert merge(before, news(status)).progress.status == status


def test_more_shares_move_whatever_the_status_is() -> None:
    """The message is newer than what we know, since it knows more."""
    step = told(news("partially_filled", "3", "100"), news("new", "5", "100"))[-1]
    assert (step.status_changed, step.progress.status) == (True, "new")


def test_a_refused_cancel_leads_back_to_new() -> None:
    """pending_cancel and pending_replace may come to nothing."""
    steps = told(news("new"), news("pending_cancel"), news("new"), news("pending_replace"))
    assert [s.status_changed for s in steps] == [True] * 4


def test_an_order_wakes_up_after_its_day() -> None:
    """done_for_day is no end for a gtc order."""
    steps = told(news("new"), news("done_for_day"), news("new"))
    assert [s.progress.state for s in steps] == [State.OPEN] * 3
    assert steps[-1].progress.status == "new"


def test_older_news_of_fewer_shares_says_nothing() -> None:
    """A partial fill told late neither lowers the quantity nor moves the status."""
    steps = told(
        news("new"), news("partially_filled", "7", "100"), news("pending_cancel", "7", "100"),
        news("partially_filled", "3", "100"),
    )  # fmt: skip
    assert not steps[-1].changed
    assert steps[-1].progress == steps[-2].progress


@pytest.mark.parametrize("state", sorted(TERMINAL))
@pytest.mark.parametrize("status", ["new", "filled", "canceled", "rejected", "replaced"])
def test_nothing_leaves_an_end(state: State, status: str) -> None:
    """State and status of an ended order stay, whatever is said later."""
    ended = Progress(state=state, status="was")
    step = merge(ended, news(status)._replace(replaced_by="B"))
    assert (step.progress.state, step.progress.status) == (state, "was")
    assert not step.changed


def test_a_fill_after_the_cancel_is_a_correction() -> None:
    """Shares count although the end was recorded; the end stays."""
    cancelled = told(news("new"), news("canceled"))[-1].progress
    step = merge(cancelled, news("filled", "10", "99.5"))
    assert (step.progress.state, step.progress.status) == (State.CANCELED, "canceled")
    assert (step.filled, step.fill_price, step.late_fill) == (TEN, Decimal("99.5"), True)
    assert not step.status_changed


def test_a_cancel_after_a_partial_fill_keeps_the_shares() -> None:
    """Terminal CANCELED, filled_qty kept, also where the cancel itself says 0."""
    steps = told(news("partially_filled", "4", "100"), news("canceled"))
    assert steps[-1].progress.filled_qty == 4
    assert steps[-1].progress.filled_avg_price == 100
    assert steps[-1].progress.state is State.CANCELED


# --- prices of partial executions -----------------------------------------------------------------


def test_the_price_is_of_exactly_the_new_shares() -> None:
    """4 at 100 and 6 at 110 average 106; the second execution is told at 110."""
    steps = told(news("partially_filled", "4", "100"), news("filled", "10", "106"))
    told_of = [(s.filled, s.fill_price) for s in steps]
    assert told_of == [(Decimal(4), Decimal(100)), (Decimal(6), Decimal(110))]


def test_a_missed_execution_is_told_with_the_next() -> None:
    """Two executions in one message: their average."""
    step = told(news("new"), news("filled", "10", "106"))[-1]
    assert (step.filled, step.fill_price) == (TEN, Decimal(106))


def test_a_price_of_two_executions_is_their_average() -> None:
    """3 at 100 by the stream and 4 that were missed before it, at 102.625."""
    told_of = news("filled", "7", "101.5")._replace(
        execution_id="e", execution_qty=Decimal(3), execution_price=Decimal(100)
    )
    step = merge(SENT, told_of)
    assert {row.price for row in step.executions} == {Decimal(100), Decimal("102.625")}
    assert step.fill_price == Decimal("101.5")


def test_the_price_of_one_execution_is_not_rounded() -> None:
    """It is told as the broker told it."""
    told_of = news("filled", "7", "0.1234567")._replace(
        execution_id="e", execution_qty=Decimal(7), execution_price=Decimal("0.1234567")
    )
    assert merge(SENT, told_of).fill_price == Decimal("0.1234567")


def test_no_average_no_price() -> None:
    """Null where a number should be: the shares count, the price stays unknown."""
    step = merge(SENT, news("partially_filled", "4"))
    assert (step.filled, step.fill_price) == (Decimal(4), None)


def test_shares_without_a_price_do_not_spoil_the_next_price() -> None:
    """Counting the unpriced ones as free would make the others cost double."""
    steps = told(news("partially_filled", "5"), news("filled", "10", "100"))
    assert steps[-1].fill_price == 100


def test_a_missing_average_is_taken_from_a_repetition() -> None:
    """The stream lacked it, the poll has it."""
    steps = told(news("filled", "10"), news("filled", "10", "100"))
    assert steps[-1].progress.filled_avg_price == 100
    assert not steps[-1].changed


def test_an_average_is_not_lost_to_a_repetition_without_one() -> None:
    """Null says nothing."""
    steps = told(news("partially_filled", "5", "100"), news("partially_filled", "5"))
    assert steps[-1].progress.filled_avg_price == 100


def test_a_rounded_average_makes_no_nonsense_price() -> None:
    """10,000 shares at 1.00 and one more at an average rounded to 0.99: not minus 99 dollars."""
    steps = told(news("partially_filled", "10000", "1.00"), news("filled", "10001", "0.99"))
    assert steps[-1].fill_price == Decimal("0.99")


# --- replaced by hand -----------------------------------------------------------------------------


def replaced(old: str, new: str, qty: str = "0") -> News:
    return news("replaced", qty, "100" if qty != "0" else None, old)._replace(replaced_by=new)


def test_a_chain_is_followed() -> None:
    """At the broker a replaced order is one order with a chain of ids."""
    steps = told(
        news("new"), replaced("A", "B"), news("new", order_id="B"), replaced("B", "C"),
        news("filled", "10", "100", "C"),
    )  # fmt: skip
    assert [s.progress.order_id for s in steps] == ["A", "B", "B", "C", "C"]
    assert [s.progress.state for s in steps] == [State.OPEN] * 4 + [State.FILLED]
    assert all(s.status_changed for s in steps)


def test_a_repeated_replacement_changes_nothing() -> None:
    """Neither the id nor the successor's status go back."""
    steps = told(news("new"), replaced("A", "B"), news("new", order_id="B"), replaced("A", "B"))
    assert steps[-1].progress[:5] == steps[-2].progress[:5]
    assert not steps[-1].changed


def test_a_stale_replacement_does_not_lead_back_down_the_chain() -> None:
    """A → B told again after B → C."""
    steps = told(news("new"), replaced("A", "B"), replaced("B", "C"), replaced("A", "B"))
    assert steps[-1].progress.order_id == "C"


def test_a_replacement_by_itself_is_nothing() -> None:
    """Nonsense of the broker does not loop."""
    steps = told(news("new"), replaced("A", "A"))
    assert not steps[-1].changed


@pytest.mark.parametrize("status", ["canceled", "filled", "expired", "new", "replaced"])
def test_what_is_said_of_a_predecessor_does_not_end_the_successor(status: str) -> None:
    """Its shares count, its status does not."""
    steps = told(news("new"), replaced("A", "B"), news(status, "4", "100", "A"))
    progress = steps[-1].progress
    assert (progress.order_id, progress.state, progress.status) == ("B", State.OPEN, "replaced")
    assert (steps[-1].filled, progress.filled_qty) == (Decimal(4), Decimal(4))


@pytest.mark.parametrize("new", ["0", "Z"])
def test_a_successor_s_id_may_be_any(new: str) -> None:
    """Ids are names, not numbers that grow."""
    steps = told(news("new"), replaced("A", new))
    assert steps[-1].progress.order_id == new


@pytest.mark.parametrize("status", ["new", "pending_replace", "suspended"])
def test_only_a_replaced_order_is_left_for_its_successor(status: str) -> None:
    """Another status that names one: the replacement may still be refused."""
    steps = told(news("accepted"), news(status)._replace(replaced_by="B"))
    assert (steps[-1].progress.order_id, steps[-1].progress.status) == ("A", status)


@pytest.mark.parametrize("shares", ["0.5", "1", "4"])
def test_a_successor_that_trades_is_followed_before_it_is_named(shares: str) -> None:
    """It names its predecessor, and it has filled something: it is the order now."""
    told_of = news("partially_filled", shares, "100", "B")._replace(replaces="A")
    step = told(news("new"), told_of)[-1]
    assert (step.progress.order_id, step.progress.status) == ("B", "partially_filled")


@pytest.mark.parametrize("replaces", ["", "0", "Z"])
def test_an_order_that_replaces_another_one_is_not_followed(replaces: str) -> None:
    """Its shares are in the chain; which of them is last, others have to say."""
    told_of = news("partially_filled", "4", "100", "C")._replace(replaces=replaces)
    step = told(news("new"), told_of)[-1]
    assert (step.progress.order_id, step.progress.status) == ("A", "new")


def test_a_successor_that_has_not_traded_is_not_followed() -> None:
    """Its replacement may still be refused, and the predecessor live on."""
    step = told(news("new"), news("new", order_id="B")._replace(replaces="A"))[-1]
    assert step.progress.order_id == "A"


def test_replaced_without_a_successor_is_the_end() -> None:
    """Nothing to follow."""
    assert told(news("new"), news("replaced"))[-1].progress.state is State.REPLACED


def test_an_unclear_post_that_was_replaced_is_followed_too() -> None:
    """The lookup finds the old id, which names the new one."""
    step = merge(Progress(state=State.UNKNOWN), replaced("A", "B"))
    assert (step.progress.state, step.progress.order_id) == (State.OPEN, "B")


# --- any order, any number of times, any of them lost ---------------------------------------------


@dataclass(frozen=True)
class Life:
    """What really happened to an order: every standing it had, the last one its end."""

    filled: Decimal
    cost: Decimal
    standings: tuple[News, ...]


SHARES = st.integers(1, 100_000).map(lambda n: Decimal(n) / 1000)
PRICES = st.integers(1, 2_000_000).map(lambda n: Decimal(n) / 100)
ENDS = st.sampled_from(["filled", "canceled", "expired", "rejected", "replaced"])
BETWEEN = st.sampled_from(["partially_filled", "pending_cancel", "done_for_day", "strange", ""])


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """An order with any statuses, up to five executions, and an end."""
    standings = [news(status) for status in ("accepted", "pending_new", "new")]
    qty = cost = Decimal(0)
    for shares, price in draw(st.lists(st.tuples(SHARES, PRICES), max_size=5)):
        qty, cost = qty + shares, cost + shares * price
        standings.append(News(draw(BETWEEN), "A", qty, cost / qty))
    standings.append(News(draw(ENDS), "A", qty, cost / qty if qty else None))
    return Life(qty, cost, tuple(standings))


@st.composite
def heard(draw: st.DrawFn) -> tuple[Life, tuple[News, ...]]:
    """A life, and what reaches us of it: shuffled, repeated, some of it lost, the end included."""
    life = draw(lives())
    some = draw(st.lists(st.sampled_from(life.standings), max_size=12))
    return life, tuple(draw(st.permutations([*some, life.standings[-1]])))


STARTS = st.sampled_from([State.SUBMITTING, State.UNKNOWN, State.EXPIRED_UNCONFIRMED])


@settings(deadline=None, derandomize=True)
@given(heard(), STARTS)
def test_whatever_is_heard_adds_up(case: tuple[Life, tuple[News, ...]], start: State) -> None:
    """filled_qty grows to the truth, the steps sum up to it, and so does the money."""
    life, messages = case
    steps = told(*messages, start=Progress(state=start))
    standing = [s.progress.filled_qty for s in steps]
    assert standing == sorted(standing)
    assert sum(s.filled for s in steps) == standing[-1] == life.filled
    paid = sum((s.filled * s.fill_price for s in steps if s.fill_price is not None), Decimal(0))
    assert abs(paid - life.cost) <= Decimal("0.001") * len(messages)


@settings(deadline=None, derandomize=True)
@given(heard(), STARTS)
def test_whatever_is_heard_moves_by_the_table(
    case: tuple[Life, tuple[News, ...]], start: State
) -> None:
    """Every move is legal, the first end stays, and the end that was told is reached."""
    _, messages = case
    steps = told(*messages, start=Progress(state=start))
    states = [start, *(s.progress.state for s in steps)]
    assert all(is_legal(a, b) for a, b in pairwise(states))
    assert states[-1] is STATE_OF_STATUS[case[0].standings[-1].status]


@settings(deadline=None, derandomize=True)
@given(heard(), STARTS)
def test_a_repetition_changes_nothing(case: tuple[Life, tuple[News, ...]], start: State) -> None:
    """Each message told twice in a row: the second time no shares, no event, no other standing."""
    twice = [message for message in case[1] for _ in range(2)]
    steps = told(*twice, start=Progress(state=start))
    assert not any(s.changed for s in steps[1::2])
    assert [s.progress for s in steps[1::2]] == [s.progress for s in steps[::2]]


@settings(deadline=None, derandomize=True)
@given(heard(), st.data())
def test_shares_told_after_the_end_are_corrections(
    case: tuple[Life, tuple[News, ...]], data: st.DataObject
) -> None:
    """An end recorded with fewer shares: the rest arrives as late fills, and all of it."""
    life, messages = case
    end = Progress(state=data.draw(st.sampled_from(sorted(TERMINAL))), order_id="A")
    steps = told(*messages, start=end)
    assert {s.progress.state for s in steps} == {end.state}
    assert all(s.late_fill == (s.filled > 0) for s in steps)
    assert steps[-1].progress.filled_qty == life.filled


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_a_chain_is_never_followed_backwards(data: st.DataObject) -> None:
    """A → B → C told in any order and number: the id only moves down the chain, shares add up."""
    chain = [
        news("new"), news("partially_filled", "2", "100"), replaced("A", "B", "2"),
        news("new", "2", "100", "B"), replaced("B", "C", "5"), news("new", "5", "100", "C"),
    ]  # fmt: skip
    messages = data.draw(st.lists(st.sampled_from(chain), max_size=15))
    # The end is always told last and of the last id: polls ask for the id that we know.
    steps = told(*messages, replaced("A", "B", "2"), replaced("B", "C", "5"),
                 news("filled", "10", "100", "C"))  # fmt: skip
    ids = [s.progress.order_id for s in steps if s.progress.order_id]
    assert ids == sorted(ids)
    assert steps[-1].progress.state is State.FILLED
    assert sum(s.filled for s in steps) == 10


# --- reading the broker's objects -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("10", "10"), ("0.5", "0.5"), (10, "10"), (1.5, "1.5"), ("1E+2", "100"), (0, "0"),
        ("-3", "-3"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_text(value: object, number: str) -> None:
    """Text or JSON number, both without a float's error."""
    assert decimal_or_none(value) == Decimal(number)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("value", ["1e30", "9.5e30", "1e-30"])
def test_thirty_digits_are_a_number(value: str, sign: str) -> None:
    """Far beyond any order, and still written out in a line."""
    assert decimal_or_none(sign + value) == Decimal(sign + value)


NONSENSE: list[object] = [
    "1e31",
    "1e-31",
    None,
    "",
    "NaN",
    "Infinity",
    float("nan"),
    "ten",
    {},
    [],
    True,
    "1e999999",
    "1e-99",
]


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_is_no_number(value: object) -> None:
    """Null, empty, not finite, or a megabyte when written out."""
    assert decimal_or_none(value) is None


def test_an_order_object_becomes_news() -> None:
    """The five fields that merging needs."""
    order = {
        "id": "A",
        "status": "partially_filled",
        "filled_qty": "4",
        "filled_avg_price": "100.25",
        "replaced_by": None,
    }
    assert news_of(order) == news("partially_filled", "4", "100.25")


@pytest.mark.parametrize("status", ["canceled", "expired", "held", "new", "rejected"])
def test_only_filled_means_all_of_it(status: str) -> None:
    """Without a number, any other status says nothing of the shares."""
    found = news_of({"status": status, "qty": "10"})
    assert (found.filled_qty, found.counts, found.qty) == (Decimal(0), False, TEN)
    whole = news_of({"status": "filled", "qty": "10"})
    assert (whole.filled_qty, whole.counts) == (TEN, True)
    partly = news_of({"status": "filled", "qty": "10", "filled_qty": "4"})
    assert (partly.filled_qty, partly.counts) == (Decimal(4), True)


def test_every_field_of_an_order_object_has_its_place() -> None:
    """Its own time, unless the message brings one."""
    order = {
        "id": "B",
        "status": "replaced",
        "qty": "10",
        "filled_qty": "0",
        "replaced_by": "C",
        "replaces": "A",
        "updated_at": "2026-03-04T17:00:00Z",
    }
    expected = News(
        "replaced", "B", replaced_by="C", qty=TEN, replaces="A", at="2026-03-04T17:00:00Z"
    )
    assert news_of(order) == expected
    assert news_of(order, at="2026-03-04T18:00:00Z").at == "2026-03-04T18:00:00Z"


def test_a_step_changes_by_its_status_or_by_its_shares() -> None:
    """Either is a change; neither is none."""
    [row] = merge(SENT, news("filled", "1", "100")).executions
    assert Step(SENT) == Step(SENT, Decimal(0), None, False, False, (), False)
    assert not Step(SENT).changed
    assert Step(SENT, status_changed=True).changed
    assert Step(SENT, executions=(row,)).changed


@pytest.mark.parametrize(
    "order",
    [{}, dict.fromkeys(["id", "status", "filled_qty", "filled_avg_price", "replaced_by"])],
)
def test_missing_and_null_fields_say_nothing(order: dict[str, None]) -> None:
    """An object full of nulls is news that the order exists, and no more."""
    assert news_of(order) == News(status="", counts=False)


@pytest.mark.parametrize(
    ("first", "second"),
    list(product(["filled", "canceled", "expired", "rejected"], repeat=2)),
)
def test_the_first_end_wins(first: str, second: str) -> None:
    """A race of ends: what was recorded stays, and one final event was told."""
    steps = told(news(first), news(second))
    assert steps[-1].progress.state is STATE_OF_STATUS[first]
    assert not steps[-1].status_changed
