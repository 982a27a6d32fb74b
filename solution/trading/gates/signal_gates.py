"""Gates that judge the signal itself, before a size is known. Each is pure and cheap."""

from solution.domain.crypto import QUOTED_IN
from solution.domain.reasons import Reason
from solution.domain.signal import Action
from solution.trading.gates.view import Denial, View


def kill_switch(view: View) -> Denial | None:
    """Nothing trades while the kill switch is on or unreadable."""
    return Denial(Reason.KILL_SWITCH, view.killed) if view.killed else None


def trading_state(view: View) -> Denial | None:
    """HALTED refuses everything; REDUCING what must add exposure, whatever its size turns out."""
    found = view.restriction
    if found is None or not found.forbids(opens=view.signal.must_open):
        return None
    return Denial(found.reason, found.message)


def live_guard(view: View) -> Denial | None:
    """Only the account that this service was started and allowed for."""
    return Denial(Reason.LIVE_NOT_ALLOWED, view.live) if view.live else None


def duplicate(view: View) -> Denial | None:
    """The same content within DUPLICATE_WINDOW, where no ``signal_id`` tells two signals apart."""
    if not view.duplicate_of:
        return None
    why = f"entry {view.duplicate_of} said the same less than DUPLICATE_WINDOW before"
    return Denial(Reason.DUPLICATE_SIGNAL, why)


def account_blocked(view: View) -> Denial | None:
    """An account that may not trade gets no orders, exits included: each would be refused."""
    if view.account is None or not view.account.blocked:
        return None
    why = f"account {view.account.id} is blocked for trading at the broker"
    return Denial(Reason.ACCOUNT_BLOCKED, why)


def ticker_halted(view: View) -> Denial | None:
    """A ticker that was halted trades when a person says so, not before."""
    return Denial(Reason.TICKER_HALTED, view.halted) if view.halted else None


def signal_age(view: View) -> Denial | None:
    """A signal must not trade when it is too old; waiting for the rate budget does not age it."""
    if view.signal.oldest_ms() < view.rules.not_before_ms:
        return Denial(Reason.STALE_SIGNAL, "published before SIGNALS_NOT_BEFORE, by an earlier run")
    limit = view.rules.max_signal_age
    if view.signal.max_age is not None:
        limit = min(limit, float(view.signal.max_age))
    aged = view.age - view.starved
    if aged <= limit:
        return None
    beside = f" beside {view.starved:.1f} s of waiting for the rate budget" if view.starved else ""
    return Denial(Reason.STALE_SIGNAL, f"{aged:.1f} s old{beside}, the limit is {limit:g} s")


def queue_wait(view: View) -> Denial | None:
    """Waiting for the rate budget has an end."""
    if view.waited <= view.rules.max_queue_wait:
        return None
    return Denial(
        Reason.QUEUE_WAIT_EXCEEDED,
        f"waited {view.waited:.0f} s, MAX_QUEUE_WAIT is {view.rules.max_queue_wait:g} s",
    )


def asset_class(view: View) -> Denial | None:
    """US equities, and crypto pairs quoted in the account's currency."""
    asset = view.asset
    if asset.asset_class == "us_equity":
        return None
    if not asset.is_crypto:
        why = f"{asset.symbol} is of class {asset.asset_class}"
        return Denial(Reason.UNSUPPORTED_ASSET, why)
    if asset.symbol.endswith(f"/{QUOTED_IN}"):
        return None
    why = f"{asset.symbol} is not quoted in {QUOTED_IN}, so no limit could be held to its prices"
    return Denial(Reason.UNSUPPORTED_ASSET, why)


def symbol_lists(view: View) -> Denial | None:
    """ALLOWED_SYMBOLS (empty allows all) and DENIED_SYMBOLS (wins)."""
    symbol, rules = view.asset.symbol, view.rules
    if symbol in rules.denied_symbols:
        return Denial(Reason.NOT_ALLOWED, f"{symbol} is on DENIED_SYMBOLS")
    if rules.allowed_symbols and symbol not in rules.allowed_symbols:
        return Denial(Reason.NOT_ALLOWED, f"{symbol} is not on ALLOWED_SYMBOLS")
    return None


def tradable(view: View) -> Denial | None:
    """The broker must list the asset as tradable."""
    if view.asset.tradable:
        return None
    return Denial(Reason.NOT_TRADABLE, f"{view.asset.symbol} is not tradable at the broker")


def short_allowed(view: View) -> Denial | None:
    """A short sale needs ``action=short_sell``, ALLOW_SHORT, and an account and asset that may."""
    if view.signal.action is not Action.SHORT_SELL:
        return None
    if view.asset.is_crypto:
        return Denial(Reason.NOT_SHORTABLE, f"{view.asset.symbol}: crypto cannot be sold short")
    if not view.rules.allow_short:
        return Denial(Reason.SHORT_NOT_ALLOWED, "ALLOW_SHORT is false")
    if view.account is not None and not view.account.shorting_enabled:
        why = f"account {view.account.id} may not sell short at the broker"
        return Denial(Reason.SHORT_NOT_ALLOWED, why)
    if not view.asset.shortable:
        return Denial(Reason.NOT_SHORTABLE, f"{view.asset.symbol} cannot be sold short")
    return None


def extended_hours(view: View) -> Denial | None:
    """``extended_hours`` needs ALLOW_EXTENDED_HOURS."""
    if not view.signal.extended_hours or view.rules.allow_extended_hours:
        return None
    return Denial(Reason.EXTENDED_HOURS_NOT_ALLOWED, "ALLOW_EXTENDED_HOURS is false")


def price_age(view: View) -> Denial | None:
    """No size without a price that we received within MAX_PRICE_AGE."""
    if view.quote is None or view.price_age is None:
        return Denial(Reason.STALE_PRICE, f"no price of {view.asset.symbol} could be had")
    if view.price_age <= view.rules.max_price_age:
        return None
    return Denial(
        Reason.STALE_PRICE,
        f"the price of {view.asset.symbol} is {view.price_age:.1f} s old, "
        f"MAX_PRICE_AGE is {view.rules.max_price_age:g} s",
    )


def quote_age(view: View) -> Denial | None:
    """The exchange itself must have spoken within MAX_QUOTE_AGE (0 = off).

    Nobody quotes while the market is closed: what waits for a session or an auction is sized on the
    last known price, and what may not wait is refused by the session's own gate.
    """
    limit = view.rules.max_quote_age
    if not limit or not view.trades_now:
        return None
    if view.quote_age is None:
        return Denial(
            Reason.STALE_QUOTE, f"the feed gives no exchange time for {view.asset.symbol}"
        )
    if view.quote_age <= limit:
        return None
    return Denial(
        Reason.STALE_QUOTE,
        f"the last quote of {view.asset.symbol} is {view.quote_age:.1f} s old, "
        f"MAX_QUOTE_AGE is {limit:g} s",
    )
