from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.genai import types

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.formats.gemini_generate_content.requests import decode_request, encode_request, patch_request, peek
from llmgate.spec import ChatRequest, InvalidRequestError, ToolDefinition
from llmgate.testing.corpus import chat_corpus
from llmgate.testing.golden import assert_golden

CHAT, MESSAGES = get_format("openai-chat"), get_format("anthropic-messages")
GOLDEN = Path(__file__).parents[2] / "golden" / "gemini_generate_content"


@pytest.mark.parametrize("name", [name for name in chat_corpus() if name not in ("full", "media")])
def test_the_corpus_of_chat_matches_its_golden_file(name, update_golden):
    """Both ways: what chat asks, written for this format, and that written for chat again."""
    asked = CHAT.decode_request(chat_corpus()[name])
    facts = facts_of("gemini-3-flash-preview")
    there = encode_request(asked, facts)
    for content in json.loads(there)["contents"]:
        types.Content.model_validate(content)
    back = CHAT.encode_request(decode_request(there), facts)
    text = json.dumps({"there": json.loads(there), "back": json.loads(back)}, indent=2, ensure_ascii=False) + "\n"
    assert_golden(GOLDEN / f"{name}.json", text, update=update_golden)


def test_both_spellings_ask_the_same():
    camel = {
        "contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 0}},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    }
    snake = {
        "contents": {"role": "user", "parts": {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}},
        "system_instruction": {"parts": {"text": "s"}},
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}},
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
    }
    first, second = (decode_request(json.dumps(one).encode()) for one in (camel, snake))
    assert (first.messages, first.tool_choice) == (second.messages, second.tool_choice)
    assert (first.max_output_tokens, first.reasoning_effort) == (second.max_output_tokens, second.reasoning_effort)
    assert first.reasoning_effort == "none"


def test_an_edit_goes_where_the_body_says_it_already():
    body = b'{"generation_config": {"temperature": 1}, "contents": [], "safetySettings": [ ]}'
    patched = patch_request(body, {"max_output_tokens": 9})
    assert (
        patched
        == b'{"generation_config": {"maxOutputTokens":9,"temperature":1}, "contents": [], "safetySettings": [ ]}'
    )


def test_a_choice_that_is_changed_leaves_nothing_of_the_old_one():
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, "retrievalConfig": {"a": 1}}
    body = json.dumps({"contents": [], "toolConfig": config}).encode()
    choice = decode_request(b'{"contents":[],"toolConfig":{"functionCallingConfig":{"mode":"NONE"}}}').tool_choice
    patched = json.loads(patch_request(body, {"tool_choice": choice}))
    assert patched["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}, "retrievalConfig": {"a": 1}}
    assert json.loads(encode_request(decode_request(body)))["toolConfig"] == config


def test_a_choice_of_a_few_reaches_other_formats():
    functions = [{"name": name} for name in "fgh"]
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f", "g"]}}
    tools = [{"functionDeclarations": functions}]
    request = decode_request(json.dumps({"contents": [], "tools": tools, "toolConfig": config}).encode())
    chat = json.loads(CHAT.encode_request(request))
    assert [one["function"]["name"] for one in chat["tools"]] == ["f", "g"]
    assert chat["tool_choice"] == "required"
    assert [one["name"] for one in json.loads(MESSAGES.encode_request(request))["tools"]] == ["f", "g"]


def test_strict_tools_are_checked_by_the_model():
    asked = ChatRequest("m", (), tools=(ToolDefinition("f", strict=True),), extra_format="openai-chat")
    assert json.loads(encode_request(asked))["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_probabilities_are_asked_for_in_both_formats():
    asked = CHAT.decode_request(b'{"model":"m","messages":[],"logprobs":true,"top_logprobs":2}')
    there = encode_request(asked)
    assert json.loads(there)["generationConfig"] == {"responseLogprobs": True, "logprobs": 2}
    back = json.loads(CHAT.encode_request(decode_request(there)))
    assert (back["logprobs"], back["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"contents": "hi"}', b"", b'{"contents": [], "contents": []}'])
def test_what_is_no_request_is_refused(body):
    for read in (peek, decode_request):
        with pytest.raises(InvalidRequestError):
            read(body)


def test_cached_contents_cannot_go_to_another_vendor():
    request = decode_request(b'{"contents": [], "cachedContent": "cachedContents/1"}')
    with pytest.raises(InvalidRequestError, match="cachedContent"):
        CHAT.encode_request(request)
    assert json.loads(encode_request(request))["cachedContent"] == "cachedContents/1"
