"""Asks a provider whether it is there, with a request that costs no tokens: the list of its models, or a bare HEAD."""

from __future__ import annotations

import logging
from typing import Final
from urllib.parse import urlsplit

import attrs

from llmgate.spec import (
    Deployment,
    GatewayError,
    Provider,
    ProviderError,
    RelayTarget,
    Timeouts,
)

from .credentials import SecretBroker
from .listing import reading_call
from .snapshot import ProviderRuntime, Snapshot

__all__ = ["probe"]

log = logging.getLogger("llmgate.health")

UNDECIDED: Final = frozenset({408, 429})
"""Statuses that neither say that a provider is well nor that it is not."""


async def probe(
    snapshot: Snapshot, secrets: SecretBroker, deployment: Deployment, *, timeout: float, now: float
) -> bool | None:
    """Whether the provider of a deployment answers; None where it cannot be asked, or says neither yes nor no.

    Any answer but a server error will do: a key that may not list models is still one that somebody has looked at.

    Args:
        snapshot: What is configured.
        secrets: The secret stores.
        deployment: Who is asked.
        timeout: Seconds for the connection, and for the head of the answer.
        now: Seconds since the epoch.
    """
    runtime = _runtime_of(snapshot, deployment.provider)
    if runtime is None or not runtime.provider.base_url.startswith(("http://", "https://")):
        return None
    provider = runtime.provider
    deployment = attrs.evolve(deployment, provider=provider)
    path, listed = urlsplit(provider.base_url).path, provider.row.models_path
    try:
        secret = await secrets.for_deployment(deployment)
        target = RelayTarget("HEAD", path or "/") if listed is None else RelayTarget("GET", path + listed)
        call = reading_call(deployment, secret, target, now)
        request = runtime.adapter.build_request(call)
        if request.origin != runtime.origin:
            return None
    except GatewayError as error:
        log.debug("%s cannot be probed: %s", deployment.id, error.message)
        return None
    bounds = Timeouts(connect=timeout, first_byte=timeout, idle=timeout, total=2 * timeout, first_content=timeout)
    try:
        stream = await runtime.transport.open_stream(attrs.evolve(request, timeouts=bounds))
    except ProviderError as error:
        log.debug("%s does not answer a probe: %s", deployment.id, error.message)
        return False
    await stream.aclose()  # what it lists does not matter
    return None if stream.status in UNDECIDED else stream.status < 500


def _runtime_of(snapshot: Snapshot, provider: Provider) -> ProviderRuntime | None:
    """The provider as it is configured now: a reload may have changed its time-outs, and then it is another object."""
    found = snapshot.runtimes.get(provider)
    if found is not None:
        return found
    wanted = (provider.name, provider.base_url, provider.secret)
    return next(
        (one for known, one in snapshot.runtimes.items() if (known.name, known.base_url, known.secret) == wanted), None
    )
