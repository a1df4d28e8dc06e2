"""A request that came in another format, made one that this format can say; and the account of what that took.

It happens on the canonical request, before anything is written, so that asking what would be lost costs no more than a
walk over the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.formats.allowed_tools import allowed_tools
from llmgate.formats.efforts import effort_above
from llmgate.formats.inner_losses import CACHE_MARK, DOCUMENT_MARKS, TITLE
from llmgate.formats.losses import Losses, fit_messages, leave_out
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
from .parts import FORMAT
from .schemas import is_closed, narrowed

__all__ = ["DEFAULT_MAX_TOKENS", "DIALECT", "FIELDS", "fitted"]

DEFAULT_MAX_TOKENS: Final = 32_000
"""``max_tokens`` for a request that sets no limit, since this format demands one; every listed model takes it."""

FIELDS: Final = {
    "model": "model",
    "messages": "messages",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "output_format": "output_config.format",
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop_sequences",
    "reasoning_effort": "thinking",
    "user": "metadata.user_id",
    "service_tier": "service_tier",
    "stream": "stream",
}
"""The canonical fields that this format carries, and what it calls each."""

DIALECT: Final = frozenset({"thinking", "cache_control", "context_management", "mcp_servers"})
"""This format's own fields that clients of other formats may write into their requests, as LiteLLM's clients do."""

_SHAPES: Final[Mapping[str, type]] = {"context_management": dict, "mcp_servers": list}
"""What some of them look like here; OpenAI has other things of the same name."""

_HANDLED: Final = DIALECT | {"max_tokens", "max_completion_tokens", "stream_options"}
_INSIDE: Final = frozenset({CACHE_MARK, TITLE, SEARCH_RESULTS, *DOCUMENT_MARKS})
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_DOCUMENTS: Final = frozenset({"application/pdf", "text/plain"})
_JSON_ONLY: Final = "Answer with one JSON object and nothing else."
_ASKED: Final = "additionalModelResponseFieldPaths"
"""What clients of Bedrock's Converse want to be told of a model's own answer."""

_BETAS: Final = "anthropic_beta"
_PERSONAL: Final = re.compile(r"[^@\s]+@[^@\s]+|\+?[\d\s().-]{7,}")
_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_NEVER_WITHOUT: Final = "leave it out or choose another model"


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format == FORMAT:
        return _without_betas(request, losses), losses
    request = leave_out(request, FIELDS, _handled(request), losses, _INSIDE, says_again)
    changes: dict[str, Any] = {
        "messages": fit_messages(request.messages, losses, lambda one, path: _parts(one, one.parts, path, losses))
    }
    changes |= _tools(request, facts, losses)
    changes |= _limits(request, facts, losses)
    changes |= _output(request, changes["messages"], losses)
    request = attrs.evolve(request, **changes)
    request = _thinking(request, facts, losses)
    return _sampling(request, facts, losses), losses


def _without_betas(request: ChatRequest, losses: Losses) -> ChatRequest:
    """Bedrock takes in the body what Anthropic takes in a header; a body that goes elsewhere cannot keep it."""
    if _BETAS not in request.extra:
        return request
    losses.report(_BETAS)
    return attrs.evolve(request, extra={name: value for name, value in request.extra.items() if name != _BETAS})


def _handled(request: ChatRequest) -> frozenset[str]:
    allowed = allowed_tools(request.extra) is not None
    more = {"tool_choice"} if allowed else set()
    if request.output_format is not None:
        more.add("response_format")
    if request.extra.get(_ASKED) == ["/stop_sequence"]:  # here that is told of every answer
        more.add(_ASKED)
    own = {name for name, kind in _SHAPES.items() if isinstance(request.extra.get(name), kind)}
    return (_HANDLED - _SHAPES.keys()) | own | more


def _parts(message: Message, parts: Iterable[Part], path: str, losses: Losses) -> Iterable[Part]:
    for part in parts:
        match part:
            case ToolCallResponse():
                yield attrs.evolve(part, content=tuple(_parts(message, part.content, path, losses)))
            case Reasoning() if (not part.signature and "data" not in part.extra) or is_tagged(part.signature):
                losses.report("messages.reasoning")
            case Blob() | Uri() | FileRef():
                media = _media(part, path, losses)
                if media is not None:
                    yield media
            case Unknown() if part.format != FORMAT and message.role is Role.ASSISTANT:
                losses.report("messages.content")  # what another vendor's built-in tools did; the answer is in the text
            case Unknown() if part.format != FORMAT:
                losses.refuse(path, f"{path} holds a part that only {part.format} knows: {_NEVER_WITHOUT}")
            case _:
                yield part


def _media(part: Blob | Uri | FileRef, path: str, losses: Losses) -> Part | None:
    """The part as this format says it; None where it cannot."""
    if isinstance(part, Blob) and part.modality == "image" and part.media_type == "image/jpg":
        return attrs.evolve(part, media_type="image/jpeg")
    reason = _unsayable(part, path)
    if reason is None:
        return part
    losses.refuse(path, reason)
    return None


def _unsayable(part: Blob | Uri | FileRef, path: str) -> str | None:
    """Why this format cannot say a part; None when it can."""
    if isinstance(part, FileRef):
        return f"{path} names a file that another vendor keeps: send the file itself"
    if part.modality not in ("image", "document"):
        return f"{path} holds {part.modality}, which the model does not take: {_NEVER_WITHOUT}"
    if isinstance(part, Uri):
        known = urlsplit(part.uri[:64]).scheme.lower() in ("http", "https")
        return None if known else f"{path} holds an address that is neither http nor a base64 data URL"
    if part.modality == "image" and part.media_type not in _IMAGES:
        return f"{path} holds a picture of type {part.media_type[:40]}: send jpeg, png, gif or webp"
    if part.modality == "document" and part.media_type not in _DOCUMENTS:
        return f"{path} holds a document of type {part.media_type[:40]}: send a PDF or plain text"
    return None


def _tools(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    tools, choice = tuple(request.tools), request.tool_choice
    for tool in tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: {_NEVER_WITHOUT}")
    tools = tuple(tool for tool in tools if "type" not in tool.extra)
    allowed = allowed_tools(request.extra)
    if allowed is not None:
        choice, names = allowed
        tools = tuple(tool for tool in tools if tool.name in names) or tools
    if not tools:
        tools = _tools_of(request.messages)
        choice = ToolChoice("none") if tools else None
    if choice is not None and choice.mode in ("required", "named") and not facts.forced_tools:
        losses.adjust("tool_choice")
        tools = tuple(tool for tool in tools if choice.mode != "named" or tool.name == choice.name) or tools
        choice = ToolChoice("auto")
    parallel = False if request.parallel_tool_calls is False and tools else None
    return {"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel}


def _tools_of(messages: Sequence[Message]) -> tuple[ToolDefinition, ...]:
    """Declarations for the tools that a conversation has used and the request does not declare: they are demanded."""
    names = dict.fromkeys(part.name for one in messages for part in one.parts if isinstance(part, ToolCall))
    return tuple(ToolDefinition(name, parameters={"type": "object"}) for name in names)


def _limits(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    changes: dict[str, Any] = {"max_output_tokens": request.max_output_tokens or DEFAULT_MAX_TOKENS}
    if facts.max_output is not None and changes["max_output_tokens"] > facts.max_output:
        changes["max_output_tokens"] = facts.max_output
        losses.adjust("max_output_tokens")
    stops = tuple(one for one in request.stop_sequences if one.strip())
    if len(stops) < len(request.stop_sequences):
        changes["stop_sequences"] = stops
        losses.report("stop_sequences")
    if request.service_tier is not None:
        changes["service_tier"] = _TIERS.get(request.service_tier)
        if changes["service_tier"] is None:
            losses.report("service_tier")
    if request.user is not None and _PERSONAL.fullmatch(request.user):
        changes["user"] = None  # the vendor asks for names that tell nothing of a person
        losses.report("user")
    return changes


def _output(request: ChatRequest, messages: Sequence[Message], losses: Losses) -> dict[str, Any]:
    output = request.output_format
    if output is None or output.type == "text":
        return {"output_format": None}
    if output.schema is None:
        losses.adjust("output_format")
        system = Message(Role.SYSTEM, (Text(_JSON_ONLY),))
        leading = next(
            (i for i, one in enumerate(messages) if one.role not in (Role.SYSTEM, Role.DEVELOPER)), len(messages)
        )
        return {"output_format": None, "messages": (*messages[:leading], system, *messages[leading:])}
    if not is_closed(output.schema):
        losses.refuse("output_format", "the schema has objects with members of any name: name them all")
        return {"output_format": None}
    return {"output_format": OutputFormat("json_schema", schema=narrowed(output.schema))}


def _thinking(request: ChatRequest, facts: ModelFacts, losses: Losses) -> ChatRequest:
    effort = request.reasoning_effort
    if effort is None or isinstance(request.extra.get("thinking"), dict):
        return request
    if effort == "none":
        if facts.thinking == "always":
            losses.adjust("reasoning_effort")
        return request
    if facts.thinking in ("adaptive", "always"):
        nearest = effort_above(effort, facts.efforts or ())
        if nearest != effort:
            losses.adjust("reasoning_effort")
        return attrs.evolve(request, reasoning_effort=nearest)
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
    assert request.max_output_tokens is not None, "the limit is settled before"
    if forced or request.max_output_tokens <= 1024 or _unsigned_tool_turn(request.messages):
        losses.report("reasoning_effort")
        return attrs.evolve(request, reasoning_effort=None)
    return request


def _unsigned_tool_turn(messages: Sequence[Message]) -> bool:
    """Whether the last turn called tools without the thought before it, which a model that thinks by budget demands."""
    last = next((one for one in reversed(messages) if one.role not in (Role.TOOL, Role.SYSTEM, Role.DEVELOPER)), None)
    if last is None or last.role is not Role.ASSISTANT:
        return False
    kinds = {type(part) for part in last.parts}
    return ToolCall in kinds and Reasoning not in kinds


def _sampling(request: ChatRequest, facts: ModelFacts, losses: Losses) -> ChatRequest:
    changes: dict[str, Any] = {}
    thinks = request.reasoning_effort not in (None, "none") or isinstance(request.extra.get("thinking"), dict)
    if not facts.sampling or thinks:
        # A model that thinks takes its own defaults and nothing else.
        for name in ("temperature", "top_p", "top_k"):
            if getattr(request, name) is not None:
                losses.report(name)
                changes[name] = None
        return attrs.evolve(request, **changes)
    if request.temperature is not None and request.temperature > 1:
        losses.adjust("temperature")
        changes["temperature"] = 1
    if facts.one_sampling and request.temperature is not None and request.top_p is not None:
        losses.report("top_p")
        changes["top_p"] = None
    return attrs.evolve(request, **changes)
