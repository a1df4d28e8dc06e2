"""Conversations as clients of each format hold them: what an answer said is sent back with the next turn.

Only what the vendor's documentation has is kept of an answer: a client that knows its format and nothing else is the
one that loses what stands anywhere else.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from end_to_end.dialects.dialect import messages as aws_messages, sse_events

CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def kept(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The members that the documentation has."""
    return {name: value[name] for name in names if value.get(name) is not None}


class Talk(ABC):
    """A conversation with a tool ``weather``."""

    format: ClassVar[str]

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []
        self.say("How is the weather?")

    @abstractmethod
    def body(self, model: str) -> dict[str, Any]:
        """The request that the conversation makes now."""

    @abstractmethod
    def say(self, text: str) -> None:
        """The user says something."""

    @abstractmethod
    def hear(self, body: bytes, *, stream: bool) -> None:
        """Keep an answer, and add the result of every call in it."""


class ChatTalk(Talk):
    """OpenAI's chat; signatures stand where Google's own endpoint and LiteLLM's clients have them."""

    format = "openai-chat"

    def body(self, model: str) -> dict[str, Any]:
        tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
        return {"model": model, "messages": self.turns, "tools": [tool], "max_completion_tokens": 9000}

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def hear(self, body: bytes, *, stream: bool) -> None:
        message = self._streamed(body) if stream else json.loads(body)["choices"][0]["message"]
        turn = kept(message, "role", "content", "tool_calls", "thinking_blocks", "extra_content")
        self.turns.append({"content": None, **turn})
        for call in message.get("tool_calls") or ():
            self.turns.append({"role": "tool", "tool_call_id": call["id"], "content": "sunny"})

    def _streamed(self, body: bytes) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant"}
        calls: dict[int, dict[str, Any]] = {}
        blocks: list[dict[str, Any]] = []
        for _, data in sse_events(body):
            delta = json.loads(data)["choices"][:1] if data != "[DONE]" else []
            for choice in delta:
                said = choice["delta"]
                if said.get("content"):
                    message["content"] = message.get("content", "") + said["content"]
                for block in said.get("thinking_blocks") or ():
                    _join_thoughts(blocks, block)
                for piece in said.get("tool_calls") or ():
                    call = calls.setdefault(piece["index"], {"type": "function", "function": {"arguments": ""}})
                    call |= kept(piece, "id", "extra_content")
                    call["function"] |= kept(piece["function"], "name")
                    call["function"]["arguments"] += piece["function"].get("arguments") or ""
                message |= kept(said, "extra_content")
        return {**message, "tool_calls": list(calls.values()) or None, "thinking_blocks": blocks or None}


class ResponsesTalk(Talk):
    """OpenAI's Responses, kept by the client."""

    format = "openai-responses"
    _MEMBERS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "reasoning": ("type", "id", "summary", "encrypted_content"),
        "function_call": ("type", "id", "call_id", "name", "arguments"),
        "message": ("type", "id", "role", "content", "status"),
    }

    def body(self, model: str) -> dict[str, Any]:
        tool = {"type": "function", "name": "weather", "parameters": CITY, "strict": False}
        include = ["reasoning.encrypted_content"]
        return {"model": model, "input": self.turns, "tools": [tool], "store": False, "include": include}

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def hear(self, body: bytes, *, stream: bool) -> None:
        if stream:
            last = json.loads(sse_events(body)[-1][1])
            items = [json.loads(data)["item"] for name, data in sse_events(body) if name == "response.output_item.done"]
            by_id = {item["id"]: item for item in last["response"]["output"]}
            assert [by_id[item["id"]] for item in items] == items, "the end tells what the events have told"
            items = last["response"]["output"]
        else:
            items = json.loads(body)["output"]
        self.turns += [kept(item, *self._MEMBERS[item["type"]]) for item in items]
        for item in items:
            if item["type"] == "function_call":
                self.turns.append({"type": "function_call_output", "call_id": item["call_id"], "output": "sunny"})


class AnthropicTalk(Talk):
    """Anthropic's Messages."""

    format = "anthropic-messages"
    _MEMBERS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "text": ("type", "text"),
        "thinking": ("type", "thinking", "signature"),
        "redacted_thinking": ("type", "data"),
        "tool_use": ("type", "id", "name", "input"),
    }

    def body(self, model: str) -> dict[str, Any]:
        tool = {"name": "weather", "input_schema": CITY}
        thinking = {"type": "enabled", "budget_tokens": 2048}
        return {"model": model, "messages": self.turns, "tools": [tool], "max_tokens": 9000, "thinking": thinking}

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def hear(self, body: bytes, *, stream: bool) -> None:
        blocks = self._streamed(body) if stream else json.loads(body)["content"]
        self.turns.append({"role": "assistant", "content": [kept(one, *self._MEMBERS[one["type"]]) for one in blocks]})
        calls = [one for one in blocks if one["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "sunny"} for one in calls]
        if results:
            self.turns.append({"role": "user", "content": results})

    def _streamed(self, body: bytes) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        for name, data in sse_events(body):
            value = json.loads(data)
            if name == "content_block_start":
                blocks.append({**value["content_block"], "json": ""})
            elif name == "content_block_delta":
                delta, block = value["delta"], blocks[value["index"]]
                for member, place in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                    block[place] = block.get(place, "") + delta.get(member, "")
                block |= kept(delta, "signature")
        for block in blocks:
            text = block.pop("json")
            if block["type"] == "tool_use":
                block["input"] = json.loads(text or "{}")
        return blocks


class GeminiTalk(Talk):
    """Gemini's generateContent."""

    format = "gemini-generate-content"

    def body(self, model: str) -> dict[str, Any]:
        tool = {"functionDeclarations": [{"name": "weather", "parametersJsonSchema": CITY}]}
        config = {"maxOutputTokens": 9000, "thinkingConfig": {"includeThoughts": True}}
        return {"contents": self.turns, "tools": [tool], "generationConfig": config}

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "parts": [{"text": text}]})

    def hear(self, body: bytes, *, stream: bool) -> None:
        answers = [json.loads(data) for _, data in sse_events(body)] if stream else [json.loads(body)]
        parts = [
            kept(part, "text", "thought", "functionCall", "thoughtSignature")
            for answer in answers
            for candidate in answer["candidates"]
            for part in candidate["content"]["parts"]
        ]
        self.turns.append({"role": "model", "parts": parts})
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        results = [{"functionResponse": {**kept(one, "id", "name"), "response": {"output": "sunny"}}} for one in calls]
        if results:
            self.turns.append({"role": "user", "parts": results})


class BedrockTalk(Talk):
    """Converse."""

    format = "bedrock-converse"

    def body(self, model: str) -> dict[str, Any]:
        tool = {"toolSpec": {"name": "weather", "inputSchema": {"json": CITY}}}
        thinking = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
        return {
            "messages": self.turns,
            "toolConfig": {"tools": [tool]},
            "inferenceConfig": {"maxTokens": 9000},
            "additionalModelRequestFields": thinking,
        }

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": [{"text": text}]})

    def hear(self, body: bytes, *, stream: bool) -> None:
        blocks = self._streamed(body) if stream else json.loads(body)["output"]["message"]["content"]
        self.turns.append({"role": "assistant", "content": blocks})
        calls = [one["toolUse"] for one in blocks if "toolUse" in one]
        content = [{"text": "sunny"}]
        results = [{"toolResult": {"toolUseId": one["toolUseId"], "content": content}} for one in calls]
        if results:
            self.turns.append({"role": "user", "content": results})

    def _streamed(self, body: bytes) -> list[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for headers, value in aws_messages(body):
            kind, index = headers[":event-type"], value.get("contentBlockIndex", -1)
            if kind == "contentBlockStart":
                found[index] = {**value["start"]["toolUse"], "json": ""}
            elif kind == "contentBlockDelta":
                delta, block = value["delta"], found.setdefault(index, {})
                thought = delta.get("reasoningContent", {})
                if "toolUse" in delta:
                    block["json"] += delta["toolUse"]["input"]
                for name, piece in (("text", delta.get("text")), ("thought", thought.get("text"))):
                    if piece is not None:
                        block[name] = block.get(name, "") + piece
                block |= kept(thought, "signature", "redactedContent")
        return [self._block(found[index]) for index in sorted(found)]

    def _block(self, block: Mapping[str, Any]) -> dict[str, Any]:
        if "toolUseId" in block:
            return {"toolUse": {**kept(block, "toolUseId", "name"), "input": json.loads(block["json"] or "{}")}}
        if "redactedContent" in block:
            return {"reasoningContent": kept(block, "redactedContent")}
        if "thought" in block or "signature" in block:
            return {
                "reasoningContent": {"reasoningText": {"text": block.get("thought", ""), **kept(block, "signature")}}
            }
        return {"text": block["text"]}


class CohereTalk(Talk):
    """Cohere's chat."""

    format = "cohere-chat"

    def body(self, model: str) -> dict[str, Any]:
        tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
        thinking = {"type": "enabled", "token_budget": 2048}
        return {"model": model, "messages": self.turns, "tools": [tool], "max_tokens": 9000, "thinking": thinking}

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def hear(self, body: bytes, *, stream: bool) -> None:
        message = self._streamed(body) if stream else json.loads(body)["message"]
        turn = kept(message, "role", "tool_calls", "tool_plan")
        content = [kept(one, "type", "text", "thinking") for one in message.get("content") or ()]
        self.turns.append({**turn, "content": content} if content else turn)
        for call in message.get("tool_calls") or ():
            self.turns.append({"role": "tool", "tool_call_id": call["id"], "content": "sunny"})

    def _streamed(self, body: bytes) -> dict[str, Any]:
        content: dict[int, dict[str, Any]] = {}
        calls: dict[int, dict[str, Any]] = {}
        for name, data in sse_events(body):
            value = json.loads(data)
            said = value.get("delta", {}).get("message", {})
            match name:
                case "content-start":
                    content[value["index"]] = dict(said["content"])
                case "content-delta":
                    for member, text in said["content"].items():
                        content[value["index"]][member] += text
                case "tool-call-start":
                    calls[value["index"]] = json.loads(json.dumps(said["tool_calls"]))
                case "tool-call-delta":
                    piece = said["tool_calls"]["function"]["arguments"]
                    calls[value["index"]]["function"]["arguments"] += piece
        return {"role": "assistant", "content": list(content.values()), "tool_calls": list(calls.values()) or None}


class OllamaTalk(Talk):
    """Ollama's chat, with a client that knows ids."""

    format = "ollama-chat"

    def body(self, model: str) -> dict[str, Any]:
        tool = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
        options = {"num_predict": 9000}
        return {"model": model, "messages": self.turns, "tools": [tool], "think": True, "options": options}

    def say(self, text: str) -> None:
        self.turns.append({"role": "user", "content": text})

    def hear(self, body: bytes, *, stream: bool) -> None:
        lines = [json.loads(line) for line in body.splitlines()] if stream else [json.loads(body)]
        said = [line["message"] for line in lines]
        calls = [kept(call, "id", "function") for one in said for call in one.get("tool_calls") or ()]
        turn: dict[str, Any] = {"role": "assistant", "content": "".join(one["content"] for one in said)}
        thinking = "".join(one.get("thinking") or "" for one in said)
        turn |= {"thinking": thinking} if thinking else {}
        self.turns.append({**turn, "tool_calls": calls} if calls else turn)
        for call in calls:
            names = {"tool_name": call["function"]["name"], "tool_call_id": call["id"]}
            self.turns.append({"role": "tool", "content": "sunny", **names})


TALKS: tuple[type[Talk], ...] = (
    ChatTalk,
    ResponsesTalk,
    AnthropicTalk,
    GeminiTalk,
    BedrockTalk,
    CohereTalk,
    OllamaTalk,
)


def _join_thoughts(blocks: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    last: dict[str, Any] = blocks[-1] if blocks else {}
    open_block = last.get("type") == "thinking" and "signature" not in last
    if piece["type"] == "thinking" and open_block:
        last["thinking"] += piece.get("thinking", "")
        last |= kept(piece, "signature")
    else:
        blocks.append(dict(piece))
