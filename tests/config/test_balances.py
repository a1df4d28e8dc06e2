"""Balances: the dialect's strategies, and any other that is installed."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.config.members import split_model
from llmgate.config.model import BalanceConfig, MemberConfig

NO_STRATEGY = (
    "'strategy' is required in routers.r.load-balance.chat: one of latency, balanced-latency, weighted, "
    "provider-weighted, model-weighted, model-latency, or a routing strategy"
)
UNKNOWN_STRATEGY = (
    "no routing strategy is called 'latncy': there are cheapest, latency, priority, weighted (did you mean 'latency'?)"
)


def balance(loader: Loader, text: str) -> BalanceConfig:
    return loader.text(f"routers: {{r: {{load-balance: {{chat: {{{text}}}}}}}}}").routers["r"].balances["chat"]


@pytest.mark.parametrize(
    ("text", "use", "by_model"),
    [
        ("strategy: latency, providers: [openai]", "latency", False),
        ("strategy: balanced-latency, providers: [openai]", "latency", False),
        ("strategy: weighted, providers: [{provider: openai, weight: 1}]", "weighted", False),
        ("strategy: provider-weighted, providers: [{provider: openai, weight: 1.0}]", "weighted", False),
        ("strategy: model-weighted, models: [{model: openai/gpt-4o, weight: 1}]", "weighted", True),
        ("strategy: model-latency, models: [openai/gpt-4o]", "latency", True),
        ("strategy: priority, providers: [openai]", "priority", False),
        ("strategy: cheapest, models: [openai/gpt-4o]", "cheapest", True),
        ("use: latency, models: [openai/gpt-4o]", "latency", True),
        ("use: cheapest, decay: 5s, providers: [{provider: openai, weight: 3}]", "cheapest", False),
    ],
)
def test_strategies(loader: Loader, text: str, use: str, by_model: bool) -> None:
    found = balance(loader, text)
    assert (found.strategy.id, found.strategy.use, found.by_model) == ("routers.r.chat", use, by_model)


def test_members_in_written_order(loader: Loader) -> None:
    found = balance(
        loader, "strategy: model-weighted, models: [{model: groq/a/b, weight: .25}, {model: openai/c, weight: 0.75}]"
    )
    assert list(found.members) == [MemberConfig("groq", "a/b", 0.25), MemberConfig("openai", "c", 0.75)]


def test_weights_may_be_rounded(loader: Loader) -> None:
    balance(loader, "strategy: weighted, providers: [" + ",".join(
        f"{{provider: {name}, weight: 0.3333333}}" for name in ("openai", "groq", "gemini")) + "]")  # fmt: skip


def test_siblings_of_a_strategy_are_its_config(loader: Loader) -> None:
    assert balance(loader, "strategy: latency, default-rtt: 1s, providers: [openai]").strategy.config.default_rtt == 1
    text = "discover: {discover-decay: 9s, default-rtt: 50ms}\nrouters: {r: {load-balance: {chat: "
    own = loader.text(text + "{strategy: latency, decay: 1s, providers: [openai]}}}}").routers["r"].balances["chat"]
    assert (own.strategy.config.decay, own.strategy.config.default_rtt) == (1, 0.05)
    other = loader.text(text + "{strategy: cheapest, providers: [openai]}}}}").routers["r"].balances["chat"]
    assert other.strategy.config.decay == 30


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("providers: [openai]", NO_STRATEGY),
        ("strategy: latency", "'providers' is required in routers.r.load-balance.chat"),
        ("strategy: latency, providers: []", "'providers' is empty: name at least one"),
        ("strategy: latency, providers: [openai, openai]", "'openai' is listed twice in routers.r.load-balance.chat"),
        ("strategy: latency, providers: [openai], models: [a/b]",
         "'models' does not belong to 'latency', which takes providers: use model-latency"),
        ("strategy: model-latency, models: [gpt]", "'gpt' is no model here: write provider/model"),
        ("strategy: weighted, providers: [openai]", "'weight' is required: write {provider: …, weight: 0.5}"),
        ("strategy: latency, providers: [{provider: openai, weight: 1}]",
         "'latency' does not weigh: take the weight out"),
        ("strategy: weighted, providers: [{provider: openai, weight: -1}]", "'weight' must be a number above 0"),
        ("strategy: weighted, providers: [{provider: openai, weight: .inf}]", "'weight' must be a number above 0"),
        ("strategy: weighted, providers: [{provider: openai, weight: yes}]", "'weight' must be a number above 0"),
        ("strategy: weighted, providers: [{provider: openai, weight: 0.5}]",
         "the weights of routers.r.load-balance.chat sum to 0.5: they must sum to 1"),
        ("strategy: weighted, providers: [{wieght: 1, provider: openai, weight: 1}]",
         "unknown key 'wieght' in providers (did you mean 'weight'?)"),
        ("strategy: latency, providers: [{weight: 1}]", "'provider' is required in each entry of providers"),
        ("strategy: latency, providers: [[openai]]", "'provider' must be text, not a list"),
        ("use: latncy, providers: [openai]", UNKNOWN_STRATEGY),
        ("strategy: latency, deacy: 1s, providers: [openai]",
         "unknown key 'deacy' in routing strategy 'latency' (did you mean 'decay'?)"),
    ],
)  # fmt: skip
def test_mistakes(loader: Loader, text: str, sentence: str) -> None:
    problem = loader.one(f"routers: {{r: {{load-balance: {{chat: {{{text}}}}}}}}}")
    assert problem.split(": ", 1)[1] == sentence


@pytest.mark.parametrize(
    ("text", "expected"), [("a/b", ("a", "b")), ("a/b/c", ("a", "b/c")), ("a", None), ("/b", None), ("a/", None)]
)
def test_models_are_split_at_the_first_slash(text: str, expected: tuple[str, str] | None) -> None:
    assert split_model(text) == expected
