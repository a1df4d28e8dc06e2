"""OpenAI Responses. Source: OpenAI API reference, "Responses" and "Streaming events"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from end_to_end.dialects.dialect import Call, Dialect, Fault, Pieces, Said, Wish, halves, parsed, sse, sse_events, words

REASONS = {"length": "max_output_tokens", "filter": "content_filter"}


class OpenAIResponses(Dialect):
    name = "openai-responses"
    provider = "my-responses"
    model = "qwen3-max"
    lacks = ("stops", "count")

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/responses"

    def write(self, wish: Wish) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "input_text", "text": wish.text}]
        if wish.image is not None:
            url = f"data:{wish.image[0]};base64,{wish.image[1]}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        items: list[dict[str, Any]] = [{"type": "message", "role": "user", "content": content}]
        items += [
            {"type": "function_call", "call_id": c.id, "name": c.name, "arguments": json.dumps(c.arguments)}
            for c in wish.calls
        ]
        items += [
            {"type": "function_call_output", "call_id": id_, "output": text} for id_, text in wish.results.items()
        ]
        body: dict[str, Any] = {"model": wish.model, "input": items, "max_output_tokens": wish.limit, "store": False}
        if wish.system is not None:
            body["instructions"] = wish.system
        if wish.tools:
            body["tools"] = [
                {"type": "function", "name": name, "description": name, "parameters": schema, "strict": False}
                for name, schema in wish.tools.items()
            ]
        if wish.thinking:
            body["reasoning"] = {"effort": "medium", "summary": "auto"}
        if wish.forced:
            body["tool_choice"] = "required"
        if wish.temperature is not None:
            body["temperature"] = wish.temperature
        if wish.schema is not None:
            body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": wish.schema, "strict": True}}
        return {**body, "stream": True} if wish.stream else body

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        assert url.endswith("/responses"), url
        items = [{"type": "message", **item} for item in body["input"]]
        turns = [item for item in items if item["type"] == "message"]
        system = body.get("instructions")
        if turns[0]["role"] in ("system", "developer"):
            system = _texts(turns[0]["content"])
        user = next(turn for turn in turns if turn["role"] == "user")
        blocks = user["content"] if isinstance(user["content"], list) else []
        pictures = [one["image_url"] for one in blocks if one["type"] == "input_image"]
        kind, _, data = pictures[0].partition(";base64,") if pictures else ("", "", "")
        shape = (body.get("text") or {}).get("format") or {"type": "text"}
        results = [one for one in items if one["type"] == "function_call_output"]
        return Wish(
            text=_texts(user["content"]),
            model=body["model"],
            system=system,
            tools={tool["name"]: tool["parameters"] for tool in body.get("tools") or ()},
            calls=[_call(item) for item in items if item["type"] == "function_call"],
            results={one["call_id"]: _texts(one["output"]) for one in results},
            image=(kind.removeprefix("data:"), data) if pictures else None,
            thinking=(body.get("reasoning") or {}).get("effort") is not None,
            schema=shape.get("schema"),
            forced=body.get("tool_choice") == "required",
            temperature=body.get("temperature"),
            stream=body.get("stream", False),
            limit=body["max_output_tokens"],
        )

    def whole(self, said: Said) -> bytes:
        return json.dumps(_response(said, _items(said))).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        begun = {**_response(said, []), "status": "in_progress", "usage": None, "incomplete_details": None}
        found: list[dict[str, Any]] = [{"type": f"response.{one}", "response": begun} for one in _BEGINNINGS]
        items = _items(said)
        for index, item in enumerate(items):
            found += _item_events(index, item, pieces)
        end = "incomplete" if said.finish in REASONS else "completed"
        found.append({"type": f"response.{end}", "response": _response(said, items)})
        return [sse({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(found)]

    def hear(self, body: bytes) -> Said:
        value = json.loads(body)
        assert value["object"] == "response"
        assert value["id"]
        return _heard(value)

    def hear_stream(self, body: bytes) -> Said:
        text, reasoning, error = "", "", None
        last: dict[str, Any] | None = None
        for number, (name, data) in enumerate(sse_events(body)):
            value = json.loads(data)
            kind = value["type"]
            assert name == kind
            assert last is None, "nothing comes behind the end"
            assert kind == "error" or value["sequence_number"] == number, "events are counted from 0"
            match kind:
                case "response.output_text.delta":
                    text += value["delta"]
                case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                    reasoning += value["delta"]
                case "response.completed" | "response.incomplete":
                    last = value["response"]
                case "response.failed":
                    error = value["response"]["error"]["message"]
                case "error":
                    error = value.get("message") or value["error"]["message"]
        if last is None:
            return Said(text, reasoning, [], None, None, None, error, complete=False)
        heard = _heard(last)
        assert (heard.text, heard.reasoning) == (text, reasoning), "the end repeats what came in pieces"
        return heard

    def fault(self, status: int, message: str) -> Fault:
        error = {"message": message, "type": "some_error", "param": None, "code": None}
        return Fault(status, json.dumps({"error": error}).encode())

    def event_fault(self, message: str) -> bytes:
        error = {"code": "server_error", "message": message}
        response = {**_response(Said(), []), "status": "failed", "error": error}
        return sse({"type": "response.failed", "sequence_number": 99, "response": response}, "response.failed")

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        error = json.loads(body)["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        return str(error["message"])


_BEGINNINGS = ("created", "in_progress")


def _items(said: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if said.reasoning:
        items.append(
            {"id": "rs_up", "type": "reasoning", "summary": [{"type": "summary_text", "text": said.reasoning}]}
        )
    if said.text:
        content = [{"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}]
        items.append(
            {"id": "msg_up", "type": "message", "role": "assistant", "status": "completed", "content": content}
        )
    for index, call in enumerate(said.calls):
        named = {"call_id": call.id, "name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
        items.append({"id": f"fc_{index}", "type": "function_call", "status": "completed", **named})
    return items


def _item_events(index: int, item: Mapping[str, Any], pieces: Pieces) -> list[dict[str, Any]]:
    place = {"output_index": index, "item_id": item["id"]}
    match item["type"]:
        case "reasoning":
            begun, part = {**item, "summary": []}, item["summary"][0]
            place = {**place, "summary_index": 0}
            kind, within, text = "reasoning_summary_text", "reasoning_summary_part", part["text"]
            inner = [{"type": f"response.{within}.added", **place, "part": {**part, "text": ""}}]
            inner += [{"type": f"response.{kind}.delta", **place, "delta": word} for word in words(text)]
            inner.append({"type": f"response.{kind}.done", **place, "text": text})
            inner.append({"type": f"response.{within}.done", **place, "part": part})
        case "message":
            begun, part = {**item, "content": [], "status": "in_progress"}, item["content"][0]
            place = {**place, "content_index": 0}
            text = part["text"]
            inner = [{"type": "response.content_part.added", **place, "part": {**part, "text": ""}}]
            inner += [
                {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in words(text)
            ]
            inner.append({"type": "response.output_text.done", **place, "text": text, "logprobs": []})
            inner.append({"type": "response.content_part.done", **place, "part": part})
        case _:
            begun = {**item, "arguments": "", "status": "in_progress"}
            kind = "response.function_call_arguments"
            cut = halves(json.loads(item["arguments"]), pieces) or ["{}"]
            inner = [{"type": f"{kind}.delta", **place, "delta": piece} for piece in cut]
            inner.append({"type": f"{kind}.done", **place, "arguments": "".join(cut)})
    added = {"type": "response.output_item.added", "output_index": index, "item": begun}
    return [added, *inner, {"type": "response.output_item.done", "output_index": index, "item": item}]


def _response(said: Said, items: list[dict[str, Any]]) -> dict[str, Any]:
    given, written = said.usage or (0, 0)
    reason = REASONS.get(said.finish or "")
    details = {} if said.cached is None else {"input_tokens_details": {"cached_tokens": said.cached}}
    head = {"id": "resp_up", "object": "response", "created_at": 1_700_000_000, "model": OpenAIResponses.model}
    return {
        **head,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "error": None,
        "output": items,
        "usage": {
            "input_tokens": given,
            **details,
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + written,
        },
    }


def _heard(value: Mapping[str, Any]) -> Said:
    items, usage = value["output"], value["usage"]
    calls = [_call(item) for item in items if item["type"] == "function_call"]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    thoughts = [part for item in items if item["type"] == "reasoning" for part in _thoughts(item)]
    reason = (value.get("incomplete_details") or {}).get("reason")
    assert value["status"] == ("incomplete" if reason else "completed")
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    return Said(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        reasoning="".join(part["text"] for part in thoughts),
        calls=calls,
        finish={wire: plain for plain, wire in REASONS.items()}[reason] if reason else "tools" if calls else "stop",
        usage=(usage["input_tokens"], usage["output_tokens"]),
        cached=(usage.get("input_tokens_details") or {}).get("cached_tokens") or None,  # it has no word for unknown
    )


def _thoughts(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*item["summary"], *(item.get("content") or ())]


def _call(item: Mapping[str, Any]) -> Call:
    return Call(item["call_id"], item["name"], parsed(item["arguments"]))


def _texts(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(one["text"] for one in content if one["type"] in ("input_text", "output_text"))
