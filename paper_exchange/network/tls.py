"""The certificate of the TLS listener: made on first use and kept, or the user's own."""

import fcntl
import ipaddress
import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper_exchange.settings import Settings

if TYPE_CHECKING:
    from cryptography import x509

_NAMES = ("localhost", "127.0.0.1", "::1")
#: Addresses that mean all of the machine's own, and are nobody's name.
_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  -- compared with, not bound to
_LIFE = timedelta(days=825)
#: A certificate with less time left than this is made anew.
_RENEW = timedelta(days=30)
_NO_PACKAGE = (
    "a certificate cannot be made without the package cryptography: install signalpaca[tls],"
    " or pass your own files with --tls-cert and --tls-key"
)


class TlsError(Exception):
    """TLS was asked for and cannot be had; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, both PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """A server's context.

        Raises:
            TlsError: when the files cannot be read or do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # The password, or OpenSSL asks for one on the terminal.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:
            raise TlsError(
                f"cannot use the certificate {self.certificate} with the key {self.key}: {error}"
            ) from None
        return context


def identity(settings: Settings) -> Identity:
    """The user's files if there are any, else a certificate of our own making.

    Raises:
        TlsError: when there is none and none can be made.
    """
    if settings.tls_cert:
        return Identity(Path(settings.tls_cert), Path(settings.tls_key))
    directory = Path(settings.tls_dir) if settings.tls_dir else _state_directory()
    return own_identity(directory, settings.host, datetime.now(UTC))


def _state_directory() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "paper_exchange"


def own_identity(directory: Path, host: str, now: datetime) -> Identity:
    """The certificate kept in ``directory``.

    It is made when there is none, when it is about to expire, and when it is
    not valid for ``host``.

    Raises:
        TlsError: without the package cryptography, or when the directory cannot be written.
    """
    try:
        from cryptography import x509
    except ImportError:
        raise TlsError(_NO_PACKAGE) from None
    kept = Identity(directory / "certificate.pem", directory / "key.pem")
    names = [*_NAMES, *({host} - _WILDCARDS - {*_NAMES})]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(directory / "lock"):
            if not _is_good(kept, names, now, x509):
                _make(kept, names, now)
    except OSError as error:
        raise TlsError(f"cannot keep a certificate in {directory}: {error.strerror}") from None
    return kept


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two exchanges that start together must not mix up each other's halves of a pair."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_good(kept: Identity, names: Iterable[str], now: datetime, x509: Any) -> bool:
    try:
        found = x509.load_pem_x509_certificate(kept.certificate.read_bytes())
        kept.context()
    except (FileNotFoundError, ValueError, TlsError):
        return False
    if found.not_valid_after_utc - now < _RENEW or found.not_valid_before_utc > now:
        return False
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    covered = {str(name.value) for name in extension.value}
    return covered >= set(names)


def _make(kept: Identity, names: list[str], now: datetime) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(key.public_key(), names, now).sign(key, hashes.SHA256())
    _write(
        kept.key,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        mode=0o600,
    )
    _write(kept.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _builder(public_key: Any, names: list[str], now: datetime) -> "x509.CertificateBuilder":
    """A certificate that clients can be told to trust, and that can sign no other (not a CA)."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "paper_exchange")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([_general_name(name) for name in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_signatures_only(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (identifier, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # A client whose clock is a little behind is served too.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFE)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder


def _signatures_only() -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file as a whole; nobody ever sees it with wider permissions or half of it."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
