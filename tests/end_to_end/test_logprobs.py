"""Probabilities of tokens between all formats that have them, asked for and shown, whole and in streams."""

from __future__ import annotations

import json
import math
from typing import Any

import ollama
import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from end_to_end.loopback import Loopback, loopback
from formats.openai_responses.recorded import RESPONSE, USAGE, end, numbered, start
from llmgate.testing.upstream import FakeUpstream

NAMES = ("openai-chat", "openai-responses", "gemini-generate-content", "ollama-chat")
TOP = [
    {"token": "Grü", "logprob": -0.25, "bytes": list("Grü".encode())},
    {"token": "Hi", "logprob": -2.5, "bytes": [72, 105]},
]
TOKENS = [
    {"token": "Grü", "logprob": -0.25, "bytes": list("Grü".encode()), "top_logprobs": TOP},
    {"token": "ße", "logprob": -0.125, "bytes": list("ße".encode()), "top_logprobs": []},
]
TEXT = "Grüße"


def googles(tokens: list[dict[str, Any]]) -> dict[str, Any]:
    def plain(one: dict[str, Any]) -> dict[str, Any]:
        return {"token": one["token"], "logProbability": one["logprob"]}

    return {
        "chosenCandidates": [plain(one) for one in tokens],
        "topCandidates": [{"candidates": [plain(top) for top in one["top_logprobs"]]} for one in tokens],
    }


def asking(name: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """A request of a client for two probabilities of every token."""
    user = [{"role": "user", "content": "Hi"}]
    match name:
        case "openai-chat":
            body = {"messages": user, "logprobs": True, "top_logprobs": 2, "stream": stream}
            return "/v1/chat/completions", body
        case "openai-responses":
            body = {"input": "Hi", "include": ["message.output_text.logprobs"], "top_logprobs": 2, "stream": stream}
            return "/v1/responses", body
        case "ollama-chat":
            return "/api/chat", {"messages": user, "logprobs": True, "top_logprobs": 2, "stream": stream}
        case _:
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            config = {"responseLogprobs": True, "logprobs": 2}
            body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": config}
            return f"/v1beta/models/one/m:{method}", body


def was_asked(name: str, body: dict[str, Any]) -> bool:
    """Whether a provider has been asked for them."""
    match name:
        case "openai-responses":
            return "message.output_text.logprobs" in body["include"] and body["top_logprobs"] == 2
        case "gemini-generate-content":
            config = body["generationConfig"]
            return config["responseLogprobs"] is True and config["logprobs"] == 2
        case _:
            return body["logprobs"] is True and body["top_logprobs"] == 2


def answering(name: str) -> dict[str, Any]:
    """A provider's whole answer."""
    match name:
        case "openai-chat":
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
            shown = {"content": TOKENS, "refusal": None}
            return {
                "id": "c",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{**choice, "logprobs": shown}],
            }
        case "openai-responses":
            part = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": TOKENS}
            item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
            return {**RESPONSE, "status": "completed", "usage": USAGE, "output": [item]}
        case "ollama-chat":
            message = {"role": "assistant", "content": TEXT}
            return {
                "model": "m",
                "created_at": "2026-01-01T00:00:00Z",
                "message": message,
                "done": True,
                "done_reason": "stop",
                "logprobs": TOKENS,
            }
        case _:
            content = {"role": "model", "parts": [{"text": TEXT}]}
            return {"candidates": [{"content": content, "finishReason": "STOP", "logprobsResult": googles(TOKENS)}]}


def streaming(name: str) -> tuple[list[bytes], str]:
    """A provider's streamed answer, one event a token."""
    events: list[dict[str, Any]] = []
    match name:
        case "openai-chat":
            head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            for token in TOKENS:
                choice = {
                    "index": 0,
                    "delta": {"content": token["token"]},
                    "logprobs": {"content": [token], "refusal": None},
                }
                events.append({**head, "choices": [choice]})
            events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            return [f"data: {json.dumps(one)}\n\n".encode() for one in events] + [
                b"data: [DONE]\n\n"
            ], "text/event-stream"
        case "openai-responses":
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            item = answering(name)["output"][0]
            told = [
                *start(),
                ("response.output_item.added", {"output_index": 0, "item": {**item, "content": []}}),
                ("response.content_part.added", {**place, "part": {**item["content"][0], "text": ""}}),
                *[
                    ("response.output_text.delta", {**place, "delta": one["token"], "logprobs": [one]})
                    for one in TOKENS
                ],
                ("response.output_text.done", {**place, "text": TEXT, "logprobs": TOKENS}),
                ("response.content_part.done", {**place, "part": item["content"][0]}),
                ("response.output_item.done", {"output_index": 0, "item": item}),
                *end(output=[item]),
            ]
            return numbered(told), "text/event-stream"
        case "ollama-chat":
            head = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
            for token in TOKENS:
                message = {"role": "assistant", "content": token["token"]}
                events.append({**head, "message": message, "done": False, "logprobs": [token]})
            events.append(
                {**head, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
            )
            return [json.dumps(one).encode() + b"\n" for one in events], "application/x-ndjson"
        case _:
            for number, token in enumerate(TOKENS):
                content = {"role": "model", "parts": [{"text": token["token"]}]}
                candidate = {"content": content, "logprobsResult": googles([token])}
                events.append({"candidates": [candidate | ({"finishReason": "STOP"} if number else {})]})
            return [f"data: {json.dumps(one)}\n\n".encode() for one in events], "text/event-stream"


def plain(tokens: list[dict[str, Any]]) -> list[Any]:
    """What all formats say of tokens."""
    return [
        (one["token"], one["logprob"], [(top["token"], top["logprob"]) for top in one["top_logprobs"]])
        for one in tokens
    ]


def ungoogled(result: dict[str, Any]) -> list[dict[str, Any]]:
    def one(value: dict[str, Any]) -> dict[str, Any]:
        return {"token": value["token"], "logprob": value["logProbability"]}

    pairs = zip(result["chosenCandidates"], result["topCandidates"], strict=True)
    return [{**one(chosen), "top_logprobs": [one(top) for top in tops["candidates"]]} for chosen, tops in pairs]


def heard(name: str, body: bytes) -> list[Any]:
    """What a client hears in a whole answer."""
    value = json.loads(body)
    match name:
        case "openai-chat":
            shown = ChatCompletion.model_validate(value).choices[0].logprobs
            assert shown is not None
            return plain(value["choices"][0]["logprobs"]["content"])
        case "openai-responses":
            Response.model_validate(value)
            return plain(value["output"][-1]["content"][0]["logprobs"])
        case "ollama-chat":
            assert ollama.ChatResponse.model_validate(value).logprobs
            return plain(value["logprobs"])
        case _:
            return plain(ungoogled(value["candidates"][0]["logprobsResult"]))


def heard_stream(name: str, body: bytes) -> list[Any]:
    """What a client hears in a stream."""
    if name == "ollama-chat":
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        return plain([token for line in lines for token in line.get("logprobs", ())])
    events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: {")]
    match name:
        case "openai-chat":
            choices = [choice for event in events for choice in event["choices"]]
            return plain([token for one in choices for token in (one.get("logprobs") or {}).get("content") or ()])
        case "openai-responses":
            deltas = [event for event in events if event["type"] == "response.output_text.delta"]
            (done,) = (event for event in events if event["type"] == "response.output_text.done")
            pieces = plain([token for event in deltas for token in event["logprobs"]])
            assert plain(done["logprobs"]) == pieces
            assert plain(events[-1]["response"]["output"][-1]["content"][0]["logprobs"]) == pieces
            return pieces
        case _:
            results = [
                event["candidates"][0]["logprobsResult"]
                for event in events
                if "logprobsResult" in event["candidates"][0]
            ]
            return plain([token for result in results for token in ungoogled(result)])


async def through(client: str, provider: str, *, stream: bool) -> tuple[bytes, dict[str, Any]]:
    async with FakeUpstream() as upstream:
        if stream:
            frames, media_type = streaming(provider)
            upstream.stream(frames, end="eof", headers={"content-type": media_type})
        else:
            upstream.answer(json=answering(provider))
        one: Loopback
        async with loopback({"providers": {"one": {"base-url": upstream.url, "format": provider}}}) as one:
            path, body = asking(client, stream=stream)
            reply = await one.post(body if client == "gemini-generate-content" else {"model": "one/m", **body}, path)
            assert reply.status == 200, reply.body
            assert "llmgate-dropped-params" not in reply.headers
            return reply.body, upstream.requests[0].json()


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("client", NAMES)
async def test_probabilities_of_a_whole_answer(client: str, provider: str) -> None:
    body, asked = await through(client, provider, stream=False)
    assert was_asked(provider, asked)
    assert heard(client, body) == plain(TOKENS)


@pytest.mark.parametrize("provider", NAMES)
@pytest.mark.parametrize("client", NAMES)
async def test_probabilities_in_a_stream(client: str, provider: str) -> None:
    body, asked = await through(client, provider, stream=True)
    assert was_asked(provider, asked)
    assert heard_stream(client, body) == plain(TOKENS)


def client_of(one: Loopback) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{one.port}/v1", api_key="x", max_retries=0)


async def test_openais_library_reads_them_from_another_vendors_model() -> None:
    async with FakeUpstream() as upstream:
        upstream.answer(json=answering("ollama-chat"))
        settings = {"providers": {"one": {"base-url": upstream.url, "format": "ollama-chat"}}}
        async with loopback(settings) as one, client_of(one) as sdk:
            answer = await sdk.chat.completions.create(
                model="one/m", messages=[{"role": "user", "content": "Hi"}], logprobs=True, top_logprobs=2
            )
    shown = answer.choices[0].logprobs
    assert shown is not None
    assert shown.content is not None
    assert math.isclose(sum(one.logprob for one in shown.content), -0.375)
    assert bytes(shown.content[0].bytes or ()).decode() == "Grü"


@pytest.mark.parametrize("client", NAMES)
async def test_a_format_without_a_place_for_them_refuses(client: str) -> None:
    async with loopback(
        {"providers": {"one": {"base-url": "http://127.0.0.1:9", "format": "anthropic-messages"}}}
    ) as one:
        path, body = asking(client, stream=False)
        reply = await one.post(body if client == "gemini-generate-content" else {"model": "one/m", **body}, path)
        assert reply.status == 400
        assert b"logprobs" in reply.body or b"include" in reply.body
