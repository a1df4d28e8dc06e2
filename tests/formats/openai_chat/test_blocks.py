from __future__ import annotations

from typing import Any

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.openai_chat.messages import decode_message
from llmgate.formats.openai_chat.tools import decode_tool, decode_tool_choice
from llmgate.spec import Blob, Text, ToolCall, ToolCallResponse, ToolChoice, Unknown, Uri


def parts(role: str, *content: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(decode_message({"role": role, "content": list(content)}, "m").parts)


def test_calls_and_results_as_anthropic_has_them() -> None:
    assert parts("assistant", {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}) == (
        ToolCall("t", "f", '{"a":1}'),
    )
    assert parts("assistant", {"type": "tool_use", "id": "t", "name": "f"}) == (ToolCall("t", "f", "{}"),)
    assert parts("user", {"type": "tool_result", "tool_use_id": "t"}) == (ToolCallResponse("t", ()),)
    content = [
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        {"type": "search_result", "title": "t"},
    ]
    (result,) = parts("user", {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": content})
    assert result.is_error
    assert [type(part) for part in result.content] == [Text, Uri, Unknown]
    assert result.content[0].extra == {"cache_control": {"type": "ephemeral"}}


def test_text_and_pictures() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}
    assert parts("user", {"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}, picture) == (
        Text("a"),
        Text("b"),
        Blob("image", "image/png", "eA=="),
    )


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"type": "tool_use", "name": "f"}, r"m.content\[0\].id"),
        ({"type": "tool_use", "id": "t", "name": "f", "input": "x"}, r"m.content\[0\].input"),
        ({"type": "tool_result"}, r"m.content\[0\].tool_use_id"),
        ({"type": "tool_result", "tool_use_id": "t", "content": 5}, r"m.content\[0\].content"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, r"m.content\[0\].source"),
        ({"type": "input_text"}, r"m.content\[0\].text"),
    ],
)
def test_what_has_another_shape_is_named(part: dict[str, Any], path: str) -> None:
    with pytest.raises(ShapeError, match=path):
        parts("user", part)


def test_tools_and_the_choice_of_one() -> None:
    mark = {"type": "ephemeral"}
    bare = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": mark}
    tool = decode_tool(bare, "tools[0]")
    assert (tool.name, tool.description, tool.parameters, tool.extra) == (
        "f",
        "d",
        {"type": "object"},
        {"cache_control": mark},
    )
    assert decode_tool_choice({"type": "tool", "name": "f"}) == ToolChoice("named", "f")
    assert decode_tool_choice({"type": "any"}) == ToolChoice("required")
    assert decode_tool_choice({"type": "none"}) == ToolChoice("none")
    assert decode_tool_choice({"type": "any", "disable_parallel_tool_use": True}) is None
