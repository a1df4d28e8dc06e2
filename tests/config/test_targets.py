"""Callers choose nothing until one line lets them; each place that is listed has a host and a port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.config.egress import EgressConfig
from llmgate.config.json_schema import schema
from llmgate.config.model import GatewayConfig
from llmgate.registry import Registry
from llmgate.spec import ConfigError


def loaded(**sections: Any) -> GatewayConfig:
    config: GatewayConfig = Pipeline.from_config({"providers": {"openai": {}}, **sections}, environment={}).config
    return config


@pytest.mark.parametrize("off", [{}, {"target-urls": False}, {"target-urls": None}])
def test_it_is_off_until_it_is_written(off: dict[str, Any]) -> None:
    config = loaded(**off)
    assert config.targets is None
    assert not [one for one in config.unified_interceptors if one.use == "target-domains"]


def test_one_line_turns_it_on_with_its_rules_first_in_the_chain() -> None:
    config = loaded(**{"target-urls": True, "unified-api": {"interceptors": [{"use": "request-rules"}]}})
    assert config.targets is not None
    assert [one.use for one in config.unified_interceptors] == ["target-domains", "request-rules"]
    assert (config.targets.config.unapproved, config.targets.config.per_day) == ("limit", 10_000)


def test_a_section_says_what_rules_it(tmp_path: Path) -> None:
    path = tmp_path / "llmgate.yaml"
    path.write_text("target-urls:\n  unapproved: refuse\n  domains: [.corp.example]\n  per-day: 7\n")
    config: GatewayConfig = Pipeline.from_config(path, environment={"OPENAI_API_KEY": "x"}).config
    assert config.targets is not None
    assert (config.targets.config.unapproved, config.targets.config.domains) == ("refuse", (".corp.example",))


def test_the_environment_may_say_it() -> None:
    source = {"providers": {"openai": {}}}
    config = Pipeline.from_config(source, environment={"LLMGATE__TARGET_URLS": "true"}).config
    assert config.targets is not None


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"target-urls": "maybe"}, "target-urls"),
        ({"target-urls": {"unapproved": "allow"}}, "unapproved"),
        ({"target-urls": {"domains": ["https://x"]}}, "is no domain"),
        ({"target-urls": {"per-second": 0}}, "per-second"),
        ({"target-urls": {"nonsense": 1}}, "nonsense"),
        ({"egress": {"allow": ["llm.internal"]}}, "is no host with a port"),
        ({"egress": {"allow": ["http://llm.internal:1"]}}, "is no host with a port"),
        ({"egress": {"allow": ["127.1:80"]}}, "is no host with a port"),
        ({"egress": {"deny": []}}, "deny"),
        ({"egress": {"proxy": "proxy:3128"}}, "egress.proxy"),
        ({"egress": {"proxy": "http://me:secret@proxy:3128"}}, "without a password"),
        ({"egress": {"proxy": "socks5://proxy:1080"}}, "egress.proxy"),
        ({"egress": {"direct": ["*"]}}, "egress.direct"),
    ],
)
def test_what_makes_no_sense_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(**section)


def test_places_are_read_as_they_are_written() -> None:
    egress = EgressConfig(["LLM.internal:8000", "10.0.0.7:80", "[fd00:0::7]:443", "a.example.:1"])
    assert egress.places() == [("llm.internal", 8000), ("10.0.0.7", 80), ("fd00::7", 443), ("a.example", 1)]


def test_an_editor_takes_both_the_word_and_the_section() -> None:
    registry = Registry()
    written = schema(registry.find, registry.names)
    word, section = written["properties"]["target-urls"]["anyOf"]
    assert word == {"type": "boolean"}
    assert "unapproved" in section["properties"]
