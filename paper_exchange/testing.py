"""A real exchange in a process of its own, for tests and examples in Python."""

import contextlib
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_READY = "paper_exchange listening on "
_SECURE = "paper_exchange TLS on "


@dataclass(frozen=True, slots=True)
class Running:
    """A started exchange; URLs have no trailing slash.

    Attributes:
        secure_url: the ``https`` URL, None without ``--tls-port``.
        certificate: the PEM file a client has to trust for it.
    """

    url: str
    process: subprocess.Popen[str]
    secure_url: str | None = None
    certificate: str | None = None
    _errors: IO[str] | None = None

    @property
    def stream_url(self) -> str:
        """Where trade_updates is served."""
        return self.url.replace("http://", "ws://", 1) + "/stream"

    def errors(self) -> str:
        """What it has written to stderr, if that was to be captured."""
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read()

    def data_stream_url(self, feed: str = "iex") -> str:
        """Where market data of ``iex``, ``sip``, ``delayed_sip``, ``test`` or ``crypto`` is."""
        path = "/v1beta3/crypto/us" if feed == "crypto" else f"/v2/{feed}"
        return self.url.replace("http://", "ws://", 1) + path


@contextlib.contextmanager
def running(
    *options: str, start_within: float = 10.0, capture_errors: bool = False
) -> Iterator[Running]:
    """Start ``python -m paper_exchange --port 0`` with more options; stop it on leaving.

    ``capture_errors`` keeps stderr for ``Running.errors`` while the context lasts.

    Raises:
        TimeoutError: when it does not get ready in time.
    """
    command = [sys.executable, "-m", "paper_exchange", "--port", "0", *options]
    errors = tempfile.TemporaryFile("w+") if capture_errors else None  # noqa: SIM115  -- outlives us
    process = subprocess.Popen(  # noqa: S603  -- our own module
        command, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    try:
        url = _ready_url(process, start_within)
        secure_url = certificate = None
        if any(one.partition("=")[0] == "--tls-port" for one in options):
            secure_url, certificate = _secure_part(process)
        yield Running(url, process, secure_url, certificate, errors)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        if errors is not None:
            errors.close()


def _ready_url(process: subprocess.Popen[str], within: float) -> str:
    deadline = time.monotonic() + within
    with selectors.DefaultSelector() as selector:
        if process.stdout is not None:
            selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            line = process.stdout.readline() if process.stdout else ""
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()
            if not line:
                break
    raise TimeoutError(f"the exchange was not ready within {within} s")


def _secure_part(process: subprocess.Popen[str]) -> tuple[str, str]:
    """URL and certificate from the second line, which is written together with the first."""
    line = process.stdout.readline() if process.stdout else ""
    url, _, certificate = line.removeprefix(_SECURE).strip().partition(" certificate ")
    return url, certificate
