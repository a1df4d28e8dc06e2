"""Why a token is not taken, and what a caller is told when nobody can say."""

from __future__ import annotations

from llmgate.spec import GatewayError

__all__ = ["IssuerUnavailableError", "RefusedTokenError"]


class IssuerUnavailableError(GatewayError):
    """No key of the issuer is known, because it does not answer: whether the token is good cannot be told (503)."""

    status_code = 503
    default_code = "issuer_unavailable"


class RefusedTokenError(Exception):
    """The token is bad; the text says why, for the record alone, and shows nothing of the token."""
