"""The request budget: what counts, how long, and for whom."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime

import pytest

from solution.clock import SystemClock
from solution.rate_limiter import MAX_PAUSE, Priority, RateLimiter, Slot
from tests.helpers.clocks import PATIENCE, ManualClock, eventually
from tests.helpers.rate_budget import CANCEL, ENTRY, EXIT, LOOKUP, POLL, headers, spend, take


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


# Counting


def test_a_slot_counts_until_one_window_after_the_answer(clock: ManualClock) -> None:
    """The broker may have seen the request as late as the moment before the answer."""
    limiter = RateLimiter(1, clock=clock)
    slot = limiter.try_acquire(ENTRY)
    assert slot is not None
    clock.advance(3)
    slot.done()
    clock.advance(59.9)
    assert limiter.try_acquire(ENTRY) is None
    clock.advance(0.1)
    assert limiter.try_acquire(ENTRY) is not None


def test_a_request_under_way_counts_however_long_it_takes(clock: ManualClock) -> None:
    """No slot frees by itself."""
    limiter = RateLimiter(1, clock=clock)
    assert limiter.try_acquire(ENTRY) is not None
    clock.advance(600)
    assert limiter.try_acquire(ENTRY) is None
    assert limiter.next_free(ENTRY) == 60.0


@pytest.mark.parametrize(
    ("limit", "entries", "others"), [(200, 190, 10), (1000, 990, 10), (40, 38, 2), (19, 19, 0)]
)
def test_the_reserve_is_out_of_reach_of_entries_and_polls(
    clock: ManualClock, limit: int, entries: int, others: int
) -> None:
    """Ten of 200; a twentieth of a smaller limit; exits, look-ups and cancels get the rest."""
    limiter = RateLimiter(limit, clock=clock)
    assert spend(limiter, ENTRY, limit) == entries
    assert spend(limiter, POLL, 1) == 0
    assert spend(limiter, EXIT, limit) == others
    assert spend(limiter, CANCEL, 1) == 0


def test_a_cancelled_slot_is_free_at_once(clock: ManualClock) -> None:
    """What was never sent does not count."""
    limiter = RateLimiter(1, clock=clock)
    slot = limiter.try_acquire(ENTRY)
    assert slot is not None
    slot.cancel()
    assert limiter.next_free(ENTRY) == 0.0
    assert limiter.try_acquire(ENTRY) is not None


def test_a_slot_ends_once(clock: ManualClock) -> None:
    """A cancel after done() gives nothing back, and neither does a second done()."""
    limiter = RateLimiter(1, clock=clock)
    slot = limiter.try_acquire(ENTRY)
    assert slot is not None
    slot.done()
    slot.cancel()
    slot.done()
    assert limiter.view().used == 1


def test_a_slot_as_context_counts_even_when_the_request_fails(clock: ManualClock) -> None:
    """What failed may have been sent."""
    limiter = RateLimiter(1, clock=clock)
    slot = limiter.try_acquire(ENTRY)
    assert slot is not None
    with pytest.raises(OSError, match="reset"), slot:
        raise OSError("reset")
    assert (limiter.view().used, limiter.view().in_flight) == (1, 0)


def test_next_free_tells_when_the_oldest_leaves(clock: ManualClock) -> None:
    """Exits wait for one slot, entries until the reserve is whole again."""
    limiter = RateLimiter(20, clock=clock)  # one in reserve
    for _ in range(20):
        spend(limiter, EXIT, 1)
        clock.advance(1)
    assert limiter.next_free(EXIT) == pytest.approx(40.0)
    assert limiter.next_free(ENTRY) == pytest.approx(41.0)
    clock.advance(limiter.next_free(EXIT))
    assert limiter.next_free(EXIT) == 0.0
    assert limiter.try_acquire(ENTRY) is None
    assert limiter.try_acquire(EXIT) is not None


def test_no_limit_hands_out_for_ever(clock: ManualClock) -> None:
    """With 0 nothing is counted, but a 429 still pauses."""
    limiter = RateLimiter(0, clock=clock)
    slots = take(limiter, ENTRY, 5000)
    slots[0].done()
    slots[0].cancel()
    limiter.observe(headers(10, 0, 0), 200, slots[0])
    limiter.restore([clock.epoch_ms()] * 9, clock.epoch_ms())
    assert len(slots) == 5000
    assert limiter.next_free(POLL) == 0.0
    limiter.observe({"Retry-After": "7"}, 429)
    assert limiter.try_acquire(CANCEL) is None
    assert limiter.next_free(CANCEL) == pytest.approx(7.0)
    clock.advance(7)
    assert limiter.try_acquire(POLL) is not None
    assert limiter.view().limit == 0


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"window": 0.0}, {"reserve": -1}])
def test_wrong_arguments_are_refused(wrong: dict[str, int]) -> None:
    """A limiter that cannot work is not built."""
    with pytest.raises(ValueError, match="must"):
        RateLimiter(**wrong)  # type: ignore[arg-type]


def test_the_view_shows_the_budget(clock: ManualClock) -> None:
    """Numbers for status: used, under way, left for entries."""
    limiter = RateLimiter(clock=clock)
    spend(limiter, EXIT, 3)
    take(limiter, ENTRY, 2)
    view = limiter.view()
    assert (view.limit, view.used, view.in_flight, view.left_for_entries) == (200, 5, 2, 185)
    assert (sum(view.waiting.values()), view.throttled, view.paused_for) == (0, 0, 0.0)
    assert not view.shared


# Restart


def test_what_an_earlier_process_sent_counts(clock: ManualClock) -> None:
    """Sent 30 s ago and answered at latest 10 s later: free 40 s from now."""
    limiter = RateLimiter(clock=clock)
    now = clock.epoch_ms()
    limiter.restore([now - 30_000] * 150 + [now - 71_000] * 50 + [now + 5_000] * 40, now)
    assert limiter.view().used == 190
    assert limiter.next_free(ENTRY) == pytest.approx(40.0)
    clock.advance(40)
    assert spend(limiter, ENTRY, 200) == 150


def test_restoring_keeps_the_order_of_what_is_counted_already(clock: ManualClock) -> None:
    """Requests made before the ledger was read leave the window later than restored ones."""
    limiter = RateLimiter(2, clock=clock)
    spend(limiter, EXIT, 1)
    limiter.restore([clock.epoch_ms() - 50_000], clock.epoch_ms())
    assert limiter.next_free(EXIT) == pytest.approx(20.0)
    clock.advance(20)
    assert limiter.try_acquire(EXIT) is not None
    assert limiter.next_free(EXIT) == pytest.approx(40.0)


# Waiting


@dataclass
class Line:
    """Threads blocked in acquire(), and the order in which they were served."""

    limiter: RateLimiter
    stop: threading.Event = field(default_factory=threading.Event)
    served: list[str] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def join(self, name: str, priority: Priority, timeout: float = 1e6) -> None:
        """Start one and return when it stands in line."""
        before = self.standing()
        thread = threading.Thread(target=self._wait, args=(name, priority, timeout), daemon=True)
        thread.start()
        self.threads.append(thread)
        assert eventually(lambda: self.standing() > before)

    def standing(self) -> int:
        return sum(self.limiter.view().waiting.values())

    def _wait(self, name: str, priority: Priority, timeout: float) -> None:
        slot = self.limiter.acquire(priority, timeout, self.stop)
        self.served.append(name if slot else f"{name} left")

    def wait_served(self, number: int) -> list[str]:
        assert eventually(lambda: len(self.served) >= number)
        return list(self.served)


@pytest.fixture
def line(clock: ManualClock) -> Iterator[Line]:
    """A line at a limiter of one request that is taken."""
    line = Line(RateLimiter(1, clock=clock))
    yield line
    line.stop.set()
    for thread in line.threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_acquire_returns_at_once_when_there_is_one(clock: ManualClock) -> None:
    """No wait, no line; and with timeout 0 no wait either when there is none."""
    limiter = RateLimiter(1, clock=clock)
    assert limiter.acquire(POLL, 10.0) is not None
    assert limiter.acquire(POLL, 0.0) is None


def test_higher_priorities_first_then_first_come(clock: ManualClock, line: Line) -> None:
    """A cancel that comes last is served first; within a class it is first come first served."""
    held = line.limiter.try_acquire(EXIT)
    assert held is not None
    arrivals = [("p", POLL), ("n1", ENTRY), ("n2", ENTRY), ("x", EXIT), ("l", LOOKUP)]
    for name, priority in [*arrivals, ("c", CANCEL)]:
        line.join(name, priority)
    assert line.limiter.view().waiting == {CANCEL: 1, LOOKUP: 1, EXIT: 1, ENTRY: 2, POLL: 1}
    held.done()
    for number in range(1, 7):
        clock.advance(60)
        line.wait_served(number)
        for slot in list(line.limiter._flying.values()):
            slot.done()
    assert line.served == ["c", "l", "x", "n1", "n2", "p"]


def test_nobody_passes_those_who_wait_for_the_same_or_higher(
    clock: ManualClock, line: Line
) -> None:
    """try_acquire() of an entry does not jump the line of entries; a cancel may pass it."""
    held = line.limiter.try_acquire(EXIT)
    assert held is not None
    line.join("entry", ENTRY)
    held.done()
    clock.advance(59.9)
    assert line.limiter.next_free(ENTRY) == pytest.approx(60.0)
    assert line.limiter.next_free(CANCEL) == pytest.approx(0.1)
    clock.advance(0.1)
    assert line.limiter.try_acquire(ENTRY) is None
    assert line.wait_served(1) == ["entry"]


def test_a_cancelled_slot_goes_to_who_waits_longest(line: Line) -> None:
    """Handed over at once, without waiting for the window."""
    held = line.limiter.try_acquire(EXIT)
    assert held is not None
    line.join("first", EXIT)
    line.join("second", EXIT)
    held.cancel()
    assert line.wait_served(1) == ["first"]


def test_stop_ends_the_wait(line: Line) -> None:
    """A stopping service leaves the line without a slot, and nothing stays behind."""
    line.limiter.try_acquire(EXIT)
    line.join("worker", EXIT)
    line.stop.set()
    assert line.wait_served(1) == ["worker left"]
    assert line.standing() == 0


def test_who_gives_up_lets_the_next_move_up(clock: ManualClock, line: Line) -> None:
    """Those behind count again, and a subscriber hears that its turn may come earlier."""
    held = line.limiter.try_acquire(EXIT)
    assert held is not None
    line.join("impatient", EXIT, timeout=5.0)
    line.join("patient", EXIT)
    heard = threading.Event()
    line.limiter.subscribe(heard.set)
    held.done()
    clock.advance(5)
    assert line.wait_served(1) == ["impatient left"]
    assert heard.wait(PATIENCE)
    clock.advance(55)
    assert line.wait_served(2)[1] == "patient"


def test_who_gives_up_is_not_waited_for() -> None:
    """The next one is woken to count again: it gets the slot of now + 1 s, not that of + 20 s."""
    clock = SystemClock()
    limiter = RateLimiter(2, window=20, clock=clock)
    now = clock.epoch_ms()
    limiter.restore([now - 29_000, now], now)
    got: list[Slot | None] = []
    impatient = threading.Thread(target=lambda: got.append(limiter.acquire(EXIT, 0.2)))
    impatient.start()
    assert eventually(lambda: limiter.view().waiting[EXIT] == 1)
    begun = clock.monotonic()
    assert limiter.acquire(EXIT, PATIENCE) is not None
    assert clock.monotonic() - begun < PATIENCE - 1
    impatient.join(PATIENCE)
    assert got == [None]


def test_real_time_waits_end_when_the_window_moves() -> None:
    """With the machine's clock: the second request goes a window after the first."""
    clock = SystemClock()
    limiter = RateLimiter(1, window=0.05, clock=clock)
    begun = clock.monotonic()
    for _ in range(3):
        slot = limiter.acquire(ENTRY, PATIENCE)
        assert slot is not None
        slot.done()
    assert clock.monotonic() - begun >= 0.1


# Subscribers


def test_a_slot_given_back_unused_is_announced(clock: ManualClock) -> None:
    """It is free earlier than next_free() promised; done() is not news."""
    news: list[float] = []
    limiter = RateLimiter(1, clock=clock, on_change=lambda: news.append(limiter.next_free(ENTRY)))
    slot = limiter.try_acquire(ENTRY)
    assert slot is not None
    slot.cancel()
    spend(limiter, ENTRY, 1)
    assert news == [0.0]


def test_a_higher_limit_is_found_by_itself_and_announced(clock: ManualClock) -> None:
    """A paid plan: the header says 1000, and so do we from then on."""
    news: list[float] = []
    limiter = RateLimiter(clock=clock, on_change=lambda: news.append(limiter.next_free(ENTRY)))
    slots = take(limiter, ENTRY, 190)
    limiter.observe(headers(1000, 999, 0), 200, slots[0])
    assert news == [0.0]
    assert spend(limiter, ENTRY, 1000) == 800


def test_a_ceiling_holds_whatever_the_broker_allows(clock: ManualClock) -> None:
    """Its owner wants no more; a lower limit of the broker's counts all the same."""
    limiter = RateLimiter(50, ceiling=50, reserve=0, clock=clock)
    limiter.observe(headers(200, 199, 0), 200)
    assert limiter.view().limit == 50
    limiter.observe(headers(30, 29, 0), 200)
    assert limiter.view().limit == 30
    limiter.observe(headers(200, 199, 0), 200)
    assert limiter.view().limit == 50


def test_no_limit_below_a_ceiling_is_the_ceiling() -> None:
    """0 stands for none, not for the smallest."""
    assert RateLimiter(0, ceiling=50).view().limit == 50
    assert RateLimiter(80, ceiling=50).view().limit == 50


def test_a_lower_limit_is_adopted_too(clock: ManualClock) -> None:
    """Until enough has left the window there is nothing."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    spend(limiter, ENTRY, 100)
    limiter.observe(headers(50, 50, 0), 200, slot)
    assert limiter.try_acquire(CANCEL) is None
    clock.advance(60)
    assert spend(limiter, EXIT, 100) == 49


# Somebody else spends


def test_fewer_remaining_than_we_know_of_is_what_we_may_take(clock: ManualClock) -> None:
    """30 remain of 200 although we sent one request: 30 more until Reset, 20 of them entries."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    limiter.observe(headers(200, 30, clock.epoch_ms() / 1000 + 40), 200, slot)
    slot.done()
    assert limiter.view().shared
    assert limiter.view().left_for_entries == 20
    assert spend(limiter, ENTRY, 200) == 20
    assert spend(limiter, EXIT, 200) == 10


def test_more_remaining_than_we_know_of_is_never_believed(clock: ManualClock) -> None:
    """A fixed window that has just begun would let us send twice the limit in a minute."""
    limiter = RateLimiter(clock=clock)
    spend(limiter, ENTRY, 190)
    slot = take(limiter, EXIT, 1)[0]
    limiter.observe(headers(200, 199, clock.epoch_ms() / 1000 + 59), 200, slot)
    assert limiter.try_acquire(ENTRY) is None
    assert not limiter.view().shared


def test_our_own_requests_under_way_are_no_evidence(clock: ManualClock) -> None:
    """Ten under way, the broker has counted them all before it answered the first."""
    limiter = RateLimiter(clock=clock)
    slots = take(limiter, ENTRY, 10)
    limiter.observe(headers(200, 190, clock.epoch_ms() / 1000 + 30), 200, slots[0])
    assert not limiter.view().shared


def test_requests_that_left_the_window_while_the_answer_travelled_are_no_evidence(
    clock: ManualClock,
) -> None:
    """The broker still counted 190 of ours; by the time we read that, they have left our count."""
    limiter = RateLimiter(clock=clock)
    spend(limiter, ENTRY, 190)
    clock.advance(59.99)
    slot = take(limiter, EXIT, 1)[0]
    clock.advance(0.5)
    limiter.observe(headers(200, 9, clock.epoch_ms() / 1000 + 60), 200, slot)
    assert not limiter.view().shared
    assert spend(limiter, ENTRY, 200) == 189


def test_what_may_not_be_counted_yet_is_taken_off(clock: ManualClock) -> None:
    """30 remain, but four more of ours are under way and may not have been seen."""
    limiter = RateLimiter(clock=clock)
    slots = take(limiter, ENTRY, 5)
    limiter.observe(headers(200, 30, clock.epoch_ms() / 1000 + 30), 200, slots[0])
    assert spend(limiter, EXIT, 200) == 26


def test_an_overtaken_answer_changes_nothing(clock: ManualClock) -> None:
    """Answers to older requests know less than the one used last."""
    limiter = RateLimiter(clock=clock)
    old, new = take(limiter, ENTRY, 2)
    limiter.observe(headers(200, 20, clock.epoch_ms() / 1000 + 30), 200, new)
    limiter.observe(headers(200, 199, clock.epoch_ms() / 1000 + 30), 200, old)
    assert limiter.view().shared


def test_without_a_slot_the_oldest_request_under_way_stands_in(clock: ManualClock) -> None:
    """Callers that know only headers are served, more cautiously."""
    limiter = RateLimiter(clock=clock)
    limiter.observe(headers(200, 20, clock.epoch_ms() / 1000 + 30), 200)
    assert not limiter.view().shared
    take(limiter, ENTRY, 2)
    limiter.observe(headers(200, 20, clock.epoch_ms() / 1000 + 30), 200)
    assert limiter.view().shared


@pytest.mark.parametrize("ahead", [-1e9, -1.0, 0.0, 30.0, 1e9], ids=str)
def test_a_restriction_ends_one_window_later_whatever_reset_says(
    clock: ManualClock, ahead: float
) -> None:
    """A wrong clock on either side, or another meaning of Reset, cannot stop us for long."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    reset = max(0.0, clock.epoch_ms() / 1000 + ahead)
    limiter.observe(headers(200, 0, reset), 200, slot)
    slot.done()
    assert limiter.try_acquire(CANCEL) is None
    assert 0 < limiter.next_free(ENTRY) <= 60
    clock.advance(60)
    assert limiter.try_acquire(ENTRY) is not None


def test_reset_is_measured_on_the_brokers_clock(clock: ManualClock) -> None:
    """Our wall clock is an hour late, but the answer carries the broker's own Date."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    fields = headers(200, 0, clock.epoch_ms() / 1000 + 20)
    fields["Date"] = format_datetime(clock.now(), usegmt=True)
    clock.jump_wall(-3600)
    limiter.observe(fields, 200, slot)
    clock.advance(19.9)
    assert limiter.try_acquire(EXIT) is None
    clock.advance(0.1)
    assert limiter.try_acquire(EXIT) is not None


def test_after_reset_one_entry_asks_and_its_answer_opens(clock: ManualClock) -> None:
    """Whether the window was fixed or slides, only the broker knows; one request finds out."""
    news: list[float] = []
    limiter = RateLimiter(clock=clock, on_change=lambda: news.append(limiter.next_free(ENTRY)))
    slot = take(limiter, ENTRY, 1)[0]
    limiter.observe(headers(200, 5, clock.epoch_ms() / 1000 + 20), 200, slot)
    slot.done()
    clock.advance(20)
    asking = take(limiter, ENTRY, 200)
    assert len(asking) == 1
    assert len(take(limiter, EXIT, 200)) == 10
    limiter.observe(headers(200, 199, clock.epoch_ms() / 1000 + 60), 200, asking[0])
    assert news == [0.0]
    assert len(take(limiter, ENTRY, 200)) == 178


def test_without_evidence_for_two_windows_only_our_own_count_is_left(clock: ManualClock) -> None:
    """Also when no answer comes at all in that time."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    limiter.observe(headers(200, 5, clock.epoch_ms() / 1000 + 20), 200, slot)
    clock.advance(119)
    assert limiter.view().left_for_entries == 1
    clock.advance(6)
    assert limiter.view().left_for_entries == 189
    assert not limiter.view().shared


def test_an_answer_without_a_count_lifts_the_restriction_after_a_429(clock: ManualClock) -> None:
    """A broker that sends no headers: what was sent after the pause and went well is enough."""
    limiter = RateLimiter(clock=clock)
    old, refused = take(limiter, ENTRY, 2)
    limiter.observe({}, 429, refused)
    clock.advance(1)
    asking = take(limiter, ENTRY, 200)
    limiter.observe({}, 200, old)
    assert len(asking) == 1
    assert limiter.view().left_for_entries == 0
    limiter.observe({}, 200, asking[0])
    assert limiter.view().left_for_entries == 187


def test_an_unanswered_question_after_reset_is_asked_again(clock: ManualClock) -> None:
    """The one that asks may time out; another goes five seconds later."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    limiter.observe(headers(200, 0, clock.epoch_ms() / 1000 + 20), 200, slot)
    clock.advance(20)
    assert len(take(limiter, ENTRY, 200)) == 1
    assert limiter.next_free(ENTRY) == pytest.approx(5.0)
    clock.advance(5)
    assert len(take(limiter, ENTRY, 200)) == 1


def test_before_reset_an_entry_may_ask_while_half_the_reserve_is_left(clock: ManualClock) -> None:
    """A sliding window gives back without waiting for Reset; a fixed one keeps five for exits."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    limiter.observe(headers(200, 8, clock.epoch_ms() / 1000 + 60), 200, slot)
    asked = 0
    for _ in range(11):
        clock.advance(5)
        asked += spend(limiter, ENTRY, 200)
    assert asked == 3
    assert spend(limiter, EXIT, 200) == 5


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"x-ratelimit-remaining": "lots"},
        {"x-ratelimit-limit": "0", "x-ratelimit-remaining": "-4"},
        {"X-RateLimit-Limit": "²", "X-RateLimit-Reset": "9" * 400, "Date": "now"},
    ],
)
def test_nonsense_in_headers_changes_nothing(clock: ManualClock, fields: dict[str, str]) -> None:
    """Header values are the network's; none of them can raise or restrict."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    limiter.observe(fields, 200, slot)
    limiter.observe({**fields, "x-ratelimit-reset": "never"}, 200, slot)
    assert limiter.view().limit == 200
    assert not limiter.view().shared


def test_a_date_that_is_none_falls_back_on_our_clock(clock: ManualClock) -> None:
    """Reset in 20 s by our wall clock."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    fields = headers(200, 0, clock.epoch_ms() / 1000 + 20) | {"Date": "yesterday"}
    limiter.observe(fields, 200, slot)
    clock.advance(20)
    assert limiter.try_acquire(EXIT) is not None


# 429


@pytest.mark.parametrize(
    ("fields", "pause"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "86400"}, MAX_PAUSE),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "Wed, 04 Mar 2026 15:00:09 GMT", "x-ratelimit-reset": "{+9}"}, 9.0),
        ({"x-ratelimit-reset": "{+12}"}, 12.0),
        ({"x-ratelimit-reset": "0"}, 1.0),
        ({}, 1.0),
    ],
)
def test_a_429_pauses_everything(clock: ManualClock, fields: dict[str, str], pause: float) -> None:
    """Until Retry-After, else Reset, else a second; never longer than a minute."""
    limiter = RateLimiter(clock=clock)
    slot = take(limiter, ENTRY, 1)[0]
    epoch = clock.epoch_ms() // 1000
    said = {k: str(epoch + int(v[2:-1])) if v[0] == "{" else v for k, v in fields.items()}
    limiter.observe(said, 429, slot)
    assert limiter.view().throttled == 1
    assert limiter.view().paused_for == pytest.approx(pause)
    assert limiter.next_free(CANCEL) == pytest.approx(pause)
    assert limiter.try_acquire(CANCEL) is None
    clock.advance(pause)
    assert len(take(limiter, ENTRY, 200)) == 1


def test_a_storm_of_429_is_one_strike_and_strikes_double(clock: ManualClock) -> None:
    """Sixty-four refusals in flight pause one second; the next refusal two, at last sixty."""
    limiter = RateLimiter(clock=clock)
    for slot in take(limiter, ENTRY, 64):
        limiter.observe({}, 429, slot)
    pauses = []
    for _ in range(8):
        pauses.append(limiter.view().paused_for)
        clock.advance(pauses[-1])
        limiter.observe({}, 429)
    assert pauses == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0])
    limiter.observe({}, 200)
    clock.advance(60)
    limiter.observe({}, 429)
    assert limiter.view().paused_for == pytest.approx(1.0)


def test_an_answer_to_an_older_request_does_not_lift_the_pause(clock: ManualClock) -> None:
    """It was sent before the refusal; only a later one knows better."""
    limiter = RateLimiter(clock=clock)
    old, refused = take(limiter, ENTRY, 2)
    limiter.observe({"Retry-After": "5"}, 429, refused)
    limiter.observe(headers(200, 150, clock.epoch_ms() / 1000 + 50), 200, old)
    clock.advance(5)
    assert len(take(limiter, ENTRY, 200)) == 1


def test_block_until_pauses_and_never_shortens(clock: ManualClock) -> None:
    """The longer of two pauses holds; zero and less is none."""
    limiter = RateLimiter(clock=clock)
    limiter.block_until(0)
    assert limiter.try_acquire(POLL) is not None
    limiter.block_until(20)
    limiter.block_until(3)
    assert limiter.next_free(CANCEL) == pytest.approx(20.0)
