"""Cohere's chat. Source: Cohere API reference, "Chat (v2)", and its documentation, "Streaming"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from end_to_end.dialects.dialect import Call, Dialect, Fault, Pieces, Said, Wish, halves, parsed, sse, sse_events, words

FINISHES = {
    "stop": "COMPLETE",
    "stopped": "STOP_SEQUENCE",
    "tools": "TOOL_CALL",
    "length": "MAX_TOKENS",
    "filter": "ERROR_TOXIC",
}


class Cohere(Dialect):
    name = "cohere-chat"
    provider = "my-cohere"
    model = "command-a-reasoning-08-2025"
    lacks = ("count",)
    tells_stops = ("word",)

    def path(self, model: str, *, stream: bool) -> str:
        return "/v2/chat"

    def write(self, wish: Wish) -> dict[str, Any]:
        content: Any = wish.text
        if wish.image is not None:
            url = f"data:{wish.image[0]};base64,{wish.image[1]}"
            content = [{"type": "text", "text": wish.text}, {"type": "image_url", "image_url": {"url": url}}]
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if wish.calls:
            calls = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in wish.calls
            ]
            turns.append({"role": "assistant", "tool_calls": calls})
            turns += [{"role": "tool", "tool_call_id": id_, "content": text} for id_, text in wish.results.items()]
        if wish.system is not None:
            turns.insert(0, {"role": "system", "content": wish.system})
        body: dict[str, Any] = {"model": wish.model, "messages": turns, "max_tokens": wish.limit}
        if wish.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}
                for name, schema in wish.tools.items()
            ]
        if wish.thinking:
            body["thinking"] = {"type": "enabled", "token_budget": 4096}
        if wish.forced:
            body["tool_choice"] = "REQUIRED"
        if wish.stops:
            body["stop_sequences"] = list(wish.stops)
        if wish.temperature is not None:
            body["temperature"] = wish.temperature
        if wish.schema is not None:
            body["response_format"] = {"type": "json_object", "json_schema": wish.schema}
        return {**body, "stream": True} if wish.stream else body

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        assert url.endswith("/v2/chat"), url
        turns = list(body["messages"])
        system = _texts(turns.pop(0)["content"]) if turns[0]["role"] == "system" else None
        user = next(turn for turn in turns if turn["role"] == "user")
        blocks = user["content"] if isinstance(user["content"], list) else []
        pictures = [one["image_url"]["url"] for one in blocks if one["type"] == "image_url"]
        kind, _, data = pictures[0].partition(";base64,") if pictures else ("", "", "")
        shape = body.get("response_format") or {}
        return Wish(
            text=_texts(user["content"]),
            model=body["model"],
            system=system,
            tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools") or ()},
            calls=[_call(call) for turn in turns for call in turn.get("tool_calls") or ()],
            results={turn["tool_call_id"]: _result(turn["content"]) for turn in turns if turn["role"] == "tool"},
            image=(kind.removeprefix("data:"), data) if pictures else None,
            thinking=_thinks(body.get("thinking")),
            schema=shape.get("json_schema"),
            forced=body.get("tool_choice") == "REQUIRED",
            stops=body.get("stop_sequences") or (),
            temperature=body.get("temperature"),
            stream=body.get("stream", False),
            limit=body["max_tokens"],
        )

    def whole(self, said: Said) -> bytes:
        blocks: list[dict[str, Any]] = []
        if said.reasoning:
            blocks.append({"type": "thinking", "thinking": said.reasoning})
        if said.text:
            blocks.append({"type": "text", "text": said.text})
        turn: dict[str, Any] = {"role": "assistant", **({"content": blocks} if blocks else {})}
        if said.calls:
            turn["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in said.calls
            ]
        value = {"id": "up", "finish_reason": FINISHES[said.finish or "stop"], "message": turn, "usage": _usage(said)}
        return json.dumps(value).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        found = [_event("message-start", id="up", delta={"message": {"role": "assistant", "content": []}})]
        blocks = [("thinking", said.reasoning), ("text", said.text)]
        for index, (kind, text) in enumerate((kind, text) for kind, text in blocks if text):
            found.append(_event("content-start", index, {"content": {"type": kind, kind: ""}}))
            found += [_event("content-delta", index, {"content": {kind: word}}) for word in words(text)]
            found.append(_event("content-end", index))
        for index, call in enumerate(said.calls):
            head = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            found.append(_event("tool-call-start", index, {"tool_calls": head}))
            for piece in halves(call.arguments, pieces):
                found.append(_event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": piece}}}))
            found.append(_event("tool-call-end", index))
        end = {"finish_reason": FINISHES[said.finish or "stop"], "usage": _usage(said)}
        return [*found, sse({"type": "message-end", "delta": end}, "message-end")]

    def hear(self, body: bytes) -> Said:
        value = json.loads(body)
        turn, tokens = value["message"], value["usage"]["tokens"]
        assert value["id"]
        blocks = turn.get("content") or []
        return Said(
            text=_texts(blocks),
            reasoning="".join(one["thinking"] for one in blocks if one["type"] == "thinking"),
            calls=[_call(call) for call in turn.get("tool_calls") or ()],
            finish=_finish(value["finish_reason"]),
            usage=(tokens["input_tokens"], tokens["output_tokens"]),
            cached=value["usage"].get("cached_tokens"),
        )

    def hear_stream(self, body: bytes) -> Said:
        text, reasoning, finish, usage, error, cached = "", "", None, None, None, None
        calls: dict[int, dict[str, str]] = {}
        complete = False
        for name, data in sse_events(body):
            value = json.loads(data)
            assert name == value["type"]
            assert not complete, "nothing comes behind the end"
            delta = value.get("delta") or {}
            turn = delta.get("message") or {}
            match name:
                case "message-start":
                    assert value["id"]
                case "content-start" | "content-delta":
                    text += turn["content"].get("text", "")
                    reasoning += turn["content"].get("thinking", "")
                case "tool-call-start":
                    call = turn["tool_calls"]
                    assert value["index"] == len(calls)
                    function = call["function"]
                    calls[len(calls)] = {"id": call["id"], "name": function["name"], "json": function["arguments"]}
                case "tool-call-delta":
                    calls[value["index"]]["json"] += turn["tool_calls"]["function"]["arguments"]
                case "message-end" if delta.get("error") or delta["finish_reason"] == "ERROR":
                    error = delta["error"]
                case "message-end":
                    complete, finish = True, _finish(delta["finish_reason"])
                    tokens = delta["usage"]["tokens"]
                    usage = (tokens["input_tokens"], tokens["output_tokens"])
                    cached = delta["usage"].get("cached_tokens")
        # The service may send nothing for a call without arguments, and a relay hands on what it sends.
        calls = calls if complete else {}
        found = [Call(one["id"], one["name"], parsed(one["json"] or "{}")) for one in calls.values()]
        return Said(text, reasoning, found, finish, usage, cached, error, complete)

    def fault(self, status: int, message: str) -> Fault:
        return Fault(status, json.dumps({"id": "up", "message": message}).encode())

    def event_fault(self, message: str) -> bytes:
        return sse({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}}, "message-end")

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        value = json.loads(body)
        assert value.keys() <= {"id", "message"}, value
        return str(value["message"])


def _event(kind: str, index: int | None = None, turn: Mapping[str, Any] | None = None, **fields: Any) -> bytes:
    place = {} if index is None else {"index": index}
    said = {} if turn is None else {"delta": {"message": turn}}
    return sse({"type": kind, **place, **said, **fields}, kind)


def _call(call: Mapping[str, Any]) -> Call:
    assert call["type"] == "function"
    return Call(call["id"], call["function"]["name"], parsed(call["function"]["arguments"]))


def _usage(said: Said) -> dict[str, Any]:
    given, written = said.usage or (0, 0)
    tokens = {"input_tokens": given, "output_tokens": written}
    counts = {"billed_units": tokens, "tokens": tokens}
    return counts if said.cached is None else {**counts, "cached_tokens": said.cached}


def _thinks(thinking: Mapping[str, Any] | None) -> bool:
    assert thinking is None or thinking.keys() <= {"type", "token_budget"}, thinking
    return thinking is not None and thinking["type"] == "enabled"


def _finish(word: str) -> str:
    return {wire: plain for plain, wire in FINISHES.items()}[word]


def _texts(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(one["text"] for one in content if one["type"] == "text")


def _result(content: Any) -> str:
    """A result: text, or documents whose data is text."""
    if isinstance(content, str):
        return content
    return "".join(one["text"] if one["type"] == "text" else one["document"]["data"] for one in content)
