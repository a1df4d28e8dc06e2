from __future__ import annotations

from llmgate.host.surfaces.model_lists import model_list, model_value
from llmgate.pipeline import ModelEntry
from llmgate.spec import ListedModel

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
