from __future__ import annotations

import attrs
import pytest

from llmgate.pipeline.deployments import deployment_at, deployment_of
from llmgate.pipeline.snapshot import Member
from llmgate.spec import DescribedModel, ListedModel, ModelFacts, Provider
from llmgate.testing.samples import sample_deployment


def listing(**said: object) -> Provider:
    one = sample_deployment().provider
    model = ListedModel("gpt-3.5-turbo", **said)  # type: ignore[arg-type]
    return attrs.evolve(one, row=attrs.evolve(one.row, listed={model.id: model}))


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ({}, {}),
        ({"context_window": 99}, {"context_window": 99}),
        ({"max_output": 9}, {"max_output": 9}),
        ({"tools": False}, {"tools": False}),
        ({"modalities": ("text", "image")}, {"vision": True}),
        ({"modalities": ("text",)}, {"vision": False}),
    ],
)
def test_the_provider_knows_best_what_its_model_can_do(said: dict[str, object], changed: dict[str, object]) -> None:
    known = deployment_at(sample_deployment().provider, "gpt-3.5-turbo").facts
    assert isinstance(known, ModelFacts)
    assert deployment_at(listing(**said), "gpt-3.5-turbo").facts == attrs.evolve(known, **changed)


def test_an_entry_of_the_configuration() -> None:
    provider = sample_deployment().provider
    made = deployment_of(Member(provider, "org/m", 0.25))
    assert (made.id, made.model, made.weight, made.provider) == (f"{provider.name}/org/m", "org/m", 0.25, provider)


@pytest.mark.parametrize(
    ("model", "window", "vision"),
    [("gpt-3.5-turbo", 50, True), ("gpt-3.5-turbo-0125", 60, False), ("gpt-4o", 128_000, None)],
)
def test_the_operator_knows_better_still(model: str, window: int, vision: bool | None) -> None:
    said = {
        "gpt-3.5*": DescribedModel(context_window=60),
        "gpt-3.5-turbo": DescribedModel(context_window=50, vision=True),
    }
    facts = deployment_at(attrs.evolve(listing(context_window=99), described=said), model).facts
    assert (facts.context_window, facts.vision) == (window, vision)
