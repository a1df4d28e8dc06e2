"""Model names: versions fall away, and every vendor has a counterpart for the well-known ones."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, strategies as st

from llmgate.catalogue import default_model_mapping, family, provider_rows
from llmgate.catalogue.models import mapping_date
from llmgate.catalogue.rows import read_data

VENDORS = ("openai", "anthropic", "gemini", "mistral", "xai", "deepseek")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4-1106-preview", "gpt-4"),
        ("gpt-4-turbo-preview", "gpt-4-turbo"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("chatgpt-4o-latest", "chatgpt-4o"),
        ("o1-preview-2024-09-12", "o1"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
        ("claude-opus-4-1", "claude-opus-4-1"),
        ("us.anthropic.claude-3-5-haiku-20241022-v1:0", "us.anthropic.claude-3-5-haiku"),
        ("gemini-2.5-flash-preview-05-20", "gemini-2.5-flash"),
        ("gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash-lite"),
        ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.0-flash-exp", "gemini-2.0-flash"),
        ("gemini-3.1-pro-preview", "gemini-3.1-pro"),
        ("mistral-small-2603", "mistral-small"),
        ("mistral-large-2411", "mistral-large"),
        ("mistral-small-latest", "mistral-small"),
        ("command-a-03-2025", "command-a"),
        ("grok-4-0709", "grok-4"),
        ("deepseek-v4-pro-0813", "deepseek-v4-pro"),
        ("llama3.2:3b", "llama3.2"),
        ("llama3.2:latest", "llama3.2"),
        ("deepseek/deepseek-chat:free", "deepseek/deepseek-chat"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18:acme::abc"),
        ("mixtral-8x7b-32768", "mixtral-8x7b-32768"),
        ("llama3-70b-8192", "llama3-70b-8192"),
        ("gpt-oss-20b", "gpt-oss-20b"),
        ("-latest", "-latest"),
        ("openai/-latest", "openai/-latest"),
        ("", ""),
    ],
)
def test_family_leaves_out_what_only_tells_versions_apart(model: str, expected: str) -> None:
    assert family(model) == expected


@given(st.text(st.sampled_from("ab-0123456789:@./v") | st.characters(), max_size=40))
def test_a_family_is_a_beginning_of_the_name_and_its_own_family(model: str) -> None:
    name = family(model)
    assert model.startswith(name)
    assert family(name) == name
    assert bool(name) == bool(model)


def test_the_mapping_is_dated() -> None:
    assert dt.date.fromisoformat(mapping_date()).isoformat() == mapping_date()


def test_the_seeds_model_is_served_by_each_of_its_three_vendors_with_its_own() -> None:
    equivalents = default_model_mapping()["gpt-4o-mini"]
    assert "openai/gpt-4o-mini" in equivalents
    assert "anthropic/claude-haiku-4-5" in equivalents
    assert "gemini/gemini-2.5-flash-lite" in equivalents


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "gpt-5-mini", "gpt-6.1-sol", "o3", "o4-mini", "gpt-3.5-turbo",
        "claude-3-5-haiku", "claude-3-5-sonnet", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-5-5",
        "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.8-flash", "gemini-4-argon",
        "mistral-small-latest", "mistral-small", "mistral-large-latest", "grok-3-mini", "grok-4", "grok-4.7",
        "deepseek-chat", "deepseek-reasoner", "deepseek-flash",
    ],
)  # fmt: skip
def test_a_well_known_model_has_a_counterpart_at_each_of_the_six_vendors(model: str) -> None:
    equivalents = default_model_mapping()[model]
    assert {one.partition("/")[0] for one in equivalents} >= set(VENDORS)


@pytest.mark.parametrize(
    "dated",
    ["gpt-4o-mini-2024-07-18", "claude-3-5-sonnet-20241022", "gemini-2.5-flash-preview-05-20", "grok-4-0709"],
)
def test_a_dated_name_is_found_by_its_family(dated: str) -> None:
    assert default_model_mapping().get(family(dated))


def test_every_name_is_also_there_under_its_family() -> None:
    mapping = default_model_mapping()
    assert {family(name) for name in mapping} <= mapping.keys()


def test_every_equivalent_names_a_chat_provider_once_and_a_model_that_its_row_knows() -> None:
    rows = provider_rows()
    for model, equivalents in default_model_mapping().items():
        providers = [one.partition("/")[0] for one in equivalents]
        assert len(providers) == len(set(providers)), model
        for equivalent in equivalents:
            provider, _, name = equivalent.partition("/")
            row = rows[provider]
            assert not row.relay_only, equivalent
            assert name in row.models or not row.models, equivalent


def test_nothing_retired_is_served_and_no_name_is_in_two_classes() -> None:
    data = read_data("model_mapping.toml")
    asked = [name for one in data["class"] for names in one["asked"].values() for name in names]
    assert len(asked) == len(set(asked))
    served = {model for one in data["class"] for model in one["serves"].values()} | set(data["retired"].values())
    assert not served & data["retired"].keys()


def test_the_mapping_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        default_model_mapping()["mine"] = ("openai/gpt-4o",)  # type: ignore[index]
