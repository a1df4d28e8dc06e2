"""The words of a well-behaved provider."""

from __future__ import annotations

from llmgate.formats import get_format
from llmgate.testing.upstream_chat import chat_answer, chat_events, error_value, event_bytes


def test_chat_events_are_openai_chunks() -> None:
    events = chat_events("a  b\n", model="m", usage={"total_tokens": 1})
    assert [event["choices"][0]["delta"].get("content") for event in events[:-1]] == ["", "a", "  b", "\n", None]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert events[-1]["usage"] == {"total_tokens": 1}
    assert events[-1]["choices"] == []


def test_a_chat_answer_is_what_its_events_add_up_to() -> None:
    answer = chat_answer("a  b\n", model="m", usage={"total_tokens": 1})
    events = chat_events("a  b\n", model="m", usage={"total_tokens": 1})
    text = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    assert answer["choices"][0]["message"]["content"] == text
    assert answer["usage"] == events[-1]["usage"]
    assert "usage" not in chat_answer("a")


def test_an_error_is_one_that_the_format_understands() -> None:
    detail = get_format("openai-chat").decode_error(400, {}, event_bytes(error_value("no", code="c"))[6:])
    assert detail is not None
    assert (detail.message, detail.code) == ("no", "c")


def test_an_event_is_framed_once() -> None:
    assert event_bytes({"a": "é"}) == 'data: {"a": "é"}\n\n'.encode()
    assert event_bytes("[DONE]") == b"data: [DONE]\n\n"
    assert event_bytes(b": as it is\n\n") == b": as it is\n\n"
