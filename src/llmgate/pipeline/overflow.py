"""Requests that are too long for a model: how that is told, and the larger models that are tried then."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import attrs

from llmgate.spec import (
    Deployment,
    GatewayError,
    InvalidRequestError,
    NoDeploymentError,
    Operation,
    PermissionDeniedError,
    ProviderError,
)

from .attempt import Try
from .capabilities import fits
from .deployments import deployment_of
from .ranking import allowed, with_keys
from .walk import Walk
from .wishes import Wishes

__all__ = ["CODE", "is_overflow", "through_larger"]

T = TypeVar("T")

CODE: Final = "context_length_exceeded"
"""What OpenAI calls it, and the gateway after it."""

_STATUSES: Final = frozenset({400, 413, 422})
_WORDS: Final = re.compile(
    r"context.{0,40}(?:length|window|limit|size)|(?:length|window|limit|size).{0,20}of.{0,10}context"
    r"|(?:prompt|input|request|messages?) (?:is|are|was|were) too (?:long|large)"
    r"|too many (?:input |prompt )?tokens|token count.{0,60}exceeds|reduce the length of the"
    r"|prompt contains \d+ tokens|tokens? .{0,30}(?:exceeds?|greater|more|larger) .{0,30}maximum",
    re.IGNORECASE,
)
"""How Anthropic, Google, Mistral, Cohere, Bedrock, vLLM and llama.cpp say it, who have no code for it."""


def is_overflow(error: GatewayError) -> bool:
    """Whether an error says that the request is too long for the model."""
    if isinstance(error, InvalidRequestError):
        return error.code == CODE
    if not isinstance(error, ProviderError) or error.upstream_status not in _STATUSES:
        return False
    return error.code == CODE or _WORDS.search(error.message) is not None


async def through_larger(
    walk: Walk, run: Callable[[Try], Awaitable[T]], wishes: Wishes | None, error: GatewayError
) -> T:
    """Go on at larger models with a request that was too long: those the caller has named, those of the route.

    Args:
        walk: The way so far.
        run: Makes one try.
        wishes: What the caller asks of routing.
        error: What says that it is too long.

    Raises:
        GatewayError: ``error`` where there is no larger model, else what the last one failed with.
    """
    left = () if wishes is not None and wishes.alone else _larger(walk, wishes)
    while left:
        frame = walk.frame
        ranked = await with_keys(frame, left) if frame.snapshot.pools else left
        try:
            answer = await walk.through(frame.snapshot.health.arranged(ranked, frame.clock.monotonic()), run)
        except ProviderError as again:
            if not is_overflow(again):
                raise
            error, left = again, [one for one in left if not walk.has_tried(one)]
        else:
            if answer is None:
                raise walk.verdict()
            return answer
    raise error


def _larger(walk: Walk, wishes: Wishes | None) -> Sequence[Deployment]:
    """The models that may be tried, as they are written: none that has been, none that is known to be too small."""
    request, candidates = walk.request, walk.candidates
    named = candidates.deployments if len(request.models) > 1 else ()
    larger = candidates.route.larger if request.operation is Operation.CHAT else ()  # others embed, or draw
    found = {one.id: one for one in (*named, *(deployment_of(member) for member in larger))}
    small = [one.facts.context_window or 0 for one in walk.tried]
    left = [
        one
        for one in found.values()
        if not walk.has_tried(one)
        and request.provider in {None, one.provider_name}
        and (one.facts.context_window is None or one.facts.context_window > max(small, default=0))
        and fits(request, one.facts)
    ]
    try:
        return allowed(walk.frame, attrs.evolve(candidates, deployments=left), request, wishes)
    except (PermissionDeniedError, NoDeploymentError):
        return ()
