"""The models that are tried when a request is too long."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.config.model import MemberConfig

CHAT = "load-balance: {chat: {strategy: latency, providers: [openai]}}"


def test_they_are_read_in_order_and_their_providers_are_there(loader: Loader) -> None:
    config = loader.text(
        f"routers: {{r: {{{CHAT}, larger-models: [gemini/gemini-2.5-pro, openai/gpt-4.1]}}}}\n"
        "unified-api: {larger-models: [anthropic/org/claude]}",
        OPENAI_API_KEY="x",
        GEMINI_API_KEY="x",
        ANTHROPIC_API_KEY="x",
    )
    assert config.routers["r"].larger_models == (
        MemberConfig("gemini", "gemini-2.5-pro"),
        MemberConfig("openai", "gpt-4.1"),
    )
    assert config.unified_larger_models == (MemberConfig("anthropic", "org/claude"),)
    assert {"openai", "gemini", "anthropic"} <= set(config.providers)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("[gpt-4.1]", "'gpt-4.1' is no model here: write provider/model"),
        ("[openai/a, openai/a]", "'openai/a' is listed twice in larger-models"),
        ("openai/a", "'larger-models' must be a list"),
        ("[opnai/a]", "no provider is called 'opnai'"),
        ("[cloudflare-ai-gateway/a]", "cannot be part of a router yet"),
    ],
)
def test_what_makes_no_sense_is_named(loader: Loader, written: str, problem: str) -> None:
    assert problem in loader.one(f"unified-api: {{larger-models: {written}}}", OPENAI_API_KEY="x")
