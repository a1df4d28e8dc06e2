"""A request that came in another format, made one that this format can say; and the account of what that took.

It happens on the canonical request, before anything is written, so that asking what would be lost costs no more than a
walk over the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.allowed_tools import allowed_tools
from llmgate.formats.anthropic_messages.schemas import is_closed, narrowed
from llmgate.formats.fields import rest
from llmgate.formats.inner_losses import CACHE_MARK, DOCUMENT_MARKS, TITLE
from llmgate.formats.losses import SINGLE_CALLS, Losses, leave_out, with_parts
from llmgate.formats.plain_blocks import SEARCH_RESULTS
from llmgate.formats.sealing import is_tagged
from llmgate.spec import (
    Blob,
    ChatRequest,
    FileRef,
    Message,
    ModelFacts,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolCallResponse,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
)

from .citations import says_again
from .makers import AMAZON, ANTHROPIC, caches, maker_of
from .media import word_of
from .parts import FORMAT, MARKABLE
from .reasoning import fit_reasoning

__all__ = ["DIALECT", "FIELDS", "fitted"]

FIELDS: Final = {
    "model": "modelId",
    "messages": "messages",
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "parallel_tool_calls": "additionalModelRequestFields.tool_choice",
    "output_format": "outputConfig.textFormat",
    "max_output_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "top_k": "additionalModelRequestFields.top_k",
    "stop_sequences": "inferenceConfig.stopSequences",
    "reasoning_effort": "additionalModelRequestFields.thinking",
    "service_tier": "serviceTier",
    "metadata": "requestMetadata",
    "stream": "the address",
}
"""The canonical fields that this format carries, and what it calls each."""

DIALECT: Final = frozenset(
    {"additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "performanceConfig"}
)
"""This format's own fields that clients of other formats may write into their requests, as LiteLLM's clients do."""

_HANDLED: Final = DIALECT | {
    "thinking",
    "max_tokens",
    "max_completion_tokens",
    "stream_options",
}
_INSIDE: Final = frozenset({CACHE_MARK, TITLE, SEARCH_RESULTS, *DOCUMENT_MARKS})
_JSON_ONLY: Final = "Answer with one JSON object and nothing else."
_TIERS: Final = {"default": "default", "standard_only": "default", "flex": "flex", "priority": "priority"}
_LABEL: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
_MOST_LABELS: Final = 16
_NEVER_WITHOUT: Final = "leave it out or choose another model"


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format == FORMAT:
        return request, losses
    maker = maker_of(request.model)
    request = _with_last_mark(request, maker)
    request = leave_out(request, FIELDS, _handled(request), losses, _INSIDE, says_again)
    changes: dict[str, Any] = {"messages": _messages(request.messages, maker, losses)}
    changes |= _tools(request, maker, facts, losses)
    changes |= _limits(request, facts, losses)
    changes |= _labels(request, losses)
    changes |= _output(request, maker, changes["messages"], losses)
    request = fit_reasoning(attrs.evolve(request, **changes), facts, losses)
    return _sampling(request, maker, facts, losses), losses


def _with_last_mark(request: ChatRequest, maker: str) -> ChatRequest:
    """The mark that stands for the end of the whole prompt, at the last part; the vendor has none for the whole."""
    mark = request.extra.get(CACHE_MARK)
    if not isinstance(mark, Mapping) or not caches(maker) or not request.messages:
        return request
    *before, last = request.messages
    extra = rest(request.extra, frozenset({CACHE_MARK}))
    if not last.parts or not isinstance(last.parts[-1], MARKABLE):
        return request
    part = attrs.evolve(last.parts[-1], extra={CACHE_MARK: mark, **last.parts[-1].extra})
    return attrs.evolve(request, messages=(*before, with_parts(last, (*last.parts[:-1], part))), extra=extra)


def _handled(request: ChatRequest) -> frozenset[str]:
    more = {"tool_choice"} if allowed_tools(request.extra) is not None else set()
    if request.output_format is not None:
        more.add("response_format")
    config = request.extra.get("output_config")
    if isinstance(config, dict) and config.keys() == {"effort"}:
        more.add("output_config")
    return _HANDLED | more


def _messages(messages: Sequence[Message], maker: str, losses: Losses) -> tuple[Message, ...]:
    kept = []
    for index, message in enumerate(messages):
        if message.name is not None:
            losses.report("messages.name")
        if CACHE_MARK in message.extra and not caches(maker):
            losses.report(CACHE_MARK)
            message = attrs.evolve(message, extra={})
        kept.append(with_parts(message, tuple(_parts(message, message.parts, f"messages[{index}]", maker, losses))))
    return tuple(kept)


def _parts(message: Message, parts: Iterable[Part], path: str, maker: str, losses: Losses) -> Iterable[Part]:
    for part in parts:
        if not caches(maker) and getattr(part, "extra", {}).get(CACHE_MARK):
            losses.report(CACHE_MARK)
            part = _unmarked(part)
        match part:
            case ToolCallResponse():
                yield attrs.evolve(part, content=tuple(_parts(message, part.content, path, maker, losses)))
            case Reasoning() if (not part.signature and "data" not in part.extra) or is_tagged(part.signature):
                losses.report("messages.reasoning")
            case Blob() | Uri() | FileRef():
                yield _media(part, path, losses)
            case Unknown() if part.format != FORMAT and message.role is Role.ASSISTANT:
                losses.report("messages.content")  # what another vendor's built-in tools did; the answer is in the text
            case Unknown() if part.format != FORMAT:
                losses.refuse(path, f"{path} holds a part that only {part.format} knows: {_NEVER_WITHOUT}")
            case _:
                yield part


def _unmarked(part: Part) -> Part:
    """A part without its mark for the cache."""
    if isinstance(part, Refusal | Unknown):
        return part
    return attrs.evolve(part, extra=rest(part.extra, frozenset({CACHE_MARK})))


def _media(part: Blob | Uri | FileRef, path: str, losses: Losses) -> Part:
    if isinstance(part, FileRef):
        losses.refuse(path, f"{path} names a file that another vendor keeps: send the file itself")
    elif isinstance(part, Uri):
        if not part.uri.startswith("s3://"):
            losses.refuse(
                path, f"{path} holds an address that is not in S3: send the {part.modality} itself, as base64"
            )
        elif part.media_type is None:
            return _typed(part, path, losses)
    elif word_of(part.modality, part.media_type) is None:
        losses.refuse(
            path, f"{path} holds {part.modality} of type {part.media_type[:40]}, which the model does not take"
        )
    return part


def _typed(part: Uri, path: str, losses: Losses) -> Uri:
    """An address in S3 whose type nobody told: its ending tells."""
    ending = part.uri.rpartition(".")[2].lower()
    media_type = f"image/{ending}" if part.modality == "image" else f"{part.modality}/{ending}"
    known = {"document": {"pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "md": "text/markdown"}}
    media_type = known.get(part.modality, {}).get(ending, media_type)
    if word_of(part.modality, media_type) is None:
        losses.refuse(path, f"{path} holds an address that does not tell which type of {part.modality} it is")
        return part
    return attrs.evolve(part, media_type=media_type)


def _tools(request: ChatRequest, maker: str, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    tools, choice = tuple(request.tools), request.tool_choice
    for tool in tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: {_NEVER_WITHOUT}")
    allowed = allowed_tools(request.extra)
    if allowed is not None:
        choice, names = allowed
        tools = tuple(tool for tool in tools if tool.name in names) or tools
    if choice is not None and choice.mode == "none":
        tools, choice = (), None  # the format cannot say it: a model without tools calls none
    used = _tools_of(request.messages)
    if not tools:
        tools, choice = used, None  # declarations are demanded for what a conversation has used
        if used and request.tool_choice is not None:
            losses.report("tool_choice")
    elif choice is not None and choice.mode in ("required", "named") and not facts.forced_tools:
        tools = tuple(tool for tool in tools if choice.name in (None, tool.name)) or tools
        choice = ToolChoice("auto")
        losses.adjust("tool_choice")
    if maker not in (ANTHROPIC, "") and any(CACHE_MARK in tool.extra for tool in tools):
        losses.report(CACHE_MARK)
        tools = tuple(attrs.evolve(tool, extra={}) for tool in tools)
    tools = tuple(_with_mark(tool) for tool in tools)
    return {
        "tools": tools,
        "tool_choice": choice,
        "parallel_tool_calls": _parallel(request, tools, choice, maker, losses),
    }


def _parallel(
    request: ChatRequest, tools: Sequence[ToolDefinition], choice: ToolChoice | None, maker: str, losses: Losses
) -> bool | None:
    """That one call at a time is wanted goes to Claude only, and contradicts a choice that stands beside it."""
    if request.parallel_tool_calls is not False or not tools:
        return None
    if maker == ANTHROPIC and (choice is None or choice.mode == "auto"):
        return False
    if not any(SINGLE_CALLS in tool.extra for tool in request.tools):
        losses.report("parallel_tool_calls")
    return None


def _tools_of(messages: Sequence[Message]) -> tuple[ToolDefinition, ...]:
    names = dict.fromkeys(part.name for one in messages for part in one.parts if isinstance(part, ToolCall))
    return tuple(ToolDefinition(name, parameters={"type": "object"}) for name in names)


def _with_mark(tool: ToolDefinition) -> ToolDefinition:
    """The tool with the cache mark that clients write beside or into the function, and no other member."""
    inside = tool.extra.get("function")
    for place in (tool.extra, inside if isinstance(inside, dict) else {}):
        if isinstance(place.get(CACHE_MARK), dict):
            return attrs.evolve(tool, extra={CACHE_MARK: place[CACHE_MARK]})
    return tool if "type" in tool.extra or not tool.extra else attrs.evolve(tool, extra={})


def _limits(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if request.max_output_tokens is not None and facts.max_output is not None:
        changes["max_output_tokens"] = min(request.max_output_tokens, facts.max_output)
        if request.max_output_tokens > facts.max_output:
            losses.adjust("max_output_tokens")
    stops = tuple(one for one in request.stop_sequences if one.strip())
    if len(stops) < len(request.stop_sequences):
        changes["stop_sequences"] = stops
        losses.report("stop_sequences")
    if request.service_tier is not None:
        changes["service_tier"] = _TIERS.get(request.service_tier)
        if changes["service_tier"] is None and request.service_tier != "auto":
            losses.report("service_tier")
    return changes


def _labels(request: ChatRequest, losses: Losses) -> dict[str, Any]:
    """Labels that the vendor takes: texts of some signs, and not many of them."""
    given: Mapping[str, Any] = request.metadata
    kept = {
        name: value
        for name, value in given.items()
        if isinstance(value, str) and name and _LABEL.fullmatch(value) and _LABEL.fullmatch(name)
    }
    kept = dict(list(kept.items())[:_MOST_LABELS])
    if len(kept) < len(given):
        losses.report("metadata")
    return {"metadata": kept}


def _output(request: ChatRequest, maker: str, messages: Sequence[Message], losses: Losses) -> dict[str, Any]:
    output = request.output_format
    if output is None or output.type == "text":
        return {"output_format": None}
    if output.schema is None:
        losses.adjust("output_format")
        return {"output_format": None, "messages": (Message(Role.SYSTEM, (Text(_JSON_ONLY),)), *messages)}
    schema = output.schema
    if maker == ANTHROPIC:
        if not is_closed(schema):
            losses.refuse("output_format", "the schema has objects with members of any name: name them all")
        schema = narrowed(schema)
    return {"output_format": OutputFormat("json_schema", schema, output.name, description=output.description)}


def _sampling(request: ChatRequest, maker: str, facts: ModelFacts, losses: Losses) -> ChatRequest:
    changes: dict[str, Any] = {}
    thinks = request.reasoning_effort not in (None, "none") or isinstance(request.extra.get("thinking"), dict)
    dropped: tuple[str, ...] = ()
    if not facts.sampling or (thinks and maker == ANTHROPIC):
        dropped = ("temperature", "top_p", "top_k")
    elif maker == AMAZON and request.reasoning_effort == "high":
        dropped = ("temperature", "top_p", "top_k", "max_output_tokens")  # the most effort takes its own defaults
    elif maker not in (ANTHROPIC, AMAZON):
        dropped = ("top_k",)  # nobody knows what the model calls it
    for name in dropped:
        if getattr(request, name) is not None:
            losses.report(name)
            changes[name] = None
    if request.temperature is not None and request.temperature > 1 and "temperature" not in changes:
        losses.adjust("temperature")
        changes["temperature"] = 1
    if facts.one_sampling and request.temperature is not None and request.top_p is not None and "top_p" not in changes:
        losses.report("top_p")
        changes["top_p"] = None
    return attrs.evolve(request, **changes)
