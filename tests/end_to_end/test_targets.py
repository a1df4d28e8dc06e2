"""The universal gateway: a caller's own target, with everything around it that any other request has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from end_to_end.loopback import Loopback, loopback
from end_to_end.vendors import at_vendors, needs_openssl
from llmgate.host.app import create_app
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_sockets import FakeSocketUpstream

KEY = "sk-lg-of-alice"


def digest(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


AUTH: list[dict[str, Any]] = [
    {
        "use": "static-keys",
        "keys": [
            {"name": "alice", "hash": digest(KEY)},
            {"name": "bob", "hash": digest("sk-lg-of-bob"), "models": ["gpt-4o*"]},
        ],
    }
]
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


@asynccontextmanager
async def served(**sections: Any) -> AsyncIterator[tuple[FakeUpstream, FakeUpstream, Loopback]]:
    """A gateway with target URLs on: a provider of the operator's, and a target that he has listed."""
    async with FakeUpstream() as target, FakeUpstream() as operators:
        settings = {
            "providers": {"openai": {"base-url": operators.base_url}},
            "target-urls": {"per-second": 1000},
            "egress": {"allow": [f"127.0.0.1:{target.port}"]},
            **sections,
        }
        async with loopback(settings) as one:
            yield target, operators, one


def own(target: FakeUpstream | str, key: str = KEY, **headers: str) -> dict[str, str]:
    url = target if isinstance(target, str) else target.url
    return {
        "helicone_target_url": url,
        "helicone_auth": f"Bearer {key}",
        "authorization": "Bearer sk-own",
        **headers,
    }


async def test_a_request_goes_to_its_target_with_its_own_key_and_is_recorded() -> None:
    async with served(auth=AUTH) as (target, operators, one):
        path = "/v1/chat/completions?api-version=2024-10-01"
        reply = await one.post(CHAT, path, **own(target, helicone_target_provider="LemonFox", x_title="mine"))
        assert reply.status == 200, reply.body
        assert not operators.requests
        (sent,) = target.requests
        assert sent.path == path
        assert json.loads(sent.body) == CHAT
        assert sent.headers["authorization"] == "Bearer sk-own"
        assert sent.headers["x-title"] == "mine"
        assert KEY.encode() not in sent.raw_head
        assert not [name for name in sent.headers if name.startswith("helicone-")]
        (record,) = await one.recorded()
        assert record.principal == "alice"
        assert (record.operation, record.outcome, record.status) == ("chat", "ok", 200)
        assert record.usage is not None
        assert record.cost_nano is None, "nobody knows what this target asks for"
        assert record.provider_name == f"127.0.0.1:{target.port}"
        assert record.metadata["target-domains.provider"] == "LemonFox"
        assert record.metadata["target-domains.target"] == target.url
        assert record.metadata["target-domains.domain"] == "unapproved"
        assert "sk-own" not in repr(record)


async def test_a_stream_comes_as_it_is_and_its_usage_is_read() -> None:
    async with served() as (target, _, one):
        reply = await one.post({**CHAT, "stream": True}, "/v1/chat/completions", **own(target))
        assert reply.body.rstrip().endswith(b"data: [DONE]")
        (record,) = await one.recorded()
        assert record.usage is not None
        assert record.outcome == "ok"


async def test_any_method_any_path_any_body_is_relayed_as_it_is() -> None:
    async with served(auth=AUTH) as (target, _, one):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
            target.answer(200, **({} if method == "HEAD" else {"json": {"ok": method}}))
            url = URL(f"http://127.0.0.1:{one.port}/v2/publish/https:/x.example/a%20b?retries=3&x=%2F", encoded=True)
            headers = {name.replace("_", "-"): text for name, text in own(target, upstash_delay="10s").items()}
            data = b"\x00\x01" if method in {"POST", "PUT", "PATCH"} else None
            async with one.client.request(method, url, data=data, headers=headers) as reply:
                assert reply.status == 200, (method, await reply.read())
            sent = target.requests[-1]
            assert (sent.method, sent.path) == (method, "/v2/publish/https:/x.example/a%20b?retries=3&x=%2F")
            assert sent.body == (data or b"")
            assert sent.headers["upstash-delay"] == "10s"
            assert sent.headers["authorization"] == "Bearer sk-own"
        assert {record.operation for record in await one.recorded(8)} == {"relay"}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("authorization", "Bearer sk-own"),
        ("authorization", "Basic dXNlcjpwYXNz"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"),
        ("x-api-key", "sk-own"),
        ("api-key", "sk-own"),
        ("x-goog-api-key", "sk-own"),
    ],
)
async def test_the_key_goes_up_in_the_place_and_in_the_words_that_its_caller_chose(header: str, value: str) -> None:
    async with served(auth=AUTH) as (target, _, one):
        keys = {"helicone_target_url": target.url, "helicone_auth": KEY, header: value}
        for path in ("/v1/chat/completions", "/v1/messages", "/anything"):
            target.answer(json={"id": "x", "model": "m", "choices": [], "content": [], "type": "message"})
            await one.post({**CHAT, "max_tokens": 1}, path, **keys)
            assert target.requests[-1].headers[header] == value
            assert not {"authorization", "x-api-key", "api-key", "x-goog-api-key"} - {header} & set(
                target.requests[-1].headers
            )


async def test_a_key_in_the_query_stays_there() -> None:
    async with served(auth=AUTH) as (target, _, one):
        headers = {"helicone_target_url": target.url, "helicone_auth": KEY}
        await one.post({"contents": []}, "/v1beta/models/gemini-pro:generateContent?key=sk-own", **headers)
        assert target.requests[-1].path == "/v1beta/models/gemini-pro:generateContent?key=sk-own"


@pytest.mark.parametrize("key", [{}, {"helicone_auth": "sk-lg-of-nobody"}, {"authorization": "Bearer sk-own"}])
async def test_a_stranger_does_not_learn_which_targets_are_open(key: dict[str, str]) -> None:
    """Whatever he names, listed or forbidden or no address at all, he is told what everybody without a key is told."""
    async with served(auth=AUTH) as (target, operators, one):
        named = [
            target.url,
            f"{target.url.replace('127.0.0.1', '127.0.0.2')}",
            operators.url,
            "https://127.0.0.1",
            "https://169.254.169.254",
            "http://example.com",
            "https://user:password@example.com",
            "https://api.openai.com:99999",
            "no address",
        ]
        replies = [await one.post(CHAT, "/v1/chat/completions", helicone_target_url=url, **key) for url in named]
        plain = await one.post(CHAT, "/v1/chat/completions", **key)
        assert {(reply.status, reply.body) for reply in replies} == {(401, plain.body)}
        assert all(reply.headers["www-authenticate"] == "Bearer" for reply in replies)
        assert not target.requests
        assert not operators.requests
        assert {record.status for record in await one.recorded(len(named) + 1)} == {401}
    settings = {"providers": {"echo": {}}, "auth": AUTH}
    async with loopback(settings) as one:
        reply = await one.post(CHAT, "/v1/chat/completions", helicone_target_url="https://api.openai.com", **key)
        assert (reply.status, reply.body) == (401, plain.body), "nor whether targets may be named at all"


async def test_without_helicone_auth_what_is_presented_is_the_gateways_key_and_stays_here() -> None:
    async with served(auth=AUTH) as (target, operators, one):
        reply = await one.post(CHAT, "/v1/chat/completions", authorization=KEY, helicone_target_url=target.url)
        assert reply.status == 200
        (sent,) = target.requests
        assert "authorization" not in sent.headers, "the operator has listed the target, so it is asked without a key"
        assert KEY.encode() not in sent.raw_head + sent.body
        reply = await one.post(
            CHAT, "/v1/chat/completions?key=" + KEY, authorization=KEY, helicone_target_url=target.url
        )
        assert KEY.encode() not in target.requests[-1].raw_head
        assert not operators.requests


async def test_a_target_that_nobody_vouches_for_wants_the_callers_own_key() -> None:
    async with served(auth=AUTH) as (target, operators, one):
        for path in ("/v1/chat/completions", "/v1/anything"):
            reply = await one.post(CHAT, path, authorization=KEY, helicone_target_url="https://api.groq.com")
            assert (reply.status, reply.error["code"]) == (400, "missing_provider_key")
        assert not target.requests + operators.requests


async def test_the_operators_key_goes_to_the_host_that_it_is_bound_to() -> None:
    """The target is a configured provider's own address: that is its direct relay, with its rules."""
    async with served(auth=AUTH) as (target, operators, one):
        reply = await one.post(CHAT, "/v1/chat/completions", authorization=KEY, helicone_target_url=operators.url)
        assert reply.status == 200
        (sent,) = operators.requests
        assert sent.headers["authorization"] == "Bearer secret-of-openai"
        reply = await one.post({}, "/v1/organization/users", authorization=KEY, helicone_target_url=operators.url)
        assert (reply.status, reply.error["code"]) == (403, "path_not_allowed")
        assert len(operators.requests) == 1
        assert not target.requests
        assert b"secret-of-openai" not in reply.body


async def test_where_nobody_is_asked_for_a_key_that_is_so_too() -> None:
    async with served() as (target, operators, one):
        path = "/v1/chat/completions"
        assert (await one.post(CHAT, path, helicone_target_url=operators.url)).status == 200
        assert operators.requests[-1].headers["authorization"] == "Bearer secret-of-openai"
        reply = await one.post(CHAT, path, helicone_target_url=operators.url, authorization="Bearer sk-own")
        assert (reply.status, reply.error["code"]) == (403, "target_not_allowed"), (
            "with a key of his own it is any target"
        )
        reply = await one.post(CHAT, path, helicone_target_url="https://api.groq.com")
        assert (reply.status, reply.error["code"]) == (400, "missing_provider_key")
        assert not target.requests


async def test_a_model_that_only_the_path_names_counts() -> None:
    async with served(auth=AUTH) as (target, _, one):
        path = "/openai/deployments/gpt-4o-mine/chat/completions?api-version=2024-10-01"
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
        target.answer(json={"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})
        body = {"messages": CHAT["messages"]}
        reply = await one.post(body, path, **own(target, "sk-lg-of-bob"))
        assert reply.status == 200, reply.body
        assert target.requests[-1].path == path
        assert json.loads(target.requests[-1].body) == body
        other = path.replace("gpt-4o-mine", "o3-mine")
        reply = await one.post(CHAT, other, **own(target, "sk-lg-of-bob"))
        assert (reply.status, reply.error["code"]) == (403, "model_not_allowed"), "whatever its body says"
        records = await one.recorded(2)
        assert records[0].request_model == "gpt-4o-mine"
        assert records[0].usage is not None


async def test_a_query_that_must_be_escaped_is_refused() -> None:
    async with served() as (target, _, one):
        for query in (b"a=\\", b"a=\xe9"):
            text = b"GET /x?" + query + b" HTTP/1.1\r\nHost: localhost\r\nHelicone-Target-URL: " + target.url.encode()
            raw = await one.raw(text + b"\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n")
            assert b" 400 " in await raw.read_until(b"\r\n\r\n")
        assert not target.requests


async def test_the_operators_key_never_goes_to_a_target() -> None:
    async with served() as (target, _, one):
        for path in ("/v1/chat/completions", "/openai/v1/chat/completions", "/router/x/chat/completions", "/x"):
            await one.post(CHAT, path, helicone_target_url=target.url)
            await one.post(CHAT, path, **own(target))
        assert len(target.requests) == 8
        for sent in target.requests:
            assert b"secret-of" not in sent.raw_head + sent.body


async def test_a_refusal_of_the_callers_key_passes_verbatim() -> None:
    said = {"error": {"message": "Incorrect API key provided: sk-own", "code": "invalid_api_key"}}
    async with served(auth=AUTH) as (target, operators, one):
        for path in ("/v1/chat/completions", "/v1/files"):
            for status in (401, 403):
                target.answer(status, json=said)
                reply = await one.post(CHAT, path, **own(target))
                assert reply.status == status
                assert json.loads(reply.body) == said
        assert len(target.requests) == 4, "and nobody else is asked"
        assert not operators.requests


async def test_what_is_not_there_yet_is_the_targets_to_say() -> None:
    async with served() as (target, _, one):
        target.answer(404, json={"error": {"message": f"no such model at {target.url}", "code": "nope"}})
        reply = await one.post(CHAT, "/v1/chat/completions", **own(target))
        assert reply.status == 404
        assert target.url in reply.error["message"]


async def test_redirects_are_never_followed() -> None:
    async with served() as (target, operators, one):
        for path in ("/v1/chat/completions", "/x"):
            for status in (301, 302, 303, 307, 308):
                target.answer(status, headers={"location": f"{operators.url}/v1/chat/completions"})
                reply = await one.post(CHAT, path, **own(target))
                assert reply.status == 502
        assert not operators.requests


async def test_a_principal_who_may_not_call_every_model_may_not_call_them_at_a_target() -> None:
    async with served(auth=AUTH) as (target, _, one):
        bobs = own(target, "sk-lg-of-bob")
        assert (await one.post(CHAT, "/v1/chat/completions", **bobs)).status == 200
        for path, body in (
            ("/v1/chat/completions", {**CHAT, "model": "o3"}),
            ("/v1/chat/completions", {"messages": []}),
            ("/v1/anything", {"model": "o3"}),
            ("/v1/anything", {}),
        ):
            reply = await one.post(body, path, **bobs)
            assert (reply.status, reply.error["code"]) == (403, "model_not_allowed"), (path, body)
        assert len(target.requests) == 1


async def test_interceptors_limits_and_cache_work_as_for_any_other_request() -> None:
    sections = {
        "global": {"cache": {"directive": "max-age=60"}},
        "unified-api": {"rate-limit": {"per-api-key": {"capacity": 4, "refill-frequency": "1h"}}},
    }
    async with served(auth=AUTH, **sections) as (target, _, one):
        first = await one.post(CHAT, "/a/chat/completions", **own(target))
        again = await one.post(CHAT, "/a/chat/completions", **own(target))
        assert [first.headers["helicone-cache"], again.headers["helicone-cache"]] == ["MISS", "HIT"]
        other_path = await one.post(CHAT, "/b/chat/completions", **own(target))
        other_key = await one.post(CHAT, "/a/chat/completions", **own(target, authorization="Bearer sk-other"))
        assert [other_path.headers["helicone-cache"], other_key.headers["helicone-cache"]] == ["MISS", "MISS"]
        statuses = [(await one.post(CHAT, f"/{n}/chat/completions", **own(target))).status for n in range(5)]
        assert statuses[-1] == 429
        assert len(target.requests) < 8


async def test_a_body_that_is_no_json_is_the_targets_to_judge_where_nobody_reads_it() -> None:
    body = b'{"contents": {"role": "user", "parts": {"text": "hi"}},}'
    async with served(auth=AUTH) as (target, _, one):
        target.answer(json={"candidates": []})
        path = "/v1/models/gemini-pro:generateContent"
        assert (await one.post(body, path, **own(target))).status == 200
        assert target.requests[-1].body == body
        reply = await one.post(b'{"model": "a", "model": "b", "messages": []}', "/v1/chat/completions", **own(target))
        assert (reply.status, reply.error["code"]) == (400, "invalid_json"), "it can be read in two ways"
    limit = {"capacity": 9, "refill-frequency": "1h", "unit": "tokens"}
    rules = {"unified-api": {"interceptors": [{"use": "rate-limit", "limits": [limit]}]}}
    async with served(auth=AUTH, **rules) as (target, _, one):
        reply = await one.post(body, "/v1/models/gemini-pro:generateContent", **own(target))
        assert (reply.status, reply.error["status"]) == (400, "INVALID_ARGUMENT")
        assert not target.requests


async def test_where_it_is_off_a_request_with_a_target_is_refused_on_every_route() -> None:
    for off in ({}, {"target-urls": False}):
        async with FakeUpstream() as evil, FakeUpstream() as honest:
            settings = {"providers": {"openai": {"base-url": honest.base_url}}, **off}
            async with loopback(settings) as one:
                paths = {str(getattr(route, "path", "")) for route in create_app(one.pipeline).routes}
                paths |= {"/health", "/ready", "/openai/v1/chat/completions", "/nowhere/at/all", "/"}
                assert len(paths) > 100
                for path in paths:
                    path = path.replace("{router}", "x").replace("{model:path}", "m")
                    reply = await one.post(CHAT, path, helicone_target_url=evil.url)
                    assert (reply.status, b"Helicone-Target-URL" in reply.body) == (403, True), path
                    async with one.client.get(
                        f"http://127.0.0.1:{one.port}{path}", headers={"helicone-target-url": ""}
                    ) as answer:
                        assert answer.status == 403
                assert not evil.accepted
                assert not honest.requests


async def test_where_it_is_on_the_target_wins_over_every_route() -> None:
    async with served() as (target, operators, one):
        paths = {str(getattr(route, "path", "")) for route in create_app(one.pipeline).routes}
        paths |= {"/health", "/ready", "/openai/v1/chat/completions", "/nowhere/at/all", "/"}
        for path in paths:
            path = path.replace("{router}", "x").replace("{model:path}", "m").replace("{", "").replace("}", "")
            before = len(target.requests)
            await one.post(CHAT, path, **own(target))
            assert len(target.requests) == before + 1, path
            assert target.requests[-1].path == path
        assert not operators.requests


BAD = [
    "", "x", "api.openai.com", "ftp://a.example", "file:///etc/passwd", "unix:/tmp/s", "data:,x", "http:/a",
    "//a.example", "https://", "https:///x", "https://a b.example", "https://user:pw@a.example", "https://a.example@127.0.0.1",
    "https://a.example\\@127.0.0.1", "https://a.example:0", "https://a.example:65536", "https://a.example:x",
    "https://a..example", "https://-a.example", "https://127.1", "https://2130706433", "https://0x7f000001",
    "https://0x7f.1", "https://0177.0.0.1", "https://127.0.0.01", "https://[::1", "https://[::g]", "https://[fe80::1%25e]",
    "https://a.example?x=1", "https://a.example#x", "https://a.example/?x=1", "https://a.example/v1#x",
    "https://a%2eexample", "https://a.example/\\", "https://256.1.1.1",
    "https://1.2.3", "https://" + "a" * 64 + ".example", "https://" + "a." * 200 + "example", "https://a_.-b.example",
]  # fmt: skip
FORBIDDEN = [
    "https://127.0.0.1", "https://127.0.0.1:8443", "https://10.0.0.1", "https://169.254.169.254", "https://[::1]",
    "https://[::ffff:127.0.0.1]", "https://[64:ff9b::a9fe:a9fe]", "https://100.64.0.1", "https://168.63.129.16",
    "https://[fd00::1]", "https://0.0.0.0", "https://192.168.1.1", "https://[2002:7f00:1::]", "http://api.openai.com",
    "http://8.8.8.8",
]  # fmt: skip


async def test_a_target_that_can_be_read_in_two_ways_is_refused() -> None:
    async with served() as (target, operators, one):
        for url in BAD:
            reply = await one.post(CHAT, "/v1/chat/completions", **own(url))
            assert (reply.status, reply.error["code"]) == (400, "invalid_target_url"), url
        raw = await one.raw(
            b"GET /x HTTP/1.1\r\nHost: localhost\r\nHelicone-Target-URL: https://\xc3\xa4.example\r\n\r\n"
        )
        assert b" 400 " in await raw.read_until(b"\r\n\r\n")
        twice = f"GET /x HTTP/1.1\r\nHost: localhost\r\n{'Helicone-Target-URL: ' + target.url + chr(13) + chr(10)}"
        raw = await one.raw(f"{twice}{'Helicone-Target-URL: https://b.example' + chr(13) + chr(10)}\r\n".encode())
        assert b" 400 " in await raw.read_until(b"\r\n\r\n")
        assert not target.requests + operators.requests


async def test_a_target_at_an_address_that_is_nobodys_to_choose_is_refused() -> None:
    async with served() as (target, operators, one):
        for url in (*FORBIDDEN, f"https://127.0.0.2:{target.port}", operators.url.replace("http:", "https:")):
            reply = await one.post(CHAT, "/v1/chat/completions", **own(url))
            assert (reply.status, reply.error["code"]) == (403, "target_not_allowed"), url
        for name in ("https://localhost", f"https://localhost:{target.port}"):
            reply = await one.post(CHAT, "/v1/chat/completions", **own(name))
            assert reply.status == 502, name
            assert reply.error["code"] in {"provider_address_refused", "provider_dns_error"}
        assert not target.requests + operators.requests


async def test_a_websocket_goes_to_its_target_too() -> None:
    async with FakeSocketUpstream() as target, FakeUpstream() as operators:
        settings = {
            "providers": {"openai": {"base-url": operators.base_url}},
            "target-urls": True,
            "egress": {"allow": [f"127.0.0.1:{target.port}"]},
            "auth": AUTH,
        }
        async with loopback(settings) as one:
            url = f"http://127.0.0.1:{one.port}/v1/realtime?model=gpt-realtime"
            headers = {name.replace("_", "-"): text for name, text in own(target.url).items()}
            async with one.client.ws_connect(url, headers=headers) as socket:
                await socket.send_str("hello")
                assert (await socket.receive(timeout=5)).data == "hello"
            (seen,) = target.sockets
            assert seen.path == "/v1/realtime?model=gpt-realtime"
            assert seen.headers["authorization"] == "Bearer sk-own"
            assert not [name for name in seen.headers if name.startswith("helicone-")]
            (record,) = await one.recorded()
            assert record.metadata["target-domains.target"] == target.url
        assert not operators.requests


VISION = {"contents": {"role": "user", "parts": [{"text": "What is the capital of France?"}]}}
CONTENTS = b"""{
"contents": {
"role": "user",
"parts": {
"text": "Which theaters in Mountain View show Barbie movie?"
}
},
}"""
CLOUDFLARE = {"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "What is Cloudflare?"}]}
TOGETHER = {"model": "meta-llama/Llama-2-70b-chat-hf", "max_tokens": 512,
            "messages": [{"role": "user", "content": "What is the capital of France?"}]}  # fmt: skip
LEMONFOX = {"messages": [{"role": "user", "content": "Answer in one word"}], "max_tokens": 800, "temperature": 1,
            "model": "gpt-3.5-turbo-0613"}  # fmt: skip
GEMINI = "/v1/projects/my-project/locations/us-central1/publishers/google/models"
VERTEX = "https://us-central1-aiplatform.googleapis.com"
EXAMPLES: dict[str, tuple[str, str, str, Any, str]] = {
    "groq": ("https://api.groq.com", "", "/openai/v1/chat/completions", CHAT, "groq"),
    "lemonfox": ("https://api.lemonfox.ai", "LemonFox", "/v1/chat/completions", LEMONFOX, "lemonfox"),
    "lemonfox as it is misspelt": ("https://api.lemonfox.ai", "LemonFox", "/v1/chat/completetions", LEMONFOX, ""),
    "cloudflare": (
        "https://gateway.ai.cloudflare.com", "", "/v1/ACCOUNT-ID/GATEWAY-ID/openai/chat/completions", CLOUDFLARE,
        "cloudflare-ai-gateway",
    ),
    "together": ("https://api.together.xyz", "Together-AI", "/v1/chat/completions", TOGETHER, "together"),
    "openai-style": ("https://api.openai.com/v1", "OpenAI", "/v1/chat/completions", CHAT, "openai"),
    "gemini pro": (VERTEX, "", f"{GEMINI}/gemini-pro:streamGenerateContent", CONTENTS, "vertex"),
    "gemini pro vision": (VERTEX, "", f"{GEMINI}/gemini-pro-vision:streamGenerateContent", VISION, "vertex"),
}  # fmt: skip
ARRAY = [
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "Par"}]}}], "modelVersion": "gemini-pro"},
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "is"}]}, "finishReason": "STOP"}],
     "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9}},
]  # fmt: skip


@needs_openssl
@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_worked_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, label, path, body, row = EXAMPLES[name]
    host = URL(url).host or ""
    async with FakeUpstream() as vendor, at_vendors(vendor, [host], tmp_path, monkeypatch):
        settings = {"providers": {}, "target-urls": True, "egress": {"allow": [f"{host}:443"]}, "auth": AUTH}
        async with loopback(settings) as one:
            if "Generate" in path:
                vendor.answer(json=ARRAY)
            elif not row:
                vendor.answer(404, json={"detail": "Not Found"})
            headers = own(url, **({"helicone_target_provider": label} if label else {}))
            reply = await one.post(body, path, **headers)
            assert reply.status == (200 if row else 404), reply.body
            (sent,) = vendor.requests
            assert sent.path == path
            assert sent.headers["host"] == host
            assert sent.headers["authorization"] == "Bearer sk-own"
            assert sent.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
            (record,) = await one.recorded()
            assert record.metadata["target-domains.domain"] == "approved"
            assert record.metadata["target-domains.provider"] == (label or row)
            if not row:
                return
            assert record.usage is not None, "usage is read by the format it recognises"
            assert record.request_model == (
                body["model"] if "Generate" not in path else URL(path).name.partition(":")[0]
            )
            assert (record.cost_nano is not None) == (row in {"openai", "together", "vertex"}), (
                "at the vendor's own prices"
            )
            if "Generate" in path:
                assert json.loads(reply.body) == ARRAY
                assert (record.usage.input_tokens, record.usage.output_tokens) == (7, 2)
