from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

from llmgate.spec import FinishReason, Outcome, Usage
from llmgate.stages.interceptors.cache.entries import Entry, is_keepable
from scripted import DONE, ROLE, delta

BODY = json.dumps(
    {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    }
).encode()  # fmt: skip
STREAM = ROLE + delta("hi") + delta(finish="stop") + DONE


def entry(body: bytes = BODY, *, finish: FinishReason | None = FinishReason.STOP, **fields: Any) -> Entry:
    values: dict[str, Any] = {
        "key": "k", "format": "openai-chat", "streamed": False, "media_type": "application/json", "stored_at": 100.0,
        "lifetime": 60.0, "served_by": "m", "body": body,
        "outcome": Outcome("c", "m", Usage(3, 2, cache_read=1, estimated=True), finish, content=True, complete=True),
    }  # fmt: skip
    return Entry(**{**values, **fields})


def test_what_is_kept_comes_back() -> None:
    for one in (
        entry(),
        entry(STREAM, streamed=True),
        entry(b"\n\n\x00", outcome=Outcome(content=True, complete=True)),
    ):
        assert Entry.load(one.dump(), "k") == one


def test_an_answer_is_given_with_its_usage_and_can_be_decoded() -> None:
    response = entry().response()
    assert (response.body, response.chat.text, response.streamed) == (BODY, "hi", False)
    assert response.outcome.usage == Usage(3, 2, cache_read=1, estimated=True)
    assert entry(STREAM, streamed=True).response().streamed


def test_an_entry_of_another_request_is_none() -> None:
    assert Entry.load(entry().dump(), "other") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 1), ("digest", ""), ("stored-at", None), ("stored-at", -1), ("stored-at", True), ("lifetime", "1"),
        ("usage", 3), ("usage", {"input_tokens": "x"}), ("finish-reason", "bored"), ("format", "no-such-format"),
        ("format", 1), ("media-type", None), ("served-by", []), ("key", 1), ("id", 5),
    ],
)  # fmt: skip
def test_a_poisoned_head_is_none(name: str, value: Any) -> None:
    line, _, body = entry().dump().partition(b"\n")
    magic, _, head = line.partition(b" ")
    poisoned = magic + b" " + json.dumps({**json.loads(head), name: value}).encode() + b"\n" + body
    assert Entry.load(poisoned, "k") is None


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: b"llmgate-cache/1 " + data + b"\n"))
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    assert Entry.load(data, "k") is None


def test_a_changed_body_is_none() -> None:
    data = entry().dump()
    assert Entry.load(data.replace(b"hi", b"ho"), "k") is None


@given(st.integers(0, 400))
def test_a_cut_entry_is_none(length: int) -> None:
    data = entry().dump()
    assert Entry.load(data[: min(length, len(data) - 1)], "k") is None


def test_age_never_falls_below_nothing() -> None:
    assert entry().age(130.0) == 30
    assert entry().age(50.0) == 0


def refusing() -> bytes:
    value = json.loads(BODY)
    value["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "no"}
    return json.dumps(value).encode()


def second_filtered() -> bytes:
    value = json.loads(BODY)
    value["choices"].append({**value["choices"][0], "index": 1, "finish_reason": "content_filter"})
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("one", "kept"),
    [
        (entry(), True),
        (entry(finish=FinishReason.LENGTH), True),
        (entry(finish=FinishReason.TOOL_CALLS), True),
        (entry(finish=FinishReason.CONTENT_FILTER), False),
        (entry(finish=FinishReason.ERROR), False),
        (entry(finish=None), False),
        (entry(refusing()), False),
        (entry(second_filtered()), False),
        (entry(b"<html>"), False),
        (entry(STREAM, streamed=True), True),
        (entry(STREAM.removesuffix(DONE), streamed=True), False),
        (entry(ROLE + delta(refusal="no") + delta(finish="stop") + DONE, streamed=True), False),
        (entry(b'data: {"error":{"message":"x"}}\n\n', streamed=True), False),
        (entry(b"", format="openai-embeddings", finish=None), False),
        (entry(b'{"data":[]}', format="openai-embeddings", finish=None), True),
    ],
)
def test_which_answers_are_kept(one: Entry, kept: bool) -> None:
    assert is_keepable(one) is kept


def test_the_answer_given_cannot_change_the_one_kept() -> None:
    one = entry()
    one.response().outcome.usage = None
    assert attrs.asdict(one.outcome)["usage"] is not None
