"""``/v2/account`` with configurations, ``/v2/assets``, clock and calendar."""

from dataclasses import asdict, fields
from datetime import date, timedelta

from paper_exchange.api.call import Call, Reply, Router
from paper_exchange.books.configuration import Configuration
from paper_exchange.clock import new_york
from paper_exchange.errors import invalid, not_found

_ATTRIBUTES = frozenset(
    {
        "ptp_no_exception",
        "ptp_with_exception",
        "ipo",
        "has_options",
        "options_late_close",
        "fractional_eh_enabled",
        "overnight_tradable",
        "overnight_halted",
    }
)
_DATE_TYPES = frozenset({"trading", "settlement"})
_LONGEST_SETTLEMENT = timedelta(days=10)
_FIRST_DAY = date(1970, 1, 1)
_LAST_DAY = date(2029, 12, 31)
_NAMES = frozenset(one.name for one in fields(Configuration))
_CHOICES = {
    "max_margin_multiplier": frozenset({"1", "2", "4"}),
    "trade_confirm_email": frozenset({"all", "none"}),
}


def get_account(call: Call) -> Reply:
    """``GET /v2/account``."""
    return Reply(call.account.render(call.exchange.market, call.now_ns))


def get_configurations(call: Call) -> Reply:
    """``GET /v2/account/configurations``."""
    return Reply(asdict(call.account.configuration))


def set_configurations(call: Call) -> Reply:
    """``PATCH /v2/account/configurations``; nulls and unknown names are ignored."""
    changes = {
        name: value for name, value in call.body().items() if name in _NAMES and value is not None
    }
    for name, value in changes.items():
        _check_configuration(name, value)
    call.account.configure(changes)
    return get_configurations(call)


def _check_configuration(name: str, value: object) -> None:
    if name in _CHOICES:
        valid = isinstance(value, str) and value in _CHOICES[name]
    elif name == "max_options_trading_level":
        valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 3
    else:
        valid = isinstance(value, bool)
    if not valid:
        raise invalid(f"invalid {name}")


def list_assets(call: Call) -> Reply:
    """``GET /v2/assets`` with its filters."""
    query = call.query
    wanted = {
        "status": query.get("status"),
        "asset_class": query.get("asset_class", "us_equity"),  # one class at a time (documented)
        "exchange": query.get("exchange"),
    }
    attributes = call.names("attributes")
    if not _ATTRIBUTES.issuperset(attributes):
        raise invalid("invalid attributes")
    return Reply(
        [
            asset.render()
            for asset in call.exchange.assets
            if not attributes
            and all(
                value is None or getattr(asset, name) == value for name, value in wanted.items()
            )
        ]
    )


def get_asset(call: Call) -> Reply:
    """``GET /v2/assets/{symbol or id}``."""
    key = call.params["asset"]
    asset = call.exchange.assets.find(key)
    if asset is None:
        raise not_found(f"asset not found for {key}")
    return Reply(asset.render())


def get_clock(call: Call) -> Reply:
    """``GET /v2/clock``, in New York's offset as Alpaca sends it."""
    now, hours = call.now_ns, call.exchange.hours
    return Reply(
        {
            "timestamp": new_york(now).isoformat(),
            "is_open": hours.phase(now).value == "core",
            "next_open": new_york(hours.next_open(now)).isoformat(),
            "next_close": new_york(hours.next_close(now)).isoformat(),
        }
    )


def get_calendar(call: Call) -> Reply:
    """``GET /v2/calendar``."""
    start = max(call.day("start", _FIRST_DAY), _FIRST_DAY)
    end = min(call.day("end", _LAST_DAY), _LAST_DAY)
    hours = call.exchange.hours
    if call.choice("date_type", "trading", _DATE_TYPES) == "trading":
        return Reply([day.render() for day in hours.calendar(start, end)])
    # What settles from start on was traded a few days before it.
    traded = hours.calendar(start - _LONGEST_SETTLEMENT, end)
    return Reply([day.render() for day in traded if start <= day.settlement <= end])


def add_routes(router: Router) -> None:
    """Serve this module's endpoints."""
    router.add("GET", "/v2/account", get_account)
    router.add("GET", "/v2/account/configurations", get_configurations)
    router.add("PATCH", "/v2/account/configurations", set_configurations)
    router.add("GET", "/v2/assets", list_assets)
    router.add("GET", "/v2/assets/{asset}", get_asset)
    router.add("GET", "/v2/clock", get_clock)
    router.add("GET", "/v2/calendar", get_calendar)
