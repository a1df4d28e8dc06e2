"""Files and batches in process."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate import BlockingPipeline, Pipeline
from llmgate.spec import InvalidRequestError, ModelNotFoundError, ProviderError
from llmgate.testing.transport import ScriptedAnswer, ScriptedTransport, json_answer

FILE = {"id": "file-1", "object": "file"}


def answer(value: Any, status: int = 200) -> ScriptedAnswer:
    body = json_answer(value).body
    return ScriptedAnswer(status, {"content-type": "application/json"}, (body,))


def made(transport: ScriptedTransport, kind: Any = Pipeline) -> Any:
    environment = {"OPENAI_API_KEY": "sk-openai", "ANTHROPIC_API_KEY": "a", "AZURE_API_KEY": "z"}
    providers = {"openai": {}, "anthropic": {}}
    return kind.from_config({"providers": providers}, environment=environment, transport=transport)


def asked(transport: ScriptedTransport) -> list[str]:
    return [f"{one.method} {one.url.partition('.com')[2]}" for one in transport.requests]


async def test_a_file_and_its_batch():
    transport = ScriptedTransport([answer(FILE)] * 9)
    async with made(transport) as pipeline:
        kept = await pipeline.upload_file(file=("a.jsonl", b"{}"), purpose="batch")
        await pipeline.list_files(limit=1, after="file 0")
        await pipeline.retrieve_file("file-1")
        await pipeline.file_content("file-1")
        await pipeline.delete_file("file-1")
        await pipeline.create_batch(input_file_id="file-1", endpoint="/v1/chat/completions")
        await pipeline.list_batches()
        await pipeline.retrieve_batch("batch_1")
        done = await pipeline.cancel_batch("batch_1")
    assert (kept.value, kept.exchange.operation, kept.exchange.outcome) == (FILE, "files", "ok")
    assert done.exchange.operation == "batches"
    assert asked(transport) == [
        "POST /v1/files",
        "GET /v1/files?limit=1&after=file+0",
        "GET /v1/files/file-1",
        "GET /v1/files/file-1/content",
        "DELETE /v1/files/file-1",
        "POST /v1/batches",
        "GET /v1/batches",
        "GET /v1/batches/batch_1",
        "POST /v1/batches/batch_1/cancel",
    ]
    upload = transport.requests[0].upload
    assert upload is not None
    sent = b"".join([piece async for piece in upload.pieces()])
    assert b'name="purpose"\r\n\r\nbatch' in sent
    assert b'filename="a.jsonl"' in sent
    assert transport.requests[5].body == b'{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}'
    assert transport.requests[5].headers["authorization"] == "Bearer sk-openai"


async def test_a_batch_of_anthropics():
    transport = ScriptedTransport([answer({"id": "msgbatch_1"})] * 2)
    async with made(transport) as pipeline:
        await pipeline.create_batch(family="anthropic", requests=[])
        await pipeline.retrieve_batch("msgbatch_1", provider="anthropic", family="anthropic")
    assert asked(transport) == ["POST /v1/messages/batches", "GET /v1/messages/batches/msgbatch_1"]
    assert transport.requests[0].headers["x-api-key"] == "a"


async def test_a_providers_refusal_is_raised_with_its_own_words():
    transport = ScriptedTransport([answer({"error": {"message": "no such file"}}, 404)])
    async with made(transport) as pipeline:
        with pytest.raises(ProviderError, match="no such file") as refused:
            await pipeline.retrieve_file("file-2")
    assert (refused.value.http_status, refused.value.provider_name) == (404, "openai")


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "a/b"])
async def test_an_id_that_leads_elsewhere_is_refused(name: str):
    async with made(ScriptedTransport([])) as pipeline:
        with pytest.raises(InvalidRequestError):
            await pipeline.delete_file(name)


async def test_what_nobody_has_and_what_nobody_takes():
    async with made(ScriptedTransport([])) as pipeline:
        with pytest.raises(ModelNotFoundError):
            await pipeline.list_files(provider="groq")
        with pytest.raises(TypeError, match="colour"):
            await pipeline.retrieve_file("file-1", colour="red")


async def test_a_file_in_parts():
    transport = ScriptedTransport([answer({"id": "upload_1"})] * 4)
    async with made(transport) as pipeline:
        await pipeline.create_upload(filename="a", bytes=3, mime_type="text/plain", purpose="batch")
        await pipeline.add_upload_part("upload_1", data=b"abc")
        done = await pipeline.complete_upload("upload_1", part_ids=["part_1"], md5="m", provider="openai")
        await pipeline.cancel_upload("upload:1")
    assert done.exchange.operation == "files"
    assert asked(transport) == [
        "POST /v1/uploads",
        "POST /v1/uploads/upload_1/parts",
        "POST /v1/uploads/upload_1/complete",
        "POST /v1/uploads/upload%3A1/cancel",
    ]
    upload = transport.requests[1].upload
    assert upload is not None
    sent = b"".join([piece async for piece in upload.pieces()])
    assert b'name="data"; filename="data"' in sent
    assert transport.requests[2].body == b'{"part_ids":["part_1"],"md5":"m"}'


def test_the_same_without_a_loop():
    transport = ScriptedTransport([answer(FILE)] * 13)
    with made(transport, BlockingPipeline) as pipeline:
        pipeline.upload_file(file=b"{}", purpose="batch")
        pipeline.list_files()
        pipeline.retrieve_file("f:1")
        pipeline.file_content("f")
        pipeline.delete_file("f")
        pipeline.create_batch(input_file_id="f")
        pipeline.list_batches()
        pipeline.retrieve_batch("b")
        assert pipeline.cancel_batch("b").value == FILE
        pipeline.create_upload(bytes=1)
        pipeline.add_upload_part("u", data=b"x")
        pipeline.complete_upload("u", part_ids=[])
        pipeline.cancel_upload("u")
    assert asked(transport)[2] == "GET /v1/files/f%3A1"
