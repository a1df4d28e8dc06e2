from __future__ import annotations

from llmgate.formats import get_format
from llmgate.formats.gemini_generate_content.chunks import ChunkReader
from llmgate.formats.thought_signatures import signature_in
from llmgate.spec import FinishReason, Reasoning, Text, Usage

from .recorded import CALL, HEAD, USAGE


def read(*candidates, reader=None, **more):
    value = {"candidates": list(candidates), **HEAD, **more}
    return (reader or ChunkReader()).read(value, b"raw")


def candidate(*parts, **more):
    return {"content": {"role": "model", "parts": list(parts)}, **more}


def test_what_is_new_is_told_by_kind():
    chunk = read(
        candidate({"text": "hm", "thought": True}, {"text": "a"}, CALL, finishReason="STOP"), usageMetadata=USAGE
    )
    (choice,) = chunk.choices
    assert choice.parts == (Reasoning("hm"), Text("a"))
    assert (choice.tool_calls[0].id, choice.finish_reason) == ("fc1", FinishReason.TOOL_CALLS)
    assert signature_in(choice.tool_calls[0].extra) == CALL["thoughtSignature"]
    assert (chunk.id, chunk.model, chunk.usage) == ("r-1", "gemini-3-flash-preview", Usage(9, 12, reasoning=7))
    assert chunk.raw == b"raw"


def test_a_call_in_an_earlier_event_is_why_the_answer_ends():
    reader = ChunkReader()
    read(candidate(CALL), reader=reader)
    assert read(candidate(finishReason="STOP"), reader=reader).choices[0].finish_reason is FinishReason.TOOL_CALLS


def test_clients_of_openai_get_pictures_signatures_and_the_providers_word():
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    signed = {"text": "a", "thoughtSignature": "c2ln"}
    chunk = read(candidate(picture, signed, finishReason="MALFORMED_FUNCTION_CALL"))
    encoder = get_format("openai-chat").stream_encoder()
    event = encoder.encode(chunk)
    assert b'"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]' in event
    assert b'"extra_content":{"google":{"thought_signature":"c2ln"}}' in event
    assert b'"native_finish_reason":"MALFORMED_FUNCTION_CALL"' in event
    again = get_format("gemini-generate-content").stream_encoder().encode(chunk)
    assert b'"inlineData"' in again


def test_an_event_without_candidates_has_no_choices():
    assert read().choices == ()
    assert ChunkReader().read({"candidates": 7, "responseId": 7}, b"").id is None
