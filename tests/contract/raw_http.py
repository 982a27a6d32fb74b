"""Requests as they are, with no SDK in between."""

from typing import Any
from uuid import uuid4

import requests

#: A market IOC for one NVDA.
MARKET: dict[str, Any] = {
    "symbol": "NVDA", "qty": "1", "side": "buy", "type": "market", "time_in_force": "ioc",
}  # fmt: skip
LIMIT: dict[str, Any] = {**MARKET, "type": "limit", "limit_price": "1.5", "time_in_force": "gtc"}
#: Seconds that an answer may take.
PATIENCE = 20.0


class Http:
    """Raw requests as one account, a fresh one unless a key is given."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self.key = key or f"K{uuid4().hex}"
        self.session = requests.Session()
        self.session.headers.update({"APCA-API-KEY-ID": self.key, "APCA-API-SECRET-KEY": "s"})

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, **{"timeout": PATIENCE, **options})

    def order(self, **changes: Any) -> requests.Response:
        """POST a market IOC for one NVDA, with changes; a change to None removes the field."""
        body = {k: v for k, v in {**MARKET, **changes}.items() if v is not None}
        return self("POST", "/v2/orders", json=body)
