"""An account's configuration."""

from dataclasses import dataclass


@dataclass(slots=True)
class Configuration:
    """What ``/v2/account/configurations`` reads and writes."""

    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    no_shorting: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    max_options_trading_level: int | None = None
