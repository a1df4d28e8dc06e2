"""Signature Version 4 of a request that is ready to be sent, for a moment that is handed in.

Here because Bedrock and the stores of AWS's sign alike. Source: AWS General Reference, "Signature Version 4 signing
process" (canonical request, string to sign, signing key).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlsplit

from .aws_keys import Keys

__all__ = ["signature_headers"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SIGNED: Final = ("content-type", "x-amz")
"""What the names of headers begin with that are signed beside the host; proxies on the way may change others."""
_PORTS: Final = {"http": 80, "https": 443}


def signature_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    keys: Keys,
    *,
    service: str,
    region: str,
    now: float,
) -> Mapping[str, str]:
    """The headers that sign a request.

    Args:
        method: The HTTP method.
        url: The whole address, as it goes out.
        headers: Its headers, lower-case names.
        body: Its body, as it goes out.
        keys: What to sign with.
        service: Whose signature it is to be, as AWS calls it: ``bedrock``, ``secretsmanager``.
        region: For which region.
        now: Seconds since the epoch.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": moment, **({"x-amz-security-token": keys.token} if keys.token else {})}
    signed = {name: " ".join(value.split()) for name, value in headers.items() if name.startswith(_SIGNED)}
    signed |= {**added, "host": _host(url)}
    names = ";".join(sorted(signed))
    parts = urlsplit(url)
    canonical = "\n".join(
        [
            method,
            # Every service but S3 encodes a path that is encoded already once more.
            quote(parts.path, safe="/~") or "/",
            "&".join(sorted(piece if "=" in piece else f"{piece}=" for piece in parts.query.split("&") if piece)),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret_key}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {"authorization": f"{_ALGORITHM} {credential}", **added}


def _host(url: str) -> str:
    """The ``Host`` header that goes out: without the port where that is the usual one."""
    parts = urlsplit(url)
    usual = parts.port is None or parts.port == _PORTS.get(parts.scheme)
    return (parts.hostname or "") if usual and ":" not in (parts.hostname or "") else parts.netloc
