"""Which secret references of a configuration lead somewhere, and who needs each; never what is there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs

from llmgate.config.model import GatewayConfig
from llmgate.spec import SecretNotFoundError, SecretRef

from .credentials import SecretBroker
from .snapshot import Snapshot

__all__ = ["SecretStatus", "check_secrets", "look_for_credentials", "references"]

log = logging.getLogger("llmgate.credentials")


@attrs.frozen
class SecretStatus:
    """What was found behind one reference.

    Args:
        reference: The reference, as the configuration writes it.
        store: The kind of store that it leads to, ``""`` where there is none.
        used_by: The providers and stages that need it.
        found: Whether there is a secret.
        version: What the store calls this version of it, ``""`` when it has no name.
        fingerprint: Eight digits of a hash, which tell two values apart and nothing else.
        seconds: How long looking took.
        problem: Why there is none, and what to do about it.
    """

    reference: str
    store: str
    used_by: Sequence[str]
    found: bool
    version: str = ""
    fingerprint: str = ""
    seconds: float = 0.0
    problem: str = ""


def references(config: GatewayConfig) -> Mapping[SecretRef, Sequence[str]]:
    """Every reference of a configuration, with what needs it."""
    found: dict[SecretRef, list[str]] = {}
    for user, value in _users(config):
        for ref in _refs(value):
            users = found.setdefault(ref, [])
            if user not in users:
                users.append(user)
    return found


async def check_secrets(snapshot: Snapshot, secrets: SecretBroker) -> Sequence[SecretStatus]:
    """Look at every reference, at all of them at once; the secret stores are opened for it, and nothing else."""
    config = snapshot.config
    async with AsyncExitStack() as exits:
        closed: dict[str, str] = {}
        for one in snapshot.placed:
            if one.kind == "secrets":
                one.link.lead_to(secrets, snapshot.state)
                exits.push_async_callback(one.aclose)
                try:
                    await one.stage.open(one.context)
                except Exception as failure:  # noqa: BLE001 - a plugin may raise anything; the report says so
                    closed[one.entry.id.removeprefix("secrets.")] = f"{one.entry.id} cannot be opened: {failure}"
        looks = [_look(config, secrets, closed, ref, users) for ref, users in references(config).items()]
        return await asyncio.gather(*looks)


async def look_for_credentials(snapshot: Snapshot, secrets: SecretBroker) -> None:
    """Learn which providers have no credential, so that no request has to, and tell the operator."""
    needing: dict[SecretRef, list[str]] = {}
    for provider in snapshot.runtimes:
        if provider.secret is not None and provider.name not in needing.setdefault(provider.secret, []):
            needing[provider.secret].append(provider.name)
    found = await asyncio.gather(*(secrets.fetch(ref) for ref in needing), return_exceptions=True)
    for (ref, names), result in zip(needing.items(), found, strict=True):
        if not isinstance(result, BaseException):
            continue
        if not isinstance(result, SecretNotFoundError):
            log.error("the credential %s of %s cannot be looked for", ref, ", ".join(names), exc_info=result)
        elif _kind_of(snapshot.config, ref) != "env":  # reading the configuration has said so of the environment
            log.warning("provider %s has no credential: %s", ", ".join(map(repr, names)), result.message)


async def _look(
    config: GatewayConfig, secrets: SecretBroker, closed: Mapping[str, str], ref: SecretRef, users: Sequence[str]
) -> SecretStatus:
    status = SecretStatus(str(ref), _kind_of(config, ref), tuple(users), found=False)
    if ref.store in closed:
        return attrs.evolve(status, problem=closed[ref.store])
    began = time.perf_counter()
    try:
        secret = await secrets.fetch(ref)
    except SecretNotFoundError as missing:
        return attrs.evolve(status, problem=missing.message, seconds=time.perf_counter() - began)
    seconds = time.perf_counter() - began
    return attrs.evolve(status, found=True, version=secret.version, fingerprint=secret.fingerprint, seconds=seconds)


def _kind_of(config: GatewayConfig, ref: SecretRef) -> str:
    entry = config.secrets.get(ref.store)
    return entry.use if entry is not None else ""


def _users(config: GatewayConfig) -> Iterator[tuple[str, Any]]:
    """Whatever may hold references, by what an operator calls it."""
    for provider in config.providers.values():
        yield f"provider {provider.name}", (provider.secret, provider.keys, provider.adapter.config)
    stages = [*config.secrets.values(), *config.state.values(), *config.auth, *config.interceptors]
    stages += [*config.unified_interceptors, *config.loggers, *config.pages]
    for router in config.routers.values():
        stages += router.interceptors
        for own in router.providers.values():
            yield f"provider {own.name} of router {router.id}", (own.secret, own.keys, own.adapter.config)
    for stage in stages:
        yield stage.id, stage.config
    yield "telemetry.otlp-headers", config.telemetry.otlp_headers


def _refs(value: Any) -> Iterator[SecretRef]:
    """The references in a value of a configuration."""
    if isinstance(value, SecretRef):
        yield value
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _refs(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _refs(one)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for one in value:
            yield from _refs(one)
