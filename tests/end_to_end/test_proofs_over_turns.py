"""What a vendor has signed or encrypted comes back to it, to the letter, over several turns and through any client.

The clients keep what their vendor's documentation has, and nothing else (``dialects/talks.py``).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import attrs
import pytest
import pytest_asyncio

from end_to_end.dialects.dialect import Dialect, message, sse
from end_to_end.dialects.gate import Gate, gate
from end_to_end.dialects.table import DIALECTS
from end_to_end.dialects.talks import TALKS, Talk
from llmgate.spec import ProviderResponse
from llmgate.testing.transport import ScriptedAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_NAME = {one.name: one for one in DIALECTS}
USAGE = {"input_tokens": 11, "output_tokens": 7}


@attrs.frozen
class Vendor:
    """A vendor that proves what its models think.

    Args:
        format: The format that it speaks.
        whole: A whole answer of turn ``n``; the last one calls nothing.
        events: The same, streamed.
        proofs: The proofs in a request, each with what it stands beside, oldest first.
        expected: What they must be after turn ``n``.
    """

    format: str
    whole: Callable[[int], Any]
    events: Callable[[int], Iterable[bytes]]
    proofs: Callable[[Mapping[str, Any]], list[Any]]
    expected: Callable[[int], list[Any]]


LAST = 3
"""The turn that answers in words."""


def proof(turn: int, kind: str = "sig") -> str:
    """Base64 with every sign of the alphabet that a carrier might change."""
    return f"Cis+/{kind}{turn}AAAA{'+/9' * 40}=="


# Gemini: on calls, on thoughts and on texts


def gemini_parts(turn: int) -> list[dict[str, Any]]:
    if turn == LAST:
        return [{"text": "It is sunny.", "thoughtSignature": proof(turn)}]
    call = {"functionCall": {"id": f"up_{turn}", "name": "weather", "args": {"city": f"city {turn}"}}}
    other = {"functionCall": {"id": f"other_{turn}", "name": "weather", "args": {}}}
    thought = {"text": "I look.\n", "thought": True, **({"thoughtSignature": proof(turn, "th")} if turn == 2 else {})}
    return [thought, {**call, "thoughtSignature": proof(turn)}, other]


def gemini_answer(parts: list[dict[str, Any]], **end: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **end}
    return {"candidates": [candidate], "modelVersion": "gemini-3-flash-preview", "responseId": "up"}


def gemini_events(turn: int) -> Iterable[bytes]:
    for part in gemini_parts(turn):
        yield sse(gemini_answer([part]))
    yield sse(gemini_answer([{"text": ""}], finishReason="STOP"))


def gemini_proofs(body: Mapping[str, Any]) -> list[Any]:
    parts = [part for one in body["contents"] if one["role"] == "model" for part in one["parts"]]
    return [
        (part["functionCall"]["args"] if "functionCall" in part else part["text"], part.get("thoughtSignature"))
        for part in parts
        if part.get("text") != "" and ("thoughtSignature" in part or not part.get("thought"))
    ]


def gemini_expected(turns: int) -> list[Any]:
    found: list[Any] = []
    for turn in range(1, turns + 1):
        if turn == LAST:
            found.append(("It is sunny.", proof(turn)))
        else:
            found += [("I look.\n", proof(turn, "th"))] if turn == 2 else []
            found += [({"city": f"city {turn}"}, proof(turn)), ({}, None)]
    return found


# Anthropic: thinking and redacted thinking


def anthropic_blocks(turn: int) -> list[dict[str, Any]]:
    thinking = {"type": "thinking", "thinking": f"Grüße,\nthought {turn}", "signature": proof(turn)}
    hidden = {"type": "redacted_thinking", "data": proof(turn, "red")}
    if turn == LAST:
        return [thinking, hidden, {"type": "text", "text": "It is sunny."}]
    call = {"type": "tool_use", "id": f"toolu_{turn}", "name": "weather", "input": {"city": f"city {turn}"}}
    return [thinking, hidden, call]


def anthropic_whole(turn: int) -> dict[str, Any]:
    stop = {"stop_reason": "end_turn" if turn == LAST else "tool_use", "stop_sequence": None}
    head = {"id": "msg_up", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    return {**head, "content": anthropic_blocks(turn), **stop, "usage": USAGE}


def anthropic_events(turn: int) -> Iterable[bytes]:
    def event(kind: str, **more: Any) -> bytes:
        return sse({"type": kind, **more}, kind)

    whole = anthropic_whole(turn)
    yield event("message_start", message={**whole, "content": [], "stop_reason": None})
    for index, block in enumerate(whole["content"]):
        kind = block["type"]
        start, deltas = dict(block), []
        if kind == "thinking":
            start = {"type": kind, "thinking": "", "signature": ""}
            cut = len(block["thinking"]) // 2
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"][:cut]},
                      {"type": "thinking_delta", "thinking": block["thinking"][cut:]},
                      {"type": "signature_delta", "signature": block["signature"]}]  # fmt: skip
        elif kind == "tool_use":
            start, deltas = (
                {**block, "input": {}},
                [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}],
            )
        elif kind == "text":
            start, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        yield event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=stop, usage={"output_tokens": 7})
    yield event("message_stop")


def anthropic_proofs(body: Mapping[str, Any]) -> list[Any]:
    turns = [one["content"] for one in body["messages"] if one["role"] == "assistant"]
    return [
        (block.get("thinking"), block.get("signature") or block.get("data"))
        for content in turns
        if isinstance(content, list)
        for block in content
        if block["type"] in ("thinking", "redacted_thinking")
    ]


def thoughts_expected(turns: int) -> list[Any]:
    return [
        pair
        for turn in range(1, turns + 1)
        for pair in ((f"Grüße,\nthought {turn}", proof(turn)), (None, proof(turn, "red")))
    ]


# Bedrock: the same in Converse's words


def bedrock_blocks(turn: int) -> list[dict[str, Any]]:
    thinking = {"reasoningText": {"text": f"Grüße,\nthought {turn}", "signature": proof(turn)}}
    blocks: list[dict[str, Any]] = [{"reasoningContent": thinking}]
    blocks.append({"reasoningContent": {"redactedContent": REDACTED[turn]}})
    if turn == LAST:
        return [*blocks, {"text": "It is sunny."}]
    return [*blocks, {"toolUse": {"toolUseId": f"up_{turn}", "name": "weather", "input": {"city": f"city {turn}"}}}]


REDACTED = {turn: "Cis/AAAA" * turn for turn in range(1, LAST + 1)}


def bedrock_whole(turn: int) -> dict[str, Any]:
    usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    stop = "end_turn" if turn == LAST else "tool_use"
    output = {"message": {"role": "assistant", "content": bedrock_blocks(turn)}}
    return {"output": output, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}}


def bedrock_events(turn: int) -> Iterable[bytes]:
    whole = bedrock_whole(turn)
    yield message("messageStart", {"role": "assistant"})
    for index, block in enumerate(whole["output"]["message"]["content"]):
        deltas: list[dict[str, Any]]
        if "toolUse" in block:
            use = block["toolUse"]
            start = {"toolUse": {"toolUseId": use["toolUseId"], "name": use["name"]}}
            yield message("contentBlockStart", {"start": start, "contentBlockIndex": index})
            deltas = [{"toolUse": {"input": json.dumps(use["input"])}}]
        elif "text" in block:
            deltas = [block]
        else:
            thought = block["reasoningContent"]
            text = thought.get("reasoningText")
            deltas = [{"reasoningContent": {name: text[name]}} for name in ("text", "signature")] if text else [block]
        for delta in deltas:
            yield message("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})
        yield message("contentBlockStop", {"contentBlockIndex": index})
    yield message("messageStop", {"stopReason": whole["stopReason"]})
    yield message("metadata", {"usage": whole["usage"], "metrics": {"latencyMs": 1}})


def bedrock_proofs(body: Mapping[str, Any]) -> list[Any]:
    found = []
    for turn in body["messages"]:
        for block in turn["content"]:
            thought = block.get("reasoningContent")
            if thought is not None:
                text = thought.get("reasoningText", {})
                found.append((text.get("text"), text.get("signature") or thought.get("redactedContent")))
    return found


def bedrock_expected(turns: int) -> list[Any]:
    return [
        pair
        for turn in range(1, turns + 1)
        for pair in ((f"Grüße,\nthought {turn}", proof(turn)), (None, REDACTED[turn]))
    ]


# OpenAI: encrypted reasoning


def responses_items(turn: int) -> list[dict[str, Any]]:
    summary = [{"type": "summary_text", "text": f"Grüße,\nthought {turn}"}]
    thought = {"type": "reasoning", "id": f"rs_{turn}", "summary": summary, "encrypted_content": proof(turn)}
    hidden = {"type": "reasoning", "id": f"rs_hidden_{turn}", "summary": [], "encrypted_content": proof(turn, "red")}
    if turn == LAST:
        part = {"type": "output_text", "text": "It is sunny.", "annotations": []}
        said = {"type": "message", "id": "msg_up", "status": "completed", "role": "assistant", "content": [part]}
        return [thought, hidden, said]
    arguments = json.dumps({"city": f"city {turn}"})
    call = {"type": "function_call", "id": f"fc_{turn}", "call_id": f"call_{turn}", "name": "weather"}
    return [thought, hidden, {**call, "arguments": arguments, "status": "completed"}]


def responses_whole(turn: int, status: str = "completed") -> dict[str, Any]:
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {**USAGE, "total_tokens": 18, **details}
    head = {"id": "resp_up", "object": "response", "created_at": 1, "status": status, "model": "gpt-5.5"}
    return {**head, "output": responses_items(turn) if status == "completed" else [], "usage": usage, "error": None}


def responses_events(turn: int) -> Iterable[bytes]:
    found: list[dict[str, Any]] = [{"type": "response.created", "response": responses_whole(turn, "in_progress")}]
    for index, item in enumerate(responses_items(turn)):
        place = {"output_index": index, "item_id": item["id"]}
        bare = {name: [] if isinstance(one, list) else one for name, one in item.items()}
        bare |= {"arguments": ""} if "arguments" in item else {}
        found.append({"type": "response.output_item.added", "output_index": index, "item": bare})
        if item["type"] == "message":
            text = item["content"][0]
            at = {**place, "content_index": 0}
            found.append({"type": "response.content_part.added", **at, "part": {**text, "text": ""}})
            found.append({"type": "response.output_text.delta", **at, "delta": text["text"]})
            found.append({"type": "response.output_text.done", **at, "text": text["text"]})
            found.append({"type": "response.content_part.done", **at, "part": text})
        elif item["type"] == "function_call":
            found.append({"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]})
            found.append({"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]})
        for part in item.get("summary", ()):
            at = {**place, "summary_index": 0}
            found.append({"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}})
            found.append({"type": "response.reasoning_summary_text.delta", **at, "delta": part["text"]})
            found.append({"type": "response.reasoning_summary_text.done", **at, "text": part["text"]})
            found.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
        found.append({"type": "response.output_item.done", "output_index": index, "item": item})
    found.append({"type": "response.completed", "response": responses_whole(turn)})
    return [sse({**one, "sequence_number": number}, one["type"]) for number, one in enumerate(found)]


def responses_proofs(body: Mapping[str, Any]) -> list[Any]:
    thoughts = [one for one in body["input"] if one.get("type") == "reasoning"]
    return [
        ("".join(part["text"] for part in one["summary"]) or None, one["id"], one.get("encrypted_content"))
        for one in thoughts
    ]


def responses_expected(turns: int) -> list[Any]:
    return [
        row
        for turn in range(1, turns + 1)
        for row in (
            (f"Grüße,\nthought {turn}", f"rs_{turn}", proof(turn)),
            (None, f"rs_hidden_{turn}", proof(turn, "red")),
        )
    ]


VENDORS = [
    Vendor(
        "gemini-generate-content",
        lambda turn: gemini_answer(gemini_parts(turn), finishReason="STOP"),
        gemini_events,
        gemini_proofs,
        gemini_expected,
    ),
    Vendor("anthropic-messages", anthropic_whole, anthropic_events, anthropic_proofs, thoughts_expected),
    Vendor("bedrock-converse", bedrock_whole, bedrock_events, bedrock_proofs, bedrock_expected),
    Vendor("openai-responses", responses_whole, responses_events, responses_proofs, responses_expected),
]
IDS_ONLY = ("cohere-chat", "ollama-chat")
"""Clients that give back the ids of calls and nothing else that they do not know: a turn without calls loses its
proofs, which no vendor demands."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_gate() -> AsyncIterator[Gate]:
    async with gate() as one:
        yield one


def answer(vendor: Vendor, provider: Dialect, turn: int, *, stream: bool) -> Any:
    if stream:
        return ScriptedAnswer(200, {"content-type": provider.media_type}, tuple(vendor.events(turn)))
    return ProviderResponse(200, {"content-type": "application/json"}, json.dumps(vendor.whole(turn)).encode())


def body_of(talk: Talk, client: Dialect, provider: Dialect, *, stream: bool) -> dict[str, Any]:
    body = talk.body(f"{provider.provider}/{provider.model}")
    if stream and client.name not in ("gemini-generate-content", "bedrock-converse"):
        body["stream"] = True
    elif client.name == "ollama-chat":
        body["stream"] = False
    return {**body, "_stream": stream}


def carried(vendor: Vendor, client: Dialect, turns: int) -> list[Any]:
    """What of the proofs a client carries."""
    expected = vendor.expected(turns)
    if turns < LAST or vendor.format == client.name:
        return expected
    if client.name in IDS_ONLY:
        return vendor.expected(LAST - 1)
    if client.name in ("anthropic-messages", "bedrock-converse") and vendor.format.startswith("gemini"):
        return vendor.expected(LAST - 1)  # a thought behind a plain text would be in the way of simple clients
    return expected


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", VENDORS, ids=lambda one: one.format)
@pytest.mark.parametrize("talk_class", TALKS, ids=lambda one: one.format)
async def test_proofs_come_back(open_gate: Gate, talk_class: type[Talk], vendor: Vendor, stream: bool) -> None:
    client, provider, talk = BY_NAME[talk_class.format], BY_NAME[vendor.format], talk_class()
    for turn in range(1, LAST + 2):
        said = answer(vendor, provider, min(turn, LAST), stream=stream)
        reply = await open_gate.ask(client, provider, body_of(talk, client, provider, stream=stream), said)
        about = f"{client.name} over {provider.name}, turn {turn}, {stream=}"
        assert reply.status == 200, f"{about}: {reply.body!r}"
        _, body = open_gate.received
        wanted = carried(vendor, client, turn - 1)
        found = [one for one in vendor.proofs(body) if one in wanted or one[-1] is not None]
        assert found == wanted, about
        assert b"llmgate" not in json.dumps(body).encode(), f"{about}: what the gateway wrote for itself stays inside"
        if turn <= LAST:
            talk.hear(reply.body, stream=stream)
            if turn == LAST:
                talk.say("And tomorrow?")


RELAYED = ("anthropic-messages", "bedrock-converse", "gemini-generate-content", "openai-responses")
CLAUDES = {"anthropic-messages", "bedrock-converse"}
"""Where the same models are served, which know each other's proofs."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", VENDORS, ids=lambda one: one.format)
@pytest.mark.parametrize("talk_class", [one for one in TALKS if one.format in RELAYED], ids=lambda one: one.format)
async def test_no_other_vendor_sees_them(open_gate: Gate, talk_class: type[Talk], vendor: Vendor, stream: bool) -> None:
    """A conversation that goes on with a vendor of the client's own format is relayed without what only others know."""
    client, provider, talk = BY_NAME[talk_class.format], BY_NAME[vendor.format], talk_class()
    for turn in (1, LAST):
        said = answer(vendor, provider, turn, stream=stream)
        reply = await open_gate.ask(client, provider, body_of(talk, client, provider, stream=stream), said)
        assert reply.status == 200, reply.body
        talk.hear(reply.body, stream=stream)
    talk.say("And tomorrow?")
    own = next(one for one in VENDORS if one.format == client.name)
    said = answer(own, client, LAST, stream=stream)
    reply = await open_gate.ask(client, client, body_of(talk, client, client, stream=stream), said)
    assert reply.status == 200, reply.body
    _, body = open_gate.received
    sent = json.dumps(body)
    assert "llmgate.1." not in sent
    assert "sunny" in sent
    assert "And tomorrow?" in sent
    assert all(turn.get("content", True) for turn in body.get("messages", ()))
    own_proofs = [row for row in own.proofs(body) if row[-1] is not None]
    shared = vendor.format == client.name or {vendor.format, client.name} <= CLAUDES
    assert bool(own_proofs) is shared, own_proofs
