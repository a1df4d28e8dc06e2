"""Anthropic Messages. Source: Anthropic documentation, "Messages" and "Streaming messages"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from end_to_end.dialects.dialect import Call, Dialect, Fault, Pieces, Said, Wish, halves, sse, sse_events, words

FINISHES = {
    "stop": "end_turn",
    "stopped": "stop_sequence",
    "tools": "tool_use",
    "length": "max_tokens",
    "filter": "refusal",
}
SIGNATURE = "c2lnbmVk"


class AnthropicMessages(Dialect):
    name = "anthropic-messages"
    provider = "my-anthropic"
    model = "claude-sonnet-4-5"
    statuses = {503: 529}
    lacks = ("count",)
    tells_stops = ("word", "text")

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/messages"

    def write(self, wish: Wish) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": wish.text}]
        if wish.image is not None:
            source = {"type": "base64", "media_type": wish.image[0], "data": wish.image[1]}
            content.append({"type": "image", "source": source})
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if wish.calls:
            calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in wish.calls]
            results = [
                {"type": "tool_result", "tool_use_id": id_, "content": text} for id_, text in wish.results.items()
            ]
            turns += [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
        body: dict[str, Any] = {"model": wish.model, "max_tokens": wish.limit, "messages": turns}
        if wish.system is not None:
            body["system"] = wish.system
        if wish.tools:
            body["tools"] = [
                {"name": name, "description": name, "input_schema": schema} for name, schema in wish.tools.items()
            ]
        if wish.thinking:
            body["thinking"] = {"type": "enabled", "budget_tokens": 4096}
        if wish.forced:
            body["tool_choice"] = {"type": "any"}
        if wish.stops:
            body["stop_sequences"] = list(wish.stops)
        if wish.temperature is not None:
            body["temperature"] = wish.temperature
        if wish.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": wish.schema}}
        return {**body, "stream": True} if wish.stream else body

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        assert url.endswith("/messages"), url
        turns = [{**turn, "content": _blocks(turn["content"])} for turn in body["messages"]]
        assert [turn["role"] for turn in turns] == ["user", "assistant", "user"][: len(turns)], "turns alternate"
        blocks = [block for turn in turns for block in turn["content"]]
        pictures = [one["source"] for one in blocks if one["type"] == "image"]
        thinking = body.get("thinking")
        if thinking is not None:
            assert thinking.keys() <= {"type", "budget_tokens"}
            assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
        shape = (body.get("output_config") or {}).get("format")
        return Wish(
            text=_texts(turns[0]["content"]),
            model=body["model"],
            system=_texts(_blocks(body["system"])) if "system" in body else None,
            tools={tool["name"]: tool["input_schema"] for tool in body.get("tools") or ()},
            calls=[Call(one["id"], one["name"], one["input"]) for one in blocks if one["type"] == "tool_use"],
            results={
                one["tool_use_id"]: _texts(_blocks(one["content"])) for one in blocks if one["type"] == "tool_result"
            },
            image=(pictures[0]["media_type"], pictures[0]["data"]) if pictures else None,
            thinking=thinking is not None and thinking["type"] == "enabled",
            schema=shape["schema"] if shape else None,
            forced=(body.get("tool_choice") or {}).get("type") == "any",
            stops=body.get("stop_sequences") or (),
            temperature=body.get("temperature"),
            stream=body.get("stream", False),
            limit=body["max_tokens"],
        )

    def whole(self, said: Said) -> bytes:
        blocks: list[dict[str, Any]] = []
        if said.reasoning:
            blocks.append({"type": "thinking", "thinking": said.reasoning, "signature": SIGNATURE})
        if said.text:
            blocks.append({"type": "text", "text": said.text})
        blocks += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in said.calls]
        end = {"stop_reason": FINISHES[said.finish or "stop"], "stop_sequence": said.stop}
        usage = _usage(said, said.usage[1] if said.usage else 0)
        return json.dumps({**_HEAD, "content": blocks, **end, "usage": usage}).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        written = said.usage[1] if said.usage else 0
        end = {"stop_reason": None, "stop_sequence": None}
        usage = _usage(said, 1)
        found = [_event("message_start", message={**_HEAD, "content": [], **end, "usage": usage}), _event("ping")]
        blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
        if said.reasoning:
            deltas = [{"type": "thinking_delta", "thinking": word} for word in words(said.reasoning)]
            signature = {"type": "signature_delta", "signature": SIGNATURE}
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]))
        if said.text:
            deltas = [{"type": "text_delta", "text": word} for word in words(said.text)]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for call in said.calls:
            deltas = [{"type": "input_json_delta", "partial_json": one} for one in halves(call.arguments, pieces)]
            blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, deltas))
        for index, (start, deltas) in enumerate(blocks):
            found.append(_event("content_block_start", index=index, content_block=start))
            found += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            found.append(_event("content_block_stop", index=index))
        stop = {"stop_reason": FINISHES[said.finish or "stop"], "stop_sequence": said.stop}
        found.append(_event("message_delta", delta=stop, usage={"output_tokens": written}))
        return [*found, _event("message_stop")]

    def hear(self, body: bytes) -> Said:
        value = json.loads(body)
        assert (value["type"], value["role"]) == ("message", "assistant")
        assert value["id"]
        blocks, usage = value["content"], value["usage"]
        return Said(
            text=_texts(blocks),
            reasoning="".join(one["thinking"] for one in blocks if one["type"] == "thinking"),
            calls=[Call(one["id"], one["name"], one["input"]) for one in blocks if one["type"] == "tool_use"],
            finish=_finish(value["stop_reason"]),
            usage=_counts(usage),
            cached=usage.get("cache_read_input_tokens"),
            stop=value["stop_sequence"],
        )

    def hear_stream(self, body: bytes) -> Said:
        found: dict[str, Any] = {"blocks": [], "finish": None, "error": None, "complete": False, "stop": None}
        usage: dict[str, Any] = {}
        open_block, begun = None, False
        for name, data in sse_events(body):
            value = json.loads(data)
            assert name == value["type"], "the official clients drop events without a name"
            assert not found["complete"], "nothing comes behind the end"
            match name:
                case "message_start":
                    assert not begun
                    assert value["message"]["id"]
                    begun, usage = True, dict(value["message"]["usage"])
                case "content_block_start":
                    assert begun
                    assert open_block is None, "blocks follow one another"
                    assert value["index"] == len(found["blocks"])
                    open_block = {**value["content_block"], "json": ""}
                    found["blocks"].append(open_block)
                case "content_block_delta":
                    assert open_block is not None
                    assert value["index"] == len(found["blocks"]) - 1
                    _grow(open_block, value["delta"])
                case "content_block_stop":
                    open_block = None
                case "message_delta":
                    assert open_block is None
                    found["finish"] = _finish(value["delta"]["stop_reason"])
                    found["stop"] = value["delta"]["stop_sequence"]
                    usage |= value["usage"]
                case "message_stop":
                    found["complete"] = True
                case "error":
                    found["error"] = value["error"]["message"]
        blocks = found["blocks"]
        uses = [one for one in blocks if one["type"] == "tool_use" and found["complete"]]
        calls = [Call(one["id"], one["name"], json.loads(one["json"] or "{}")) for one in uses]
        thoughts = "".join(one["thinking"] for one in blocks if one["type"] == "thinking")
        counted, cached = _counts(usage) if found["finish"] else None, usage.get("cache_read_input_tokens")
        return Said(
            _texts(blocks),
            thoughts,
            calls,
            found["finish"],
            counted,
            cached,
            found["error"],
            found["complete"],
            found["stop"],
        )

    def fault(self, status: int, message: str) -> Fault:
        error = {"type": "rate_limit_error" if status == 429 else "api_error", "message": message}
        return Fault(status, json.dumps({"type": "error", "error": error, "request_id": "req_1"}).encode())

    def event_fault(self, message: str) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": message})

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        value = json.loads(body)
        assert value["type"] == "error"
        assert value["error"]["type"].endswith(("_error", "request_too_large")), value
        return str(value["error"]["message"])


_HEAD = {"id": "msg_up", "type": "message", "role": "assistant", "model": AnthropicMessages.model}


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, kind)


def _usage(said: Said, written: int) -> dict[str, int]:
    """The counts; what came from a cache is counted beside the rest."""
    given = (said.usage[0] if said.usage else 0) - (said.cached or 0)
    more = {} if said.cached is None else {"cache_read_input_tokens": said.cached, "cache_creation_input_tokens": 0}
    return {"input_tokens": given, "output_tokens": written, **more}


def _counts(usage: Mapping[str, Any]) -> tuple[int, int]:
    beside = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    return usage["input_tokens"] + beside, usage["output_tokens"]


def _grow(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "input_json_delta":
            block["json"] += delta["partial_json"]
        case "signature_delta":
            assert block["type"] == "thinking"


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _texts(blocks: list[dict[str, Any]]) -> str:
    return "".join(one["text"] for one in blocks if one["type"] == "text")


def _finish(word: str) -> str:
    return {wire: plain for plain, wire in FINISHES.items()}[word]
