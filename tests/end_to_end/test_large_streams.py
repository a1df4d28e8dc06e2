"""Streams of odd sizes through a running gateway: one huge event, and a whole answer in pieces of one byte."""

from __future__ import annotations

import json

import pytest

from end_to_end.loopback import MESSAGES, Reply, loopback, settings_for
from llmgate.testing.upstream import FakeUpstream
from llmgate.testing.upstream_chat import chat_events, event_bytes

CHAT = {"model": "m", "messages": MESSAGES, "stream": True}
MIB = 1024 * 1024


def text_of(reply: Reply) -> str:
    *events, last = reply.events
    assert last == b"data: [DONE]"
    said = [json.loads(event.removeprefix(b"data: "))["choices"] for event in events]
    return "".join(choice["delta"].get("content") or "" for choices in said for choice in choices)


async def test_an_event_of_almost_sixteen_mebibytes_passes() -> None:
    word = "a" * (16 * MIB - 1000)
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        one.stream(chat_events(word))
        reply = await gateway.post(CHAT)
        (record,) = await gateway.recorded()
    assert text_of(reply) == word
    assert record.outcome == "ok"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_longer_one_is_an_error_of_the_provider(begun: bool) -> None:
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        role, word, *_ = chat_events("hello")
        huge = event_bytes(chat_events("a" * (16 * MIB))[1])
        one.stream([role, *([word] if begun else []), huge])
        reply = await gateway.post(CHAT)
        (record,) = await gateway.recorded()
        await one.idle()
    assert record.error_code == "provider_protocol_error"
    if begun:
        assert (reply.status, record.outcome) == (200, "incomplete")
        assert b'"provider_protocol_error"' in reply.events[-1]
    else:
        assert (reply.status, reply.error["code"]) == (502, "provider_protocol_error")


async def test_an_answer_in_pieces_of_one_byte_is_the_same_answer() -> None:
    text = "Grüße aus dem 東京 tower 🗼 " * 40
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        one.stream(chat_events(text), split=1)
        one.stream(chat_events(text))
        pieces, whole = await gateway.post(CHAT), await gateway.post(CHAT)
    assert pieces.body == whole.body
    assert text_of(pieces) == text
