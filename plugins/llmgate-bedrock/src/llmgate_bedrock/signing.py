"""Signature Version 4 of a request that is ready to be sent, for a moment that is handed in.

Source: AWS General Reference, "Signature Version 4 signing process"; the steps are botocore's, the time is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from llmgate.spec import ProviderRequest

from .keys import Keys

__all__ = ["signature_headers"]

_SERVICE: Final = "bedrock"
_SIGNED: Final = ("content-type", "x-amz")
"""What the names of headers begin with that are signed beside the host; proxies on the way may change others."""


class _Signer(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer with another clock."""

    def sign_at(self, request: Any, now: float) -> None:
        """Add the headers of a signature that is made at a moment."""
        request.context["timestamp"] = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


def signature_headers(request: ProviderRequest, keys: Keys, region: str, now: float) -> Mapping[str, str]:
    """The headers that sign a request.

    Args:
        request: The request; its address and body go out byte for byte.
        keys: What to sign with.
        region: For which region.
        now: Seconds since the epoch.
    """
    headers = {name: value for name, value in request.headers.items() if name.startswith(_SIGNED)}
    signed = AWSRequest(method=request.method, url=request.url, headers=headers, data=request.body or b"")
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token)
    _Signer(credentials, _SERVICE, region).sign_at(signed, now)
    names = ("authorization", "x-amz-date", "x-amz-security-token")
    return {name: signed.headers[name] for name in names if name in signed.headers}
