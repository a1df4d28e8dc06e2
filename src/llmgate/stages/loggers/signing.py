"""Events that a receiver can check: signatures of the Standard Webhooks kind.

Source: Standard Webhooks, "Specification" (``webhook-id``, ``webhook-timestamp``, ``webhook-signature``, v1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

from llmgate.spec import PluginError, SecretRef, StageContext

__all__ = ["event_headers", "look_at_secret", "moment_of", "signature_of"]

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
"""Bytes that the specification wants a signing secret to have at least."""


def event_headers(id: str, now: float) -> dict[str, str]:  # noqa: A002 - the specification's word
    """The headers of an event that is not signed yet.

    Args:
        id: Its id, the same however often it is sent.
        now: Seconds since the epoch.
    """
    return {
        "content-type": "application/json",
        "user-agent": "llmgate",
        "webhook-id": id,
        "webhook-timestamp": str(int(now)),
    }


def moment_of(now: float) -> str:
    """Seconds since the epoch as an event's ``timestamp`` says them: ISO 8601, in UTC, with milliseconds."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def signature_of(context: StageContext, secret: SecretRef, headers: dict[str, str], body: bytes) -> str:
    """What stands in ``webhook-signature``.

    Args:
        context: Fetches the secret.
        secret: What to sign with.
        headers: The event's headers.
        body: Its body.

    Raises:
        SecretNotFoundError: the secret is not there.
    """
    key = _key_of((await context.fetch_secret(secret)).reveal())
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


async def look_at_secret(context: StageContext, secret: SecretRef) -> None:
    """See at the start whether a secret is there and long enough.

    Raises:
        PluginError: it is too short.
        SecretNotFoundError: it is not there.
    """
    if len(_key_of((await context.fetch_secret(secret)).reveal())) < _SHORTEST:
        raise PluginError(f"{context.id}: the secret {secret} is too short to sign with: give it 24 bytes or more")


def _key_of(secret: str) -> bytes:
    """The bytes to sign with: what base64 stands behind ``whsec_``, or the text itself."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            return b""
    return secret.encode()
