from __future__ import annotations

import attrs
import pytest

from llmgate.host.surfaces.model_lists import model_list, model_value
from llmgate.pipeline import ModelEntry
from llmgate.spec import InvalidRequestError, ListedModel
from llmgate.testing.samples import sample_deployment

ENTRIES = [ModelEntry("anthropic/claude-opus-5", "anthropic"), ModelEntry("fast", "llmgate")]


def test_openais_shape():
    value = model_list(ENTRIES, "openai-chat")
    assert value["object"] == "list"
    assert value["data"][0] == {
        "id": "anthropic/claude-opus-5",
        "object": "model",
        "created": 0,
        "owned_by": "anthropic",
    }


def test_anthropics_shape():
    value = model_list(ENTRIES, "anthropic-messages")
    assert (value["has_more"], value["first_id"], value["last_id"]) == (False, "anthropic/claude-opus-5", "fast")
    assert [one["display_name"] for one in value["data"]] == ["claude-opus-5", "fast"]
    assert {one["type"] for one in value["data"]} == {"model"}


def test_an_empty_list_has_no_ends():
    assert model_list([], "anthropic-messages") == {"data": [], "has_more": False, "first_id": None, "last_id": None}


MANY = [ModelEntry(f"a/m{number}", "a") for number in range(45)]


def page(query: str) -> tuple[list[str], bool]:
    value = model_list(MANY, "anthropic-messages", query)
    found = [one["id"] for one in value["data"]]
    assert (value["first_id"], value["last_id"]) == ((found[0], found[-1]) if found else (None, None))
    return [one.removeprefix("a/m") for one in found], value["has_more"]


@pytest.mark.parametrize(
    ("query", "first", "last", "more"),
    [
        ("", "0", "19", True),
        ("beta=true", "0", "19", True),
        ("limit=45", "0", "44", False),
        ("limit=44", "0", "43", True),
        ("limit=1000", "0", "44", False),
        ("after_id=a/m19", "20", "39", True),
        ("after_id=a%2Fm39", "40", "44", False),
        ("limit=5&after_id=a/m39", "40", "44", False),
        ("limit=4&after_id=a/m39", "40", "43", True),
        ("before_id=a/m20", "0", "19", False),
        ("before_id=a/m21", "1", "20", True),
        ("before_id=a/m3&limit=2", "1", "2", True),
        ("lifecycle=active&lifecycle=retired", "0", "19", True),
    ],
)
def test_anthropics_list_has_pages(query, first, last, more):
    found, said = page(query)
    assert (found[0], found[-1], said) == (first, last, more)


@pytest.mark.parametrize("query", ["after_id=a/m44", "before_id=a/m0", "lifecycle=retired", "lifecycle[]=deprecated"])
def test_pages_beyond_the_ends_are_empty(query):
    assert page(query) == ([], False)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=\u0663", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("after_id=nobody", "after_id"),
        ("before_id=", "before_id"),
        ("after_id=a/m1&before_id=a/m9", "before_id"),
        ("lifecycle=young", "lifecycle"),
    ],
)
def test_pages_that_there_are_not(query, param):
    with pytest.raises(InvalidRequestError) as refused:
        page(query)
    assert refused.value.param == param


def test_the_other_lists_have_one_page():
    assert len(model_list(MANY, "openai-chat", "limit=1&after_id=x")["data"]) == 45
    assert len(model_list(MANY, "gemini-generate-content", "limit=1")["models"]) == 45


def test_googles_clients_get_names_that_they_can_ask_for():
    value = model_list(ENTRIES, "gemini-generate-content")
    assert [one["name"] for one in value["models"]] == [f"models/{entry.id}" for entry in ENTRIES]
    for one in value["models"]:
        assert "generateContent" in one["supportedGenerationMethods"]


def test_the_size_of_a_model_in_the_words_that_clients_look_for():
    entry = ModelEntry("alpha/m", "alpha", ListedModel("m", context_window=9000, max_output=800))
    openais = model_value(entry, "openai-chat")
    assert (openais["context_window"], openais["max_completion_tokens"]) == (9000, 800)
    anthropics = model_value(entry, "anthropic-messages")
    assert (anthropics["max_input_tokens"], anthropics["max_tokens"]) == (9000, 800)
    googles = model_value(entry, "gemini-generate-content")
    assert (googles["inputTokenLimit"], googles["outputTokenLimit"]) == (9000, 800)
    half = model_value(ModelEntry("alpha/m", "alpha", ListedModel("m", max_output=800)), "openai-chat")
    assert "context_window" not in half


def test_a_model_that_nobody_has_a_price_for_is_pending_to_clients_of_openai() -> None:
    provider = sample_deployment("openai/no-such-model-anywhere").provider
    priced = attrs.evolve(provider, prices=NoPrices())
    entry = ModelEntry("openai/no-such-model-anywhere", "openai", None, priced, "no-such-model-anywhere")
    assert model_value(entry, "openai-chat")["mapping"] == "pending"
    assert "mapping" not in model_value(entry, "anthropic-messages")
    assert "mapping" not in model_value(attrs.evolve(entry, provider=provider), "openai-chat"), "nothing is reckoned"


class NoPrices:
    def price_of(self, model: str) -> None:
        """Nobody knows any."""
