"""What a configuration comes to is shown with every default and without any secret."""

from __future__ import annotations

import json

from config.fakes import Loader
from llmgate.config.explain import effective, explain

TEXT = """\
auth: [{use: static-keys, keys: [{name: a}]}, anonymous]
providers:
  openai: {secret: env:MY_KEY, headers: {x-team: blue}}
  mine: {base-url: 'http://h:8000', keyless: true}
interceptors: [request-rules]
global: {retries: {max-retries: 3}}
unified-api: {retries: {strategy: constant, delay: 2s}}
routers:
  main:
    load-balance:
      chat: {strategy: weighted, providers: [{provider: openai, weight: 0.9}, {provider: mine, weight: 0.1}]}
    interceptors: [request-rules]
    providers: {openai: {base-url: 'https://eu.example/v1'}}
    unsupported-parameters: {parameters: {seed: refuse}}
unsupported-parameters: {policy: report, parameters: {n: refuse}}
"""


def test_the_effective_chain_providers_and_strategies(loader: Loader) -> None:
    text = explain(loader.text(TEXT, MY_KEY="the-value-itself"))
    for line in (
        "read from c.yaml",
        "authentication: static-keys, then anonymous",
        "  openai: https://api.openai.com/v1, key env:MY_KEY, adapter openai",
        "  mine: http://h:8000/v1, without a key, adapter openai",
        "  chat: weighted over openai (0.9), mine (0.1)",
        "  interceptors: request-rules (interceptors[0]) > request-rules (routers.main.interceptors[0])",
        "  retries: 3, after 1s, growing 2-fold up to 30s",
        "  retries: 2, after 2s",
        "  unsupported parameters: report, n refuse, seed refuse",
        "  unsupported parameters: report, n refuse",
        "  its own openai: https://eu.example/v1, key env:MY_KEY, adapter openai",
        "timeouts: connect 5s, first-byte 2m, idle 2m, total 15m, first-content 10m",
    ):
        assert line in text.splitlines()
    assert "the-value-itself" not in text


def test_it_is_plain_data(loader: Loader) -> None:
    found = effective(loader.text(TEXT))
    assert json.loads(json.dumps(found)) == found
    assert found["providers"]["openai"]["headers"] == ["x-team"]
    assert found["warnings"] == ["c.yaml:3:3: provider 'openai' has no key: set MY_KEY"]


def test_warnings_are_shown(loader: Loader) -> None:
    assert "warning: c.yaml:1:13: provider 'groq' has no key: set GROQ_API_KEY" in explain(
        loader.text("providers: {groq: }")
    )
