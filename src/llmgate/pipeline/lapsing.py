"""Notices that a caller who was let in would not be let in any more, for what outlasts a request: sessions.

The auth providers are asked again with what the caller presented, now and then. So it holds for all of them, whether
they look keys up, are told of changes, or read tokens that end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llmgate.spec import AuthenticationError, AuthProvider, Clock, Credentials, GatewayError, Principal

from .authentication import authenticate

__all__ = ["until_lapsed"]


async def until_lapsed(
    providers: Callable[[], Sequence[AuthProvider[Any]]],
    credentials: Credentials,
    principal: Principal,
    clock: Clock,
    every: float,
) -> str:
    """Wait until what a caller presented is no longer good, or is good for something else.

    While nobody can say, because a store does not answer, the caller stays: that is no refusal.

    Args:
        providers: The auth providers that are in force; others than at the beginning after a reload.
        credentials: What was presented.
        principal: Whom that was good for.
        clock: Where the pauses are slept.
        every: Seconds between two looks.

    Returns:
        What the caller is told, the same for every sort of refusal.
    """
    while True:
        await clock.sleep(every)
        try:
            found = await authenticate(providers(), credentials)
        except AuthenticationError:
            return "the key of this session is no longer good"
        except GatewayError:
            continue
        if _rights(found) != _rights(principal):
            return "the key of this session may do other things now: open another one"


def _rights(principal: Principal) -> tuple[object, ...]:
    """Who somebody is and what he may do, as far as a session hangs on it."""
    models = None if principal.models is None else tuple(principal.models)
    scopes = None if principal.scopes is None else tuple(principal.scopes)
    return (principal.issuer, principal.id, principal.kind, models, tuple(principal.denied_models), scopes)
