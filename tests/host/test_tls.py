"""The host's own TLS: what its files must be, and what is made of clients' certificates."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from authorities import Authority, Issued
from llmgate.config.model import TlsConfig
from llmgate.host.tls import Certificates, client_certificate
from llmgate.spec import ClientCertificate, ConfigError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    return authority.issue("DNS:localhost,IP:127.0.0.1", usage="serverAuth")


def files(issued: Issued, directory: Path) -> TlsConfig:
    shutil.copy(issued.cert, directory / "tls.crt")
    shutil.copy(issued.key, directory / "tls.key")
    return TlsConfig("tls.crt", "tls.key")


def test_takes_files_beside_the_configuration(server: Issued, tmp_path: Path) -> None:
    context = Certificates(files(server, tmp_path), tmp_path).context
    assert context.verify_mode is ssl.CERT_NONE
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_asks_clients_for_what_an_authority_has_issued(server: Issued, authority: Authority, tmp_path: Path) -> None:
    own = files(server, tmp_path)
    crl = authority.write_crl(tmp_path / "crl.pem")
    config = TlsConfig(own.cert, own.key, str(authority.cert), client_crl=str(crl))
    context = Certificates(config, tmp_path).context
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert context.num_tickets == 0
    optional = TlsConfig(own.cert, own.key, str(authority.cert), "optional")
    assert Certificates(optional, tmp_path).context.verify_mode is ssl.CERT_OPTIONAL


def test_a_file_that_cannot_be_used_is_named(server: Issued, authority: Authority, tmp_path: Path) -> None:
    own = files(server, tmp_path)
    other = authority.issue(common_name="other")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    openssl = shutil.which("openssl")
    assert openssl is not None
    locked = ["pkcs8", "-topk8", "-in", str(server.key), "-out", str(tmp_path / "locked"), "-passout", "pass:canary"]
    subprocess.run([openssl, *locked], check=True, capture_output=True)
    for config, said in [
        (TlsConfig("missing.crt", "tls.key"), "missing.crt"),
        (TlsConfig("tls.crt", "missing.key"), "missing.key"),
        (TlsConfig("tls.crt", str(other.key)), "belong together"),
        (TlsConfig("empty", "tls.key"), "empty"),
        (TlsConfig("text", "tls.key"), "text"),
        (TlsConfig("tls.crt", "locked"), "decrypt it"),
        (TlsConfig("tls.crt", "tls.key", client_ca="missing.ca"), "missing.ca"),
        (TlsConfig("tls.crt", "tls.key", client_ca="empty"), "empty"),
        (TlsConfig("tls.crt", "tls.key", client_ca=str(authority.cert), client_crl="missing.crl"), "missing.crl"),
    ]:
        with pytest.raises(ConfigError) as caught:
            Certificates(config, tmp_path)
        assert str(caught.value).startswith("server.tls: ")
        assert said in str(caught.value)
        assert "canary" not in str(caught.value)
    assert own.cert == "tls.crt"


def test_files_that_change_are_used_once_they_can_be(server: Issued, authority: Authority, tmp_path: Path) -> None:
    certificates = Certificates(files(server, tmp_path), tmp_path)
    assert not certificates.refresh()
    later = authority.issue("DNS:localhost", usage="serverAuth")
    shutil.copy(later.cert, tmp_path / "tls.crt")
    with pytest.raises(ConfigError):
        certificates.refresh()  # the key that belongs to it is not there yet
    assert _shown(certificates.context, authority) == server.fingerprint
    shutil.copy(later.key, tmp_path / "tls.key")
    assert certificates.refresh()
    assert not certificates.refresh()
    assert _shown(certificates.context, authority) == later.fingerprint


def test_what_files_say_replaces_what_they_said(server: Issued, authority: Authority, tmp_path: Path) -> None:
    """Lists of one second are told apart, and an authority that is taken out is trusted no more."""
    own, shown, another = files(server, tmp_path), authority.issue(common_name="a"), Authority(tmp_path / "another")
    shutil.copy(authority.cert, tmp_path / "ca")
    authority.write_crl(tmp_path / "crl")
    certificates = Certificates(TlsConfig(own.cert, own.key, "ca", client_crl="crl"), tmp_path)
    assert _lets_in(certificates, authority, shown)
    authority.revoke(shown)
    authority.write_crl(tmp_path / "crl")
    assert certificates.refresh()
    assert not _lets_in(certificates, authority, shown)
    later = authority.issue(common_name="b")
    assert _lets_in(certificates, authority, later)
    shutil.copy(another.cert, tmp_path / "ca")
    another.write_crl(tmp_path / "crl")
    assert certificates.refresh()
    assert not _lets_in(certificates, authority, later)
    assert _lets_in(certificates, authority, another.issue(common_name="c"))


async def test_looks_at_files_now_and_then(
    server: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = Certificates(files(server, tmp_path), tmp_path)
    monkeypatch.setattr("llmgate.host.tls.LOOK_SECONDS", 0.01)
    following = asyncio.ensure_future(certificates.follow())
    (tmp_path / "tls.key").write_text("")
    await asyncio.sleep(0.2)
    following.cancel()
    assert caplog.text.count("stay in use") == 1


def test_what_a_client_shows_is_read(server: Issued, authority: Authority, tmp_path: Path) -> None:
    own = files(server, tmp_path)
    shown = authority.issue("DNS:a.example,URI:spiffe://example/a,email:a@example", common_name="client-a")
    context = Certificates(TlsConfig(own.cert, own.key, str(authority.cert)), tmp_path).context
    asking = ssl.create_default_context(cafile=str(authority.cert))
    asking.load_cert_chain(shown.cert, shown.key)
    found = client_certificate(_handshake(context, asking)[0])
    assert found is not None
    assert (found.common_name, found.uris, found.dns_names) == ("client-a", ("spiffe://example/a",), ("a.example",))
    assert found.fingerprint == hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.cert.read_text())).hexdigest()
    assert 86_000 < found.ends - _now() < 3 * 86_400


def test_nothing_is_made_of_what_nobody_has_verified() -> None:
    class Connection:
        said: Any = {}

        def getpeercert(self, binary_form: bool = False) -> Any:
            return b"der" if binary_form else self.said

    assert client_certificate(None) is None
    assert client_certificate(Connection()) is None
    odd = Connection()
    odd.said = {"notAfter": "tomorrow", "subject": ()}
    assert client_certificate(odd) is None
    odd.said = {"subject": ()}
    assert client_certificate(odd) is None
    twice = Connection()
    twice.said = {"notAfter": "Jan  1 00:00:00 2030 GMT", "subject": ((("commonName", "a"),), (("commonName", "b"),))}
    made = client_certificate(twice)
    assert isinstance(made, ClientCertificate)
    assert made.common_name == "", "of two names nobody can tell which is meant"


def _now() -> float:
    import time

    return time.time()


def _handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "localhost"
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Two ends of a connection, in memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up, server_hostname=name))
    done: set[int] = set()
    for _ in range(10):
        for number, end in enumerate(ends):
            if number not in done:
                try:
                    end.do_handshake()
                    done.add(number)
                except ssl.SSLWantReadError:
                    pass
    assert len(done) == 2
    return ends


def _shown(server: ssl.SSLContext, authority: Authority) -> str:
    """The fingerprint of what a server shows."""
    asking = ssl.create_default_context(cafile=str(authority.cert))
    content = _handshake(server, asking)[1].getpeercert(binary_form=True)
    digest = hashlib.sha256(content or b"").hexdigest().upper()
    return ":".join(digest[place : place + 2] for place in range(0, 64, 2))


def _lets_in(certificates: Certificates, authority: Authority, shown: Issued) -> bool:
    """Whether it does, which is the same for clients that name the server and for those that do not."""
    found = {_is_let_in(certificates, authority, shown, name) for name in ("localhost", None)}
    assert len(found) == 1
    return found.pop()


def _is_let_in(certificates: Certificates, authority: Authority, shown: Issued, name: str | None) -> bool:
    asking = ssl.create_default_context(cafile=str(authority.cert))
    asking.check_hostname = False
    asking.load_cert_chain(shown.cert, shown.key)
    try:
        return client_certificate(_handshake(certificates.context, asking, name)[0]) is not None
    except ssl.SSLCertVerificationError:
        return False
