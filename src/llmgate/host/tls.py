"""TLS of the host's own: its certificate, whose certificates it asks clients for, and files that change meanwhile.

asyncio cannot change the context that it listens with, so that one stands in front: at the start of each handshake it
hands over to a context made of what the files say now. Adding to a context in use would not do: an authority or a list
of revoked certificates that has been added stays in it for good.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from llmgate.config.model import TlsConfig
from llmgate.spec import ClientCertificate, ConfigError

__all__ = ["HANDSHAKE_SECONDS", "Certificates", "client_certificate"]

log = logging.getLogger("llmgate.host")

HANDSHAKE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 5.0
"""Between two looks at whether the files have changed."""
_VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Certificates:
    """The TLS context of the host, and how it follows its files.

    ``context`` is what to listen with; it stays the same.

    Args:
        tls: What the configuration says.
        directory: What paths are relative to.

    Raises:
        ConfigError: a file cannot be used.
    """

    def __init__(self, tls: TlsConfig, directory: Path) -> None:
        self._tls = tls
        self._directory = directory
        self._marks = self._look()
        self._current = self.context = self._made()
        self.context.sni_callback = self._hand_over

    def refresh(self) -> bool:
        """Use what the files say now, if they have changed; whether they have.

        Raises:
            ConfigError: they cannot be used; what was read before stays in use.
        """
        marks = self._look()
        if marks == self._marks:
            return False
        self._current = self._made()
        self._marks = marks
        return True

    async def follow(self) -> None:
        """Look at the files now and then."""
        failed = False
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                changed = self.refresh()
            except ConfigError as error:
                if not failed:
                    log.error("%s; the certificates of before stay in use", error)  # noqa: TRY400 - no traceback helps
                failed = True
            else:
                failed = False
                if changed:
                    log.info("server.tls: the certificates have been read again")

    def _hand_over(self, connection: ssl.SSLSocket | ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        """Called for every handshake, also for those that name no server."""
        connection.context = self._current

    def _made(self) -> ssl.SSLContext:
        tls = self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        # A resumed session would not be held against the list of revoked certificates again, so that none is resumed;
        # up to TLS 1.2 sessions are resumed by an id, too, which nothing turns off.
        least = tls.minimum_version or ("1.3" if tls.client_ca else "1.2")
        context.minimum_version = _VERSIONS[least]
        if tls.client_ca:
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
            optional = tls.client_certificates == "optional"
            context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
            if tls.client_crl:
                context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        tls = self._tls
        cert, key = self._directory / tls.cert, self._directory / tls.key
        with _named(cert, key, what="cert and key"):
            context.load_cert_chain(cert, key, password=_no_password)
        for file, what in ((tls.client_ca, "client-ca"), (tls.client_crl, "client-crl")):
            if file:
                with _named(self._directory / file, what=what):
                    context.load_verify_locations(self._directory / file)

    def _look(self) -> tuple[object, ...]:
        """What tells that a file has changed."""
        tls = self._tls
        return tuple(_mark(self._directory / one) for one in (tls.cert, tls.key, tls.client_ca, tls.client_crl) if one)


def client_certificate(connection: Any) -> ClientCertificate | None:
    """The certificate that a client has shown and that has been verified; None for none.

    Args:
        connection: The ``ssl.SSLObject`` of the connection; None for one without TLS.
    """
    if connection is None:
        return None
    try:
        # Empty where nobody has verified it.
        said, content = connection.getpeercert(), connection.getpeercert(binary_form=True)
        if not said or not content:
            return None
        names = said.get("subjectAltName", ())
        common = [value for part in said.get("subject", ()) for name, value in part if name == "commonName"]
        return ClientCertificate(
            fingerprint=hashlib.sha256(content).hexdigest(),
            common_name=common[0] if len(common) == 1 else "",
            uris=tuple(value for kind, value in names if kind == "URI"),
            dns_names=tuple(value for kind, value in names if kind == "DNS"),
            ends=float(ssl.cert_time_to_seconds(said["notAfter"])),
        )
    except (ValueError, KeyError, ssl.SSLError):
        log.warning("a client's certificate cannot be read, and counts as none")
        return None


class _named:  # noqa: N801 - reads as the function that it is used as
    """Turns what is wrong with files into one sentence that names them."""

    def __init__(self, *files: Path, what: str) -> None:
        self._files = files
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Name what went wrong."""
        if isinstance(error, ssl.SSLError | ValueError):
            reason = getattr(error, "reason", None) or str(error)
            why = f"{reason.replace('_', ' ').lower()}: write PEM files that belong together"
        elif isinstance(error, OSError):
            why = f"{error.strerror or type(error).__name__}: correct the path, or let this user read it"
        else:
            return
        files = " and ".join(str(file) for file in self._files)
        raise ConfigError(f"server.tls: {self._what}: {files} cannot be used ({why})") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; decrypt it")


def _mark(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
