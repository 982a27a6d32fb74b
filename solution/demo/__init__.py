"""Everything on one machine: Redis, exchange, generator and service, and a count of the result."""
