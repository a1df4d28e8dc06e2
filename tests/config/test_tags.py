"""Tags of providers, and those that a scope requires."""

from __future__ import annotations

import pytest

from config.fakes import Loader

CHAT = "load-balance: {chat: {strategy: latency, providers: [openai]}}"


def test_who_carries_and_who_requires(loader: Loader) -> None:
    config = loader.text(
        "providers: {openai: {tags: [region:eu, tier=1, a.b/c_d-e]}}\n"
        f"routers: {{r: {{{CHAT}, required-tags: [region:eu]}}}}\nunified-api: {{required-tags: [x, y]}}",
        OPENAI_API_KEY="x",
    )
    assert config.providers["openai"].tags == {"region:eu", "tier=1", "a.b/c_d-e"}
    assert config.routers["r"].required_tags == {"region:eu"}
    assert config.unified_required_tags == {"x", "y"}


@pytest.mark.parametrize("tag", ["a b", "a,b", "-a", "ä", "x" * 65, "''"])
def test_what_is_no_tag(loader: Loader, tag: str) -> None:
    assert "is no tag" in loader.one(f"providers: {{openai: {{tags: ['{tag.strip(chr(39))}']}}}}", OPENAI_API_KEY="x")
