"""Whole answers: bytes to canonical and back, and what a relay needs to know of one.

Source: OpenAI API reference, "The response object".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.fields import ShapeError, as_list, as_text, merged, optional, rest
from llmgate.formats.logprobs import choice_logprobs, tokens_in
from llmgate.formats.openai_chat.usage import service_tier
from llmgate.formats.part_proofs import beside
from llmgate.spec import (
    ChatChoice,
    ChatResponse,
    FinishReason,
    Message,
    Outcome,
    Part,
    ProviderProtocolError,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
)

from .asked import Asked
from .calls import CALLS
from .errors import failure_in
from .messages import decode_items, encode_conversation
from .parts import FORMAT, encode_part
from .reasoning import reasoning_item
from .usage import decode_usage, encode_usage, usage_of

__all__ = [
    "ENDS",
    "PREFIXES",
    "decode_response",
    "encode_response",
    "ended",
    "finish_of",
    "is_answer",
    "item_id",
    "observe_response",
    "response_id",
    "response_value",
]

PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "local_shell_call": "lsh",
}
"""What the ids of items begin with."""

_KNOWN: Final = frozenset({"id", "object", "created_at", "model", "output", "usage"})
_REASONS: Final[Mapping[str, FinishReason]] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}
_INCOMPLETE: Final = {reason: word for word, reason in _REASONS.items()}
ENDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "completed",
    FinishReason.TOOL_CALLS: "completed",
    **{reason: f"incomplete, {word}" for word, reason in _REASONS.items()},
}
"""The ends that the format tells apart; that an answer calls tools is to be seen in itself."""

_NOT_IN_ID: Final = re.compile(r"[^A-Za-z0-9_-]")


def finish_of(source: Mapping[str, Any]) -> FinishReason | None:
    """Why an answer ended; None for one that has not, in the background."""
    match source:
        case {"status": "incomplete", "incomplete_details": {"reason": str(reason)}}:
            return _REASONS.get(reason, FinishReason.LENGTH)
        case {"status": "incomplete"}:
            return FinishReason.LENGTH
        case {"status": "queued" | "in_progress" | "cancelled" | "failed"}:
            return None
        case {"output": [*items]} if any(isinstance(one, dict) and one.get("type") in CALLS for one in items):
            return FinishReason.TOOL_CALLS
        case _:
            return FinishReason.STOP


def decode_response(body: bytes) -> ChatResponse:
    """The canonical response.

    Raises:
        ProviderProtocolError: the body is not a response.
    """
    source = _source(body)
    try:
        parts: list[Part] = []
        for message in decode_items(as_list(source.get("output"), "output"), "output"):
            parts += message.parts if message.role is Role.ASSISTANT else ()
        tokens = [one for part in parts if isinstance(part, Text) for one in part.extra.get("logprobs") or ()]
        choice = ChatChoice(0, Message(Role.ASSISTANT, tuple(parts)), finish_of(source), extra=choice_logprobs(tokens))
        return ChatResponse(
            id=optional(source, "id", as_text) or "",
            model=optional(source, "model", as_text) or "",
            choices=(choice,),
            usage=decode_usage(source.get("usage")),
            created=_whole(source.get("created_at")),
            extra=rest(source, _KNOWN),
            extra_format=FORMAT,
        )
    except ShapeError as error:
        raise _not_an_answer(str(error)) from None


def encode_response(response: ChatResponse, asked: Asked | None = None) -> bytes:
    """The response in this format: the first answer of it. A part that only another format knows is left out.

    Args:
        response: The response.
        asked: The request, of which the answer repeats what was asked.
    """
    choice = response.first
    if response.extra_format == FORMAT:
        return dumps(merged(_own_value(response, choice), response.extra) | _status(choice.finish_reason, response))
    asked = asked or Asked()
    own_id = response_id(response.id)
    status = "incomplete" if choice.finish_reason in _INCOMPLETE else "completed"
    output = list(_items(own_id, choice.message.parts, asked, status))
    _show_logprobs(output, tokens_in(choice.extra))
    value = response_value(asked, own_id, response.model, response.created or 0, output)
    return dumps({**value, **ended(choice.finish_reason), "usage": encode_usage(response.usage)})


def response_value(asked: Asked, own_id: str, model: str, created: int, output: Sequence[Any]) -> dict[str, Any]:
    """A response that is not over."""
    return {**_bare(own_id, model, created, "in_progress", output), **asked.fields}


def ended(reason: FinishReason | None) -> dict[str, Any]:
    """The members of a response that tell how it ended."""
    if reason in _INCOMPLETE:
        return {"status": "incomplete", "incomplete_details": {"reason": _INCOMPLETE[reason]}}
    return {"status": "completed"}


def observe_response(body: bytes) -> Outcome:
    """What a relay needs to know of a whole answer.

    Raises:
        ProviderProtocolError: the body is neither a response nor an error.
    """
    source = _source(body)
    error = failure_in(source)
    if error is not None:
        return Outcome(error=error)
    output = source.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise _not_an_answer("output must be an array of items")
    model, own_id = source.get("model"), source.get("id")
    return Outcome(
        response_id=own_id if isinstance(own_id, str) else None,
        model=model if isinstance(model, str) else None,
        usage=usage_of(source),
        finish_reason=finish_of(source),
        content=any(is_answer(item) for item in output),
        complete=True,
        service_tier=service_tier(source.get("service_tier")),
    )


def is_answer(item: Mapping[str, Any]) -> bool:
    """Whether an item carries something already: every kind does, but for a message that is still empty."""
    if item.get("type") != "message":
        return isinstance(item.get("type"), str)
    content = item.get("content")
    parts = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    return any(one.get("text") or one.get("refusal") for one in parts)


def response_id(given: str) -> str:
    """An id of this format's, which tells the provider's; the same every time."""
    return given if given.startswith("resp_") else f"resp_{_NOT_IN_ID.sub('_', given)}"


def item_id(own_id: str, kind: str, index: int) -> str:
    """The id of an item: the same every time, and no other's in the conversation."""
    return f"{PREFIXES[kind]}_{own_id.removeprefix('resp_')}_{index}"


def _bare(own_id: str, model: str, created: int, status: str, output: Sequence[Any]) -> dict[str, Any]:
    head = {"id": own_id, "object": "response", "created_at": created, "status": status}
    return {**head, "error": None, "incomplete_details": None, "model": model, "output": output, "usage": None}


def _own_value(response: ChatResponse, choice: ChatChoice) -> dict[str, Any]:
    value: dict[str, Any] = {"id": response.id, "object": "response"}
    value |= {} if response.created is None else {"created_at": response.created}
    value |= {"model": response.model, "output": _own_output(response.id, choice.message)}
    return value if response.usage is None else {**value, "usage": encode_usage(response.usage)}


def _status(reason: FinishReason | None, response: ChatResponse) -> dict[str, Any]:
    """How an answer of this very format ended, where that is not what it said itself."""
    said = response.extra.get("status")
    return {} if said and (said == "incomplete") == (reason in _INCOMPLETE) else ended(reason)


def _own_output(own_id: str, message: Message) -> list[dict[str, Any]]:
    """The items of an answer of this very format; messages that are new get what the format demands."""
    items = []
    for index, item in enumerate(encode_conversation((message,))[1]):
        if item["type"] == "message":
            content = item["content"]
            if isinstance(content, str):
                content = [{"type": "output_text", "text": content, "annotations": []}]
            base = {"id": item_id(own_id, "message", index), "status": "completed"}
            items.append({**base, **item, "content": content})
        else:
            items.append(item)
    return items


def _items(own_id: str, parts: Sequence[Part], asked: Asked, status: str) -> Sequence[dict[str, Any]]:
    """The items of an answer of another format: reasoning, messages and calls, in the order in which they came."""
    items: list[dict[str, Any]] = []
    for part in beside(parts, texts=True):
        match part:
            case Reasoning():
                items.append(reasoning_item(part, item_id(own_id, "reasoning", len(items))))
            case Text() | Refusal() if part.text:
                if not items or items[-1]["type"] != "message":
                    head = {"id": item_id(own_id, "message", len(items)), "type": "message", "status": "completed"}
                    items.append({**head, "role": "assistant", "content": []})
                items[-1]["content"].append(encode_part(part, Role.ASSISTANT, own=False))
            case ToolCall():
                kind = asked.toolbox.kind(part.name)
                whole = part if part.arguments else attrs.evolve(part, arguments="{}")
                items.append(asked.toolbox.item(whole, item_id(own_id, kind, len(items)), "completed"))
            case _:
                continue
    if items and status == "incomplete" and items[-1]["type"] != "reasoning":
        items[-1]["status"] = status
    return items


def _show_logprobs(output: Sequence[Mapping[str, Any]], tokens: Sequence[Mapping[str, Any]]) -> None:
    """Show the probabilities with the first text: other formats do not tell which of several they belong to."""
    said = (part for item in output if item["type"] == "message" for part in item["content"])
    first = next((part for part in said if part["type"] == "output_text"), None)
    if tokens and first is not None:
        first["logprobs"] = list(tokens)


def _source(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except JSONError as error:
        raise _not_an_answer(str(error)) from None
    if not isinstance(value, dict):
        raise _not_an_answer("it is not a JSON object")
    return value


def _whole(value: Any) -> int | None:
    """A time; it may be written as a float."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _not_an_answer(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the answer is not a response: {reason}", retryable=True)
