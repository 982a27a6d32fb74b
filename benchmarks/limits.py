"""Settings of a service whose every limit is off: what is measured is the way, not the stop."""

NO_LIMITS = dict.fromkeys(
    (
        *("MAX_POSITION_PCT", "MAX_ORDER_NOTIONAL", "MAX_GROSS_EXPOSURE_PCT", "MAX_TRADES_PER_DAY"),
        *("MAX_ORDERS_PER_MINUTE_PER_TICKER", "MAX_DAILY_LOSS_PCT", "MAX_FLIPS"),
        *("MAX_SPREAD_BPS", "PRICE_COLLAR_PCT", "CIRCUIT_BREAKER_FAILURES"),
    ),
    "0",
)
