"""What every implementation of the signature must compute: ``tests/golden/signatures.json``."""

import json
from pathlib import Path
from typing import NamedTuple


class Vector(NamedTuple):
    """One signal: ``canonical`` is what is signed, ``sig`` the signature under ``key``."""

    name: str
    stream: str
    key: str
    """``kid:secret``"""
    fields: dict[str, str]
    """All but ``sig``."""
    canonical: str
    sig: str

    @property
    def secret(self) -> bytes:
        return self.key.partition(":")[2].encode()

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The entry's fields, signed."""
        signed = {**self.fields, "sig": self.sig}
        return [(name.encode(), value.encode()) for name, value in signed.items()]


VECTORS = [
    Vector(**vector)
    for vector in json.loads(
        (Path(__file__).parents[1] / "golden" / "signatures.json").read_text(encoding="utf-8")
    )
]


def name_of(vector: Vector) -> str:
    """For the test's id."""
    return vector.name.replace(" ", "-")
