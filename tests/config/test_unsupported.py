from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.config.model import UnsupportedConfig

CHAT = "load-balance: {chat: {strategy: latency, providers: [openai]}}"


def test_one_word_holds_for_all_parameters_of_its_scope(loader: Loader) -> None:
    config = loader.text(
        f"unsupported-parameters: refuse\nrouters:\n  a: {{{CHAT}, unsupported-parameters: report}}\n  b: {{{CHAT}}}\n"
    )
    assert config.unsupported == UnsupportedConfig("refuse")
    assert [config.routers[name].unsupported.policy for name in "ab"] == ["report", None]
    assert loader.text("routers: {}").unsupported.of("seed") == "default"


def test_single_parameters_have_words_of_their_own_and_a_router_says_what_differs(loader: Loader) -> None:
    config = loader.text(
        "unsupported-parameters: {policy: refuse, parameters: {seed: report, temperature: adjust}}\n"
        f"routers:\n  a: {{{CHAT}, unsupported-parameters: {{parameters: {{seed: default, logit_bias: }}}}}}\n"
        f"  b: {{{CHAT}, unsupported-parameters: adjust}}\n"
    )
    gateway = config.unsupported
    assert [gateway.of(name) for name in ("seed", "temperature", "n")] == ["report", "adjust", "refuse"]
    a, b = (gateway.under(config.routers[name].unsupported) for name in "ab")
    assert [a.of(name) for name in ("seed", "temperature", "n")] == ["default", "adjust", "refuse"]
    assert [b.of(name) for name in ("seed", "temperature", "n")] == ["report", "adjust", "adjust"]


def test_a_part_falls_under_the_whole_and_the_first_name_wins() -> None:
    config = UnsupportedConfig("refuse", {"tools": "report", "tools.strict": "adjust", "messages": "report"})
    assert config.of("tools.strict") == "adjust"
    assert config.of("tools.web_search") == config.of("messages[0].content[1]") == config.of("tools") == "report"
    assert config.of("toolset") == "refuse"
    assert config.of("other", "messages.name") == "report"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            "ignore",
            "c.yaml:1:25: 'unsupported-parameters' must be one of default, report, adjust, refuse, not 'ignore'",
        ),
        ("{policy: x}", "c.yaml:1:34: 'policy' must be one of default, report, adjust, refuse, not 'x'"),
        ("{parameters: {n: 1}}", "c.yaml:1:42: 'n' must be one of default, report, adjust, refuse, not 1"),
        ("{parameters: [n]}", "c.yaml:1:38: 'unsupported-parameters.parameters' must be a mapping of names"),
        ("{seed: report}", "c.yaml:1:26: unknown key 'seed' in unsupported-parameters"),
    ],
)
def test_what_cannot_be_read(loader: Loader, written: str, problem: str) -> None:
    assert loader.one(f"unsupported-parameters: {written}") == problem
