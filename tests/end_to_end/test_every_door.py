"""Every address is closed without a key: routes, direct relays, WebSockets, the same below a mount."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import servers
from llmgate import Pipeline
from llmgate.host.app import create_app
from llmgate.host.endpoints import Endpoint
from llmgate.host.server import bind, serve
from llmgate.host.surfaces import realtime
from llmgate.testing.upstream import FakeUpstream

from .loopback import Loopback, loopback

KEY = "sk-lg-the-one-good-key-of-this-test-0123456789"
AUTH = [{"use": "static-keys", "keys": [{"name": "a", "secret": "env:THE_KEY"}]}]
OPEN = {"/health", "/ready"}
RELAYED = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi"}


def source(upstream: FakeUpstream) -> dict[str, Any]:
    names = ("openai", "anthropic", "gemini", "groq", "cohere", "ollama", "bedrock", "vertex")
    providers = {name: {"base-url": upstream.base_url, "passthrough": "all"} for name in names}
    routers = {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai"]}}}}
    return {"providers": providers, "routers": routers, "auth": AUTH}


@asynccontextmanager
async def guarded() -> AsyncIterator[tuple[FakeUpstream, Loopback]]:
    """A gateway that wants a key, over an upstream that counts who gets there."""
    async with FakeUpstream() as upstream, loopback(source(upstream), environment={"THE_KEY": KEY}) as one:
        yield upstream, one


def routes(pipeline: Pipeline) -> Iterator[tuple[str, frozenset[str] | None]]:
    """Every address with the methods that it serves: registered, and of the direct relay."""
    for route in create_app(pipeline, owns_pipeline=False).routes:
        endpoint = getattr(route, "endpoint", None)
        assert isinstance(endpoint, Endpoint), f"{route}: a route of another sort must be added to this walk"
        path = str(getattr(route, "path", ""))
        yield path.replace("{router}", "main").replace("{model:path}", "gpt-4o-mini"), endpoint.methods
    for name, provider in pipeline.snapshot.providers.items():
        for path in provider.row.formats.values():
            if not path.startswith("host:"):
                yield f"/{name}{path.replace('{model}', 'm')}", RELAYED
        yield f"/{name}/v1/organization/projects", RELAYED


def filled(path: str) -> str:
    """The path with something in the place of each parameter."""
    out, rest = "", path
    while "{" in rest:
        head, _, tail = rest.partition("{")
        out, rest = f"{out}{head}x", tail.partition("}")[2]
    return out + rest


def refused(path: str) -> int:
    """The status of a refusal: AWS's clients know 403 for who has no credential, on Bedrock's surface."""
    return 403 if "/model/" in path and not path.startswith("/bedrock/") else 401


def bad_credentials() -> Iterator[tuple[str, dict[str, str], str]]:
    """Ways to present nothing, or what is no key: a name, headers, a query."""
    yield "nothing", {}, ""
    for place in ("authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth"):
        yield f"unknown in {place}", {place: "Bearer sk-lg-unknown"}, ""
    yield "bare word", {"authorization": "Bearer"}, ""
    yield "basic", {"authorization": f"Basic {base64.b64encode(f'x:{KEY}'.encode()).decode()}"}, ""
    yield "cookie", {"cookie": f"authorization={KEY}; key={KEY}"}, ""
    yield "another header", {"x-auth-token": KEY, "proxy-authorization": f"Bearer {KEY}", "x-user": "a"}, ""
    yield "the query", {}, f"?api_key={KEY}&token={KEY}&access_token={KEY}"
    yield "helicone-auth alone counts", {"authorization": f"Bearer {KEY}", "helicone-auth": "Bearer no"}, ""
    yield "the name", {"authorization": "Bearer a"}, ""
    yield "cut off", {"authorization": f"Bearer {KEY[:-1]}"}, ""
    yield "lower case", {"authorization": f"Bearer {KEY.upper()}"}, ""


async def test_no_route_is_open_without_a_key_but_two():
    async with guarded() as (upstream, one):
        walk = {(filled(path), methods) for path, methods in routes(one.pipeline)}
        paths = {path for path, _ in walk}
        assert len(paths) > 150
        assert {
            "/v1/chat/completions",
            "/router/main/v1/embeddings",
            "/v1/realtime",
            "/validate-router-config",
        } <= paths
        tried = list(bad_credentials())
        limit = asyncio.Semaphore(16)

        async def knock(path: str, method: str, served: bool, number: int) -> None:
            name, headers, query = tried[number % len(tried)]
            url = f"http://127.0.0.1:{one.port}{path}{query}"
            async with limit, one.client.request(method, url, json=BODY, headers=headers) as reply:
                body = await reply.read()
                where = (method, path, name, reply.status, body[:200])
                if path in OPEN and method in {"GET", "HEAD"}:
                    assert reply.status == 200, where
                elif served and reply.status == 405:
                    assert "/models/" in path, where  # what is done with a model stands behind its name
                elif served:
                    assert reply.status == refused(path), where
                    assert reply.headers["www-authenticate"] == "Bearer", where
                    assert method == "HEAD" or "error" in json.loads(body) or "message" in json.loads(body), where
                else:
                    assert reply.status == 405, where
                assert KEY.encode() not in body, where

        jobs = [
            knock(path, method, methods is None or method in methods, number * 7 + turn)
            for number, (path, methods) in enumerate(sorted(walk, key=str))
            for turn, method in enumerate(METHODS)
        ]
        await asyncio.gather(*jobs)
        assert upstream.accepted == 0, "somebody was let through"


async def test_each_way_not_to_have_a_key_gets_the_same_answer():
    async with guarded() as (upstream, one):
        answers = {}
        for name, headers, query in bad_credentials():
            url = f"http://127.0.0.1:{one.port}/v1/chat/completions{query}"
            async with one.client.post(url, json=BODY, headers=headers) as reply:
                kept = {key for key in reply.headers if key.lower() not in {"date", "x-request-id"}}
                answers[name] = (reply.status, json.loads(await reply.read())["error"]["message"], frozenset(kept))
        presented = {name: answer for name, answer in answers.items() if name not in {"nothing", "cookie", "basic"}}
        assert {answer[0] for answer in answers.values()} == {401}
        assert {answer[1] for answer in answers.values()} <= {"Missing authorization header", "Invalid credentials"}
        assert {name for name, answer in presented.items() if answer[1] != "Invalid credentials"} == {
            "bare word", "another header", "the query",
        }  # fmt: skip
        assert len({answer[2] for answer in answers.values()}) == 1
        assert upstream.accepted == 0


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", {"error": {"type", "code", "message", "param"}}),
        ("/v1/messages", {"type": None, "error": {"type", "message"}, "request_id": None}),
        ("/v1beta/models/gemini-2.5-flash:generateContent", {"error": {"code", "status", "message"}}),
        ("/v2/chat", {"message": None}),
        ("/api/chat", {"error": None}),
    ],
)
async def test_a_refusal_has_the_shape_of_its_surface(path, shape):
    async with guarded() as (_, one):
        reply = await one.post(BODY, path)
        assert reply.status == 401
        body = json.loads(reply.body)
        assert set(shape) >= set(body) >= set(shape) - {"request_id"}
        for name, fields in shape.items():
            if fields is not None:
                assert fields <= set(body[name])


async def test_no_websocket_is_opened_without_a_key():
    async with guarded() as (upstream, one):
        paths = {filled(path) for path, _ in routes(one.pipeline)} - OPEN
        paths |= {path.replace("{router}", "main") for path in realtime.socket_routes()}
        limit = asyncio.Semaphore(16)
        for protocols in ((), ("realtime", "openai-insecure-api-key.sk-lg-unknown")):

            async def knock(path: str, protocols: tuple[str, ...] = protocols) -> None:
                url = f"http://127.0.0.1:{one.port}{path}?model=gpt-realtime"
                async with limit:
                    with pytest.raises(aiohttp.WSServerHandshakeError) as refused_as:
                        await one.client.ws_connect(url, protocols=protocols)
                assert refused_as.value.status in {refused(path), 405}, path

            await asyncio.gather(*map(knock, sorted(paths)))
        assert upstream.accepted == 0


@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth"])
@pytest.mark.parametrize("spelling", ["Bearer {}", "{}", "bearer  {}", "Bearer Bearer {}", " {} "])
async def test_a_good_key_is_taken_in_every_place_as_clients_spell_it(place, spelling):
    async with guarded() as (upstream, one):
        reply = await one.post(BODY, "/v1/chat/completions", **{place.replace("-", "_"): spelling.format(KEY)})
        assert reply.status == 200
        assert KEY not in str(upstream.requests[-1].headers)


async def test_googles_clients_may_put_it_into_the_address_and_nobody_else():
    async with guarded() as (upstream, one):
        path = "/v1beta/models/gemini-2.5-flash:generateContent"
        body = {"contents": [{"parts": [{"text": "hi"}]}]}
        assert (await one.post(body, f"{path}?key=sk-lg-unknown")).status == 401
        assert upstream.accepted == 0
        assert (await one.post(body, f"{path}?key={KEY}")).status != 401
        assert all(KEY.encode() not in request.raw_head for request in upstream.requests)
        assert (await one.post(BODY, f"/v1/chat/completions?key={KEY}")).status == 401


async def test_below_a_mount_the_same_doors_are_closed():
    async with FakeUpstream() as upstream:
        environment = {"THE_KEY": KEY, **{f"{name.upper()}_API_KEY": "x" for name in source(upstream)["providers"]}}
        pipeline = Pipeline.from_config(source(upstream), environment=environment)
        inner = create_app(pipeline, owns_pipeline=False, server=servers.chosen(pipeline.config.server))
        outer = Starlette(routes=[Mount("/llm", inner)])
        outer.state.desk = inner.state.desk  # which llmgate's own server asks for
        (listening,) = bind("127.0.0.1", 0)
        listening.listen(128)
        stop = asyncio.Event()
        async with pipeline, aiohttp.ClientSession() as client:
            serving = asyncio.create_task(serve(outer, [listening], stop=stop))
            try:
                root = f"http://127.0.0.1:{listening.getsockname()[1]}/llm"
                for path in sorted({filled(path) for path, _ in routes(pipeline)}):
                    async with client.post(root + path, json=BODY) as reply:
                        assert reply.status in {refused(path), 405}, path
                async with client.get(f"{root}/health") as reply:
                    assert reply.status == 200
            finally:
                stop.set()
                await serving
        assert upstream.accepted == 0
