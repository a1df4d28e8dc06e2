"""Files and batches through the openai SDK: at the one provider that has them, or at the one that is named."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from end_to_end.loopback import Loopback, loopback
from end_to_end.test_media import client
from llmgate.host.surfaces.files import PROVIDER_HEADER
from llmgate.testing.upstream import FakeUpstream

FILE = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "a.jsonl", "purpose": "batch"}
BATCH = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-1",
    "completion_window": "24h",
    "status": "validating",
    "created_at": 1,
}
KEYED = {"auth": [{"use": "static-keys", "keys": [{"name": "me", "key": "env:MY_KEY"}]}]}


def settings(upstream: FakeUpstream, *names: str, **more: Any) -> dict[str, Any]:
    return {"providers": {name: {"base-url": upstream.base_url, **more} for name in names}}


async def test_a_batch_from_its_file_to_its_end() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one, client(one) as sdk:
        upstream.answer(json=FILE)
        made = await sdk.files.create(file=("a.jsonl", b'{"custom_id": "1"}\n'), purpose="batch")
        upstream.answer(json=BATCH)
        batch = await sdk.batches.create(
            input_file_id=made.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        upstream.answer(json={"object": "list", "data": [FILE], "has_more": False})
        assert [file.id async for file in await sdk.files.list(limit=1)] == ["file-1"]
        upstream.answer(json=BATCH, times=2)
        assert (await sdk.batches.retrieve(batch.id)).id == "batch_1"
        await sdk.batches.cancel(batch.id)
        upstream.answer(body=b'{"line": 1}\n', headers={"content-type": "application/octet-stream"})
        assert (await sdk.files.content("file-1")).content == b'{"line": 1}\n'
        upstream.answer(json={"id": "file-1", "object": "file", "deleted": True})
        assert (await sdk.files.delete("file-1")).deleted
        records = await one.recorded(7)
    assert [f"{one.method} {one.path}" for one in upstream.requests] == [
        "POST /v1/files",
        "POST /v1/batches",
        "GET /v1/files?limit=1",
        "GET /v1/batches/batch_1",
        "POST /v1/batches/batch_1/cancel",
        "GET /v1/files/file-1/content",
        "DELETE /v1/files/file-1",
    ]
    assert b'{"custom_id": "1"}' in upstream.requests[0].body
    assert upstream.requests[0].headers["authorization"] == "Bearer secret-of-openai"
    assert {record.operation for record in records} == {"files", "batches"}
    assert {(record.outcome, record.provider_name) for record in records} == {("ok", "openai")}


async def files(one: Loopback, path: str, **headers: str) -> tuple[int, Any]:
    async with one.client.get(f"http://127.0.0.1:{one.port}{path}", headers=headers) as reply:
        return reply.status, json.loads(await reply.read())


async def test_of_several_providers_one_must_be_named() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai", "groq", "anthropic")) as one:
        status, body = await files(one, "/v1/files")
        assert (status, body["error"]["code"]) == (400, "ambiguous_provider")
        assert "openai, groq" in body["error"]["message"]
        for path, headers in (
            ("/v1/files?provider=groq&limit=2", {}),
            ("/v1/files?limit=2", {PROVIDER_HEADER: "groq"}),
        ):
            upstream.answer(json={"data": []})
            assert (await files(one, path, **headers))[0] == 200
            received = upstream.requests[-1]
            assert received.path.endswith("/files?limit=2")
            assert received.headers["authorization"] == "Bearer secret-of-groq"
            assert PROVIDER_HEADER not in received.headers
        for name in ("anthropic", "nobody"):
            status, body = await files(one, "/v1/files", **{PROVIDER_HEADER: name})
            assert (status, body["error"]["code"]) == (404, "provider_not_found")


async def test_a_router_with_one_such_provider_names_it() -> None:
    async with FakeUpstream() as upstream:
        chat = {"strategy": "latency", "providers": ["groq", "anthropic"]}
        given = {
            **settings(upstream, "openai", "groq", "anthropic"),
            "routers": {"main": {"load-balance": {"chat": chat}}},
        }
        async with loopback(given) as one:
            upstream.answer(json={"data": []})
            assert (await files(one, "/router/main/v1/files"))[0] == 200
            assert upstream.requests[0].headers["authorization"] == "Bearer secret-of-groq"
            assert (await files(one, "/router/none/files"))[1]["error"]["code"] == "router_not_found"
            assert (await one.recorded(2))[0].router == "main"


async def test_nobody_has_files() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "anthropic")) as one:
        assert (await files(one, "/v1/files"))[1]["error"]["code"] == "operation_not_supported"


async def test_callers_with_keys_of_their_own_share_no_files_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-llmgate-" + "a" * 32)
    key = "sk-llmgate-" + "a" * 32
    async with FakeUpstream() as upstream:
        plugin = authenticating(key)
        given = {**settings(upstream, "openai"), "auth": [{"use": "by-one-key"}]}
        async with loopback(given, plugins=[plugin]) as one, client(one, api_key=key) as sdk:
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await sdk.files.list()
            assert refused.value.code == "path_not_allowed"
            with pytest.raises(openai.AuthenticationError):
                await sdk.with_options(api_key="other").files.list()
        given = {**settings(upstream, "openai", passthrough="all"), "auth": [{"use": "by-one-key"}]}
        async with loopback(given, plugins=[plugin]) as one, client(one, api_key=key) as sdk:
            upstream.answer(json={"object": "list", "data": [], "has_more": False})
            assert (await sdk.files.list()).data == []


def authenticating(key: str) -> object:
    """A plugin with an auth provider that knows one key."""
    from llmgate.spec import AuthProvider, Credentials, Principal, hookimpl

    class ByOneKey(AuthProvider[Any]):
        name = "by-one-key"

        async def authenticate(self, credentials: Credentials) -> Principal | None:
            known = key in credentials.tokens.values()
            return Principal(id="me", issuer="test", kind="key") if known else None

    class Plugin:
        @hookimpl
        def llmgate_register_auth_providers(self) -> type[ByOneKey]:
            return ByOneKey

    return Plugin()


async def test_a_batch_is_json_and_a_path_is_plain() -> None:
    async with FakeUpstream() as upstream, loopback(settings(upstream, "openai")) as one:
        reply = await one.post(b"x", "/v1/batches", content_type="text/plain", authorization="Bearer x")
        assert reply.error["code"] == "unsupported_media_type"
        reply = await one.post(b"x", "/v1/files", content_type="text/plain")
        assert reply.error["code"] == "cross_site"
        assert (await files(one, "/v1/files/a%3Bb"))[1]["error"]["code"] == "invalid_path"
        assert upstream.requests == []


UPLOAD = {
    "id": "upload_1",
    "object": "upload",
    "bytes": 6,
    "created_at": 1,
    "expires_at": 2,
    "filename": "a.bin",
    "purpose": "user_data",
    "status": "pending",
    "file": None,
}


@pytest.mark.parametrize("path", ["/v1", "/router/main/v1", ""])
async def test_a_file_in_parts(path: str) -> None:
    router = {"main": {"load-balance": {"chat": {"strategy": "latency", "providers": ["openai"]}}}}
    part = {"id": "part_1", "object": "upload.part", "created_at": 1, "upload_id": "upload_1"}
    async with FakeUpstream() as upstream, loopback({**settings(upstream, "openai"), "routers": router}) as one:
        async with client(one, path) as sdk:
            upstream.answer(json=UPLOAD)
            upstream.answer(json=part)
            upstream.answer(json={**part, "id": "part_2"})
            upstream.answer(json={**UPLOAD, "status": "completed", "file": FILE | {"status": "processed"}})
            made = await sdk.uploads.upload_file_chunked(
                file=b"abcdef", filename="a.bin", bytes=6, mime_type="text/plain", purpose="user_data", part_size=3
            )
            assert (made.status, made.file.id) == ("completed", "file-1")
            upstream.answer(json={**UPLOAD, "status": "cancelled"})
            assert (await sdk.uploads.cancel("upload_1")).status == "cancelled"
        records = await one.recorded(5)
    assert [f"{one.method} {one.path}" for one in upstream.requests] == [
        "POST /v1/uploads",
        "POST /v1/uploads/upload_1/parts",
        "POST /v1/uploads/upload_1/parts",
        "POST /v1/uploads/upload_1/complete",
        "POST /v1/uploads/upload_1/cancel",
    ]
    first, second = (one.body for one in upstream.requests[1:3])
    assert b'name="data"' in first
    assert b"\r\n\r\nabc\r\n" in first
    assert b"\r\n\r\ndef\r\n" in second
    assert json.loads(upstream.requests[3].body)["part_ids"] == ["part_1", "part_2"]
    assert {(one.operation, one.outcome) for one in records} == {("files", "ok")}


MESSAGE_BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "ended",
    "request_counts": {"processing": 0, "succeeded": 1, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-02T00:00:00Z",
    "ended_at": None,
    "cancel_initiated_at": None,
    "archived_at": None,
    "results_url": None,
}
RESULT = {"custom_id": "one", "result": {"type": "canceled"}}


@pytest.mark.parametrize("base", ["", "/as/anthropic", "/router/main"])
async def test_a_batch_of_anthropics(base: str) -> None:
    router = {"main": {"load-balance": {"chat": {"strategy": "priority", "providers": ["openai", "anthropic"]}}}}
    async with FakeUpstream() as upstream, FakeUpstream() as other:
        config = settings(upstream, "anthropic")
        config["providers"] |= settings(other, "openai")["providers"]
        async with loopback({**config, "routers": router}) as one:
            sdk = anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{one.port}{base}", api_key="any", max_retries=0)
            async with sdk:
                batches = sdk.messages.batches
                upstream.answer(json=MESSAGE_BATCH, times=2)
                params = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
                made = await batches.create(requests=[{"custom_id": "one", "params": params}])
                assert (await batches.cancel(made.id)).id == "msgbatch_1"
                upstream.answer(json={"data": [MESSAGE_BATCH], "has_more": False, "first_id": None, "last_id": None})
                assert [batch.id async for batch in await batches.list(limit=1)] == ["msgbatch_1"]
                ended = {
                    **MESSAGE_BATCH,
                    "results_url": f"http://127.0.0.1:{one.port}{base}/v1/messages/batches/msgbatch_1/results",
                }
                upstream.answer(json=ended)
                upstream.answer(
                    body=json.dumps(RESULT).encode() + b"\n", headers={"content-type": "application/x-jsonl"}
                )
                assert [line.custom_id async for line in await batches.results(made.id)] == ["one"]
                upstream.answer(json={"id": "msgbatch_1", "type": "message_batch_deleted"})
                await batches.delete(made.id)
                upstream.answer(404, json={"type": "error", "error": {"type": "not_found_error", "message": "gone"}})
                with pytest.raises(anthropic.NotFoundError, match="gone"):
                    await batches.retrieve("msgbatch_2")
    assert [f"{one.method} {one.path}" for one in upstream.requests] == [
        "POST /v1/messages/batches",
        "POST /v1/messages/batches/msgbatch_1/cancel",
        "GET /v1/messages/batches?limit=1",
        "GET /v1/messages/batches/msgbatch_1",
        "GET /v1/messages/batches/msgbatch_1/results",
        "DELETE /v1/messages/batches/msgbatch_1",
        "GET /v1/messages/batches/msgbatch_2",
    ]
    assert all(one.headers["anthropic-version"] for one in upstream.requests)
    assert not other.requests
