"""OpenAI chat completions. Source: OpenAI API reference, "Chat", and for reasoning the field of DeepSeek's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from end_to_end.dialects.dialect import (
    Call,
    Dialect,
    Fault,
    Pieces,
    Said,
    Wish,
    halves,
    in_turns,
    parsed,
    sse,
    sse_events,
    words,
)

FINISHES = {"stop": "stop", "tools": "tool_calls", "length": "length", "filter": "content_filter"}
DONE = b"data: [DONE]\n\n"


class OpenAIChat(Dialect):
    name = "openai-chat"
    provider = "my-openai"
    model = "qwen3-max"
    tells_stops = ("text",)

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/chat/completions"

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
            turns.append({"role": "assistant", "content": None, "tool_calls": calls})
            turns += [{"role": "tool", "tool_call_id": id_, "content": text} for id_, text in wish.results.items()]
        if wish.system is not None:
            turns.insert(0, {"role": "system", "content": wish.system})
        body: dict[str, Any] = {"model": wish.model, "messages": turns, "max_completion_tokens": wish.limit}
        if wish.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}
                for name, schema in wish.tools.items()
            ]
        if wish.thinking:
            body["reasoning_effort"] = "medium"
        sampling = {"n": wish.count, "stop": list(wish.stops) or None, "temperature": wish.temperature}
        body |= {name: value for name, value in sampling.items() if value is not None}
        body |= {"tool_choice": "required"} if wish.forced else {}
        if wish.schema is not None:
            shape = {"name": "answer", "strict": True, "schema": wish.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        if wish.stream:
            body["stream"] = True
            if wish.usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        assert url.endswith("/chat/completions"), url
        turns = list(body["messages"])
        system = None
        if turns[0]["role"] in ("system", "developer"):
            system = _texts(turns.pop(0)["content"])
        user = next(turn for turn in turns if turn["role"] == "user")
        pictures = [one for one in user["content"] if one["type"] == "image_url"] if _many(user) else []
        kind, _, data = pictures[0]["image_url"]["url"].partition(";base64,") if pictures else ("", "", "")
        calls = [call for turn in turns for call in turn.get("tool_calls") or ()]
        shape = body.get("response_format") or {}
        if shape:
            assert shape["type"] == "json_schema", shape
        return Wish(
            text=_texts(user["content"]),
            model=body["model"],
            system=system,
            tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools") or ()},
            calls=[_call(call) for call in calls],
            results={turn["tool_call_id"]: _texts(turn["content"]) for turn in turns if turn["role"] == "tool"},
            image=(kind.removeprefix("data:"), data) if pictures else None,
            thinking="reasoning_effort" in body,
            schema=shape["json_schema"]["schema"] if shape else None,
            forced=body.get("tool_choice") == "required",
            stops=body.get("stop") or (),
            temperature=body.get("temperature"),
            count=body.get("n"),
            stream=body.get("stream", False),
            limit=body["max_completion_tokens"],
        )

    def whole(self, said: Said) -> bytes:
        turn: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
        if said.reasoning:
            turn["reasoning_content"] = said.reasoning
        if said.calls:
            turn["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in said.calls
            ]
        choice = {"index": 0, "message": turn, **_end(said), "logprobs": None}
        head = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1_700_000_000, "model": self.model}
        return json.dumps({**head, "choices": [choice], "usage": _usage(said)}).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        found = [_delta({"role": "assistant", "content": ""})]
        found += [_delta({"reasoning_content": word}) for word in words(said.reasoning)]
        found += [_delta({"content": word}) for word in words(said.text)]
        calls = [_call_events(index, call, pieces) for index, call in enumerate(said.calls)]
        found += in_turns(calls) if pieces == "interleaved" else [event for call in calls for event in call]
        found.append(_delta({}, **_end(said)))
        return [*found, sse({**_HEAD, "choices": [], "usage": _usage(said)}), DONE]

    def hear(self, body: bytes) -> Said:
        value = json.loads(body)
        (choice,) = value["choices"]
        turn, usage = choice["message"], value["usage"]
        assert value["object"] == "chat.completion"
        assert value["id"]
        return Said(
            text=turn.get("content") or "",
            reasoning=turn.get("reasoning_content") or "",
            calls=[_call(call) for call in turn.get("tool_calls") or ()],
            finish=_finish(choice),
            usage=(usage["prompt_tokens"], usage["completion_tokens"]),
            cached=_cached(usage),
            stop=choice.get("stop_reason"),
        )

    def hear_stream(self, body: bytes) -> Said:
        text, reasoning, finish, usage, error, cached, stop = "", "", None, None, None, None, None
        calls: dict[int, dict[str, str]] = {}
        events = [data for _, data in sse_events(body)]
        complete = bool(events) and events[-1] == "[DONE]"
        for data in events[: len(events) - complete]:
            value = json.loads(data)
            if "error" in value:
                error = value["error"]["message"]
                continue
            assert value["object"] == "chat.completion.chunk"
            assert value["id"]
            if not value["choices"]:
                assert usage is None, "usage comes once"
                usage = (value["usage"]["prompt_tokens"], value["usage"]["completion_tokens"])
                cached = _cached(value["usage"])
                continue
            assert usage is None, "nothing comes behind the usage"
            (choice,) = value["choices"]
            delta = choice["delta"]
            text += delta.get("content") or ""
            reasoning += delta.get("reasoning_content") or ""
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] += piece.get("id") or ""
                call["name"] += piece["function"].get("name") or ""
                call["arguments"] += piece["function"].get("arguments") or ""
            finish = _finish(choice) or finish
            stop = choice.get("stop_reason") or stop
        assert list(calls) == list(range(len(calls))), "calls are counted from 0"
        found = [Call(one["id"], one["name"], parsed(one["arguments"])) for one in calls.values()] if complete else []
        return Said(text, reasoning, found, finish, usage, cached, error, complete, stop)

    def fault(self, status: int, message: str) -> Fault:
        error = {"message": message, "type": "some_error", "param": None, "code": None}
        return Fault(status, json.dumps({"error": error}).encode())

    def event_fault(self, message: str) -> bytes:
        return sse({"error": {"message": message, "type": "server_error", "param": None, "code": None}})

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        error = json.loads(body)["error"]
        assert error.keys() >= {"message", "type", "code", "param"}
        return str(error["message"])


_HEAD = {
    "id": "chatcmpl-up",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": OpenAIChat.model,
}


def _delta(delta: dict[str, Any], **end: str | None) -> bytes:
    return sse({**_HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **end}]})


def _end(said: Said) -> dict[str, str | None]:
    if said.stop is not None:  # as vLLM tells it
        return {"finish_reason": "stop", "stop_reason": said.stop}
    return {"finish_reason": FINISHES[said.finish or "stop"]}


def _call_events(index: int, call: Call, pieces: Pieces) -> list[bytes]:
    head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    rest = halves(call.arguments, pieces) or ["{}"]
    deltas = [head, *({"index": index, "function": {"arguments": piece}} for piece in rest)]
    return [_delta({"tool_calls": [delta]}) for delta in deltas]


def _call(call: Mapping[str, Any]) -> Call:
    assert call["type"] == "function"
    return Call(call["id"], call["function"]["name"], parsed(call["function"]["arguments"]))


def _usage(said: Said) -> dict[str, Any]:
    given, written = said.usage or (0, 0)
    counts = {"prompt_tokens": given, "completion_tokens": written, "total_tokens": given + written}
    return counts if said.cached is None else {**counts, "prompt_tokens_details": {"cached_tokens": said.cached}}


def _cached(usage: Mapping[str, Any]) -> int | None:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    count = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    return None if count is None else int(count)


def _finish(choice: Mapping[str, Any]) -> str | None:
    word = choice["finish_reason"]
    if word == "stop" and choice.get("stop_reason") is not None:
        return "stopped"
    return None if word is None else {wire: plain for plain, wire in FINISHES.items()}[word]


def _many(turn: Mapping[str, Any]) -> bool:
    return isinstance(turn["content"], list)


def _texts(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(one["text"] for one in content if one["type"] == "text")
