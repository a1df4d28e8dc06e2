"""Functions as chat completions had them before tools: ``functions``, ``function_call`` and messages of a ``function``.

Requests and answers are read as if they said the same with tools; what came so is marked, and written as it came.
Calls had no ids: those that other formats demand tell the place in the conversation. An answer holds one call at most,
so that a caller of this kind gets the first. Source: OpenAI API reference, "Create chat completion", deprecated fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import REMOVE, JSONError, top
from llmgate.formats.fields import as_list, as_object, as_text, optional, rest
from llmgate.formats.losses import SINGLE_CALLS
from llmgate.spec import GatewayRequest

__all__ = ["answer_with_calls", "asks_with_functions", "older_answer", "older_fields", "older_messages", "with_tools"]

_MARK: Final = SINGLE_CALLS
_FIELDS: Final = frozenset({"functions", "function_call"})


def asks_with_functions(request: GatewayRequest) -> bool:
    """Whether a request names its tools as functions, and reads its answers so."""
    if request.upload is not None or b'"functions"' not in request.body:
        return False
    try:
        read = top(request.body)
        return bool(read.get("functions")) and not read.get("tools")
    except JSONError:
        return False


def with_tools(source: dict[str, Any]) -> dict[str, Any]:
    """A request with tools in the place of its functions; the very same where it has none.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    messages = source["messages"]
    changed = dict(source)
    if any(isinstance(one, dict) and ("function_call" in one or one.get("role") == "function") for one in messages):
        changed["messages"] = list(_modern_messages(messages))
    functions = optional(source, "functions", as_list)
    if not functions or source.get("tools"):
        return changed if "messages" in changed and changed["messages"] is not messages else source
    changed = rest(changed, frozenset({"functions"}))
    changed["tools"] = [_modern_tool(one, f"functions[{index}]") for index, one in enumerate(functions)]
    match source.get("function_call"):
        case {"name": str(name), **more} if not more:
            changed["tool_choice"] = {"type": "function", "function": {"name": name}}
        case "auto" | "none" as mode:
            changed["tool_choice"] = mode
        case None:
            pass
        case _:
            return changed
    return rest(changed, _FIELDS)


def answer_with_calls(message: Mapping[str, Any], call_id: str) -> Mapping[str, Any]:
    """A message, or a piece of one, with a tool call in the place of its function call.

    Args:
        message: The message.
        call_id: The id that the call gets, where the message says its name.
    """
    call = message.get("function_call")
    if not isinstance(call, dict) or message.get("tool_calls"):
        return message
    named = {"id": call_id} if call.get("name") else {}
    value = {"index": 0, **named, "type": "function", "function": call, _MARK: True}
    return {**rest(message, frozenset({"function_call"})), "tool_calls": [value]}


def older_answer(choice: dict[str, Any], member: str, *, always: bool) -> dict[str, Any]:
    """A choice with a function call in the place of its first tool call.

    Args:
        choice: The choice, whole or a piece.
        member: ``message`` or ``delta``.
        always: Whether the caller reads nothing else; otherwise only what came so is written so.
    """
    said = choice[member]
    calls = said.get("tool_calls") or ()
    native = choice.get("native_finish_reason") == "function_call"
    if not (always or native or any(_MARK in call for call in calls)):
        return choice
    result = {**choice, member: rest(said, frozenset({"tool_calls"}))}
    first = next((call for call in calls if call.get("index", 0) == 0), None)
    if first is not None:
        result[member]["function_call"] = first["function"]
    if choice.get("finish_reason") == "tool_calls":
        result["finish_reason"] = "function_call"
        if native:
            del result["native_finish_reason"]
    return result


def older_messages(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages, with those that came with functions as they came."""
    return [_older_message(message) for message in messages]


def older_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request with functions in the place of its tools."""
    result = rest(fields, frozenset({"tools", "tool_choice", "parallel_tool_calls"}))
    if "tools" in fields:
        tools = fields["tools"]
        result["functions"] = REMOVE if tools is REMOVE else [tool.get("function", tool) for tool in tools]
        if tools is REMOVE:
            result["function_call"] = REMOVE
    if "tool_choice" in fields:
        choice = fields["tool_choice"]
        result["function_call"] = choice.get("function", choice) if isinstance(choice, dict) else choice
    return result


def _modern_tool(value: Any, path: str) -> dict[str, Any]:
    function = as_object(value, path)
    as_text(function.get("name"), f"{path}.name")
    optional(function, "parameters", as_object, path)
    return {"type": "function", "function": function, _MARK: True}


def _modern_messages(messages: Sequence[Any]) -> Any:
    waiting: dict[str, list[str]] = {}
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            yield message
        elif message.get("role") == "function":
            path = f"messages[{index}]"
            name = as_text(message.get("name"), f"{path}.name")
            ids = waiting.get(name)
            call_id = ids.pop(0) if ids else f"call_of_{name}"
            yield {**rest(message, frozenset({"name"})), "role": "tool", "tool_call_id": call_id, _MARK: name}
        else:
            call = message.get("function_call")
            if call is not None:
                call = as_object(call, f"messages[{index}].function_call")
                name = as_text(call.get("name"), f"messages[{index}].function_call.name")
                waiting.setdefault(name, []).append(f"call_{index}")
            yield answer_with_calls(message, f"call_{index}")


def _older_message(message: dict[str, Any]) -> dict[str, Any]:
    if message.get("role") == "tool" and isinstance(message.get(_MARK), str):
        kept = rest(message, frozenset({"tool_call_id", _MARK, "role"}))
        return {"role": "function", "name": message[_MARK], **kept}
    calls: list[dict[str, Any]] = message.get("tool_calls") or []
    if not any(_MARK in call for call in calls):
        return message
    return {**rest(message, frozenset({"tool_calls"})), "function_call": calls[0]["function"]}
