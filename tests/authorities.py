"""Certificates made by openssl: authorities, what they issue, and what they revoke."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import attrs

__all__ = ["Authority", "Issued"]

_SETTINGS = """\
[ca]
default_ca = own
[own]
dir = {directory}
database = {directory}/index
serial = {directory}/serial
crlnumber = {directory}/number
new_certs_dir = {directory}
certificate = {directory}/ca.crt
private_key = {directory}/ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
copy_extensions = copyall
[any]
commonName = optional
"""


@attrs.frozen
class Issued:
    """A certificate and its key, PEM files."""

    cert: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """Its SHA-256, as openssl writes it."""
        said = _openssl("x509", "-in", str(self.cert), "-noout", "-fingerprint", "-sha256")
        return said.strip().partition("=")[2]


class Authority:
    """An authority of its own.

    Args:
        directory: A folder that is not there yet.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._count = 0
        (directory / "index").touch()
        (directory / "serial").write_text("1000\n")
        (directory / "number").write_text("01\n")
        (directory / "settings").write_text(_SETTINGS.format(directory=directory))
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        added = [part for one in extensions for part in ("-addext", one)]
        _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=authority", *added,
                 "-keyout", str(directory / "ca.key"), "-out", str(self.cert))  # fmt: skip

    @property
    def cert(self) -> Path:
        """Its own certificate."""
        return self._directory / "ca.crt"

    def issue(
        self, names: str = "", *, common_name: str = "", usage: str = "clientAuth", expired: bool = False
    ) -> Issued:
        """A certificate.

        Args:
            names: Its names as openssl takes them: ``DNS:a.example,URI:spiffe://example/a``.
            common_name: The common name of its subject.
            usage: What it may be used for.
            expired: Whether it has ended already.
        """
        self._count += 1
        base = self._directory / f"issued-{self._count}"
        made = Issued(base.with_suffix(".crt"), base.with_suffix(".key"))
        # RFC 5280, 4.2.1.6: critical where the subject is empty; OpenSSL asks for that where it is strict.
        critical = "" if common_name else "critical,"
        extensions = [f"extendedKeyUsage={usage}", *([f"subjectAltName={critical}{names}"] if names else [])]
        added = [part for one in extensions for part in ("-addext", one)]
        escaped = common_name.replace("/", "\\/")
        subject = f"/CN={escaped}" if common_name else "/"
        _openssl("req", "-new", *_KEY, "-subj", subject, *added, "-keyout", str(made.key), "-out", f"{base}.csr")
        when = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"] if expired else []
        self._ca("-in", f"{base}.csr", "-out", str(made.cert), "-notext", *when)
        return made

    def revoke(self, issued: Issued) -> None:
        """Revoke a certificate; ``write_crl`` says so."""
        self._ca("-revoke", str(issued.cert))

    def write_crl(self, file: Path) -> Path:
        """Write the list of what has been revoked."""
        self._ca("-gencrl", "-out", str(file))
        return file

    def _ca(self, *arguments: str) -> None:
        _openssl("ca", "-batch", "-config", str(self._directory / "settings"), *arguments)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*arguments: str) -> str:
    program = shutil.which("openssl")
    assert program is not None, "openssl makes the certificates"
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=150)
    assert result.returncode == 0, result.stderr
    return result.stdout
