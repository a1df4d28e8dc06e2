"""Hosts of their own for vendors, below the gateway's base domain: by the Host header, whatever the path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from end_to_end.loopback import loopback
from end_to_end.test_targets import AUTH, CHAT, KEY
from end_to_end.vendors import at_vendors, needs_openssl
from llmgate.testing.upstream import FakeUpstream

BASE = {"server": {"base-domain": "llm.example.com"}}
HOSTS = {
    "oai": "openai", "anthropic": "anthropic", "together": "together", "openrouter": "openrouter",
    "fireworks": "fireworks", "groq": "groq", "deepinfra": "deepinfra", "perplexity": "perplexity",
    "mistral": "mistral", "deepseek": "deepseek", "x": "xai", "bedrock": "bedrock", "nebius": "nebius",
    "novita": "novita", "qstash": "qstash", "firecrawl": "firecrawl",
}  # fmt: skip


def at(host: str, **headers: str) -> dict[str, str]:
    return {"host": f"{host}.llm.example.com", **headers}


@pytest.mark.parametrize(("host", "name"), HOSTS.items())
async def test_each_vendor_is_reached_at_its_host_with_the_operators_key(host: str, name: str) -> None:
    async with FakeUpstream() as vendor, FakeUpstream() as other:
        providers = {"openai": {"base-url": other.base_url}, name: {"base-url": vendor.base_url, "passthrough": "all"}}
        async with loopback({"providers": providers, **BASE}) as one:
            vendor.answer(json={"ok": True})
            reply = await one.post({"a": 1}, "/v1/things?x=1", **at(host.upper()))
            assert reply.status == 200, reply.body
            (sent,) = vendor.requests
            assert sent.path == "/v1/things?x=1"
            assert b"secret-of-" in sent.raw_head or name == "bedrock"
            assert not other.requests or name == "openai"


async def test_a_chat_there_is_a_chat_and_other_hosts_are_the_gateways_own() -> None:
    async with FakeUpstream() as openai, FakeUpstream() as groq:
        providers = {"openai": {"base-url": openai.base_url}, "groq": {"base-url": f"{groq.url}/openai/v1"}}
        async with loopback({"providers": providers, **BASE}) as one:
            for path in ("/openai/v1/chat/completions", "/v1/chat/completions"):
                assert (await one.post(CHAT, path, **at("groq"))).status == 200
            assert [sent.path for sent in groq.requests] == ["/openai/v1/chat/completions"] * 2
            assert not openai.requests
            await one.post({**CHAT, "model": "openai/gpt-4o"}, "/v1/chat/completions")
            assert len(openai.requests) == 1
            for path in ("/health", "/ready"):
                async with one.client.get(f"http://127.0.0.1:{one.port}{path}", headers=at("groq")) as answer:
                    assert answer.status == 200
            records = await one.recorded(3)
            assert records[0].usage is not None
            for host in ("nobody.llm.example.com", "groq.llm.example.com.evil.example", "xgroq.llm.example.com"):
                reply = await one.post(CHAT, "/v1/chat/completions", host=host)
                assert (reply.status, reply.error["code"]) == (403, "host_not_allowed"), host
            assert len(groq.requests) == 2


async def test_whose_key_goes_up_there() -> None:
    async with FakeUpstream() as openai:
        settings = {"providers": {"openai": {"base-url": openai.base_url}}, "auth": AUTH, **BASE}
        async with loopback(settings) as one:
            path = "/v1/chat/completions"
            assert (await one.post(CHAT, path, **at("oai"))).status == 401
            await one.post(CHAT, path, **at("oai", authorization=f"Bearer {KEY}"))
            await one.post(CHAT, path, **at("oai", helicone_auth=KEY, authorization="Bearer sk-own"))
            await one.post({"prompt": "x"}, "/v1/videos", **at("oai", helicone_auth=KEY, authorization="Bearer sk-own"))
            openai.answer(401, json={"error": {"message": "Incorrect API key provided: sk-own"}})
            reply = await one.post(CHAT, path, **at("oai", helicone_auth=KEY, authorization="Bearer sk-own"))
            assert (reply.status, reply.error["message"]) == (401, "Incorrect API key provided: sk-own")
            keys = [sent.headers["authorization"] for sent in openai.requests]
            assert keys == ["Bearer secret-of-openai", *["Bearer sk-own"] * 3]
            # elsewhere on the same gateway nobody has allowed callers' keys
            await one.post({**CHAT, "model": "openai/m"}, path, helicone_auth=KEY, authorization="Bearer sk-own")
            assert openai.requests[-1].headers["authorization"] == "Bearer secret-of-openai"


@needs_openssl
async def test_a_vendor_that_is_not_configured_takes_the_callers_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeUpstream() as vendor, at_vendors(vendor, ["api.groq.com"], tmp_path, monkeypatch):
        settings: dict[str, Any] = {"providers": {}, "egress": {"allow": ["api.groq.com:443"]}, "auth": AUTH, **BASE}
        async with loopback(settings) as one:
            headers = at("groq", helicone_auth=KEY, authorization="Bearer gsk-own")
            reply = await one.post(CHAT, "/openai/v1/chat/completions", **headers)
            assert reply.status == 200, reply.body
            (sent,) = vendor.requests
            assert (sent.path, sent.headers["authorization"]) == ("/openai/v1/chat/completions", "Bearer gsk-own")
            assert sent.headers["host"] == "api.groq.com"
            reply = await one.post(CHAT, "/x", **at("mistral", authorization=KEY))
            assert (reply.status, reply.error["code"]) == (400, "missing_provider_key")
            # the header of the universal gateway is another thing, and that is off
            reply = await one.post(CHAT, "/x", **headers, helicone_target_url="https://api.groq.com")
            assert (reply.status, reply.error["code"]) == (403, "target_url_off")


async def test_the_target_header_wins_over_the_host() -> None:
    async with FakeUpstream() as groq, FakeUpstream() as target:
        settings = {
            "providers": {"groq": {"base-url": groq.base_url}},
            "target-urls": True,
            "egress": {"allow": [f"127.0.0.1:{target.port}"]},
            **BASE,
        }
        async with loopback(settings) as one:
            await one.post(CHAT, "/v1/chat/completions", **at("groq", helicone_target_url=target.url))
            assert len(target.requests) == 1
            assert not groq.requests
