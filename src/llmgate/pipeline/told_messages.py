"""What spans tell of contents, written as a chat of OpenAI's, in which the rest of the gateway can read it.

Source: https://github.com/open-telemetry/semantic-conventions-genai, ``gen-ai-input-messages.json`` and
``gen-ai-output-messages.json`` as of 2026-10. A part without a counterpart stays as the span has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads

__all__ = ["told_answer", "told_request"]

_INSTRUCTIONS: Final = "gen_ai.system_instructions"
_INPUT: Final = "gen_ai.input.messages"
_OUTPUT: Final = "gen_ai.output.messages"
_ENDS: Final = {"tool_call": "tool_calls"}


def told_request(model: str, said: Mapping[str, Any]) -> bytes:
    """What was asked, as a request for a chat; nothing where the span does not tell it.

    Args:
        model: The model asked for.
        said: The span's attributes.
    """
    messages = [_input(one) for one in _list(said.get(_INPUT))]
    instructions = _list(said.get(_INSTRUCTIONS))
    if instructions:
        messages.insert(0, {"role": "system", "content": _content(instructions)})
    return dumps({"model": model, "messages": messages}) if messages else b""


def told_answer(said: Mapping[str, Any]) -> bytes:
    """What was answered, as the answer of a chat; nothing where the span does not tell it.

    Args:
        said: The span's attributes.
    """
    choices = [
        {"index": index, "message": _message(one), "finish_reason": _ends(one.get("finish_reason"))}
        for index, one in enumerate(_list(said.get(_OUTPUT)))
    ]
    if not choices:
        return b""
    head = {"id": said.get("gen_ai.response.id"), "object": "chat.completion", "created": 0}
    return dumps({**head, "model": said.get("gen_ai.response.model"), "choices": choices})


def _list(value: Any) -> Sequence[Mapping[str, Any]]:
    """Objects of a list, which most instrumentations write as a JSON text."""
    if isinstance(value, str):
        try:
            value = loads(value.encode("utf-8", "replace"))
        except JSONError:
            value = [{"role": "user", "type": "text", "content": value}]
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _input(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the conversation; the answer of a tool is one of its own."""
    answers = [one for one in _list(message.get("parts")) if one.get("type") == "tool_call_response"]
    if len(answers) != 1 or len(_list(message.get("parts"))) != 1:
        return _message(message)
    said = answers[0].get("response", answers[0].get("result", ""))
    text = said if isinstance(said, str) else dumps(said).decode()
    return {"role": "tool", "tool_call_id": answers[0].get("id"), "content": text}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    parts = _list(message.get("parts")) or ([message] if "content" in message else [])
    calls = [_call(one) for one in parts if one.get("type") == "tool_call"]
    rest = [one for one in parts if one.get("type") != "tool_call"]
    found: dict[str, Any] = {"role": message.get("role") or "user", "content": _content(rest) if rest else None}
    if message.get("name"):
        found["name"] = message["name"]
    return {**found, "tool_calls": calls} if calls else found


def _content(parts: Sequence[Mapping[str, Any]]) -> Any:
    if all(_is_text(one) for one in parts):
        return "".join(one["content"] for one in parts)
    return [_part(one) for one in parts]


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.get("type", "text") == "text" and isinstance(part.get("content"), str)


def _part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if _is_text(part):
        return {"type": "text", "text": part["content"]}
    pictured = part.get("modality") == "image"
    if part.get("type") == "uri" and pictured:
        return {"type": "image_url", "image_url": {"url": part.get("uri")}}
    if part.get("type") == "blob" and pictured:
        data = f"data:{part.get('mime_type') or 'image/png'};base64,{part.get('content')}"
        return {"type": "image_url", "image_url": {"url": data}}
    return part


def _call(part: Mapping[str, Any]) -> Mapping[str, Any]:
    said = part.get("arguments", "")
    text = said if isinstance(said, str) else dumps(said).decode()
    return {"id": part.get("id"), "type": "function", "function": {"name": part.get("name"), "arguments": text}}


def _ends(reason: Any) -> Any:
    return _ENDS.get(reason, reason) if isinstance(reason, str) else None
