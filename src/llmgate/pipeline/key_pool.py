"""Several keys of one provider: which of them a request tries first, and which after it.

Each key makes a provider of its own, equal to the others but for the key. So whatever is counted by credential, rests
and cool-downs above all, is counted for each key by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import attrs

from llmgate.spec import (
    Deployment,
    Provider,
    ProviderAuthenticationError,
    ProviderError,
    ProviderRateLimitError,
)

__all__ = ["PooledKey", "is_about_the_key", "spread"]


@attrs.frozen(eq=False)
class PooledKey:
    """One of several keys.

    Args:
        provider: The provider with this key and no other.
        weight: Its share of the requests.
    """

    provider: Provider
    weight: float


def spread(
    pools: Mapping[Provider, Sequence[PooledKey]], ranked: Sequence[Deployment], random: Callable[[], float]
) -> Sequence[Deployment]:
    """Ranked deployments, each of a provider with several keys once for each of them, drawn by weight.

    Args:
        pools: The keys of the providers that have several.
        ranked: Deployments in order of trial.
        random: A number in [0, 1) at each call.
    """
    found: list[Deployment] = []
    for one in ranked:
        keys = pools.get(one.provider)
        if keys is None:
            found.append(one)
            continue
        drawn = sorted((-math.log1p(-random()) / key.weight, place) for place, key in enumerate(keys))
        for _, place in drawn:
            provider = keys[place].provider
            found.append(attrs.evolve(one, provider=provider, key=provider.secret))
    return found


def is_about_the_key(error: ProviderError) -> bool:
    """Whether another key of the same provider may do better."""
    return isinstance(error, ProviderAuthenticationError | ProviderRateLimitError) or error.upstream_status == 429
