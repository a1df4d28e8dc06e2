"""The walk of all routes (T01): every field by which a gateway ever let its caller name a place, sent to every address.

Routes are found in the application and not listed here, so that a new one is walked without anybody thinking of it.
What is shown is where connections go: to the configured upstream, or to the target that the operator lets callers name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from yarl import URL

from end_to_end.loopback import Loopback, loopback
from end_to_end.test_egress_attacks import BODY, NAMES, addresses
from llmgate.testing.upstream import FakeUpstream

MORE_HEADERS = [
    # Portkey's gateway, LiteLLM's proxy, Cloudflare's AI gateway, Kong, Envoy AI gateway, Azure API management,
    # OpenRouter, one-api and its heirs, LobeChat, MLflow, Bifrost; proxies of every kind
    "x-portkey-provider", "x-portkey-virtual-key", "x-portkey-azure-resource-name", "x-portkey-aws-region",
    "x-portkey-vertex-region", "x-portkey-vertex-project-id", "x-portkey-forward-headers",
    "x-portkey-huggingface-base-url",
    "x-portkey-openai-base-url", "x-litellm-custom-host", "x-litellm-base-url", "x-litellm-endpoint", "x-litellm-proxy",
    "cf-aig-backend", "cf-aig-custom-host", "cf-aig-step", "x-kong-upstream-host", "x-kong-upstream-url",
    "x-ai-eg-selected-backend", "x-ai-eg-model", "x-envoy-original-path", "x-envoy-original-dst-host",
    "x-envoy-upstream",
    "x-ms-endpoint", "ocp-apim-target", "x-openai-host", "x-openai-endpoint", "x-openai-base-url", "x-openai-proxy",
    "x-azure-endpoint", "x-azure-resource", "x-aws-region", "x-goog-location", "x-vertex-endpoint", "x-endpoint",
    "x-forwarded-server", "x-forwarded-proto", "x-forwarded-prefix", "x-forwarded-for", "x-host", "x-original-host",
    "x-http-host-override", "x-url-scheme", "x-proxy-host", "x-proxy-url", "x-real-host", "x-backend", "x-backend-host",
    "x-destination", "x-route-to", "x-service-url", "x-llm-provider-url", "destination", "via", "location", "referer",
    "x-lobe-chat-base-url", "x-channel-url", "x-helicone-target-url", "helicone-fallbacks", "helicone-gateway-url",
    "llmgate-target-url", "llmgate-base-url", "llmgate-endpoint", "x-bf-base-url", "x-mlflow-api-base", "alt-used",
]  # fmt: skip
MORE_FIELDS = [
    "api_host", "apiHost", "api_endpoint", "apiEndpoint", "baseURL", "base_uri", "openai_api_base", "openai_base_url",
    "anthropic_base_url", "azure_base_url", "azure_resource", "aws_bedrock_runtime_endpoint", "bedrock_endpoint",
    "vertex_endpoint", "vertex_project", "region_name", "aws_sts_endpoint", "gateway", "gateway_url", "server",
    "server_url",
    "service_url", "url", "uri", "href", "address", "ip", "port", "scheme", "origin", "provider_options", "router",
    "routing", "route", "targets", "fallbacks", "config", "override_params", "transport", "client", "http_client",
    "default_headers", "extra_query", "mcp_servers", "server_label", "connector", "webhook_endpoint", "notify_url",
    "success_callback", "proxy_url", "proxies", "socks_proxy", "all_proxy", "no_proxy", "unix_socket",
]  # fmt: skip
FIELDS = sorted({name.replace("-", "_") for name in NAMES} | set(NAMES) | set(MORE_FIELDS))
HEADERS = sorted(
    {*(name.replace("_", "-").lower() for name in NAMES), *MORE_HEADERS} - {"host", "headers", "helicone-target-url"}
)


def values(name: str, evil: FakeUpstream) -> Any:
    """An evil place in the shape that a field of that name would have."""
    url, host = f"{evil.url}/v1", f"127.0.0.1:{evil.port}"
    if name in {"headers", "extra_headers", "default_headers", "provider_options", "config", "override_params"}:
        return {"Host": host, "base_url": url, "api_base": url, "x-forwarded-host": host}
    if name in {"targets", "fallbacks", "mcp_servers", "connector"}:
        return [{"target-url": url, "server_url": url, "url": url, "provider": "openai", "custom_host": url}]
    if name in {"host", "hostname", "api_host", "apiHost", "ip", "address", "server"}:
        return host
    return evil.port if name == "port" else url


def requests(path: str, evil: FakeUpstream) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Every way to say it at one address: in the query, in headers, in the body, in what a body holds."""
    url, host = f"{evil.url}/v1", f"127.0.0.1:{evil.port}"
    everything = {name: values(name, evil) for name in FIELDS if name not in {"model", "messages"}}
    query = "&".join(f"{name}={url}" for name in FIELDS)
    yield f"{path}?{query}", {}, BODY
    for start in range(0, len(HEADERS), 45):
        yield path, dict.fromkeys(HEADERS[start : start + 45], url), BODY
        yield path, dict.fromkeys(HEADERS[start : start + 45], host), BODY
    yield path, {}, {**BODY, **everything}
    nested = (
        "metadata",
        "extra_body",
        "litellm_params",
        "provider",
        "options",
        "generationConfig",
        "additionalModelRequestFields",
    )
    yield path, {}, {**BODY, **dict.fromkeys(nested, everything)}
    message = {"role": "user", "content": [{"type": "text", "text": "x", **everything}], **everything}
    yield path, {}, {**BODY, "messages": [message], "contents": [message], "input": [message]}


async def walked(one: Loopback, evil: FakeUpstream, paths: list[str], **own: str) -> int:
    """Send everything to every address; how many requests that were."""
    count = 0
    for path in paths:
        for target, headers, body in requests(path, evil):
            data = json.dumps(body).encode()
            sent = {"content-type": "application/json", **headers, **own}
            address = URL(f"http://127.0.0.1:{one.port}{target}", encoded=True)
            async with one.client.post(address, data=data, headers=sent) as reply:
                await reply.read()
                assert reply.status < 500 or reply.status in {502, 503}, (target[:80], reply.status)
            count += 1
    return count


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_no_field_of_any_gateway_moves_a_request_from_where_it_is_configured() -> None:
    async with FakeUpstream() as honest, FakeUpstream() as evil:
        providers = {
            "openai": {"base-url": honest.base_url, "passthrough": "all"},
            "gemini": {"base-url": honest.url},
            "anthropic": {"base-url": honest.url},
        }
        routers = {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai"]}}}}
        settings = {
            "providers": providers,
            "routers": routers,
            "server": {"max-header-bytes": 65536, "access-log": False},
            "global": {"allow-caller-keys": True},
        }
        async with loopback(settings) as one:
            paths = sorted(set(addresses(one)))
            assert len(paths) > 100
            assert await walked(one, evil, paths) > 1000
        assert evil.accepted == 0, "a caller chose where the gateway connects to"
        assert len(honest.requests) > 300, "the walk reached the real upstream"
        for request in honest.requests:
            assert request.headers["host"] == f"127.0.0.1:{honest.port}"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_where_callers_may_name_a_target_nothing_but_that_header_names_it() -> None:
    async with FakeUpstream() as honest, FakeUpstream() as target, FakeUpstream() as evil:
        settings = {
            "providers": {"openai": {"base-url": honest.base_url, "passthrough": "all"}},
            "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai"]}}}},
            "server": {"max-header-bytes": 65536, "access-log": False, "base-domain": "llm.example.com"},
            "target-urls": {"per-second": 10**6, "per-day": 10**6},
            "egress": {"allow": [f"127.0.0.1:{target.port}"]},
        }
        async with loopback(settings) as one:
            paths = sorted(set(addresses(one)))
            own = {"helicone-target-url": target.url, "authorization": "Bearer sk-own"}
            count = await walked(one, evil, paths[::4], **own)
            assert count > 250
            before = len(target.requests)
            await walked(one, evil, paths[::16], host="oai.llm.example.com")
        assert evil.accepted == 0
        assert 0 < before <= count
        assert len(target.requests) == before, "without the header nothing goes to the target"
        for request in target.requests:
            assert request.headers["host"] == f"127.0.0.1:{target.port}"
            assert b"secret-of" not in request.raw_head + request.body
        for request in honest.requests:
            assert request.headers["host"] == f"127.0.0.1:{honest.port}"


def openers(url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests of every surface whose content points somewhere."""
    openai = [
        {"type": "image_url", "image_url": {"url": f"{url}/a.png"}},
        {"type": "file", "file": {"file_data": f"{url}/a.pdf", "file_url": f"{url}/a.pdf", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": f"{url}/a.wav", "format": "wav"}},
        {"type": "text", "text": f"![x]({url}/x.png) <img src='{url}/y.png'>"},
    ]
    responses = [
        {"type": "input_image", "image_url": f"{url}/a.png"},
        {"type": "input_file", "file_url": f"{url}/a.pdf"},
    ]
    tools = [{"type": "mcp", "server_label": "x", "server_url": f"{url}/mcp", "require_approval": "never"}]
    claude = [
        {"type": "image", "source": {"type": "url", "url": f"{url}/a.png"}},
        {"type": "document", "source": {"type": "url", "url": f"{url}/a.pdf"}},
    ]
    gemini = {"parts": [{"fileData": {"fileUri": f"{url}/a.png", "mimeType": "image/png"}}], "role": "user"}
    for model in ("openai/gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash"):
        for part in openai:
            yield "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": [part]}]}
        for part in responses:
            message = {"role": "user", "content": [part]}
            yield "/v1/responses", {"model": model, "input": [message], "tools": tools}
        for part in claude:
            message = {"role": "user", "content": [part]}
            for path in ("/v1/messages", "/v1/messages/count_tokens"):
                yield path, {"model": model, "max_tokens": 9, "messages": [message], "mcp_servers": tools}
        for method in ("generateContent", "countTokens"):
            yield f"/v1beta/models/{model}:{method}", {"contents": [gemini]}


async def test_no_url_in_a_message_is_fetched_whoever_answers_it() -> None:
    async with FakeUpstream() as honest, FakeUpstream() as evil:
        names = ("openai", "anthropic", "gemini")
        settings = {"providers": {name: {"base-url": honest.url} for name in names}}
        async with loopback(settings) as one:
            for path, body in openers(evil.url):
                headers = {"anthropic_version": "2023-06-01"} if "messages" in path else {}
                reply = await one.post(body, path, **headers)
                assert reply.status < 500 or reply.status == 502, (path, reply.body)
        assert evil.accepted == 0
        assert len(honest.requests) > 10, "what can be said to a provider was said"
