"""The whole service in one thread, without sockets: seeded and deterministic.

Everything between a stream entry and an order is the product's own code, wired by its own
:class:`solution.app.Trader`. What lies outside the process is replaced: time, Redis (its commands),
Alpaca (its HTTP answers), and the memory under the ledger's SQLite. A crash throws every object of
the service away and keeps those four.
"""


class NotSimulated(Exception):
    """The service asked for something that the simulation does not model: it has to be added."""
