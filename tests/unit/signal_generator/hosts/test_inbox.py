"""Tests of signal_generator.hosts.inbox."""

import threading

from signal_generator import Execution, Quote
from signal_generator.hosts.inbox import Inbox
from tests.helpers.clocks import eventually
from tests.helpers.strategy_hosts import OPEN, bar


def quote(bid: float, symbol: str = "NVDA") -> Quote:
    return Quote(symbol, OPEN, bid, bid + 1)


def test_in_the_order_in_which_it_came() -> None:
    """Bars, executions and quotes in one line."""
    inbox = Inbox()
    told = Execution(event_id=1, event="new", own={})
    inbox.put_bar(bar(0))
    inbox.put_execution("1-0", told)
    inbox.put_quote(quote(1))
    assert [inbox.get(0) for _ in range(4)] == [bar(0), ("1-0", told), quote(1), None]


def test_of_quotes_the_newest_at_the_place_of_the_first() -> None:
    """However many come while nobody looks; each symbol by itself."""
    inbox = Inbox()
    for bid in range(1000):
        inbox.put_quote(quote(bid))
        inbox.put_quote(quote(bid, "F"))
    assert [inbox.get(0) for _ in range(3)] == [quote(999), quote(999, "F"), None]
    inbox.put_quote(quote(5))
    assert inbox.get(0) == quote(5)


def test_a_full_inbox_makes_its_sources_wait() -> None:
    """Nothing is lost, and memory has an end; quotes never wait."""
    inbox = Inbox(limit=2)
    thread = threading.Thread(target=lambda: [inbox.put_bar(bar(n)) for n in range(50)])
    thread.start()
    found = []
    while len(found) < 50:
        inbox.put_quote(quote(1, "F"))
        item = inbox.get(1)
        if item != quote(1, "F"):
            found.append(item)
    thread.join(10)
    assert found == [bar(n) for n in range(50)]


def test_closing_wakes_everybody() -> None:
    """Who waits for room, and who waits for something to do; what was there is let go."""
    inbox, got = Inbox(limit=1), []
    inbox.put_bar(bar(0))
    putting = threading.Thread(target=inbox.put_bar, args=(bar(1),))
    putting.start()
    empty = Inbox()
    getting = threading.Thread(target=lambda: got.append(empty.get(3600)))
    getting.start()
    inbox.close()
    empty.close()
    putting.join(10)
    getting.join(10)
    assert (putting.is_alive(), got, inbox.get(0), inbox.empty()) == (False, [None], None, True)


def test_a_get_waits_for_what_comes() -> None:
    """Woken by the bar, not by the time."""
    inbox, got = Inbox(), []
    getting = threading.Thread(target=lambda: got.append(inbox.get(3600)))
    getting.start()
    inbox.put_bar(bar(7))
    assert eventually(lambda: got == [bar(7)])
    getting.join(10)
