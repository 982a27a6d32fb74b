"""Get and set under a key, as strategies written for alpaca-fleece do; it is the kept ``state``.

Only inside of a callback: the host knows then whose state is meant.
"""

from typing import Any

from signal_generator.hosts.hosted import current


def get_state(key: str, default: Any = None) -> Any:
    """What is kept under the key.

    Raises:
        RuntimeError: no callback runs.
    """
    return _state().get(key, default)


def set_state(key: str, value: Any) -> None:
    """Keep something that JSON can say; it reaches Redis with the callback's signals.

    Raises:
        RuntimeError: no callback runs.
    """
    _state()[key] = value


def _state() -> dict[str, Any]:
    strategy = current.get()
    if strategy is None:
        raise RuntimeError("state_store is there only while a strategy's callback runs")
    return strategy.state
