"""Which candidates may serve a request at all, whatever fails: by the tags that are required, and by who asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmgate.spec import Deployment, NoDeploymentError, PermissionDeniedError, Principal

from .snapshot import Route
from .wishes import Wishes

__all__ = ["REQUIRED", "carrying", "kept_for", "required_tags"]

REQUIRED: Final = "required-tags"
"""The attribute of a principal that says which tags the deployments must carry that serve it."""


def required_tags(route: Route, principal: Principal, wishes: Wishes | None) -> frozenset[str]:
    """The tags that a deployment must carry to serve a request: the router's, the caller's own, and the request's."""
    tags = route.required_tags
    if principal.attributes:
        tags |= _read(principal.attributes.get(REQUIRED))
    return tags if wishes is None else tags | wishes.tags


def carrying(deployments: Sequence[Deployment], tags: frozenset[str], model: str) -> Sequence[Deployment]:
    """The deployments that carry every tag.

    Args:
        deployments: Where the request could go.
        tags: What each of them must carry.
        model: The model asked for, for the message.

    Raises:
        NoDeploymentError: none does.
    """
    kept = [one for one in deployments if tags <= one.tags]
    if not kept:
        raise NoDeploymentError(
            f"no deployment of model {model[:200]!r} carries the tags {', '.join(sorted(tags))[:500]}, which are "
            "required: leave one out, or give it to a provider",
            code="no_tagged_deployment",
        )
    return kept


def kept_for(deployments: Sequence[Deployment], principal: Principal, model: str) -> Sequence[Deployment]:
    """The deployments that are kept for a caller; where there are none, those that are kept for nobody.

    Args:
        deployments: Where the request could go.
        principal: The caller.
        model: The model asked for, for the message.

    Raises:
        PermissionDeniedError: all of them are kept for others.
    """
    own = [one for one in deployments if one.audience is not None and one.audience.includes(principal)]
    kept = own or [one for one in deployments if one.audience is None]
    if not kept:
        raise PermissionDeniedError(
            f"every deployment of model {model[:200]!r} is kept for other callers",
            param="model",
            code="model_not_allowed",
        )
    return kept


def _read(value: Any) -> frozenset[str]:
    """Tags as a list, or as text with commas."""
    if value is None:
        return frozenset()
    parts = value.split(",") if isinstance(value, str) else value
    return frozenset(tag for part in parts if (tag := str(part).strip()))
