"""Which deployments fail at the moment: those whose last attempt, seconds ago, went wrong through their own fault."""

from __future__ import annotations

from typing import Final

from llmgate.spec import Deployment, GatewayError, ProviderError, ProviderProtocolError, SecretRef

__all__ = ["Failing", "is_its_own_fault"]

REMEMBERED_FOR: Final = 10.0
"""Seconds after which a deployment is no longer taken to be failing, so that what has recovered is found out."""

MOST: Final = 10_000
"""Deployments remembered; beyond it the one that failed longest ago is forgotten."""


class Failing:
    """Remembers for a moment who has failed; it decides nothing, the retry budget asks it what an attempt costs."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, SecretRef | None], float] = {}

    def answered(self, deployment: Deployment) -> None:
        """A deployment has given content."""
        if self._until:
            self._until.pop(_key(deployment), None)

    def failed(self, deployment: Deployment, error: GatewayError, now: float) -> None:
        """An attempt has ended with an error; one that is the request's own fault says nothing of the deployment.

        Args:
            deployment: Where it was made.
            error: What it ended with.
            now: Monotonic seconds.
        """
        if not is_its_own_fault(error):
            return
        key = _key(deployment)
        self._until.pop(key, None)
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[key] = now + REMEMBERED_FOR

    def fails(self, deployment: Deployment, now: float) -> bool:
        """Whether a deployment failed when it was last asked, a moment ago.

        Args:
            deployment: The deployment.
            now: Monotonic seconds.
        """
        return self._until.get(_key(deployment), now) > now


def is_its_own_fault(error: GatewayError) -> bool:
    """Whether another deployment might have done better."""
    return isinstance(error, ProviderError) and (error.retryable or isinstance(error, ProviderProtocolError))


def _key(deployment: Deployment) -> tuple[str, str, SecretRef | None]:
    """A router may see another server under a provider's name, so the address belongs to it."""
    return deployment.id, deployment.provider.base_url, deployment.key
