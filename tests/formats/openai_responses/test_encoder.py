from __future__ import annotations

import json
import time

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from formats.anthropic_messages import recorded as anthropic
from formats.openai_responses.recorded import numbered, text
from llmgate.formats import get_format, read_request
from llmgate.formats.openai_responses.encoder import KEEP_ALIVE, ResponseStreamEncoder
from llmgate.formats.sealing import opened
from llmgate.spec import (
    ChoiceDelta,
    FinishReason,
    GatewayChunk,
    GatewayTimeoutError,
    Outcome,
    ProviderRateLimitError,
    Reasoning,
    Text,
    ToolCallDelta,
    Usage,
)

FORMAT = get_format("openai-responses")
EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
ASKED = {
    "model": "claude-x",
    "instructions": "Be brief.",
    "input": "hi",
    "stream": True,
    "temperature": 0.5,
    "reasoning": {"effort": "low"},
    "tools": [
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False},
        {"type": "custom", "name": "apply_patch", "description": "Edit files."},
        {"type": "local_shell"},
        {"type": "namespace", "name": "mcp__a__", "description": "A", "tools": [{"type": "function", "name": "t"}]},
    ],
}


def encoder_of(**fields):
    request = read_request(FORMAT, json.dumps({**ASKED, **fields}).encode())
    return FORMAT.answering(request).stream_encoder()


def values(data: bytes) -> list[dict]:
    """The events, each proved by the SDK's own types, its numbers in order."""
    assert data.endswith(b"\n\n")
    found = []
    for event in data.split(b"\n\n")[:-1]:
        name, _, body = event.partition(b"\n")
        value = json.loads(body.removeprefix(b"data: "))
        assert name == b"event: " + value["type"].encode()
        EVENTS.validate_python(value)
        found.append(value)
    first = found[0]["sequence_number"]
    assert [value["sequence_number"] for value in found] == list(range(first, first + len(found)))
    return found


def delta(**fields):
    return GatewayChunk(choices=(ChoiceDelta(**fields),), id="chatcmpl-1", model="m", created=7)


FINAL = GatewayChunk(final=True)


def written(*chunks, encoder=None):
    encoder = encoder or encoder_of()
    return values(b"".join(encoder.encode(chunk) for chunk in (*chunks, FINAL)))


def test_an_answer_of_anthropics_in_the_documented_order():
    chunks = get_format("anthropic-messages").stream_reader().decode(anthropic.ANSWER + anthropic.STOP)
    events = written(*chunks[:-1])
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added"),
        *["reasoning_summary_text.delta"] * 2,
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added"),
        *["output_text.delta"] * 3,
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta"),
        "output_item.added",
        *["function_call_arguments.delta"] * 2,
        *("function_call_arguments.done", "output_item.done", "function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    response = events[-1]["response"]
    Response.model_validate(response)
    assert response["output"] == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    thought, message, *calls = response["output"]
    assert thought["summary"][0]["text"] == "Hmm \u2028 é"
    assert message["content"][0]["text"] == 'Hello wörld 👩‍👩‍👧 \u2028\u2029 "error" \\ \r\n {"type":"error"}'
    assert [(call["call_id"], call["arguments"]) for call in calls] == [
        ("toolu_1", "{}"),
        ("toolu_2", '{"city": "Zü"}'),
    ]
    assert (response["id"], response["status"], response["usage"]["total_tokens"]) == ("resp_msg_1", "completed", 35)
    assert response["usage"]["input_tokens_details"] == {"cached_tokens": 5, "cache_write_tokens": 0}
    ids = [item["id"] for item in response["output"]]
    assert ids == ["rs_msg_1_0", "msg_msg_1_1", "fc_msg_1_2", "fc_msg_1_3"]


def test_a_response_repeats_what_was_asked():
    events = written(delta(role="assistant"), delta(parts=(Text("a"),)))
    for event in (events[0], events[1], events[-1]):
        response = event["response"]
        assert (response["instructions"], response["temperature"]) == ("Be brief.", 0.5)
        assert response["tools"] == ASKED["tools"]
        assert response["reasoning"] == {"effort": "low", "summary": None}
        assert (response["store"], response["created_at"], response["model"]) == (False, 7, "m")


def test_calls_are_of_their_callers_kinds():
    calls = (
        ToolCallDelta(0, "c1", "apply_patch", '{"input":"*** Be'),
        ToolCallDelta(1, "c2", "mcp__a__t", '{"x"'),
        ToolCallDelta(0, arguments='gin\\n"}'),
        ToolCallDelta(2, "c3", "local_shell", '{"command":["ls","-l"],"timeout_ms":5}'),
        ToolCallDelta(1, arguments=":1}"),
    )
    events = written(*[delta(tool_calls=(call,)) for call in calls])
    patch, tool, shell = events[-1]["response"]["output"]
    assert (patch["type"], patch["name"], patch["input"]) == ("custom_tool_call", "apply_patch", "*** Begin\n")
    assert (tool["namespace"], tool["name"], tool["arguments"]) == ("mcp__a__", "t", '{"x":1}')
    assert shell["type"] == "local_shell_call"
    assert shell["action"] == {"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 5}
    pieces = [event for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert [piece["delta"] for piece in pieces] == ["*** Begin\n"]
    assert not [one for one in events if "arguments.delta" in one["type"] and one["item_id"] == patch["id"]]


def test_a_name_that_comes_late_is_waited_for_and_a_call_without_arguments_gets_some():
    events = written(
        delta(tool_calls=(ToolCallDelta(0, "c1", None, ""),)),
        delta(tool_calls=(ToolCallDelta(0, None, "weather", ""),)),
    )
    (call,) = events[-1]["response"]["output"]
    assert (call["call_id"], call["name"], call["arguments"]) == ("c1", "weather", "{}")
    (nameless,) = written(delta(tool_calls=(ToolCallDelta(3, None, "weather", "{}"),)))[-1]["response"]["output"]
    assert nameless["call_id"] == "call_chatcmpl-1_0"


def test_text_refusal_and_thought_that_interleave():
    events = written(
        delta(parts=(Reasoning("a"), Text("b"))),
        delta(parts=(Reasoning("c", "sig"),)),
        delta(parts=(Text("d"),), refusal="e"),
        delta(parts=(Reasoning("", extra={"type": "redacted_thinking", "data": "x"}),)),
    )
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "reasoning", "message", "reasoning"]
    assert [part["type"] for part in output[3]["content"]] == ["output_text", "refusal"]
    assert opened(output[0]["encrypted_content"]) == Reasoning("")
    assert output[2]["encrypted_content"].startswith("llmgate.1.")
    assert (output[4]["summary"], output[4]["encrypted_content"][:10]) == ([], "llmgate.1.")


@pytest.mark.parametrize(
    ("reason", "kind", "details"),
    [
        (FinishReason.STOP, "completed", None),
        (FinishReason.TOOL_CALLS, "completed", None),
        (None, "completed", None),
        (FinishReason.LENGTH, "incomplete", {"reason": "max_output_tokens"}),
        (FinishReason.CONTENT_FILTER, "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_it_ends(reason, kind, details):
    usage = GatewayChunk(usage=Usage(3, 4))
    last = written(delta(parts=(Text("a"),)), delta(finish_reason=reason), usage)[-1]
    assert last["type"] == f"response.{kind}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (kind, details)
    assert last["response"]["output"][0]["status"] == kind
    assert last["response"]["usage"]["total_tokens"] == 7


def test_an_answer_that_says_nothing_is_a_response_all_the_same():
    events = written(delta(role="assistant"))
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.completed"]


def test_an_error_fails_the_response():
    encoder = encoder_of()
    before = encoder.encode(delta(parts=(Text("a"),)))
    error = ProviderRateLimitError("slow down", provider_name="p", retry_after=2.5)
    *_, last = values(before + encoder.error(error))
    assert (last["type"], last["response"]["status"], last["response"]["id"]) == (
        "response.failed",
        "failed",
        "resp_chatcmpl-1",
    )
    assert last["response"]["error"]["code"] == "rate_limit_exceeded"
    assert last["response"]["error"]["message"] == "slow down Please try again in 2.5s."


def test_an_error_before_anything_is_a_response_that_failed_at_once():
    events = values(ResponseStreamEncoder().error(GatewayTimeoutError("too late")))
    assert [event["type"] for event in events] == ["response.created", "response.in_progress", "response.failed"]
    error = events[-1]["response"]["error"]
    assert (error["code"], error["type"], error["message"]) == ("server_error", "deadline_exceeded", "too late")


def test_an_error_behind_a_relayed_stream_goes_on_with_its_numbers():
    encoder = encoder_of()
    encoder.resume(Outcome(response_id="resp_9", model="gpt-x"), 12)
    (last,) = values(encoder.error(GatewayTimeoutError("too late")))
    assert (last["sequence_number"], last["response"]["id"], last["response"]["model"]) == (12, "resp_9", "gpt-x")


def test_the_sign_of_life_is_an_event_with_data_and_every_member_that_decoders_want():
    name, data, *_ = KEEP_ALIVE.split(b"\n")
    assert name == b"event: keepalive"
    assert json.loads(data.removeprefix(b"data: ")).keys() == {"type", "sequence_number"}


def test_a_chunk_is_written_quickly():
    encoder = encoder_of()
    chunk = delta(parts=(Text("word "),))
    encoder.encode(chunk)
    began = time.process_time()
    for _ in range(2000):
        encoder.encode(chunk)
    assert (time.process_time() - began) / 2000 < 0.001  # 10 µs by itself: this only notices what is no longer linear


def test_the_shapes_of_these_tests_are_those_of_the_vendor():
    values(b"".join(numbered([*text(0, "a")])))
