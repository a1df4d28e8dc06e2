"""What is known of the health of a deployment, as operators are shown it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs

from llmgate.spec import Deployment

from .latencies import Percentiles

__all__ = ["Checkup", "HealthState", "instance_of"]

HealthState: TypeAlias = Literal["closed", "open", "half-open"]


@attrs.frozen
class Checkup:
    """The health of one deployment as one process sees it; times are seconds.

    Args:
        id: ``provider/model``.
        provider_name: The configured name of the provider.
        model: The model's name at that provider.
        instance: Eight hex digits that tell deployments of one id apart that differ in address or credential.
        state: ``closed`` (asked as ever), ``open`` (left out) or ``half-open`` (left out, and one request may try).
        requests: Requests of the last window.
        errors: How many of them failed.
        reason: Why it is left out; None where it is not.
        out_since: From when on it is left out, since the epoch.
        trial_at: When a request may try it, since the epoch.
        probe: Whether its provider answered when it was probed; None where it was not.
        dead: Whether it is asked for nothing but a trial.
        answers: How many answers the percentiles are made of.
        first_content: Until the first content; of a whole answer that is its end.
        total: Until the end.
        first_times: What ``first_content`` is made of.
        total_times: What ``total`` is made of.
    """

    id: str
    provider_name: str
    model: str
    instance: str
    state: HealthState
    requests: int = 0
    errors: int = 0
    reason: str | None = None
    out_since: float | None = None
    trial_at: float | None = None
    probe: bool | None = None
    dead: bool = False
    answers: int = 0
    first_content: Percentiles | None = None
    total: Percentiles | None = None
    first_times: Sequence[float] = attrs.field(default=(), repr=False)
    total_times: Sequence[float] = attrs.field(default=(), repr=False)

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed; None where there were none."""
        return self.errors / self.requests if self.requests else None


def instance_of(deployment: Deployment) -> str:
    """Eight hex digits, the same for a deployment in every process, that tell nothing of its address or credential."""
    provider = deployment.provider
    text = f"{deployment.id}\n{provider.base_url}\n{provider.secret}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]
