"""Whose fault an answer to a POST is: what the circuit breaker counts, and what it does not.

=========================================  ======  =================================================
answer                                     counts  because
=========================================  ======  =================================================
no connection, timeout, reset, 5xx, 408,   yes     the broker, or what is on the way to it
HTML, cut off or empty
401; 403 without a code                    yes     no order gets through with these keys
403 about buying power, quantity, balance  no      the account's state, or the producer's mistake
403 about fractions, shorts, wash trade,   no      likewise
the opposite side, pattern day trading,
a minimum, 600 % of equity
any other 403                              yes     the account may not trade, or nobody knows why
409, 422 that the id is taken              no      the order is there: a success path
422                                        no      the order is invalid
404 about an asset                         no      likewise
any other 400, 404, 4xx                    yes     we or the address are wrong, not the signal
429                                        no      nothing is broken; the order waits
=========================================  ======  =================================================

One code (40310000) covers at least six causes of a 403, which only the words and the object's own
members tell apart. Alpaca says that words may change. What is not recognised counts: it takes
several in a row without one accepted order, and then stops entries only.
"""

import re

from solution.errors import (
    BrokerError,
    DuplicateOrder,
    NoBudget,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
)

_MEMBERS = frozenset({"buying_power", "cost_basis", "existing_qty", "existing_order_id", "symbol"})
"""Members of an error object that only a verdict on one order has."""
_WORDS = re.compile(
    r"insufficient (?!permission|scope|authori|privilege)|fraction|wash trade|\bshort\b|long buy"
    r"|opposite side|day trad|cost basis|minimal amount|closing trades"
    r"|\bqty\b|\bnotional\b|\basset\b|\bsymbol\b",
    re.IGNORECASE,
)


def counts(error: BrokerError) -> bool:
    """Whether an answer to a POST is a failure that neither producer nor position has caused."""
    if isinstance(error, (RateLimited, NoBudget, DuplicateOrder)):
        return False
    if not isinstance(error, Rejected) or isinstance(error, Unauthorized):
        return True
    if error.status == 422:
        return False
    if error.status == 403 or isinstance(error, NotFound):
        return not (_MEMBERS & error.body.keys() or _WORDS.search(error.message))
    return True
