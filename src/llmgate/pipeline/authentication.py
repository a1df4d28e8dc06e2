"""Who asks: the auth providers in the order in which they are configured, and what becomes of a caller none knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmgate.spec import (
    AuthenticationError,
    AuthProvider,
    Credentials,
    Operation,
    PermissionDeniedError,
    Principal,
)

__all__ = ["authenticate", "check_scope"]


async def authenticate(providers: Sequence[AuthProvider[Any]], credentials: Credentials | None) -> Principal:
    """The principal behind what a caller presents.

    Args:
        providers: Who can tell, in order; none means that nobody has to log in.
        credentials: What was presented; None for a caller in process, who is trusted.

    Raises:
        AuthenticationError: nobody knows the caller. To him every refusal looks alike; the record has the reason.
    """
    if credentials is None:
        return Principal.local()
    if not providers:
        return Principal(id="anonymous", issuer="", kind="anonymous")
    try:
        for provider in providers:
            principal = await provider.authenticate(credentials)
            if principal is not None:
                return principal
    except AuthenticationError as refused:
        raise AuthenticationError("Invalid credentials", reason=refused.reason) from None
    if not credentials.tokens:
        raise AuthenticationError("Missing authorization header", reason="no credential was sent")
    raise AuthenticationError("Invalid credentials", reason="no auth provider knows the credential")


def check_scope(principal: Principal, operation: Operation) -> None:
    """See that a caller may ask for an operation.

    Raises:
        PermissionDeniedError: it may not.
    """
    if not principal.may_ask_for(operation):
        raise PermissionDeniedError(f"this key may not ask for {operation.value}", code="operation_not_allowed")
