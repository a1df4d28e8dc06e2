"""A request that came in another format, made one that this format can say; and the account of what that took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.formats.allowed_tools import narrowed
from llmgate.formats.logprobs import logprob_fields
from llmgate.formats.losses import Losses, leave_out, with_parts
from llmgate.formats.thought_signatures import signature_in
from llmgate.spec import (
    Blob,
    ChatRequest,
    FileRef,
    Message,
    ModelFacts,
    Part,
    Reasoning,
    Role,
    ToolCallResponse,
    Unknown,
    Uri,
)

from .keys import FORMAT
from .thinking import by_level, nearest_effort

__all__ = ["FIELDS", "fitted"]

FIELDS: Final = {
    "model": "models/{model}",
    "messages": "contents",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    "output_format": "generationConfig.responseJsonSchema",
    "max_output_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop_sequences": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "presence_penalty": "generationConfig.presencePenalty",
    "choice_count": "generationConfig.candidateCount",
    "reasoning_effort": "generationConfig.thinkingConfig",
    "service_tier": "serviceTier",
    "stream": ":streamGenerateContent",
}
"""The canonical fields that this format carries, and what it calls each."""

_HANDLED: Final = frozenset({"logprobs", "top_logprobs", "max_tokens", "max_completion_tokens", "stream_options"})
_MOST_STOPS: Final = 5
_MOST_CHOICES: Final = 8
_TIERS: Final = {"default": "standard", "standard": "standard", "standard_only": "standard", "flex": "flex",
                 "priority": "priority", "auto": None}  # fmt: skip
_TYPES: Final = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".heic": "image/heic", ".pdf": "application/pdf", ".mp4": "video/mp4", ".webm": "video/webm", ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
}  # fmt: skip
"""Media types by the ending of an address, for providers that do not look themselves."""


def fitted(request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]:
    """The request as this format can say it, and what was lost; one that came in this format is left as it is."""
    losses = Losses()
    if request.extra_format in ("", FORMAT):
        return request, losses
    if request.parallel_tool_calls is False and request.tools:
        losses.report("parallel_tool_calls")
    request = leave_out(narrowed(request), FIELDS, _handled(request), losses)
    for tool in request.tools:
        if "type" in tool.extra:
            losses.refuse("tools", f"tool {tool.name!r} is built into another vendor's models: leave it out")
    changes: dict[str, Any] = {"messages": tuple(_messages(request.messages, losses))}
    if not request.tools:
        changes["tool_choice"] = None
    changes |= _limits(request, facts, losses)
    changes |= _sampling(request, facts, losses)
    changes["reasoning_effort"] = _effort(request, facts, losses)
    if request.service_tier is not None:
        changes["service_tier"] = _TIERS.get(request.service_tier)
        if request.service_tier not in _TIERS:
            losses.report("service_tier")
    if request.output_format is not None and request.tools and facts.budgets is not None and not by_level(facts):
        losses.refuse("output_format", "the model takes either tools or a shape of the answer: leave one of them out")
    return attrs.evolve(request, **changes), losses


def _handled(request: ChatRequest) -> frozenset[str]:
    """What of other formats' own fields stands in canonical ones as well."""
    config = request.extra.get("output_config")
    more = {"thinking"}
    if isinstance(config, dict) and config.keys() == {"effort"}:
        more.add("output_config")
    if request.output_format is not None:
        more.add("response_format")
    return _HANDLED | more | logprob_fields(request)


def _messages(messages: Sequence[Message], losses: Losses) -> Iterable[Message]:
    for index, message in enumerate(messages):
        if message.name is not None and message.role is not Role.TOOL:
            losses.report("messages.name")
        yield with_parts(message, tuple(_parts(message, message.parts, f"messages[{index}]", losses)))


def _parts(message: Message, parts: Iterable[Part], path: str, losses: Losses) -> Iterable[Part]:
    for part in parts:
        match part:
            case ToolCallResponse():
                yield attrs.evolve(part, content=tuple(_parts(message, part.content, path, losses)))
            case Reasoning() if signature_in(part.extra) is None:
                signed = part.signature or "data" in part.extra  # the proof binds it to the vendor who thought it
                losses.report("messages.thinking" if signed else "messages.reasoning")
            case Unknown() if part.format != FORMAT and message.role is Role.ASSISTANT:
                losses.report("messages.content")  # what another vendor's built-in tools did
            case Unknown() if part.format != FORMAT:
                losses.refuse(path, f"{path} holds a part that only {part.format} knows: leave it out")
            case FileRef():
                losses.refuse(path, f"{path} names a file that another vendor keeps: send the file itself")
            case Blob(media_type="image/jpg"):
                yield attrs.evolve(part, media_type="image/jpeg")
            case Uri():
                yield _linked(part, path, losses)
            case _:
                yield part


def _linked(part: Uri, path: str, losses: Losses) -> Uri:
    """Media behind an address, with the media type that its ending tells where nobody has said it."""
    if urlsplit(part.uri[:64]).scheme.lower() not in ("http", "https", "gs"):
        losses.refuse(path, f"{path} holds an address that is neither http nor a base64 data URL")
        return part
    address = part.uri.partition("?")[0].partition("#")[0].lower()
    kind = next((kind for ending, kind in _TYPES.items() if address.endswith(ending)), None)
    return attrs.evolve(part, media_type=kind) if part.media_type is None and kind is not None else part


def _limits(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    limit = request.max_output_tokens
    if limit is not None and facts.max_output is not None and limit > facts.max_output:
        changes["max_output_tokens"] = facts.max_output
        losses.adjust("max_output_tokens")
    stops = tuple(one for one in request.stop_sequences if one)
    if len(stops) > _MOST_STOPS:
        losses.adjust("stop_sequences")
    changes["stop_sequences"] = stops[:_MOST_STOPS]
    if request.choice_count is not None and request.choice_count > _MOST_CHOICES:
        losses.refuse("choice_count", f"the model gives at most {_MOST_CHOICES} answers at a time")
    return changes


def _sampling(request: ChatRequest, facts: ModelFacts, losses: Losses) -> dict[str, Any]:
    unknown = () if facts.sampling else ("temperature", "top_p", "top_k")
    if by_level(facts):
        unknown = (*unknown, "frequency_penalty", "presence_penalty")
    changes: dict[str, Any] = {}
    for name in unknown:
        if getattr(request, name) is not None:
            losses.report(name)
            changes[name] = None
    return changes


def _effort(request: ChatRequest, facts: ModelFacts, losses: Losses) -> str | None:
    effort = request.reasoning_effort
    if effort is None:
        return None
    if facts.thinking == "none":
        if effort != "none":
            losses.report("reasoning_effort")
        return None
    nearest = nearest_effort(effort, facts)
    if nearest != effort:
        losses.adjust("reasoning_effort")
    return nearest
