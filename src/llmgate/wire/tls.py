"""TLS of what the gateway calls: whom it trusts, and that no variable has its secrets written down."""

from __future__ import annotations

import functools
import ssl
import sys

__all__ = ["client_context", "trusting"]


@functools.cache
def client_context() -> ssl.SSLContext:
    """TLS that trusts the system's authorities, those of ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` among them."""
    context = _context()
    context.load_default_certs()
    return context


def trusting(authorities: str) -> ssl.SSLContext:
    """TLS that trusts some authorities and nobody else.

    Args:
        authorities: Their certificates, PEM.

    Raises:
        ssl.SSLError: there are none.
        ValueError: the same.
    """
    context = _context()
    context.load_verify_locations(cadata=authorities)
    return context


def _context() -> ssl.SSLContext:
    # Not ``ssl.create_default_context``, which heeds SSLKEYLOGFILE: who reads that file reads keys of providers.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    return context
