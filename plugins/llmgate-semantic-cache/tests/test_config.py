"""What the configuration may say."""

from __future__ import annotations

from typing import Any

import pytest
from llmgate_semantic_cache.config import SemanticCacheConfig


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"base_url": "ftp://a/v1"}, "base-url: write https"),
        ({"base_url": "https://a/v1?key=secret"}, "base-url: write https"),
        ({"base_url": "https://user:pw@a/v1"}, "base-url: write https"),
        ({"scope": "everybody"}, "scope: write principal"),
        ({"scope": "attribute:"}, "scope: write principal"),
        ({"similarity": 0.8}, r"similarity 0\.8 is below the floor 0\.9"),
    ],
)
def test_what_means_nothing_is_refused(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        SemanticCacheConfig(model="m", **keys)
    assert "secret" not in str(refused.value)


def test_the_defaults_are_strict() -> None:
    config = SemanticCacheConfig(model="m", scope="attribute:team")
    assert (config.similarity, config.floor, config.literals, config.tools) == (0.95, 0.9, True, False)
