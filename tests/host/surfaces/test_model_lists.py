from __future__ import annotations

from llmgate.host.surfaces.model_lists import model_list
from llmgate.pipeline import ModelEntry

ENTRIES = [ModelEntry("anthropic/claude-opus-5", "anthropic"), ModelEntry("fast", "llmgate")]


def test_openais_shape():
    value = model_list(ENTRIES, anthropic=False)
    assert value["object"] == "list"
    assert value["data"][0] == {
        "id": "anthropic/claude-opus-5",
        "object": "model",
        "created": 0,
        "owned_by": "anthropic",
    }


def test_anthropics_shape():
    value = model_list(ENTRIES, anthropic=True)
    assert (value["has_more"], value["first_id"], value["last_id"]) == (False, "anthropic/claude-opus-5", "fast")
    assert [one["display_name"] for one in value["data"]] == ["claude-opus-5", "fast"]
    assert {one["type"] for one in value["data"]} == {"model"}


def test_an_empty_list_has_no_ends():
    assert model_list([], anthropic=True) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
