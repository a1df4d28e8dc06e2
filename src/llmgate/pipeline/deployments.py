"""Deployments made of what the configuration says and what is known of the model."""

from __future__ import annotations

from fnmatch import fnmatchcase

import attrs

from llmgate.catalogue import facts_of
from llmgate.spec import Deployment, ListedModel, ModelFacts, Provider

from .snapshot import Member

__all__ = ["deployment_at", "deployment_of"]


def deployment_of(member: Member, model: str = "") -> Deployment:
    """The deployment that an entry of the configuration names.

    Args:
        member: The entry.
        model: The model, where the entry leaves that to the caller.
    """
    made = deployment_at(member.provider, member.model or model)
    return attrs.evolve(made, weight=member.weight, tags=made.tags | member.tags, audience=member.audience)


def deployment_at(provider: Provider, model: str) -> Deployment:
    """A model at a provider, with what is known of it.

    Args:
        provider: The provider.
        model: The model's name there.
    """
    facts = facts_of(model)
    if provider.row.listed:
        facts = _as_listed(facts, provider.row.listed.get(model))
    if provider.described:
        facts = _as_described(facts, provider, model)
    return Deployment(f"{provider.name}/{model}", provider, model, facts=facts, tags=provider.tags)


def _as_listed(facts: ModelFacts, listed: ListedModel | None) -> ModelFacts:
    """What is known of a model, and what its provider says of its size and abilities: the provider knows best."""
    if listed is None:
        return facts
    return attrs.evolve(
        facts,
        context_window=listed.context_window or facts.context_window,
        max_output=listed.max_output or facts.max_output,
        tools=facts.tools if listed.tools is None else listed.tools,
        vision=facts.vision if listed.modalities is None else "image" in listed.modalities,
    )


def _as_described(facts: ModelFacts, provider: Provider, model: str) -> ModelFacts:
    """What is known of a model, and what the operator says of it: by its name, else by the first pattern that fits."""
    said = provider.described.get(model)
    if said is None:
        said = next((one for pattern, one in provider.described.items() if fnmatchcase(model, pattern)), None)
    if said is None:
        return facts
    fields = attrs.asdict(said)
    return attrs.evolve(facts, **{name: value for name, value in fields.items() if value is not None})
