"""TLS with real certificates: only one that is right in every respect is handed the key."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from business_os_banking.exceptions import NotReachable, TimedOut
from business_os_banking.upstream import http
from tests.upstream.server import KEY, Server, serve
from tests.upstream.test_secrecy import assert_kept_secret_in_our_frames
from tests.upstream.test_wire import connect, drips_body, within

pytestmark = pytest.mark.long

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
OURS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Authority:
    """A certificate authority, and what it has signed, as files in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("our authority", self.key, ca=True)
        self.bundle = folder / "authority.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: x509.GeneralName = OURS, *, since: dt.datetime = NOW - DAY, days: int = 2) -> Path:
        """Return a file with a certificate for *name*, valid for *days* from *since* on, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign("127.0.0.1", key, name, since, days)
        path = self.folder / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _sign(
        self,
        subject: str,
        key: ec.EllipticCurvePrivateKey,
        name: x509.GeneralName = OURS,
        since: dt.datetime = NOW - DAY,
        days: int = 2,
        *,
        ca: bool = False,
    ) -> x509.Certificate:
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "our authority")])
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        whose = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + dt.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([name]), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca), critical=True)
            .add_extension(own, critical=False)
            .add_extension(whose, critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _usage(ca: bool) -> x509.KeyUsage:
    """Return what the key may be used for. Python 3.13 asks an authority for it."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that the site trusts, as an operator may say, so that only the fault in question is one."""
    made = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.bundle))
    return made


@contextmanager
def serving(certificate: Path, **options: Any) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    for name, value in options.items():
        setattr(context, name, value)
    script = Server()
    stop = serve(script, context)
    try:
        yield script
    finally:
        http.close_kept()
        stop()


def is_refused(certificate: Path, **options: Any) -> bool:
    """Return whether a server with *certificate* is refused; then it has heard nothing."""
    with serving(certificate, **options) as server:
        try:
            connect(server.account())
        except NotReachable:
            assert not server.seen
            return True
        assert server.seen[0].headers["x-api-key"] == KEY
        return False


def test_a_certificate_that_nobody_vouches_for(tls_server: Server) -> None:
    with pytest.raises(NotReachable):
        connect(tls_server.account())
    assert not tls_server.seen


def test_no_tls_where_it_should_be(server: Server, attempts: list[Any]) -> None:
    with pytest.raises(NotReachable):
        connect(server.account(BASE_URL=server.url.replace("http:", "https:")))
    assert not server.seen
    assert len(attempts) == 1


def test_a_trusted_certificate(
    tls_server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    account = tls_server.account()
    connect(account)
    connect(account)
    assert tls_server.connections == 2

    tls_server.behave = drips_body
    with within(1.2), pytest.raises(TimedOut):
        connect(account)
    assert len(tls_server.seen) == 3


def test_a_certificate_that_is_right_is_trusted(authority: Authority) -> None:
    assert not is_refused(authority.issue())


CERTIFICATES: dict[str, Callable[[Authority], Path]] = {
    "for another host": lambda authority: authority.issue(x509.DNSName("api.business-os.de")),
    "for another address": lambda authority: authority.issue(
        x509.IPAddress(ipaddress.ip_address("127.0.0.2"))
    ),
    "for our address as a name": lambda authority: authority.issue(x509.DNSName("127.0.0.1")),
    "expired": lambda authority: authority.issue(since=NOW - 3 * DAY),
    "not valid yet": lambda authority: authority.issue(since=NOW + DAY),
}


@pytest.mark.parametrize("what", CERTIFICATES)
def test_a_certificate_that_is_wrong_is_refused(authority: Authority, what: str) -> None:
    assert is_refused(CERTIFICATES[what](authority))


def test_a_certificate_that_signed_itself_is_refused(authority: Authority, certificate: Path) -> None:
    assert is_refused(certificate)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_operator_may_name_authorities_and_nothing_else(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Which certificates to trust is a matter of the machine. Whether to look at them is not."""
    certificate = authority.issue()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert is_refused(certificate)
    for nothing in ("", "0", "false", "/nowhere.pem"):
        monkeypatch.setenv(variable, nothing)
        assert is_refused(certificate)
    monkeypatch.setenv(variable, str(authority.bundle))
    assert not is_refused(certificate)


def test_authorities_that_are_not_there_are_told_without_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    account = server.account(BASE_URL="https://127.0.0.1")
    with pytest.raises(NotReachable, match="REQUESTS_CA_BUNDLE") as caught:
        connect(account)
    del account
    assert_kept_secret_in_our_frames(caught.value, caplog)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_versions_of_tls_are_refused(authority: Authority) -> None:
    certificate = authority.issue()
    old = {"minimum_version": ssl.TLSVersion.TLSv1_1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    assert is_refused(certificate, **old)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert not is_refused(certificate, minimum_version=version, maximum_version=version)


def test_a_handshake_that_drips_times_out(server: Server) -> None:
    """As with an answer, the time is for the whole, not for each byte."""
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        caller, _address = listener.accept()
        with caller:
            caller.sendall(b"\x16\x03\x03\x40\x00\x02")  # a record of 16 KB, and a handshake message in it
            while not done.wait(0.05):
                try:
                    caller.sendall(b"\x00")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=[listener], daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NotReachable, match="TLS handshake failed"), within(3):
            connect(server.account(BASE_URL=url))
        done.set()
        thread.join()


@pytest.mark.parametrize("how", ["hangs", "hangs up", "resets", "is no TLS"])
def test_a_handshake_that_is_broken_off_has_sent_nothing(server: Server, how: str) -> None:
    """So it is no call that came to no answer, of which nobody knows whether it was done."""
    done = threading.Event()

    def answer(listener: socket.socket) -> None:
        caller, _address = listener.accept()
        with caller:
            caller.recv(1)  # the handshake has begun
            if how == "hangs":
                done.wait(5)
            elif how == "resets":
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            elif how == "is no TLS":
                caller.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=[listener], daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NotReachable, match="TLS handshake failed"), within(3):
            connect(server.account(BASE_URL=url))
        done.set()
        thread.join()
