"""The certificate by which a client has shown who it is when its connection was made."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["ClientCertificate"]


@attrs.frozen
class ClientCertificate:
    """A client's certificate, which TLS has verified: an authority that the operator trusts has issued it.

    Args:
        fingerprint: The SHA-256 of the certificate, 64 hex digits in lower case.
        common_name: The common name of its subject, ``""`` where it has none, or several.
        uris: The URIs among its names, such as SPIFFE ids.
        dns_names: The host names among its names.
        ends: When it ends, in seconds since the epoch.
    """

    fingerprint: str
    common_name: str = ""
    uris: Sequence[str] = ()
    dns_names: Sequence[str] = ()
    ends: float = float("inf")
