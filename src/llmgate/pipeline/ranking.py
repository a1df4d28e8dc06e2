"""Candidates put in order: who may be asked at all, in the strategy's order, those that are not well last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmgate.spec import Deployment, GatewayRequest, NoDeploymentError, RoutingContext

from .candidates import Candidates, permitted
from .capabilities import capable
from .eligibility import carrying, kept_for, required_tags
from .key_pool import spread
from .wishes import Wishes

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["allowed", "rank", "with_keys"]


async def rank(
    frame: ExchangeFrame, candidates: Candidates, request: GatewayRequest, wishes: Wishes | None = None
) -> Sequence[Deployment]:
    """The candidates in order of trial.

    Args:
        frame: The exchange.
        candidates: Where the request could go.
        request: What is asked.
        wishes: What the caller asks of routing.

    Raises:
        PermissionDeniedError: the caller may call none of them.
        InvalidRequestError: no model among them can serve such a request.
        NoDeploymentError: none is left.
    """
    deployments = allowed(frame, candidates, request, wishes)
    deployments = await frame.chain.on_route(frame.view, deployments)
    if len(deployments) > 1:
        deployments = capable(request, deployments)
        deployments = await frame.secrets.usable(deployments)
    if not deployments:
        raise NoDeploymentError(f"no deployment is left for model {request.model!r} after the interceptors")
    context = RoutingContext(now=frame.clock.monotonic(), random=frame.clock.random)
    ranked = candidates.strategy.rank(frame.view, deployments, context)
    if frame.snapshot.pools:
        ranked = await with_keys(frame, ranked)
    ranked = frame.snapshot.health.arranged(ranked, context.now)
    if wishes is not None and wishes.alone:
        return [one for one in ranked if one.id == ranked[0].id]  # whichever of its keys it is asked with
    return ranked


def allowed(
    frame: ExchangeFrame, candidates: Candidates, request: GatewayRequest, wishes: Wishes | None
) -> Sequence[Deployment]:
    """The candidates that may serve a request at all, whatever fails.

    They are those whose model the caller may call, that are kept for the caller, and that carry the required tags.

    Raises:
        PermissionDeniedError: the caller may call none of them.
        NoDeploymentError: none carries the tags.
    """
    principal = frame.view.principal
    deployments = permitted(principal, candidates.deployments, request.model)
    if candidates.reserved:
        deployments = kept_for(deployments, principal, request.model)
    tags = required_tags(candidates.route, principal, wishes)
    return carrying(deployments, tags, request.model) if tags else deployments


async def with_keys(frame: ExchangeFrame, ranked: Sequence[Deployment]) -> Sequence[Deployment]:
    """Ranked deployments, each with each of its provider's keys that is usable; with the caller's where it has one."""
    if frame.caller_key is not None:
        return ranked
    return await frame.secrets.usable(spread(frame.snapshot.pools, ranked, frame.clock.random))
