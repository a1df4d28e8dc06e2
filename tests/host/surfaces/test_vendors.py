"""Which host is whose; what happens there is walked in end_to_end/test_vendors.py."""

from __future__ import annotations

import pytest

from llmgate.host.surfaces.vendors import host_name, vendor_hosts

HOSTS = [
    "oai", "anthropic", "together", "openrouter", "fireworks", "groq", "deepinfra", "perplexity", "mistral", "deepseek",
    "x", "bedrock", "nebius", "novita", "qstash", "firecrawl",
]  # fmt: skip


def test_the_hosts_are_those_of_the_list() -> None:
    assert set(vendor_hosts("LLM.example.com.")) == {f"{host}.llm.example.com" for host in HOSTS}
    assert vendor_hosts("") == {}


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("oai.llm.example.com", "oai.llm.example.com"),
        ("OAI.llm.example.com.:8080", "oai.llm.example.com"),
        ("oai.llm.example.com:443", "oai.llm.example.com"),
        ("[::1]:8080", "[::1]"),
        ("", ""),
    ],
)
def test_a_host_is_named_with_and_without_port(header: str, name: str) -> None:
    assert host_name({"host": header} if header else {}) == name
