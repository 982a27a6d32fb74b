"""When a dead letter may be published again."""

from collections.abc import Iterator
from typing import Any

import pytest

from solution.commands.retrying import NotRetried, Retry, prepare
from solution.commands.signing import raw, signed
from solution.config_groups import IntakeSettings
from solution.config_keys import SigningKey
from solution.domain.orders import client_order_id
from solution.domain.records import Change, DeadLetter, State
from solution.domain.signal import parse
from solution.ledger.reader import LedgerReader
from solution.ledger.sqlite import SqliteLedger
from solution.security import Secret
from tests.helpers.ledger_rows import make_dead_letter, make_intent

PLAIN = ((b"Ticker", b"NVDA"), (b"direction", b"b"), (b"ts", b"2026-11-20T00:00:00Z"))
NAMED = ((b"ticker", b"NVDA"), (b"direction", b"b"), (b"signal_id", b"mine"))


@pytest.fixture
def reader(ledger: SqliteLedger) -> Iterator[LedgerReader]:
    """The ledger as the command sees it."""
    with ledger.open_reader() as opened:
        yield opened


def letter(fields: Any, **changed: Any) -> DeadLetter:
    """A dead letter of stream nvda, entry 7-0."""
    return make_dead_letter(7, fields=fields, **changed)


def tried(reader: LedgerReader, dead: DeadLetter, orders: frozenset[str] = frozenset()) -> Retry:
    """Prepare against a broker with these client order ids."""
    return prepare(dead, reader, "deploymt", orders.__contains__)


def refused(reader: LedgerReader, dead: DeadLetter, orders: frozenset[str] = frozenset()) -> str:
    """Why it is not retried."""
    with pytest.raises(NotRetried) as caught:
        tried(reader, dead, orders)
    return str(caught.value)


def test_the_content_without_its_time_under_a_new_id(reader: LedgerReader) -> None:
    """Without a signal_id the entry id is the base; ts would be as old as before."""
    retry = tried(reader, letter(PLAIN))
    assert retry.stream == "nvda"
    assert retry.fields == {"Ticker": "NVDA", "direction": "b", "signal_id": "7-0.r1"}


def test_the_broker_is_asked_for_the_id_the_service_would_have_used(reader: LedgerReader) -> None:
    """A pure function of deployment and identity, with and without signal_id."""
    for fields in (PLAIN, NAMED):
        coid = client_order_id("deploymt", parse("nvda", "7-0", fields).identity)
        assert tried(reader, letter(fields)).looked_up == (coid,)
        assert coid in refused(reader, letter(fields), frozenset({coid}))


def test_a_signal_inside_json_is_published_flat(reader: LedgerReader) -> None:
    """The same signal, with room for the new id."""
    text = b'{"ticker":"NVDA","direction":"s","qty":2.50,"ts":"2026-11-20T00:00:00Z"}'
    retry = tried(reader, letter(((b"json", text),)))
    assert retry.fields == {
        "ticker": "NVDA",
        "direction": "s",
        "qty": "2.50",
        "signal_id": "7-0.r1",
    }


def test_a_retry_that_became_a_dead_letter_counts_on(
    ledger: SqliteLedger, reader: LedgerReader
) -> None:
    """Suffixes do not pile up, and the broker is asked for all earlier ids."""
    again = letter((*NAMED[:2], (b"signal_id", b"mine.r1")))
    ledger.apply([Change(dead_letter=again)])
    assert tried(reader, again).signal_id == "mine.r2"
    assert len(tried(reader, again).looked_up) == 2
    assert tried(reader, letter(NAMED)).signal_id == "mine.r2"


def test_a_refused_retry_may_be_tried_once_more(ledger: SqliteLedger, reader: LedgerReader) -> None:
    """It never reached the broker."""
    row = make_intent(1, signal_id="mine.r1", state=State.REFUSED)
    ledger.apply([Change(insert=row)])
    assert tried(reader, letter(NAMED)).signal_id == "mine.r2"


def test_a_retry_that_was_sent_ends_it(ledger: SqliteLedger, reader: LedgerReader) -> None:
    """Whatever became of it."""
    ledger.begin(make_intent(1, signal_id="mine.r1"))
    assert "retry mine.r1 was sent already" in refused(reader, letter(NAMED))


def test_another_streams_ids_do_not_count(ledger: SqliteLedger, reader: LedgerReader) -> None:
    """A signal_id is unique within its stream only."""
    ledger.begin(make_intent(1, signal_id="mine.r1", stream="other"))
    assert tried(reader, letter(NAMED)).signal_id == "mine.r1"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((), "its content was lost"),
        (((b"tikcer", b"NVDA"),), "it can never be valid: UNKNOWN_FIELD"),
        (((b"ticker", b"\xff"), (b"direction", b"b")), "NOT_UTF8"),
        (((b"ticker", b"NVDA"),), "it would be a dead letter again: MISSING_FIELD"),
        (((*NAMED, (b"kid", b"k"))), "it would be a dead letter again: BAD_SIGNATURE"),
        (((b"json", b"[]"),), "it can never be valid: INVALID_JSON"),
        (((b"json", b'{"a":1}'),), "it can never be valid: UNKNOWN_FIELD"),
    ],
)
def test_what_can_never_be_a_signal(reader: LedgerReader, fields: Any, said: str) -> None:
    """The reason is the one it would end with again."""
    assert said in refused(reader, letter(fields))


KEY = SigningKey("tv1", Secret("0123456789abcdef0123456789abcdef"))
SIGNED = IntakeSettings(keys=(KEY,), own_key=KEY)


def signed_letter(stream: str = "nvda") -> DeadLetter:
    """Signed for a stream, and too old by now."""
    pairs = [(name.decode(), value.decode()) for name, value in NAMED]
    return letter(tuple(raw(signed(KEY, stream, pairs, 1_795_000_000_000))))


def test_a_signed_signal_is_signed_again(reader: LedgerReader) -> None:
    """Under the new id, with a time of now."""
    now = 1_795_203_598_442
    retry = prepare(signed_letter(), reader, "deploymt", lambda _: False, intake=SIGNED, now_ms=now)
    content = raw(retry.fields.items())
    again = parse("nvda", "1-0", content)
    SIGNED.verifier().check(again, content)
    assert (again.signal_id, again.ts_ms, again.kid) == ("mine.r1", now, "tv1")


@pytest.mark.parametrize(
    ("dead", "own", "said"),
    [
        (signed_letter(), None, "there is no key here: set SIGNAL_HMAC_KEY"),
        (signed_letter("aapl"), KEY, "is not known to be good (BAD_SIGNATURE"),
        (letter(NAMED), KEY, "is not known to be good (MISSING_FIELD: sig is missing"),
    ],
)
def test_what_is_not_signed_again(
    reader: LedgerReader, dead: DeadLetter, own: SigningKey | None, said: str
) -> None:
    """Without a key, or what nobody with a key said: a retry must not make a forgery good."""
    intake = IntakeSettings(keys=(KEY,), own_key=own)
    with pytest.raises(NotRetried) as caught:
        prepare(dead, reader, "deploymt", lambda _: False, intake=intake, now_ms=1)
    assert said in str(caught.value)


def test_a_bad_time_alone_can_be_cured(reader: LedgerReader) -> None:
    """It is the one field that a retry leaves out."""
    dead = letter((*NAMED, (b"ts", b"yesterday")))
    assert "ts" not in tried(reader, dead).fields


def test_somewhere_it_ends(ledger: SqliteLedger, reader: LedgerReader) -> None:
    """Ninety-nine retries of one signal are a mistake."""
    last = letter((*NAMED[:2], (b"signal_id", b"mine.r99")))
    assert "was retried 99 times" in refused(reader, last)
