"""Gemini's generateContent. Source: Gemini API reference, "Generating content" and "Function calling"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from end_to_end.dialects.dialect import Call, Dialect, Fault, Pieces, Said, Wish, model_in_path, sse, sse_events, words

FINISHES = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY"}
STATUSES = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class Gemini(Dialect):
    name = "gemini-generate-content"
    provider = "my-gemini"
    model = "gemini-3-flash-preview"

    def path(self, model: str, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{quote(model)}:{method}"

    def write(self, wish: Wish) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": wish.text}]
        if wish.image is not None:
            parts.append({"inlineData": {"mimeType": wish.image[0], "data": wish.image[1]}})
        contents: list[dict[str, Any]] = [{"role": "user", "parts": parts}]
        if wish.calls:
            names = {call.id: call.name for call in wish.calls}
            calls = [{"functionCall": {"id": c.id, "name": c.name, "args": c.arguments}} for c in wish.calls]
            results = [
                {"functionResponse": {"id": id_, "name": names[id_], "response": {"output": text}}}
                for id_, text in wish.results.items()
            ]
            contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
        config: dict[str, Any] = {"maxOutputTokens": wish.limit}
        if wish.thinking:
            config["thinkingConfig"] = {"includeThoughts": True, "thinkingBudget": 4096}
        if wish.stops:
            config["stopSequences"] = list(wish.stops)
        if wish.count is not None:
            config["candidateCount"] = wish.count
        if wish.temperature is not None:
            config["temperature"] = wish.temperature
        if wish.schema is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": wish.schema}
        body: dict[str, Any] = {"contents": contents, "generationConfig": config}
        if wish.system is not None:
            body["systemInstruction"] = {"parts": [{"text": wish.system}]}
        if wish.tools:
            declared = [
                {"name": name, "description": name, "parametersJsonSchema": schema}
                for name, schema in wish.tools.items()
            ]
            body["tools"] = [{"functionDeclarations": declared}]
        if wish.forced:
            body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY"}}
        return body

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        stream = "streamGenerateContent" in url
        assert not stream or urlsplit(url).query == "alt=sse", url
        contents = body["contents"]
        assert [one["role"] for one in contents] == ["user", "model", "user"][: len(contents)], "turns alternate"
        parts = [part for one in contents for part in one["parts"]]
        pictures = [part["inlineData"] for part in parts if "inlineData" in part]
        config = body.get("generationConfig") or {}
        schema = config.get("responseJsonSchema")
        if schema is not None:
            assert config["responseMimeType"] == "application/json"
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        declared = [one for tool in body.get("tools") or () for one in tool["functionDeclarations"]]
        return Wish(
            text="".join(part["text"] for part in parts if "text" in part),
            model=model_in_path(url),
            system="".join(p["text"] for p in body["systemInstruction"]["parts"])
            if "systemInstruction" in body
            else None,
            tools={one["name"]: one["parametersJsonSchema"] for one in declared},
            calls=[_call(part["functionCall"]) for part in parts if "functionCall" in part],
            results={one["id"]: _result(one["response"]) for one in results},
            image=(pictures[0]["mimeType"], pictures[0]["data"]) if pictures else None,
            thinking=bool((config.get("thinkingConfig") or {}).keys() & {"thinkingBudget", "thinkingLevel"}),
            schema=schema,
            forced=body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode") == "ANY",
            stops=config.get("stopSequences") or (),
            temperature=config.get("temperature"),
            count=config.get("candidateCount"),
            stream=stream,
            limit=config["maxOutputTokens"],
        )

    def whole(self, said: Said) -> bytes:
        return json.dumps(_answer([*_thoughts(said.reasoning), *_text(said.text), *_calls(said)], said)).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        parts = [part for word in words(said.reasoning) for part in _thoughts(word)]
        parts += [part for word in words(said.text) for part in _text(word)]
        calls = _calls(said)
        rows = [[part] for part in parts] + ([calls] if pieces == "late" else [[call] for call in calls])
        return [sse(_answer(row)) for row in rows] + [sse(_answer([{"text": ""}], said))]

    def hear(self, body: bytes) -> Said:
        return _heard([json.loads(body)])

    def hear_stream(self, body: bytes) -> Said:
        return _heard([json.loads(data) for _, data in sse_events(body)])

    def fault(self, status: int, message: str) -> Fault:
        error = {"code": status, "message": message, "status": STATUSES[status]}
        return Fault(status, json.dumps({"error": error}).encode())

    def event_fault(self, message: str) -> bytes:
        return sse({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        error = json.loads(body)["error"]
        assert isinstance(error["code"], int)
        assert error["status"].isupper()
        return str(error["message"])


def _answer(parts: list[dict[str, Any]], end: Said | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    value: dict[str, Any] = {"candidates": [candidate], "modelVersion": Gemini.model, "responseId": "up"}
    if end is not None:
        given, written = end.usage or (0, 0)
        candidate["finishReason"] = FINISHES[end.finish or "stop"]
        counts = {"promptTokenCount": given, "candidatesTokenCount": written, "totalTokenCount": given + written}
        value["usageMetadata"] = counts if end.cached is None else {**counts, "cachedContentTokenCount": end.cached}
    return value


def _heard(values: list[dict[str, Any]]) -> Said:
    parts: list[dict[str, Any]] = []
    finish, usage, error, cached = None, None, None, None
    for value in values:
        if "error" in value:
            error = value["error"]["message"]
            continue
        assert finish is None, "nothing comes behind the end"
        for candidate in value.get("candidates") or ():
            parts += (candidate.get("content") or {}).get("parts") or []
            finish = candidate.get("finishReason") or finish
        counts = value.get("usageMetadata") or {}
        if "candidatesTokenCount" in counts:
            usage = (counts["promptTokenCount"], counts["candidatesTokenCount"])
            cached = counts.get("cachedContentTokenCount")
    calls = [_call(part["functionCall"]) for part in parts if "functionCall" in part]
    plain = {"STOP": "tools" if calls else "stop", "MAX_TOKENS": "length", "SAFETY": "filter", None: None}[finish]
    return Said(
        text="".join(part["text"] for part in parts if "text" in part and not part.get("thought")),
        reasoning="".join(part["text"] for part in parts if part.get("thought") and "text" in part),
        calls=calls if finish else [],
        finish=plain,
        usage=usage,
        cached=cached,
        error=error,
        complete=finish is not None and error is None,
    )


def _call(call: Mapping[str, Any]) -> Call:
    return Call(call["id"], call["name"], call.get("args") or {})


def _result(response: Mapping[str, Any]) -> str:
    assert len(response) == 1, response
    return str(next(iter(response.values())))


def _text(text: str) -> list[dict[str, Any]]:
    return [{"text": text}] if text else []


def _thoughts(text: str) -> list[dict[str, Any]]:
    return [{"text": text, "thought": True}] if text else []


def _calls(said: Said) -> list[dict[str, Any]]:
    """Calls as they come from the service, which leaves out what is empty."""
    return [
        {"functionCall": {"id": c.id, "name": c.name, **({"args": c.arguments} if c.arguments else {})}}
        for c in said.calls
    ]
