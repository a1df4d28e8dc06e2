"""Why an answer ended, in every word that a vendor has for it, and what clients of other formats hear of it."""

from __future__ import annotations

import gzip
import json
import typing
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import botocore
import pytest
import pytest_asyncio
from anthropic.types.beta import beta_stop_reason
from cohere.types import ChatFinishReason, FinishReason as CohereFinishReason
from openai.types import chat as openai_chat, responses as openai_responses

from end_to_end.dialects.dialect import Dialect, Said, Wish, message, sse
from end_to_end.dialects.gate import Gate, gate
from end_to_end.dialects.table import DIALECTS
from llmgate.formats.anthropic_messages.responses import _REASONS as ANTHROPIC
from llmgate.formats.bedrock_converse.responses import _REASONS as BEDROCK
from llmgate.formats.cohere_chat.responses import _REASONS as COHERE
from llmgate.formats.openai_chat.responses import finish_of
from llmgate.formats.openai_responses.responses import finish_of as finish_of_response
from llmgate.spec import FinishReason, ProviderResponse
from llmgate.testing.transport import ScriptedAnswer

BY_NAME = {one.name: one for one in DIALECTS}
OTHERS = [one for one in DIALECTS if one.name != "openai-chat"]
in_module = pytest.mark.asyncio(loop_scope="module")
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def words_of(annotation: Any) -> set[str]:
    """The words of the literals in a type."""
    args = typing.get_args(annotation)
    return {one for one in args if isinstance(one, str)} | {word for one in args for word in words_of(one)}


def test_every_word_of_the_vendors_libraries_is_known() -> None:
    """A new one is a decision that somebody must take."""
    (path,) = Path(botocore.__file__).parent.glob("data/bedrock-runtime/*/service-2.json*")
    data = path.read_bytes()
    service = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    assert set(service["shapes"]["StopReason"]["enum"]) == BEDROCK.keys()
    assert words_of(beta_stop_reason.BetaStopReason) == ANTHROPIC.keys()
    assert words_of(ChatFinishReason) | words_of(CohereFinishReason) <= COHERE.keys()
    chat = words_of(openai_chat.chat_completion.Choice.model_fields["finish_reason"].annotation)
    assert chat == {"stop", "length", "tool_calls", "content_filter", "function_call"}
    assert all(finish_of(word) is not FinishReason.STOP for word in chat - {"stop"})
    incomplete = words_of(openai_responses.response.IncompleteDetails.model_fields["reason"].annotation)
    for reason in incomplete:
        value = {"status": "incomplete", "incomplete_details": {"reason": reason}}
        expected = FinishReason.CONTENT_FILTER if reason == "content_filter" else FinishReason.LENGTH
        assert finish_of_response(value) is expected


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_gate() -> AsyncIterator[Gate]:
    async with gate() as one:
        yield one


def asked(client: Dialect, provider: Dialect, *, stream: bool) -> dict[str, Any]:
    wish = Wish(model=f"{provider.provider}/{provider.model}", stream=stream)
    return {**client.write(wish), "_stream": stream}


def answer(provider: Dialect, body: bytes, events: Iterable[bytes], *, stream: bool) -> Any:
    if stream:
        return ScriptedAnswer(200, {"content-type": provider.media_type, **provider.head}, tuple(events))
    return ProviderResponse(200, {"content-type": "application/json", **provider.head}, body)


@streams
@in_module
@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource"])
@pytest.mark.parametrize("client", OTHERS, ids=lambda one: one.name)
async def test_an_end_that_is_a_failure_is_an_error(open_gate: Gate, client: Dialect, word: str, stream: bool) -> None:
    """OpenAI's format has no such end, but servers that speak it have; to other formats it would look normal."""
    provider = BY_NAME["openai-chat"]
    head = {"id": "c", "created": 1, "model": "m"}
    turn = {"role": "assistant", "content": "Hello"}
    choice = {"index": 0, "message": turn, "finish_reason": word}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": None}
    chunk = {**head, "object": "chat.completion.chunk"}
    events = [
        sse({**chunk, "choices": [{"index": 0, "delta": turn, "finish_reason": None}]}),
        sse({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": word}]}),
        b"data: [DONE]\n\n",
    ]
    said = answer(provider, json.dumps(body).encode(), events, stream=stream)
    reply = await open_gate.ask(client, provider, asked(client, provider, stream=stream), said)
    if stream:
        got = client.hear_stream(reply.body)
        assert not got.complete, reply.body
        assert "ended its answer with an error" in (got.error or "")
        assert got.text == "Hello"
    else:
        assert reply.status == 502, reply.body
        assert "ended its answer with an error" in client.hear_fault(reply.headers, reply.body)


@streams
@in_module
@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("load", "stop"),
        ("unload", "stop"),
        ("content_filter", "filter"),
        ("safety", "filter"),
        ("REFUSAL", "filter"),
        ("max_tokens", "length"),
        ("something new", "stop"),
    ],
)
@pytest.mark.parametrize("client", [one for one in DIALECTS if one.name != "ollama-chat"], ids=lambda one: one.name)
async def test_why_ollama_is_done(open_gate: Gate, client: Dialect, word: str, finish: str, stream: bool) -> None:
    provider = BY_NAME["ollama-chat"]
    head = {"model": provider.model, "created_at": "2026-11-20T10:00:00Z"}
    turn = {"role": "assistant", "content": "Hello"}
    counts = {"prompt_eval_count": 11, "eval_count": 7}
    whole = {**head, "message": turn, "done": True, "done_reason": word, **counts}
    lines = [{**head, "message": turn, "done": False}]
    lines.append({**head, "message": {**turn, "content": ""}, "done": True, "done_reason": word, **counts})
    events = [json.dumps(one).encode() + b"\n" for one in lines]
    said = answer(provider, json.dumps(whole).encode(), events, stream=stream)
    reply = await open_gate.ask(client, provider, asked(client, provider, stream=stream), said)
    assert reply.status == 200, reply.body
    got = client.hear_stream(reply.body) if stream else client.hear(reply.body)
    assert (got.text, got.finish, got.complete) == ("Hello", finish, True)


@streams
@in_module
@pytest.mark.parametrize(
    ("vendor", "old", "word"),
    [
        ("anthropic-messages", b"end_turn", "pause_turn"),
        ("anthropic-messages", b"end_turn", "compaction"),
        ("anthropic-messages", b"end_turn", "of the future"),
        ("bedrock-converse", b"end_turn", "malformed_tool_use"),
    ],
)
async def test_clients_of_chat_are_told_the_vendors_own_word(
    open_gate: Gate, vendor: str, old: bytes, word: str, stream: bool
) -> None:
    """Where the plain one says less."""
    provider, client = BY_NAME[vendor], BY_NAME["openai-chat"]
    said = Said(text="Hello")
    body = provider.whole(said).replace(old, word.encode())
    events = provider.events(said)
    if vendor == "bedrock-converse":
        events = [*events[:-2], message("messageStop", {"stopReason": word}), events[-1]]
    else:
        events = [event.replace(old, word.encode()) for event in events]
    reply = await open_gate.ask(
        client, provider, asked(client, provider, stream=stream), answer(provider, body, events, stream=stream)
    )
    got = client.hear_stream(reply.body) if stream else client.hear(reply.body)
    assert (got.text, got.finish, got.complete) == ("Hello", "stop", True)
    assert f'"native_finish_reason":"{word}"'.encode() in reply.body
