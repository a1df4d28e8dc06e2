"""What spans tell of contents: the same messages come back when they are told again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.pipeline.told_messages import told_answer, told_request
from llmgate.spec import Content, RecordContent
from llmgate.telemetry.content import content_attributes

ASKED = [
    {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
    {"role": "user", "parts": [{"type": "text", "content": "look"}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "see", "arguments": {"x": 1}}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]},
]
ANSWERED = [{"role": "assistant", "parts": [{"type": "text", "content": "a cat"}], "finish_reason": "stop"}]


@pytest.mark.parametrize("write", [json.dumps, lambda value: value])
def test_what_is_told_is_told_again_as_it_was(write: Any):
    said = {"gen_ai.input.messages": write(ASKED), "gen_ai.output.messages": write(ANSWERED), "gen_ai.response.id": "r"}
    asked, answered = told_request("m", said), told_answer({**said, "gen_ai.response.model": "m-1"})
    kept = RecordContent(
        Content(1, text=asked.decode(), format="openai-chat"), Content(1, text=answered.decode(), format="openai-chat")
    )
    again = content_attributes(kept)
    assert json.loads(again["gen_ai.input.messages"]) == ASKED
    assert json.loads(again["gen_ai.output.messages"]) == ANSWERED


def test_instructions_and_pictures_become_those_of_a_chat():
    parts = [
        {"type": "text", "content": "this"},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
        {"type": "blob", "modality": "image", "mime_type": "image/jpeg", "content": "AAAA"},
    ]
    said = {
        "gen_ai.system_instructions": [{"type": "text", "content": "be brief"}],
        "gen_ai.input.messages": [{"role": "user", "parts": parts}],
    }
    request = get_format("openai-chat").decode_request(told_request("m", said))
    assert [one.role.value for one in request.messages] == ["system", "user"]
    assert len(request.messages[1].parts) == 3


@pytest.mark.parametrize("odd", [None, 5, "", "[5]", "[]", {}])
def test_nothing_told_is_nothing_kept(odd: Any):
    said = {"gen_ai.input.messages": odd, "gen_ai.output.messages": odd}
    kept = b'{"model":"m","messages":[{"role":"user","content":""}]}' if odd == "" else b""
    assert told_request("m", said) == kept
    if odd != "":
        assert told_answer(said) == b""


def test_what_has_no_counterpart_stays():
    part = {"type": "reasoning", "content": "hm"}
    said = {"gen_ai.output.messages": [{"role": "assistant", "parts": [part]}]}
    assert json.loads(told_answer(said))["choices"][0]["message"]["content"] == [part]
