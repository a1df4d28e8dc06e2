"""Routers and model mappings."""

from __future__ import annotations

import pytest

from config.fakes import Loader

CHAT = "load-balance: {chat: {strategy: latency, providers: [openai]}}"


def test_a_router_without_a_balance_has_the_dialects_own(loader: Loader) -> None:
    for text in ("routers: {r: }", "routers: {r: {}}", "routers: {r: {load-balance: }}"):
        balance = loader.text(text).routers["r"].balances["chat"]
        assert [member.provider for member in balance.members] == ["openai", "anthropic", "gemini"]
        assert balance.strategy.use == "latency"


@pytest.mark.parametrize("name", ["a", "A_b-9", "x" * 64, "1", "true"])
def test_names(loader: Loader, name: str) -> None:
    assert set(loader.text(f"routers: {{{name}: {{{CHAT}}}}}").routers) == {name}


@pytest.mark.parametrize("name", ["a b", "x" * 65, "a/b", "ä", "a.b", "''"])
def test_no_names(loader: Loader, name: str) -> None:
    assert "is no name of a router" in loader.one(f"routers: {{{name}: {{{CHAT}}}}}")


def test_providers_that_only_a_router_names_are_there(loader: Loader) -> None:
    config = loader.text(f"routers: {{r: {{{CHAT}}}}}", OPENAI_API_KEY="x")
    assert list(config.providers) == ["openai"]
    assert config.warnings == ()


def test_a_routers_own_provider_shadows_the_gateways(loader: Loader) -> None:
    config = loader.text(
        "providers: {openai: {models: [a], headers: {x: y}}}\n"
        f"routers: {{r: {{{CHAT}, providers: {{openai: {{base-url: 'http://x/v1'}}, mine: {{base-url: 'http://y'}}}}}}}}"
    )
    own = config.routers["r"].providers
    assert (own["openai"].base_url, own["openai"].models, own["openai"].headers) == ("http://x/v1", ("a",), {"x": "y"})
    assert own["mine"].row is None
    assert config.providers["openai"].base_url is None
    assert "mine" not in config.providers


def test_a_router_may_use_a_provider_that_only_it_describes(loader: Loader) -> None:
    config = loader.text(
        "routers: {r: {load-balance: {chat: {use: priority, providers: [mine]}}, providers: {mine: {base-url: 'http://y'}}}}"
    )
    assert config.routers["r"].balances["chat"].members[0].provider == "mine"


def test_model_mappings_take_one_or_a_list(loader: Loader) -> None:
    text = f"routers: {{r: {{{CHAT}, model-mappings: {{a: openai/b, c: [openai/d, x-ai/e/f]}}}}}}"
    assert loader.text(text).routers["r"].model_mappings == {"a": ("openai/b",), "c": ("openai/d", "x-ai/e/f")}


def test_an_empty_mapping_is_not_the_same_as_none(loader: Loader) -> None:
    assert loader.text("default-model-mapping: {}").model_mapping == {}
    assert loader.text("default-model-mapping:").model_mapping is None


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ("{a: b}", "'b' is no model here: write provider/model"),
        ("{a: []}", "'a' is mapped to nothing: name at least one provider/model"),
        ("{a: opnai/b}", "no provider is called 'opnai' (did you mean 'openai'?)"),
        ("{a: {b: c}}", "'a' must be a list, not a mapping"),
        ("[a]", "'default-model-mapping' must be a mapping of models"),
    ],
)
def test_wrong_mappings(loader: Loader, mapping: str, sentence: str) -> None:
    assert sentence in loader.problems(f"default-model-mapping: {mapping}")[0]


def test_mistakes(loader: Loader) -> None:
    assert loader.problems(
        "routers:\n  a: x\n  b: {load-balance: {}}\n  c: {load-balance: {chta: {}}}\n  d: {load-balance: {chat: x}}\n"
        f"  e: {{{CHAT}, providers: [x], retires: {{}}}}\n"
    ) == [
        "c.yaml:2:6: 'routers.a' must be a mapping, not 'x'",
        "c.yaml:3:21: routers.b.load-balance is empty: write chat with a strategy and its providers",
        "c.yaml:4:22: unknown key 'chta' in routers.c.load-balance (did you mean 'chat'?)",
        "c.yaml:5:22: 'routers.d.load-balance.chat' must be a mapping with a strategy and its providers",
        "c.yaml:6:82: 'routers.e.providers' must be a mapping of names",
        "c.yaml:6:87: unknown key 'retires' in routers.e (did you mean 'retries'?)",
    ]
    assert loader.one("routers: [a]") == "c.yaml:1:10: 'routers' must be a mapping of names"
