"""A stream given again: its very bytes, or its events."""

from __future__ import annotations

import pytest

from llmgate.pipeline.kept import KeptStream
from llmgate.spec import GatewayResponse, Outcome, ProviderProtocolError
from scripted import DONE, ROLE, delta

BODY = ROLE + delta("a") + delta(finish="stop") + DONE


def kept(body: bytes = BODY) -> GatewayResponse:
    return GatewayResponse("openai-chat", body, Outcome(), streamed=True)


def test_as_bytes_it_is_what_was_kept_and_its_marker_stands_apart() -> None:
    source = KeptStream(kept(), decode=False)
    assert b"".join(source.held_bytes) + source.terminal == BODY
    assert source.terminal == DONE
    assert source.outcome.complete


def test_as_events_each_carries_its_own_bytes() -> None:
    source = KeptStream(kept(), decode=True)
    assert "".join(chunk.text for chunk in source.held_chunks) == "a"
    assert source.held_chunks[-1].final
    assert b"".join(chunk.raw for chunk in source.held_chunks) == BODY


@pytest.mark.parametrize("decode", [True, False])
def test_a_stream_without_its_end_is_none(decode: bool) -> None:
    with pytest.raises(ProviderProtocolError):
        KeptStream(kept(BODY.removesuffix(DONE)), decode=decode)


async def test_nothing_is_read_behind_it() -> None:
    source = KeptStream(kept(), decode=False)
    with pytest.raises(NotImplementedError):
        await source.read_bytes()
    with pytest.raises(NotImplementedError):
        await source.read_chunks()
    await source.drain()
    await source.aclose()
