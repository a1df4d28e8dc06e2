"""Ollama's chat. Source: Ollama, docs/api.md, "Generate a chat completion"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from end_to_end.dialects.dialect import Call, Dialect, Fault, Pieces, Said, Wish, words

FINISHES = {"stop": "stop", "tools": "stop", "length": "length", "filter": "content_filter"}


class Ollama(Dialect):
    name = "ollama-chat"
    provider = "my-ollama"
    model = "qwen3-vl"
    lacks = ("forced", "cached", "count")
    media_type = "application/x-ndjson"

    def path(self, model: str, *, stream: bool) -> str:
        return "/api/chat"

    def write(self, wish: Wish) -> dict[str, Any]:
        user: dict[str, Any] = {"role": "user", "content": wish.text}
        if wish.image is not None:
            user["images"] = [wish.image[1]]
        turns = [user]
        if wish.calls:
            names = {call.id: call.name for call in wish.calls}
            calls = [{"id": c.id, "function": {"name": c.name, "arguments": c.arguments}} for c in wish.calls]
            turns.append({"role": "assistant", "content": "", "tool_calls": calls})
            turns += [
                {"role": "tool", "content": text, "tool_name": names[id_], "tool_call_id": id_}
                for id_, text in wish.results.items()
            ]
        if wish.system is not None:
            turns.insert(0, {"role": "system", "content": wish.system})
        options: dict[str, Any] = {"num_predict": wish.limit}
        if wish.stops:
            options["stop"] = list(wish.stops)
        if wish.temperature is not None:
            options["temperature"] = wish.temperature
        body: dict[str, Any] = {"model": wish.model, "messages": turns, "options": options}
        if wish.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}
                for name, schema in wish.tools.items()
            ]
        if wish.thinking:
            body["think"] = True
        if wish.schema is not None:
            body["format"] = wish.schema
        return body if wish.stream else {**body, "stream": False}

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        assert url.endswith("/api/chat"), url
        turns = list(body["messages"])
        system = turns.pop(0)["content"] if turns[0]["role"] == "system" else None
        user = next(turn for turn in turns if turn["role"] == "user")
        calls = [call for turn in turns for call in turn.get("tool_calls") or ()]
        names = {call["id"]: call["function"]["name"] for call in calls}
        results = [turn for turn in turns if turn["role"] == "tool"]
        assert all(turn["tool_name"] == names[turn["tool_call_id"]] for turn in results)
        pictures = user.get("images") or ()
        return Wish(
            text=user["content"],
            model=body["model"],
            system=system,
            tools={tool["function"]["name"]: tool["function"]["parameters"] for tool in body.get("tools") or ()},
            calls=[Call(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls],
            results={turn["tool_call_id"]: turn["content"] for turn in results},
            image=("image/png", pictures[0]) if pictures else None,
            thinking=bool(body.get("think")),
            schema=body.get("format"),
            forced="tool_choice" in body,
            stops=body["options"].get("stop") or (),
            temperature=body["options"].get("temperature"),
            stream=body.get("stream", True),
            limit=body["options"]["num_predict"],
        )

    def whole(self, said: Said) -> bytes:
        turn: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.reasoning:
            turn["thinking"] = said.reasoning
        if said.calls:
            turn["tool_calls"] = _calls(said)
        return json.dumps({**_line(turn), **_end(said)}).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        turns = [{"role": "assistant", "content": "", "thinking": word} for word in words(said.reasoning)]
        turns += [{"role": "assistant", "content": word} for word in words(said.text)]
        calls = _calls(said)
        rows = ([calls] if calls else []) if pieces == "late" else [[call] for call in calls]
        turns += [{"role": "assistant", "content": "", "tool_calls": row} for row in rows]
        lines = [_line(turn) for turn in turns]
        lines.append({**_line({"role": "assistant", "content": ""}), **_end(said)})
        return [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]

    def hear(self, body: bytes) -> Said:
        return _heard([json.loads(body)])

    def hear_stream(self, body: bytes) -> Said:
        return _heard([json.loads(line) for line in body.split(b"\n") if line.strip()])

    def fault(self, status: int, message: str) -> Fault:
        return Fault(status, json.dumps({"error": message}).encode())

    def event_fault(self, message: str) -> bytes:
        return json.dumps({"error": message}).encode() + b"\n"

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        value = json.loads(body)
        assert isinstance(value["error"], str)
        return str(value["error"])


def _line(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": Ollama.model, "created_at": "2025-10-17T23:14:07.414671Z", "message": turn, "done": False}


def _calls(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": c.id, "function": {"index": index, "name": c.name, "arguments": c.arguments}}
        for index, c in enumerate(said.calls)
    ]


def _end(said: Said) -> dict[str, Any]:
    given, written = said.usage or (0, 0)
    counts = {"prompt_eval_count": given, "eval_count": written, "total_duration": 5, "eval_duration": 5}
    return {"done": True, "done_reason": FINISHES[said.finish or "stop"], **counts}


def _heard(values: list[dict[str, Any]]) -> Said:
    turns, end, error = [], None, None
    for value in values:
        if "error" in value:
            error = value["error"]
            continue
        assert end is None, "nothing comes behind the end"
        turns.append(value["message"])
        end = value if value["done"] else None
    calls = [call for turn in turns for call in turn.get("tool_calls") or ()] if end else []
    word = None if end is None else {"content_filter": "filter"}.get(end["done_reason"], end["done_reason"])
    return Said(
        text="".join(turn["content"] for turn in turns),
        reasoning="".join(turn.get("thinking") or "" for turn in turns),
        calls=[Call(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls],
        finish="tools" if calls and word == "stop" else word,
        usage=None if end is None else (end["prompt_eval_count"], end["eval_count"]),
        error=error,
        complete=end is not None,
    )
