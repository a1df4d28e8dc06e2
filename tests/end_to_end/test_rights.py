"""Every address for every sort of caller: who gets to a provider, and who sees what the gateway tells of itself.

Routes are found in the application. One that is neither in the table of what the gateway tells of itself nor known to
lead to a provider fails the test, so that nobody adds one without saying who may use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from llmgate.testing.upstream import FakeUpstream

from .loopback import Loopback, loopback
from .test_every_door import filled, routes

RESTRICTED: Final[Mapping[str, dict[str, Any]]] = {
    "nothing": {"scopes": []},
    "no-model": {"models": []},
    "another-model": {"models": ["openai/another"]},
    "usage": {"scopes": ["usage"]},
    "metrics": {"scopes": ["metrics"]},
    "admin": {"scopes": ["admin"]},
}
"""Callers who get to no provider, whatever they send."""
CALLERS: Final[Mapping[str, dict[str, Any]]] = {"plain": {}, "chat": {"scopes": ["chat"]}, **RESTRICTED}
OPERATORS: Final = {"usage", "metrics", "admin"}
OWN: Final[Mapping[str, set[str]]] = {
    "/metrics": OPERATORS,
    "/health": set(CALLERS),
    "/ready": set(CALLERS),
    "/validate-router-config": set(CALLERS),
    "/v1/health/deployments": set(CALLERS),
    "/v1/llmgate/requests": set(CALLERS),
    "/v1/llmgate/requests/x": set(),
    "/v1/llmgate/requests/x/feedback": set(),
    "/v1/llmgate/usage": set(CALLERS),
    "/v1/feedback": set(),
    "/v1/traces": set(CALLERS),  # each span is judged by itself
    "/v1/log/request": {"plain", "chat", "no-model", "another-model"},
    "/custom/v1/log": {"plain", "chat", "no-model", "another-model"},
}
"""What the gateway tells of itself, and who is told. The record that is asked for is nobody's; the call that is told to
have been made is chat."""
MODELS: Final = ("/models", "/models/gpt-4o-mini", "/api/tags", "/api/show", "/api/version")
"""Lists of models, which show to each caller what he may call."""
CHAT: Final = (
    *("/chat/completions", "/messages", "/responses", "/api/chat", "/v2/chat", "/converse", "/converse-stream"),
    *("/invoke", "/invoke-with-response-stream", ":generateContent", ":streamGenerateContent"),
)
"""Ends of the addresses at which chat is asked for."""
MODEL: Final = {"model": "openai/gpt-4o-mini"}
SAID: Final = {"messages": [{"role": "user", "content": "hi"}]}
AWS_SAID: Final = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
GOOGLE_SAID: Final = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
BODIES: Final[Mapping[str, dict[str, Any]]] = {
    "/validate-router-config": {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai"]}}},
    "/log": {"providerRequest": {"json": MODEL}, "providerResponse": {"json": {}, "status": 200}},
    "/log/request": {"providerRequest": {"json": MODEL}, "providerResponse": {"json": {}, "status": 200}},
    "feedback": {"request_id": "x", "rating": True},
    "/v1/traces": {"resourceSpans": []},
    "/converse": AWS_SAID,
    "/converse-stream": AWS_SAID,
    "Content": GOOGLE_SAID,
    "countTokens": GOOGLE_SAID,
    "/chat": {**MODEL, **SAID},
    "/messages": {**MODEL, **SAID, "max_tokens": 5},
    "/count_tokens": {**MODEL, **SAID},
    "/responses": {**MODEL, "input": "hi"},
    "/invoke": {**SAID, "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5},
    "/invoke-with-response-stream": {**SAID, "anthropic_version": "bedrock-2023-05-31", "max_tokens": 5},
    "/rerank": {**MODEL, "query": "hi", "documents": ["a", "b"]},
    "": {**MODEL, **SAID},
    "/completions": {**MODEL, "prompt": "hi"},
}
"""What is sent, by how an address ends."""


def body_for(path: str) -> dict[str, Any]:
    if path.endswith("/chat/completions"):
        return BODIES["/chat"]
    if path.endswith(("/embeddings", "/moderations", "/speech", "/input_tokens", "/compact", "/generations")):
        return {**MODEL, "input": "hi", "prompt": "hi", "voice": "alloy"}
    return next((body for end, body in BODIES.items() if end and path.endswith(end)), BODIES[""])


def key_of(name: str) -> str:
    return f"sk-key-of-{name}-0123456789abcdef"


@asynccontextmanager
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[FakeUpstream, Loopback]]:
    keys = [{"name": name, "secret": f"env:KEY_{number}", **CALLERS[name]} for number, name in enumerate(CALLERS)]
    environment = {f"KEY_{number}": key_of(name) for number, name in enumerate(CALLERS)}
    async with FakeUpstream() as upstream:
        providers = ("openai", "anthropic", "gemini", "cohere")
        settings = {
            "providers": {name: {"base-url": upstream.base_url, "passthrough": "all"} for name in providers},
            "routers": {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai"]}}}},
            "auth": [{"use": "static-keys", "keys": keys}],
            "loggers": [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}],
            "telemetry": {"prometheus": True},
        }
        async with loopback(settings, environment=environment) as one:
            yield upstream, one


def addresses(one: Loopback) -> Iterator[tuple[str, str]]:
    """Each method and address that is registered, and what Google's and AWS's clients ask for below some."""
    for path, methods in set(routes(one.pipeline)):
        whole = re.sub(r"/(engines|deployments)/x/", r"/\1/gpt-4o-mini/", filled(path))
        whole = whole.replace("/publishers/x/", "/publishers/google/")
        served = {"GET", "POST", "PUT", "DELETE"} if methods is None else set(methods) - {"HEAD", "OPTIONS"}
        yield from ((method, whole) for method in served)
        if "/models/" in whole and "POST" in served:
            yield from (("POST", f"{whole}:{what}") for what in ("generateContent", "countTokens", "embedContent"))


async def ask(one: Loopback, method: str, path: str, name: str) -> tuple[int, bytes]:
    headers = {"authorization": f"Bearer {key_of(name)}", "content-type": "application/json"}
    body = None if method == "GET" else body_for(path)
    url = f"http://127.0.0.1:{one.port}{path}"
    async with one.client.request(method, url, json=body, headers=headers) as reply:
        return reply.status, await reply.read()


async def reached(upstream: FakeUpstream, one: Loopback, name: str, walk: list[tuple[str, str]]) -> set[str]:
    """The methods and addresses by which a caller gets to a provider."""
    found = set()
    for method, path in walk:
        before = len(upstream.requests)
        status, _ = await ask(one, method, path, name)
        assert status not in {401, 500}, (name, method, path)
        if len(upstream.requests) > before:
            found.add(f"{method} {path}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_each_address_is_for_whom_it_is_for(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (upstream, one):
        walk = sorted(set(addresses(one)))
        own = [(method, path) for method, path in walk if path in OWN]
        assert {path for _, path in own} == set(OWN)
        leading = [(method, path) for method, path in walk if path not in OWN and not path.endswith(MODELS)]
        anybody = await reached(upstream, one, "plain", leading)
        assert len(anybody) > 150
        unknown = {f"{method} {path}" for method, path in leading} - anybody
        assert not sorted(one for one in unknown if one.startswith("POST") and one.endswith(CHAT)), "chat gets through"
        chats = {one for one in anybody if one.startswith("POST") and one.endswith(CHAT)}
        assert await reached(upstream, one, "chat", leading) == chats
        for name in RESTRICTED:
            assert await reached(upstream, one, name, leading) == set(), name
        for method, path in own:
            let_in = {name for name in CALLERS if (await ask(one, method, path, name))[0] == 200}
            assert let_in == OWN[path], (method, path)


async def test_what_others_have_done_is_for_who_may_see_it(tmp_path: Path) -> None:
    async with guarded(tmp_path) as (_, one):
        assert (await ask(one, "POST", "/v1/chat/completions", "plain"))[0] == 200
        for name in CALLERS:
            status, body = await ask(one, "GET", "/metrics", name)
            assert (b"gpt-4o-mini" in body) == (name in OPERATORS), name
            if name not in OPERATORS:
                assert (status, json.loads(body)["error"]["code"]) == (403, "metrics_not_allowed")
            status, body = await ask(one, "GET", "/v1/health/deployments", name)
            found = json.loads(body)
            assert (found["records"] is not None) == (name in OPERATORS), name
            may_call = name not in {"no-model", "another-model"}
            assert [deployment["id"] for deployment in found["data"]] == ["openai/gpt-4o-mini"] * may_call, name


async def test_whoever_is_let_in_without_a_key_beside_keys_does_not_see_what_key_holders_do() -> None:
    keys = {"use": "static-keys", "keys": [{"name": "a", "secret": "env:A"}], "unknown": "pass"}
    for auth, status in (([keys, {"use": "anonymous"}], 403), ([{"use": "anonymous"}], 200), ([], 200)):
        settings = {"providers": {"echo": {}}, "auth": auth, "telemetry": {"prometheus": True}}
        async with (
            loopback(settings, environment={"A": key_of("a")}) as one,
            one.client.get(f"http://127.0.0.1:{one.port}/metrics") as reply,
        ):
            assert reply.status == status, auth
