"""The certificate of our own making, and other people's."""

import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from paper_exchange.network.tls import Identity, TlsError, identity, own_identity
from paper_exchange.settings import Settings

NOW = datetime(2026, 11, 20, 17, tzinfo=UTC)


def names(made: Identity) -> set[str]:
    """What a certificate is valid for."""
    found = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {str(name.value) for name in extension.value}


def serial(made: Identity) -> int:
    """Which certificate this is."""
    return x509.load_pem_x509_certificate(made.certificate.read_bytes()).serial_number


def shake_hands(server: ssl.SSLContext, trusted: Path, name: str) -> None:
    """A TLS handshake in memory, with a client that checks everything there is to check."""
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version() in {"TLSv1.2", "TLSv1.3"}


def test_made_on_first_use_and_kept(tmp_path: Path) -> None:
    """The second start shows the certificate of the first; the key is for its owner alone."""
    directory = tmp_path / "a" / "b"
    made = own_identity(directory, "127.0.0.1", NOW)
    first = serial(made)
    assert serial(own_identity(directory, "::", NOW + timedelta(days=300))) == first
    assert names(made) == {"localhost", "127.0.0.1", "::1"}
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in directory.iterdir()) == [
        "certificate.pem",
        "key.pem",
        "lock",
    ]


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "exchange.lan"])
def test_clients_that_trust_it_accept_it(tmp_path: Path, name: str) -> None:
    """For every name, under the strictest rules."""
    made = own_identity(tmp_path, "exchange.lan", datetime.now(UTC))
    shake_hands(made.context(), made.certificate, name)


def test_clients_refuse_it_for_other_names(tmp_path: Path) -> None:
    """It is no certificate for anything else."""
    made = own_identity(tmp_path, "127.0.0.1", datetime.now(UTC))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(made.context(), made.certificate, "example.com")


@pytest.mark.parametrize(("host", "days"), [("10.1.2.3", 1), ("127.0.0.1", 800), ("127.0.0.1", -1)])
def test_made_anew_when_it_will_not_do(tmp_path: Path, host: str, days: int) -> None:
    """For a new address, before it expires, and when the clock says it is not valid yet."""
    before = serial(own_identity(tmp_path, "127.0.0.1", NOW))
    made = own_identity(tmp_path, host, NOW + timedelta(days=days))
    assert serial(made) != before
    assert host in names(made)


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem"])
def test_made_anew_when_half_of_it_is_broken(tmp_path: Path, name: str) -> None:
    """A missing or damaged file is no reason to fail."""
    made = own_identity(tmp_path, "127.0.0.1", NOW)
    (tmp_path / name).write_text("damaged")
    own_identity(tmp_path, "127.0.0.1", NOW).context()
    (tmp_path / name).unlink()
    own_identity(tmp_path, "127.0.0.1", NOW).context()
    assert made.key.stat().st_mode & 0o777 == 0o600


def test_kept_in_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_STATE_HOME, or what stands for it under the home directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert identity(Settings()).certificate == tmp_path / "paper_exchange" / "certificate.pem"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = tmp_path / ".local" / "state" / "paper_exchange" / "key.pem"
    assert identity(Settings()).key == expected


def test_own_files_need_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's certificate is shown as it is; without one, the missing package is named."""
    made = own_identity(tmp_path, "127.0.0.1", NOW)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    settings = Settings(tls_cert=str(made.certificate), tls_key=str(made.key))
    assert identity(settings) == made
    made.context()
    with pytest.raises(TlsError, match=r"cryptography: install signalpaca\[tls\], or pass"):
        identity(Settings(tls_dir=str(tmp_path)))


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    """The sentence names both."""
    one = own_identity(tmp_path / "one", "127.0.0.1", NOW)
    other = own_identity(tmp_path / "other", "127.0.0.1", NOW)
    with pytest.raises(TlsError, match=r"one/certificate.pem with the key .*other/key.pem"):
        Identity(one.certificate, other.key).context()


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """One sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TlsError, match="cannot keep a certificate in"):
        own_identity(tmp_path / "file" / "below", "127.0.0.1", NOW)
