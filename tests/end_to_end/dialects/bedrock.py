"""Converse of Amazon Bedrock. Source: Amazon Bedrock API reference, "Converse" and "ConverseStream"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from end_to_end.dialects.dialect import (
    Call,
    Dialect,
    Fault,
    Pieces,
    Said,
    Wish,
    halves,
    message,
    messages,
    model_in_path,
    words,
)

FINISHES = {
    "stop": "end_turn",
    "stopped": "stop_sequence",
    "tools": "tool_use",
    "length": "max_tokens",
    "filter": "content_filtered",
}
ERRORS = {400: "ValidationException", 429: "ThrottlingException", 503: "ServiceUnavailableException"}


class Bedrock(Dialect):
    name = "bedrock-converse"
    provider = "my-bedrock"
    model = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    media_type = "application/vnd.amazon.eventstream"
    head = {"x-amzn-requestid": "up"}
    lacks = ("count",)
    tells_stops = ("word", "text")
    ending = 2  # with the first of them the answer is whole, only not its counts

    def path(self, model: str, *, stream: bool) -> str:
        return f"/model/{quote(model, safe='')}/{'converse-stream' if stream else 'converse'}"

    def write(self, wish: Wish) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"text": wish.text}]
        if wish.image is not None:
            picture = {"format": wish.image[0].removeprefix("image/"), "source": {"bytes": wish.image[1]}}
            content.append({"image": picture})
        turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if wish.calls:
            calls = [{"toolUse": {"toolUseId": c.id, "name": c.name, "input": c.arguments}} for c in wish.calls]
            results = [
                {"toolResult": {"toolUseId": id_, "content": [{"text": text}]}} for id_, text in wish.results.items()
            ]
            turns += [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
        inference: dict[str, Any] = {"maxTokens": wish.limit}
        if wish.stops:
            inference["stopSequences"] = list(wish.stops)
        if wish.temperature is not None:
            inference["temperature"] = wish.temperature
        body: dict[str, Any] = {"messages": turns, "inferenceConfig": inference}
        if wish.told:
            body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
        if wish.system is not None:
            body["system"] = [{"text": wish.system}]
        if wish.tools:
            declared = [
                {"toolSpec": {"name": name, "description": name, "inputSchema": {"json": schema}}}
                for name, schema in wish.tools.items()
            ]
            body["toolConfig"] = {"tools": declared, **({"toolChoice": {"any": {}}} if wish.forced else {})}
        if wish.thinking:
            body["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": 4096}}
        if wish.schema is not None:
            shape = {"jsonSchema": {"schema": json.dumps(wish.schema), "name": "answer"}}
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": shape}}
        return body

    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        turns = body["messages"]
        assert [turn["role"] for turn in turns] == ["user", "assistant", "user"][: len(turns)], "turns alternate"
        blocks = [block for turn in turns for block in turn["content"]]
        pictures = [one["image"] for one in blocks if "image" in one]
        shape = (body.get("outputConfig") or {}).get("textFormat")
        declared = (body.get("toolConfig") or {}).get("tools") or ()
        calls = [one["toolUse"] for one in blocks if "toolUse" in one]
        results = [one["toolResult"] for one in blocks if "toolResult" in one]
        return Wish(
            text="".join(one["text"] for one in blocks if "text" in one),
            model=model_in_path(url),
            system="".join(one["text"] for one in body["system"]) if "system" in body else None,
            tools={one["toolSpec"]["name"]: one["toolSpec"]["inputSchema"]["json"] for one in declared},
            calls=[Call(one["toolUseId"], one["name"], one["input"]) for one in calls],
            results={one["toolUseId"]: "".join(part["text"] for part in one["content"]) for one in results},
            image=(f"image/{pictures[0]['format']}", pictures[0]["source"]["bytes"]) if pictures else None,
            thinking="thinking" in (body.get("additionalModelRequestFields") or {}),
            schema=json.loads(shape["structure"]["jsonSchema"]["schema"]) if shape else None,
            forced=(body.get("toolConfig") or {}).get("toolChoice") == {"any": {}},
            stops=body["inferenceConfig"].get("stopSequences") or (),
            told=body.get("additionalModelResponseFieldPaths") == ["/stop_sequence"],
            temperature=body["inferenceConfig"].get("temperature"),
            stream=url.endswith("/converse-stream"),
            limit=body["inferenceConfig"]["maxTokens"],
        )

    def whole(self, said: Said) -> bytes:
        blocks: list[dict[str, Any]] = []
        if said.reasoning:
            thought = {"text": said.reasoning, "signature": "c2lnbmVk"}
            blocks.append({"reasoningContent": {"reasoningText": thought}})
        blocks += [{"text": said.text}] if said.text else []
        blocks += [{"toolUse": {"toolUseId": c.id, "name": c.name, "input": c.arguments}} for c in said.calls]
        value = {"output": {"message": {"role": "assistant", "content": blocks}}, "usage": _usage(said)}
        return json.dumps({**value, **_end(said), "metrics": {"latencyMs": 5}}).encode()

    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        found = [message("messageStart", {"role": "assistant"})]
        rows: list[tuple[dict[str, Any] | None, list[dict[str, Any]]]] = []
        if said.reasoning:
            deltas = [{"reasoningContent": {"text": word}} for word in words(said.reasoning)]
            rows.append((None, [*deltas, {"reasoningContent": {"signature": "c2lnbmVk"}}]))
        if said.text:
            rows.append((None, [{"text": word} for word in words(said.text)]))
        for call in said.calls:
            deltas = [{"toolUse": {"input": piece}} for piece in halves(call.arguments, pieces)]
            rows.append(({"toolUse": {"toolUseId": call.id, "name": call.name}}, deltas))
        for index, (start, deltas) in enumerate(rows):
            if start is not None:
                found.append(message("contentBlockStart", {"start": start, "contentBlockIndex": index}))
            found += [message("contentBlockDelta", {"delta": one, "contentBlockIndex": index}) for one in deltas]
            found.append(message("contentBlockStop", {"contentBlockIndex": index}))
        found.append(message("messageStop", _end(said)))
        return [*found, message("metadata", {"usage": _usage(said), "metrics": {"latencyMs": 5}})]

    def hear(self, body: bytes) -> Said:
        value = json.loads(body)
        turn, usage = value["output"]["message"], value["usage"]
        assert turn["role"] == "assistant"
        thoughts = [one["reasoningContent"]["reasoningText"] for one in turn["content"] if "reasoningContent" in one]
        calls = [one["toolUse"] for one in turn["content"] if "toolUse" in one]
        return Said(
            text="".join(one["text"] for one in turn["content"] if "text" in one),
            reasoning="".join(one["text"] for one in thoughts),
            calls=[Call(one["toolUseId"], one["name"], one["input"]) for one in calls],
            finish=_finish(value["stopReason"]),
            usage=_counts(usage),
            cached=usage.get("cacheReadInputTokens"),
            stop=_stop(value),
        )

    def hear_stream(self, body: bytes) -> Said:
        text, reasoning, finish, usage, error, cached, stop = "", "", None, None, None, None, None
        calls: dict[int, dict[str, str]] = {}
        for headers, value in messages(body):
            if headers[":message-type"] == "exception":
                error = value["message"]
                continue
            assert usage is None, "nothing comes behind the counts"
            match headers[":event-type"]:
                case "contentBlockStart":
                    start = value["start"]["toolUse"]
                    calls[value["contentBlockIndex"]] = {"id": start["toolUseId"], "name": start["name"], "json": ""}
                case "contentBlockDelta":
                    delta = value["delta"]
                    text += delta.get("text", "")
                    reasoning += delta.get("reasoningContent", {}).get("text", "")
                    if "toolUse" in delta:
                        calls[value["contentBlockIndex"]]["json"] += delta["toolUse"]["input"]
                case "messageStop":
                    finish, stop = _finish(value["stopReason"]), _stop(value)
                case "metadata":
                    usage, cached = _counts(value["usage"]), value["usage"].get("cacheReadInputTokens")
        complete = usage is not None
        calls = calls if complete else {}
        found = [Call(one["id"], one["name"], json.loads(one["json"] or "{}")) for one in calls.values()]
        return Said(text, reasoning, found, finish, usage, cached, error, complete, stop)

    def fault(self, status: int, message: str) -> Fault:
        headers = {"x-amzn-errortype": f"{ERRORS[status]}:http://internal.amazon.com/"}
        return Fault(status, json.dumps({"message": message}).encode(), headers)

    def event_fault(self, message: str) -> bytes:
        return _exception(message)

    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        assert headers["x-amzn-errortype"].partition(":")[0].endswith("Exception")
        return str(json.loads(body)["message"])

    def with_crlf(self, events: bytes) -> bytes:
        return events  # messages, not lines


def _exception(text: str) -> bytes:
    return message("serviceUnavailableException", {"message": text}, exception=True)


def _usage(said: Said) -> dict[str, int]:
    """The counts; what came from a cache is counted beside the rest."""
    given, written = said.usage or (0, 0)
    counts = {"inputTokens": given - (said.cached or 0), "outputTokens": written, "totalTokens": given + written}
    return counts if said.cached is None else {**counts, "cacheReadInputTokens": said.cached}


def _counts(usage: Mapping[str, int]) -> tuple[int, int]:
    beside = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    assert usage["totalTokens"] == usage["inputTokens"] + beside + usage["outputTokens"]
    return usage["inputTokens"] + beside, usage["outputTokens"]


def _end(said: Said) -> dict[str, Any]:
    more = {} if said.stop is None else {"additionalModelResponseFields": {"stop_sequence": said.stop}}
    return {"stopReason": FINISHES[said.finish or "stop"], **more}


def _stop(value: Mapping[str, Any]) -> str | None:
    return (value.get("additionalModelResponseFields") or {}).get("stop_sequence")


def _finish(word: str) -> str:
    return {wire: plain for plain, wire in FINISHES.items()}[word]
