"""A message's text is its text: reasoning, refusals and media are left out."""

from __future__ import annotations

from llmgate.spec import Blob, Message, Reasoning, Refusal, Role, Text


def test_text_joins_the_text_parts_alone():
    parts = [Reasoning("thinking"), Text("a"), Blob("image", "image/png", "AAAA"), Text("b"), Refusal("no")]
    assert Message(Role.ASSISTANT, parts).text == "ab"
    assert Message(Role.USER, []).text == ""
