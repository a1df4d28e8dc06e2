"""Traces of applications: each call of a model in them is recorded once, priced like one that went through."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from end_to_end.loopback import Loopback, Reply, loopback
from host.test_trace_bodies import as_json, export
from llmgate.host.surfaces import traces
from llmgate.host.trace_bodies import JSON, PROTOBUF
from llmgate.journal.journal import Journal, JournalError
from llmgate.spec import Record

ANN, EMBEDDER = "key-of-ann-0123456789012345678901234567890", "key-of-embedder-0123456789012345678901234567890"
KEYS = [
    {"name": "ann", "secret": "env:ANN"},
    {"name": "embedder", "secret": "env:EMBEDDER", "scopes": ["embeddings"]},
]
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 500,
    "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
    "user.id": "eve",
}


def span(number: int = 1, /, attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    start = time.time_ns() - 60_000_000_000
    known = {"start_time_unix_nano": start, "end_time_unix_nano": start + 2_000_000_000}
    return {**known, "span_id": number.to_bytes(8, "big"), "attributes": {**CHAT, **(attributes or {})}, **fields}


@asynccontextmanager
async def served(**sections: Any) -> AsyncIterator[Loopback]:
    settings = {"providers": {"echo": {}}, "auth": [{"use": "static-keys", "keys": KEYS}], **sections}
    async with loopback(settings, environment={"ANN": ANN, "EMBEDDER": EMBEDDER}) as one:
        yield one


async def tell(one: Loopback, body: bytes, key: str = ANN, kind: str = PROTOBUF, **headers: str) -> Reply:
    return await one.post(body, "/v1/traces", authorization=f"Bearer {key}", content_type=kind, **headers)


def kept(one: Loopback) -> list[Record]:
    return [record for record in one.records if record.operation != "records"]


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
async def test_a_call_is_recorded_and_priced_like_one_that_went_through(kind: str):
    async with served(records={"content": "full"}) as one:
        made = export(span())
        reply = await tell(one, made.SerializeToString() if kind == PROTOBUF else as_json(made), kind=kind)
        assert (reply.status, reply.headers["content-type"]) == (200, kind)
        assert reply.body == (b"" if kind == PROTOBUF else b"{}")
        await one.recorded(2)
        (record,) = kept(one)
        assert (record.operation, record.surface, record.outcome, record.status) == ("chat", "otlp", "ok", 200)
        assert (record.principal, record.user, record.properties) == ("ann", "eve", {"service": "shop"})
        assert (record.provider_name, record.request_model, record.stream) == ("openai", "gpt-4o-mini", False)
        assert record.cost_nano == 1000 * 150 + 500 * 600
        assert record.duration == pytest.approx(2, abs=0.5)
        assert record.trace is not None
        assert (record.trace.trace_id, record.trace.sampled) == ("4bf92f3577b34da6a3ce929d0e0e4736", False)
        assert record.content is not None
        assert record.content.request is not None
        assert record.content.request.text == '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}'
        assert record.content.response is None


async def test_what_is_told_again_is_recorded_once_for_each_caller():
    async with served(auth=[{"use": "static-keys", "keys": [KEYS[0], {**KEYS[1], "scopes": ["chat"]}]}]) as one:
        body = export(span(1), span(2), span(1)).SerializeToString()
        for _ in range(2):
            assert (await tell(one, body)).status == 200
        assert (await tell(one, gzip.compress(body), EMBEDDER, content_encoding="gzip")).status == 200
        await one.recorded(2 + 2 + 3)
        assert [record.principal for record in kept(one)].count("ann") == 2
        assert len({record.id for record in kept(one)}) == 4


async def test_spans_that_cannot_be_taken_are_counted_and_the_others_taken():
    async with served() as one:
        old = span(3, start_time_unix_nano=5, end_time_unix_nano=6)
        made = export(span(1), span(2, {"gen_ai.request.model": "", "gen_ai.response.model": ""}), old, span(4))
        reply = await tell(one, made.SerializeToString())
        said = ExportTraceServiceResponse.FromString(reply.body).partial_success
        assert (reply.status, said.rejected_spans) == (200, 2)
        assert said.error_message.startswith("gen_ai.request.model: ")
        await one.recorded(3)
        reply = await tell(one, as_json(made), kind=JSON)
        assert json.loads(reply.body)["partialSuccess"]["rejectedSpans"] == "2"


async def test_more_calls_than_one_export_may_tell_of_are_counted_as_not_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(traces, "MOST_CALLS", 100)
    async with served() as one:
        reply = await tell(one, export(*(span(number) for number in range(1, 151))).SerializeToString())
        assert ExportTraceServiceResponse.FromString(reply.body).partial_success.rejected_spans == 50
        await one.recorded(101)


async def test_only_who_is_known_tells_and_only_of_what_he_may_ask_for():
    async with served() as one:
        body = export(span(1), span(2, {"gen_ai.operation.name": "embeddings"})).SerializeToString()
        reply = await tell(one, body, "wrong")
        assert (reply.status, reply.headers["content-type"]) == (401, PROTOBUF)
        assert Status.FromString(reply.body).message
        said = ExportTraceServiceResponse.FromString((await tell(one, body, EMBEDDER)).body).partial_success
        assert said.rejected_spans == 1
        assert "may not ask for chat" in said.error_message
        await one.recorded(3)
        assert [record.operation for record in kept(one)] == ["embeddings"]


async def test_where_it_is_switched_off_nobody_tells():
    async with served(records={"ingest": False}) as one:
        reply = await tell(one, b"{}", kind=JSON)
        assert reply.status == 403
        assert "records.ingest: true" in json.loads(reply.body)["message"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{", JSON, 400),
        (b"\xff", PROTOBUF, 400),
        (b"\0" * 70_000, PROTOBUF, 413),
    ],
)  # fmt: skip
async def test_what_is_no_export_is_refused(body: bytes, kind: str, status: int):
    async with served(server={"max-body-bytes": 65536}) as one:
        assert (await tell(one, body, kind=kind)).status == status


async def test_failures_are_errors_of_which_the_cost_is_known_where_the_provider_has_refused():
    async with served() as one:
        none: dict[str, Any] = {"gen_ai.usage.input_tokens": [], "gen_ai.usage.output_tokens": []}
        refused = {name: value for name, value in CHAT.items() if name not in none} | {"error.type": "429"}
        lost = {**refused, "error.type": "timeout"}
        fields = [span(1), span(2, failure="gone")]
        fields[0]["attributes"], fields[1]["attributes"] = refused, lost
        assert (await tell(one, export(*fields).SerializeToString())).body == b""
        await one.recorded(3)
        costs = {record.error_message: (record.status, record.outcome, record.cost_nano) for record in kept(one)}
        assert costs == {"429": (429, "error", 0), "gone": (502, "error", None)}


async def test_what_cannot_be_written_down_is_to_be_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = {"path": str(tmp_path / "journal"), "on-failure": "refuse"}
    loggers = [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}]
    async with served(records={"journal": journal}, loggers=loggers) as one:
        body = export(span()).SerializeToString()
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "wait", _fails)
            reply = await tell(one, body)
            assert reply.status == 503, reply.body
            assert reply.headers["retry-after"]
        assert (await tell(one, body)).status == 200
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines if '"chat"' in line]
    assert told[-1]["outcome"] == "ok"
    assert len({record["id"] for record in told}) == 1, "what a logger knows by its id is one record"


async def _fails(*_: object) -> None:
    raise JournalError("the disk is full")
