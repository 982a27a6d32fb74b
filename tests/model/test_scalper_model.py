"""Any day of the scalper, with any service and broker: what must never happen, and how it ends."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signal_generator.scalping.machine import Kind, State
from tests.helpers.scalp_world import BY_HAND, CLOSES, MINUTE, ZERO, World

HALF, WHOLE, NONE = Decimal("0.5"), Decimal(1), Decimal(0)


class Watched(World):
    """Each signal is held against what is true at that moment, not against what is known."""

    foreign = False

    def _do(self, callback: Any) -> list[dict[str, str]]:
        before = set(self.market.ended)
        published = super()._do(callback)
        assert before == self.market.ended
        for fields in published:
            self._check(fields)
        return published

    def _check(self, fields: dict[str, str]) -> None:
        mine = fields["signal_id"]
        living = [
            one
            for one in self.published
            if one["signal_id"] not in self.market.ended and one["signal_id"] != mine
        ]
        assert len({one["signal_id"] for one in self.published}) == len(self.published)
        if fields["direction"] == "b":
            assert not living, f"{mine} beside {living}"
            assert not self.market.held or self.foreign
        elif fields["action"] == "sell_long":
            assert not [one for one in living if one["direction"] == "s"]
            assert Decimal(fields["qty"]) <= self.market.held or self.foreign


def _every(market: Any, act: Any) -> None:
    for signal_id in list(market.orders):
        act(signal_id)


ACTIONS: dict[str, Any] = {
    "a bar": lambda w: w.bar(),
    "a cross": lambda w: w.bar(cross=True),
    "a checkup": lambda w: w.checkup(),
    "news": lambda w: w.deliver(1),
    "all news": lambda w: w.deliver(),
    "submit": lambda w: w.market.submit(),
    "refuse": lambda w: w.market.turn_down(),
    "dead letter": lambda w: w.market.turn_down("dead_letter", "EXPIRED"),
    "lose": lambda w: w.market.lose(),
    "appear filled": lambda w: w.market.appear(WHOLE),
    "appear half": lambda w: w.market.appear(HALF),
    "appear empty": lambda w: w.market.appear(NONE),
    "absent": lambda w: w.market.confirm_absent(),
    "fill": lambda w: _every(w.market, w.market.fill),
    "fill half": lambda w: _every(w.market, lambda s: w.market.fill(s, HALF)),
    "fill silently": lambda w: _every(w.market, lambda s: w.market.fill(s, told=False)),
    "cancel": lambda w: _every(w.market, lambda s: w.market.end(s, "canceled")),
    "expire": lambda w: _every(w.market, lambda s: w.market.end(s, "expired")),
    "reject": lambda w: _every(w.market, lambda s: w.market.end(s, "rejected")),
    "replaced": lambda w: _every(w.market, lambda s: w.market.say(s, "replaced")),
    "done for day": lambda w: _every(w.market, lambda s: w.market.say(s, "done_for_day")),
    "crash": lambda w: w.start(),
    "crash before it is kept": lambda w: w.bar_and_crash(),
    "the broker is silent": lambda w: setattr(w.market, "silent", True),
    "the broker is back": lambda w: setattr(w.market, "silent", False),
}


def _strange(world: World, side: str) -> None:
    """An order by hand, which the service tells nothing of."""
    market = world.market
    qty = Decimal(2) if side == "b" else market.held
    if not market.orders and qty:
        order = {"signal_id": BY_HAND, "direction": side, "qty": str(qty), "limit_price": "1"}
        market.place(order)


OTHERS: dict[str, Any] = {
    "others buy": lambda w: setattr(w.market, "held", w.market.held + 3),
    "others sell": lambda w: w.market.others_sell(Decimal(3)),
    "others' buy rests": lambda w: _strange(w, "b"),
    "others' sale rests": lambda w: _strange(w, "s"),
}

#: What makes a day go on, more often than what stops it.
OFTEN = ["a cross", "submit", "all news", "fill"] * 5


LATE = ["appear filled", "appear half", "appear empty", "absent", "crash"]


def _finish(world: World, late: Sequence[str] = ()) -> None:
    """The last minutes, with a service and a broker that work; lost orders may still appear."""
    left = list(late)
    market = world.market
    market.silent = False
    if BY_HAND in market.orders:
        market.end(BY_HAND, "canceled")
    market.at = max(market.at, CLOSES - 6 * MINUTE)
    while not world.stopped and market.at < CLOSES:
        world.bar()
        if left and market.at < CLOSES - 2 * MINUTE:
            ACTIONS[left.pop()](world)
        while market.inbox or market.news:
            market.submit()
            world.deliver()
        world.checkup()
    world.checkup()


def _day(actions: list[str], late: list[str], world: World) -> None:
    world.start()
    for name in actions:
        if world.market.at < CLOSES - 6 * MINUTE:
            ACTIONS[name](world)
    _finish(world, late)
    assert world.market.held == ZERO
    assert not world.market.orders
    assert world.machine.state is State.DONE
    assert world.machine.flat
    assert world.stopped


@given(
    st.lists(st.sampled_from([*OFTEN, *sorted(ACTIONS)]), min_size=15, max_size=80),
    st.lists(st.sampled_from(LATE), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_never_two_buys_never_more_sold_than_held_and_flat_at_the_end(
    actions: list[str], late: list[str]
) -> None:
    """Whatever happens in whatever order, and whenever the process dies."""
    _day(actions, late, Watched())


@given(
    st.lists(st.sampled_from([*OFTEN, *sorted(ACTIONS | OTHERS)]), min_size=15, max_size=80),
)
@settings(max_examples=150, deadline=None)
def test_flat_at_the_end_although_others_trade_the_symbol(actions: list[str]) -> None:
    """Shares that come and go without a signal of ours: the broker's word counts at last."""
    world = Watched()
    world.foreign = True
    world.start()
    for name in actions:
        if world.market.at < CLOSES - 6 * MINUTE:
            (ACTIONS | OTHERS)[name](world)
    _finish(world)
    assert world.market.held == ZERO
    assert world.machine.state is State.DONE
    assert Kind.BUY not in {order.kind for order in world.machine.orders.values()}
