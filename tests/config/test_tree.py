"""Trees are merged as JSON merge patch, keys compared without case and separator."""

from __future__ import annotations

from typing import Any

from llmgate.config.problems import Problems
from llmgate.config.source import read_mapping
from llmgate.config.tree import MapNode, canonical, merged, plain


def tree(value: dict[str, Any]) -> Any:
    return read_mapping(value, Problems())


def test_mappings_are_merged_and_lists_replaced_whole() -> None:
    base = tree({"a": {"x": 1, "y": [1, 2]}, "b": 1})
    assert plain(merged(base, tree({"a": {"y": [3], "z": 4}, "c": {}}))) == {
        "a": {"x": 1, "y": [3], "z": 4},
        "b": 1,
        "c": {},
    }


def test_an_overlay_means_the_key_that_is_there() -> None:
    found = merged(tree({"my_Router": {"a": 1}}), tree({"my-router": {"b": 2}}))
    assert plain(found) == {"my_Router": {"a": 1, "b": 2}}
    assert canonical("My_Router") == "my-router"


def test_find_takes_both_spellings() -> None:
    node = tree({"base_url": 1, "use": 2})
    assert isinstance(node, MapNode)
    assert node.find("base-url") is node.entries["base_url"]
    assert node.find("models") is None
