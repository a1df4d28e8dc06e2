"""Streams whose last event says so itself."""

from __future__ import annotations

import json

import pytest

from llmgate.formats.carried import usage_of
from llmgate.formats.typed_events import TypedEventReader
from llmgate.spec import ProviderProtocolError


def event(kind: str, **fields) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


DELTA, DONE = event("x.delta", delta="a"), event("x.done", usage={"input_tokens": 1, "output_tokens": 2})


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", b": bye\n\n"])
def test_all_that_came_goes_on_and_the_last_event_is_the_terminal(size, end):
    reader = TypedEventReader(usage_of)
    data = DELTA + DELTA + DONE + end
    passed = b"".join(reader.relay(data[at : at + size]) for at in range(0, len(data), size))
    assert passed == DELTA + DELTA
    reader.finish()
    assert reader.terminal == DONE + end
    assert reader.outcome.complete
    assert reader.outcome.usage is not None
    assert reader.outcome.usage.output_tokens == 2


def test_an_event_that_was_not_the_last_after_all_goes_on():
    reader = TypedEventReader(usage_of)
    assert reader.relay(DONE) == b""
    assert reader.relay(DELTA) == DONE + DELTA
    with pytest.raises(ProviderProtocolError, match="before its last event"):
        reader.finish()


def test_chunks_carry_their_bytes():
    reader = TypedEventReader(usage_of)
    chunks = reader.decode(DELTA + DONE + b"data: [DONE]\n\n")
    assert [(chunk.raw, chunk.final) for chunk in chunks] == [(DELTA, False), (DONE + b"data: [DONE]\n\n", True)]


@pytest.mark.parametrize(
    "raw", [event("error", message="away"), b'data: {"error": {"message": "away"}}\n\n', b"event: error\ndata: {}\n\n"]
)
def test_an_error_is_noted_and_kept_from_the_client(raw):
    reader = TypedEventReader(usage_of)
    assert reader.relay(DELTA + raw + DONE) == DELTA
    assert reader.outcome.error is not None
    assert reader.decode(DONE)[0].error is reader.outcome.error


@pytest.mark.parametrize("raw", [b"data: nonsense\n\n", b"data: []\n\n"])
def test_what_is_no_event_is_the_providers_fault(raw):
    with pytest.raises(ProviderProtocolError):
        TypedEventReader(usage_of).relay(raw)


def test_nothing_at_all_is_incomplete():
    with pytest.raises(ProviderProtocolError):
        TypedEventReader(usage_of).finish()
