"""Candidates put in order: who may be asked at all, in the strategy's order, those that are not well last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmgate.spec import Deployment, GatewayRequest, NoDeploymentError, RoutingContext

from .candidates import Candidates, permitted
from .key_pool import spread
from .wishes import Wishes

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["rank"]


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
        NoDeploymentError: none is left.
    """
    deployments = permitted(frame.view.principal, candidates.deployments, request.model)
    deployments = await frame.chain.on_route(frame.view, deployments)
    if len(deployments) > 1:
        deployments = await frame.secrets.usable(deployments)
    if not deployments:
        raise NoDeploymentError(f"no deployment is left for model {request.model!r} after the interceptors")
    context = RoutingContext(now=frame.clock.monotonic(), random=frame.clock.random)
    ranked = candidates.strategy.rank(frame.view, deployments, context)
    if frame.snapshot.pools and frame.caller_key is None:
        ranked = await frame.secrets.usable(spread(frame.snapshot.pools, ranked, context.random))
    ranked = frame.snapshot.health.arranged(ranked, context.now)
    if wishes is not None and wishes.alone:
        return [one for one in ranked if one.id == ranked[0].id]  # whichever of its keys it is asked with
    return ranked
