from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from llmgate.spec import ASSEMBLED, Content, RecordContent
from llmgate.telemetry.content import content_attributes


def kept(value: Any, wire_format: str = "openai-chat", **fields: Any) -> Content:
    text = value if isinstance(value, str) else json.dumps(value)
    return Content(len(text), text=text, format=wire_format, **fields)


def asked(value: Any, wire_format: str = "openai-chat", **fields: Any) -> dict[str, Any]:
    told = content_attributes(RecordContent(request=kept(value, wire_format, **fields)))
    return {name: json.loads(text) for name, text in told.items()}


def answered(value: Any, wire_format: str = "openai-chat") -> Any:
    told = content_attributes(RecordContent(response=kept(value, wire_format)))
    assert list(told) == ["gen_ai.output.messages"]
    return json.loads(told["gen_ai.output.messages"])


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}}


def test_a_conversation_is_told_in_messages_made_of_parts() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}, picture]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    assert asked({"model": "m", "messages": messages}) == {
        "gen_ai.input.messages": [
            {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "Weather?"},
                    {"type": "uri", "modality": "image", "uri": "https://example.com/cat.png"},
                ],
            },
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Bern"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rain"}]},
        ]
    }


HELLO = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
BRIEF = [{"type": "text", "content": "Be brief."}]


@pytest.mark.parametrize(
    ("wire_format", "body"),
    [
        (
            "anthropic-messages",
            {"model": "m", "max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]},
        ),
        ("openai-responses", {"model": "m", "instructions": "Be brief.", "input": "hi"}),
        (
            "gemini-generate-content",
            {
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            },
        ),
        (
            "bedrock-converse",
            {"system": [{"text": "Be brief."}], "messages": [{"role": "user", "content": [{"text": "hi"}]}]},
        ),
    ],
)
def test_instructions_that_have_a_place_of_their_own_stand_apart(wire_format: str, body: Any) -> None:
    assert asked(body, wire_format) == {"gen_ai.system_instructions": BRIEF, "gen_ai.input.messages": HELLO}


@pytest.mark.parametrize(
    ("wire_format", "body"),
    [
        (
            "openai-chat",
            {
                "id": "x",
                "model": "m",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {"role": "assistant", "content": "well", "tool_calls": [CALL]},
                    }
                ],
            },
        ),
        (
            "anthropic-messages",
            {
                "id": "x",
                "model": "m",
                "type": "message",
                "role": "assistant",
                "stop_reason": "tool_use",
                "content": [
                    {"type": "text", "text": "well"},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}},
                ],
                "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        ),
        (
            ASSEMBLED,
            {
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {
                            "role": "assistant",
                            "content": "well",
                            "tool_calls": [{"id": "c1", "name": "weather", "arguments": '{"city":"Bern"}'}],
                        },
                    }
                ]
            },
        ),
    ],
)
def test_an_answer_is_told_alike_whatever_it_was_written_in(wire_format: str, body: Any) -> None:
    parts = [
        {"type": "text", "content": "well"},
        {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Bern"}},
    ]
    assert answered(body, wire_format) == [{"role": "assistant", "parts": parts, "finish_reason": "tool_call"}]


WHOLE = kept({"model": "m", "messages": [{"role": "user", "content": "hi"}]})


@pytest.mark.parametrize(
    "content",
    [
        attrs.evolve(WHOLE, truncated=True),
        attrs.evolve(WHOLE, format=""),
        attrs.evolve(WHOLE, format="openai-embeddings"),
        attrs.evolve(WHOLE, text='{"model": "m", "mess'),
        attrs.evolve(WHOLE, text='{"model": "m", "messages": "[redacted]"}'),
        attrs.evolve(WHOLE, format=ASSEMBLED, text='{"choices": [{}]}'),
    ],
)
def test_what_cannot_be_read_as_a_chat_is_told_as_the_text_that_is_kept(content: Content) -> None:
    assert content_attributes(RecordContent(response=content)) == {"llmgate.response.body": content.text}
    if content.format != ASSEMBLED:
        assert content_attributes(RecordContent(request=content)) == {"llmgate.request.body": content.text}


@pytest.mark.parametrize(
    "content", [None, RecordContent(), RecordContent(request=Content(3), response=Content(0, text=""))]
)
def test_nothing_is_told_of_what_is_not_kept(content: RecordContent | None) -> None:
    assert content_attributes(content) == {}
