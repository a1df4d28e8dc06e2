"""Cursor's agent: it asks as OpenAI's Responses do, at the address of chat completions, and wants to hear these.

What it sends: ``input`` and flat tools, custom ones with a grammar among them, beside fields of chat completions. What
it understands: chunks of chat completions in which every call is a function's; the input of a custom tool stands in the
``arguments`` as it is, and comes back so in the next turn. Sources: issues in gabrii/Cursor-Azure-GPT-5 (69),
BerriAI/litellm (34029), Soju06/codex-lb (833) and icebear0828/codex-proxy (707, 708).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE
from llmgate.formats import get_format
from llmgate.formats.bodies import patched, read_top
from llmgate.formats.custom_tools import free_text
from llmgate.formats.fields import rest
from llmgate.formats.openai_chat import OpenAIChatFormat
from llmgate.spec import ChatChoice, ChoiceDelta, Format, GatewayChunk, GatewayError, Part, StreamEncoder, ToolCall

from .rewriting import Rewriter, RewrittenFormat

__all__ = ["CursorFormat", "CursorRewriter", "is_cursors", "read_cursors"]

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_CHATS_OWN: Final = ("messages", "stream_options", "reasoning_effort", *_LIMITS)
"""Fields of chat completions that Responses refuse; but for the first, others say the same."""


def is_cursors(body: bytes) -> bool:
    """Whether a body that is no chat request has what stands for the messages in Responses."""
    read = read_top(body)
    return isinstance(read.get("input"), str | list) and read.get("messages") is None


def read_cursors(body: bytes) -> tuple[bytes, CursorFormat]:
    """The body as Responses have it, and the format of its answer.

    Raises:
        InvalidRequestError: it is no JSON object.
    """
    read = read_top(body)
    options = read.get("stream_options")
    edits: dict[str, Any] = dict.fromkeys(_CHATS_OWN, REMOVE)
    limit = next((read.get(name) for name in _LIMITS if read.get(name) is not None), None)
    if limit is not None and read.get("max_output_tokens") is None:
        edits["max_output_tokens"] = limit
    effort = read.get("reasoning_effort")
    if effort is not None and read.get("reasoning") is None:
        edits["reasoning"] = {"effort": effort}
    tools = read.get("tools")
    custom: Collection[str] = ()
    if isinstance(tools, list):
        flat = [_flat(tool) for tool in tools]
        custom = {str(tool.get("name")) for tool in flat if isinstance(tool, dict) and tool.get("type") == "custom"}
        edits |= {"tools": flat} if flat != tools else {}
    choice = read.get("tool_choice")
    edits |= {"tool_choice": _flat(choice)} if choice != _flat(choice) else {}
    items = read.get("input")
    if custom and isinstance(items, list):
        restored = _restored(items, custom)
        edits |= {"input": restored} if restored != items else {}
    include_usage = isinstance(options, dict) and options.get("include_usage") is True
    rewriter = CursorRewriter(custom, include_usage=include_usage)
    rewriter.encode(GatewayChunk(created=int(time.time())))  # which the events do not tell
    return patched(read, edits), CursorFormat(rewriter)


class CursorFormat(RewrittenFormat, OpenAIChatFormat):
    """Chat completions for one answer that comes as Responses have it.

    Args:
        rewriter: Writes it.
    """

    def __init__(self, rewriter: CursorRewriter) -> None:
        self.rewriter = rewriter

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - the rewriter knows
        """What writes the stream."""
        return self.rewriter


class CursorRewriter(Rewriter):
    """Reads an answer as Responses have it and writes it as chat completions.

    Args:
        custom: The names of the custom tools.
        include_usage: Whether a stream is to end with its usage.
    """

    def __init__(self, custom: Collection[str] = (), *, include_usage: bool = False) -> None:
        self._custom = frozenset(custom)
        self._chat: Format = get_format("openai-chat")
        self._responses: Format = get_format("openai-responses")
        self._reader = self._responses.stream_reader()
        self._encoder = self._chat.stream_encoder(include_usage=include_usage)
        self._open: set[int] = set()
        """The numbers of calls of custom tools."""

    def rewritten(self, events: bytes) -> bytes:
        """The chunks of events."""
        return b"".join(self._encoder.encode(self._renamed(chunk)) for chunk in self._reader.decode(events))

    def end(self) -> bytes:
        """Nothing: the terminal marker has been one of the events."""
        return b""

    def whole(self, body: bytes) -> bytes:
        """The answer as a chat completion."""
        response = self._responses.decode_response(body)
        choices = [self._choice(choice) for choice in response.choices]
        return self._chat.encode_response(attrs.evolve(response, choices=choices))

    def encode(self, chunk: GatewayChunk) -> bytes:
        """A chunk that comes from elsewhere."""
        return self._encoder.encode(chunk)

    def error(self, error: GatewayError) -> bytes:
        """The error as the last event."""
        return self._encoder.error(error)

    def _choice(self, choice: ChatChoice) -> ChatChoice:
        parts = [self._part(part) for part in choice.message.parts]
        return attrs.evolve(choice, message=attrs.evolve(choice.message, parts=parts))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall) and part.name in self._custom:
            return ToolCall(part.id, part.name, free_text(part.arguments))
        return part

    def _renamed(self, chunk: GatewayChunk) -> GatewayChunk:
        if not any(choice.tool_calls for choice in chunk.choices):
            return chunk
        return attrs.evolve(chunk, choices=[self._delta(choice) for choice in chunk.choices])

    def _delta(self, choice: ChoiceDelta) -> ChoiceDelta:
        calls = []
        for call in choice.tool_calls:
            if call.name in self._custom:
                self._open.add(call.index)
            if call.index in self._open and call.arguments:  # these come whole
                call = attrs.evolve(call, arguments=free_text(call.arguments))
            calls.append(call)
        return attrs.evolve(choice, tool_calls=calls)


def _flat(value: Any) -> Any:
    """A tool, or the choice of one, with its function's members beside its type."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("function", "custom") or "name" in value or not isinstance(value.get(kind), dict):
        return value
    return {"type": kind, **value[kind], **rest(value, frozenset({"type", kind}))}


def _restored(items: list[Any], custom: Collection[str]) -> list[Any]:
    """The conversation with the calls of custom tools that have come back as functions'."""
    ids = {one.get("call_id") for one in items if isinstance(one, dict) and _is_envelope(one, custom)}
    return [_native(one, custom, ids) for one in items]


def _is_envelope(item: Mapping[str, Any], custom: Collection[str]) -> bool:
    return item.get("type") == "function_call" and item.get("name") in custom


def _native(item: Any, custom: Collection[str], ids: Collection[Any]) -> Any:
    match item:
        case {"type": "function_call", "arguments": str(text), **more} if _is_envelope(item, custom):
            more.pop("id", None)  # which says that it is a function's
            return {"type": "custom_tool_call", "input": free_text(text), **more}
        case {"type": "function_call_output", "call_id": call_id, **more} if call_id in ids:
            more.pop("id", None)
            return {"type": "custom_tool_call_output", "call_id": call_id, **more}
        case _:
            return item
