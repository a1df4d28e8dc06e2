"""Proof that who asks for a domain owns it: a text that he publishes in its DNS."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

__all__ = ["ANY_GATEWAY", "Resolve", "challenge_name", "find_proof", "new_token", "wanted_text"]

Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the text records of a name."""

ANY_GATEWAY: Final = "hconeai-verification=true"
"""What Helicone's gateway has owners publish (its documentation, "How to Get a Domain Approved"). It proves that the
owner wants such gateways to call the domain, though not that it was asked for by the same person."""

_PREFIX: Final = "llmgate-verification="
_CHALLENGE: Final = "_llmgate-challenge."


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_hex(16)


def wanted_text(token: str) -> str:
    """What the owner is to publish."""
    return _PREFIX + token


def challenge_name(domain: str) -> str:
    """Where he may publish it instead of at the domain itself, which may be an alias of another name."""
    return _CHALLENGE + domain


async def find_proof(domain: str, token: str, resolve: Resolve) -> str | None:
    """What proves the ownership of a domain; None where nothing does.

    Args:
        domain: The domain.
        token: What its owner was told to publish; ``""`` where nobody was told anything.
        resolve: Gives the text records of a name.

    Raises:
        Exception: whatever ``resolve`` fails with.
    """
    wanted = ([wanted_text(token)] if token else []) + [ANY_GATEWAY]
    for name in (challenge_name(domain), domain):
        published = {text.strip() for text in await resolve(name)}
        for text in wanted:
            if text in published:
                return f"{text} at {name}"
    return None
