"""Which requests a limit concerns, and whether that is known before it is known where a request goes."""

from __future__ import annotations

import fnmatch

from llmgate.spec import Deployment, GatewayRequest

from .config import LimitConfig

__all__ = ["concerns", "goes_by_attempt"]


def goes_by_attempt(limit: LimitConfig, request: GatewayRequest) -> bool:
    """Whether only an attempt tells what a limit counts: the provider, its price, or which model of a chain."""
    if "provider" in limit.by or limit.unit == "cents":
        return True
    return (limit.models is not None or "model" in limit.by) and len(request.models) > 1


def concerns(limit: LimitConfig, request: GatewayRequest, deployment: Deployment | None = None) -> bool:
    """Whether a limit applies to the model of a request or of an attempt.

    A pattern fits a name with or without what stands before its slashes, so that ``o3*`` holds for ``openai/o3``, too.

    Args:
        limit: The limit.
        request: What is asked.
        deployment: Where an attempt goes; None while that is not known.
    """
    if limit.models is None:
        return True
    names = [request.model] if deployment is None or len(request.models) == 1 else []
    if deployment is not None:
        names.append(deployment.id)
    for name in names:
        while name:
            if any(fnmatch.fnmatchcase(name, one) for one in limit.models):
                return True
            name = name.partition("/")[2]
    return False
