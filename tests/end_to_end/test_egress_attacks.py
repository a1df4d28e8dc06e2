"""Nobody but the operator says where a credential goes, and nobody's headers cross the gateway uninvited.

Test numbers are those of the threat model: T01 (targets named by callers), T12 (credentials and cookies), T20 to T23
(framing, line ends, hop-by-hop headers, paths).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from yarl import URL

from end_to_end.loopback import Loopback, loopback
from llmgate.host.app import create_app
from llmgate.testing.upstream import FakeUpstream

NAMES = [
    "api_base", "base_url", "baseUrl", "api_url", "apiBase", "endpoint", "custom_host", "host", "hostname", "target",
    "target_url", "upstream", "provider_url", "azure_endpoint", "resource_name", "resourceName", "region",
    "aws_region", "vertex_location", "location", "project", "deployment_url", "proxy", "http_proxy", "https_proxy",
    "forward_to", "callback_url", "callbacks", "webhook", "webhook_url", "redirect_uri", "extra_headers", "headers",
    "x-portkey-custom-host", "x-portkey-config", "x-custom-host", "x-base-url", "x-api-base", "x-upstream",
    "x-target-url", "x-provider-url", "x-forwarded-host", "x-original-url", "x-rewrite-url", "forwarded",
    "helicone-target-url", "helicone-target-provider", "helicone-openai-api-base", "helicone-forced-routing",
    "x-litellm-api-base", "x-goog-api-endpoint", "openai-base-url",
]  # fmt: skip
BODY = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "hello"}],
    "input": "hello",
    "prompt": "hello",
    "max_tokens": 5,
}


@asynccontextmanager
async def attacked(**sections: Any) -> AsyncIterator[tuple[FakeUpstream, FakeUpstream, Loopback]]:
    """A gateway over one honest upstream, and an evil one that nothing may ever reach."""
    async with FakeUpstream() as honest, FakeUpstream() as evil:
        providers = {
            "openai": {"base-url": honest.base_url, "passthrough": "all"},
            "groq": {"base-url": f"{honest.url}/openai/v1"},
            "gemini": {"base-url": honest.url},
            "anthropic": {"base-url": honest.url},
            "vertex": {"base-url": honest.url},
            "mine": {"base-url": honest.base_url},
        }
        routers = {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai"]}}}}
        async with loopback({"providers": providers, "routers": routers, **sections}) as one:
            yield honest, evil, one
        assert evil.accepted == 0, "a caller chose where the gateway connects to"


def addresses(one: Loopback) -> Iterator[str]:
    """Every address of the gateway: the routes that are registered, and what the direct relay may call."""
    for route in create_app(one.pipeline, owns_pipeline=False).routes:
        path = str(getattr(route, "path", ""))
        assert path, "a route without a path must be added to this walk"
        yield path.replace("{router}", "main").replace("{model:path}", "gpt-4o-mini")
    for name, provider in one.pipeline.snapshot.providers.items():
        for path in provider.row.formats.values():
            yield f"/{name}{path}"
        for entry in provider.row.relay_paths:
            pattern = entry.rpartition(" ")[2].removeprefix("/")
            yield f"/{name}/{pattern.replace('*', 'x')}"


async def test_t01_no_name_that_other_gateways_honoured_moves_a_request() -> None:
    async with attacked() as (honest, evil, one):
        paths = sorted(set(addresses(one)))
        assert len(paths) > 100
        assert {"/v1/chat/completions", "/router/main/v1/embeddings", "/openai/responses"} <= set(paths)
        limit = asyncio.Semaphore(16)

        async def attempt(path: str, name: str) -> None:
            url, host = f"{evil.url}/v1", f"127.0.0.1:{evil.port}"
            value: Any = {"Host": host, "base_url": url} if name in {"headers", "extra_headers"} else url
            nested = {"metadata": {name: url}, "extra_body": {name: value}, "litellm_params": {name: value}}
            body = json.dumps({**BODY, name: value, **nested}).encode()
            target = URL(f"http://127.0.0.1:{one.port}{path}?{name}={url}&{name}={host}%23", encoded=True)
            plain = {"content-type": "application/json"}
            async with limit:
                async with one.client.post(target, data=body, headers=plain) as reply:
                    await reply.read()
                    assert reply.status < 500 or reply.status == 502, (path, name, reply.status)
                named = plain if name == "host" else {**plain, name.replace("_", "-"): url}
                async with one.client.post(target, data=json.dumps(BODY).encode(), headers=named) as reply:
                    await reply.read()

        # Each address with a share of the names, each name with a share of the addresses; chat with all of them.
        jobs = [(path, name) for i, path in enumerate(paths) for j, name in enumerate(NAMES) if (i + j) % 8 == 0]
        jobs += [(path, name) for path in ("/v1/chat/completions", "/openai/v1/responses") for name in NAMES]
        await asyncio.gather(*(attempt(path, name) for path, name in jobs))
        assert len(honest.requests) > 100, "the walk reached the real upstream"
        for request in honest.requests:
            assert request.headers["host"] == f"127.0.0.1:{honest.port}"
            assert not {name.replace("_", "-") for name in NAMES} - {"host"} & set(request.headers)


async def test_t01_multipart_fields_and_other_bodies_move_nothing_either() -> None:
    form = b"".join(
        f'--b\r\ncontent-disposition: form-data; name="{name}"\r\n\r\nhttp://127.0.0.1:1/\r\n'.encode()
        for name in NAMES
    )
    async with attacked() as (honest, evil, one):
        body = form.replace(b"http://127.0.0.1:1/", evil.url.encode()) + b"--b--\r\n"
        for path in ("/openai/v1/audio/transcriptions", "/mine/v1/images/edits"):
            headers = {"content-type": "multipart/form-data; boundary=b", "authorization": "Bearer x"}
            async with one.client.post(f"http://127.0.0.1:{one.port}{path}", data=body, headers=headers) as reply:
                await reply.read()
        assert [request.body for request in honest.requests] == [body, body]


async def test_t01_a_target_header_is_refused_never_ignored() -> None:
    async with attacked() as (honest, evil, one):
        for path in ("/v1/chat/completions", "/openai/v1/chat/completions", "/openai/v1/responses", "/nowhere/x"):
            reply = await one.post(BODY, path, helicone_target_url=evil.url)
            assert (reply.status, reply.error["code"]) == (403, "target_url_off")
        assert not honest.requests


CREDENTIALS = {
    "authorization": "Bearer canary-1",
    "x-api-key": "canary-2",
    "api-key": "canary-3",
    "x-goog-api-key": "canary-4",
    "helicone-auth": "Bearer canary-5",
    "cookie": "session=canary-6",
    "proxy-authorization": "Basic canary-7",
    "x-forwarded-for": "canary-8",
    "x-forwarded-host": "canary-9",
    "x-real-ip": "canary-10",
    "forwarded": "for=canary-11",
    "helicone-property-user": "canary-12",
    "helicone-user-id": "canary-13",
    "metadata-flavor": "canary-14",
    "x-aws-ec2-metadata-token": "canary-15",
    "openai-organization": "canary-16",
    "openai-project": "canary-17",
    "x-goog-user-project": "canary-18",
    "x-amz-security-token": "canary-19",
    "referer": "http://canary-20",
    "x-stainless-lang": "canary-21",
    "user-agent": "canary-22",
    "x-request-id": "canary-23",
}
PLACES = [
    ("/v1/chat/completions", "/v1/chat/completions", "authorization", "openai"),
    ("/v1/embeddings", "/v1/embeddings", "authorization", "openai"),
    ("/v1/completions", "/v1/completions", "authorization", "openai"),
    ("/openai/v1/chat/completions", "/v1/chat/completions", "authorization", "openai"),
    ("/openai/v1/responses", "/v1/responses", "authorization", "openai"),
    ("/gemini/v1beta/models/g:generateContent", "/v1beta/models/g:generateContent", "x-goog-api-key", "gemini"),
    ("/anthropic/v1/messages", "/v1/messages", "x-api-key", "anthropic"),
    ("/vertex/v1/projects/p/publishers/g/models/m:predict", "", "authorization", "vertex"),
]


@pytest.mark.parametrize(("path", "upstream_path", "header", "name"), PLACES)
async def test_t12_a_clients_credentials_never_go_up(path: str, upstream_path: str, header: str, name: str) -> None:
    async with attacked() as (honest, _, one):
        target = URL(
            f"http://127.0.0.1:{one.port}{path}?key=canary-a&api_key=canary-b&access_token=canary-c&%6Bey=canary-d",
            encoded=True,
        )
        async with one.client.post(target, json=BODY, headers=CREDENTIALS) as reply:
            await reply.read()
        (received,) = honest.requests
        assert b"canary" not in received.raw_head
        assert received.path == (upstream_path or path.removeprefix("/vertex"))
        assert received.headers[header] == f"{'Bearer ' if header == 'authorization' else ''}secret-of-{name}"
        assert sum(b"secret-of" in line for line in received.raw_head.split(b"\r\n")) == 1


LEAKS = {
    "set-cookie": "session=canary",
    "set-cookie2": "canary",
    "server": "canary",
    "x-powered-by": "canary",
    "www-authenticate": "Basic realm=canary",
    "proxy-authenticate": "canary",
    "x-api-key": "canary",
    "x-goog-api-key": "canary",
    "authorization": "canary",
    "openai-organization": "canary",
    "openai-project": "canary",
    "x-request-id": "canary",
    "helicone-id": "canary",
    "helicone-provider": "canary",
    "llmgate-model": "canary",
    "location": "http://canary.example",
    "refresh": "0; url=http://canary.example",
    "access-control-allow-origin": "http://canary.example",
    "access-control-allow-credentials": "canary",
    "strict-transport-security": "canary",
    "alt-svc": "canary",
    "link": "<http://canary.example>; rel=preload",
    "clear-site-data": '"canary"',
    "content-security-policy": "canary",
    "service-worker-allowed": "canary",
    "x-accel-redirect": "/canary",
    "x-sendfile": "/canary",
    "via": "canary",
    "cf-ray": "canary",
    "keep-alive": "canary",
    "trailer": "canary",
    "upgrade": "canary",
}


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/openai/v1/videos"])
async def test_t12_what_an_upstream_says_about_itself_never_comes_down(path: str, status: int) -> None:
    answers: dict[str, Any] = {"choices": [], "data": [], "error": {"message": "slow"}} if status == 429 else {
        "id": "x", "object": "x", "model": "m", "data": [],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
    }  # fmt: skip
    async with attacked() as (honest, _, one):
        honest.answer(status, json=answers, headers=LEAKS)
        reply = await one.post(BODY, path)
        assert reply.status == status
        ours = {"x-request-id", "helicone-id", "helicone-provider", "helicone-provider-req-id", "llmgate-model"}
        kept = {name: value for name, value in reply.headers.items() if "canary" in value}
        assert kept.keys() <= {"helicone-provider-req-id"}, "only the provider's request id, under its own name"
        assert not (LEAKS.keys() - ours - {"content-security-policy"}) & reply.headers.keys()


async def test_t22_hop_by_hop_headers_stop_here_in_both_directions() -> None:
    body = json.dumps(BODY).encode()
    hop = (
        "Connection: close, OpenAI-Beta, X-Secret\r\nOpenAI-Beta: canary\r\nX-Secret: canary\r\n"
        "TE: trailers, canary\r\nTrailer: canary\r\nKeep-Alive: canary\r\nProxy-Connection: canary\r\n"
        "Proxy-Authorization: canary\r\nUpgrade: canary\r\n"
    )
    async with attacked() as (honest, _, one):
        for path in ("/v1/chat/completions", "/openai/v1/videos"):
            honest.answer(
                json={"id": "x", "model": "m", "choices": []},
                headers={"connection": "x-ratelimit-limit-requests", "x-ratelimit-limit-requests": "9", "te": "canary"},
            )
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{hop}"
            client = await one.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await client.read_until(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"canary" not in answer.lower()
            assert b"canary" not in honest.requests[-1].raw_head
            assert "upgrade" not in honest.requests[-1].headers


GET = "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
TARGETS = [
    "/openai/http://{evil}/x", "/openai/https://{evil}/x", "/openai//{evil}/x", "//{evil}/openai/v1/models",
    "/openai/\\\\{evil}/x", "/openai/\\{evil}", "http://{evil}/openai/v1/models", "http://user:pw@{evil}/", "{evil}",
    "*", "/openai/..", "/openai/../groq/openai/v1/models", "/openai/v1/../../admin", "/openai/v1/./models",
    "/openai/%2e%2e/x", "/openai/v1/%2e%2e/%2e%2e/admin", "/openai/v1/.%2e/x", "/openai/v1/%2E./x",
    "/openai/%2f{evil}/x", "/openai%2fv1/models", "/openai/v1%2fmodels", "/openai/v1/%5c{evil}",
    "/openai/v1/a%252f..%252fb", "/openai/v1/..;/x", "/openai/;@{evil}/x", "/openai/v1/models;x=1", "/openai/v1/%3b",
    "/openai/v1/models%00", "/openai/v1/models%0d%0aX:1", "/openai/v1/models%0a", "/openai/v1/models%7f",
    "/openai/v1/%ff", "/openai/v1/%c0%ae%c0%ae/x", "/openai/v1/mod\xe9l", "/openai/v1/models%", "/openai/v1/%zz",
    "/openai/v1/a b", "/openai/v1/models#frag", "/openai/v1/%23", "/openai/v1/%3f", "/openai/v1/models?a=\\",
    "/openai/v1/models?a=\xe9", "/%6fpenai/v1/models", "/openai./v1/models", "/OPENAI/v1/models",
    "/openai@{evil}/v1/models", "/openai:80/v1/models", "/@{evil}/v1/models", "/[::1]/v1/models", "/openai",
    "/openai/v1/{{x}}", "/openai/v1/models\x00", "/openai/v1/models\t", "/openai/v1/<models>", "/./openai/v1/models",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
async def test_t23_a_target_that_can_be_read_in_two_ways_is_refused(target: str) -> None:
    async with attacked() as (honest, evil, one):
        text = GET.format(target.format(evil=f"127.0.0.1:{evil.port}"))
        client = await one.raw(text.encode("latin-1"))
        answer = await client.read_until(b"\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404", b"HTTP/1.1 431")), answer[:200]
        assert not honest.requests


CHAT = json.dumps(BODY)
SMUGGLED = "GET /openai/v1/files HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /openai/v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FRAMINGS = {
    "both lengths": f"{POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "both lengths, other order": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two lengths": f"{POST}Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}{SMUGGLED}",
    "two lengths in one": f"{POST}Content-Length: 2, 40\r\n\r\n{{}}{SMUGGLED}",
    "a signed length": f"{POST}Content-Length: +2\r\n\r\n{{}}{SMUGGLED}",
    "a length in hex": f"{POST}Content-Length: 0x2\r\n\r\n{{}}{SMUGGLED}",
    "a negative length": f"{POST}Content-Length: -1\r\n\r\n{{}}{SMUGGLED}",
    "a length with a space": f"{POST}Content-Length : 2\r\n\r\n{{}}{SMUGGLED}",
    "a length with an underscore": f"{POST}Content_Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "an unknown coding": f"{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two codings": f"{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "a coding behind a tab": f"{POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "a folded coding": f"{POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "a bad chunk size": f"{POST}Transfer-Encoding: chunked\r\n\r\n0x2\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}",
    "a negative chunk size": f"{POST}Transfer-Encoding: chunked\r\n\r\n-2\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}",
    "a bare line feed": f"{POST}X: y\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "a bare carriage return": f"{POST}X: y\rContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "a folded header": f"{POST}X: y\r\n z\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "a NUL in a header": f"{POST}X: y\x00z\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "two hosts": f"{POST}Host: evil.example\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "a host with a path": POST.replace("localhost", "localhost/openai") + f"Content-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "a host with user information": POST.replace("localhost", "a@localhost")
    + f"Content-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "no host": POST.replace("Host: localhost\r\n", "") + f"Content-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "an old version with a coding": POST.replace("1.1", "1.0")
    + f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "an unknown version": POST.replace("1.1", "1.7") + "Content-Length: 2\r\n\r\n{}",
    "a bad method": POST.replace("POST", "PO ST") + "Content-Length: 2\r\n\r\n{}",
    "connect": "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "trace": "TRACE /openai/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("payload", FRAMINGS.values(), ids=FRAMINGS.keys())
async def test_t20_a_request_that_two_servers_would_cut_differently_reaches_nobody(payload: str) -> None:
    async with attacked() as (honest, _, one):
        client = await one.raw(payload.encode("latin-1"))
        client.half_close()
        answer = await client.read(1_000_000)
        assert len(re.findall(rb"HTTP/1\.1 \d", answer)) <= 1, "what was smuggled is no request"
        assert not answer or re.match(rb"HTTP/1\.1 (4\d\d|501|505) ", answer), answer[:200]
        assert not [request for request in honest.requests if request.path == "/v1/files"]
        assert not honest.requests


HOSTILE = [
    "a\r\nx-evil: 1",
    "a\nx-evil: 1",
    "a\x00b",
    "a\x7fb",
    "é模型\U0001f600",
    "a\u2028b",
    " a ",
    "a" * 5000,
    "a\x85b",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_t21_no_value_that_is_copied_into_a_header_ends_its_line(text: str) -> None:
    async with attacked() as (honest, _, one):
        for path, body in [
            ("/v1/chat/completions", {**BODY, "model": f"openai/{text}", "user": text}),
            ("/openai/v1/chat/completions", {**BODY, "model": text, "user": text}),
            ("/openai/v1/responses", {"model": text, "input": "x", "user": text}),
            ("/openai/v1/embeddings", {"model": text, "input": "x", "user": text}),
        ]:
            reply = await one.post(body, path)
            assert "x-evil" not in reply.headers
            assert len(reply.headers.get("llmgate-model", "")) <= 4096
        for received in honest.requests:
            assert "x-evil" not in received.headers
            assert received.json()["model"] == text


async def test_t21_a_clients_request_id_is_echoed_only_when_it_is_harmless() -> None:
    async with attacked() as (_, _, one):
        for given in ("a b", "x" * 129, "a;b", "<script>", "a/b"):
            reply = await one.post(BODY, "/openai/v1/chat/completions", x_request_id=given)
            assert reply.headers["x-request-id"] == reply.headers["helicone-id"]
        reply = await one.post(BODY, "/openai/v1/responses", x_request_id="good-1")
        assert reply.headers["x-request-id"] == "good-1"
