"""Bodies written while they come, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs
import pytest

from llmgate.spec import HeldUpload, InvalidRequestError, ProviderConnectionError, ProviderTimeoutError, Timeouts
from llmgate.wire.uploading import UploadPayload


class Failing(HeldUpload):
    """An upload that fails behind its first piece."""

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in super().pieces():
            yield piece
            break
        self.failure = InvalidRequestError("the sender is at fault")
        raise self.failure


async def test_it_arrives_as_it_was_with_its_length_or_in_chunks(upstream, transport, ask):
    data = bytes(range(256)) * 1000
    for length in (len(data), None):
        upload = HeldUpload(data, "audio/mpeg")
        upload.length = length
        upstream.answer(json={})
        await transport.send(attrs.evolve(ask(headers={"content-type": "audio/mpeg"}), body=None, upload=upload))
        received = upstream.requests[-1]
        assert received.body == data
        assert received.headers["content-type"] == "audio/mpeg"
        assert received.headers.get("content-length") == (None if length is None else str(length))


async def test_what_its_sender_fails_with_is_what_is_raised(upstream, transport, ask):
    with pytest.raises(InvalidRequestError, match="the sender is at fault"):
        await transport.send(attrs.evolve(ask(), body=None, upload=Failing(bytes(200_000), "x/y")))
    await upstream.closed()


async def test_a_provider_that_never_answers_runs_out_of_patience_and_a_slow_sender_does_not(upstream, transport, ask):
    class Slow(HeldUpload):
        async def pieces(self) -> AsyncIterator[bytes]:
            await asyncio.sleep(0.3)
            yield self.data

    patient = Timeouts(connect=5, first_byte=0.2, idle=5)
    upstream.answer(json={})
    request = attrs.evolve(ask(), body=None, upload=Slow(b"x", "x/y"), timeouts=patient)
    assert (await transport.send(request)).status == 200

    async def silent(request, connection):
        await connection.hang()

    upstream.script(silent)
    with pytest.raises(ProviderTimeoutError):
        await transport.send(request)


async def test_a_provider_that_is_away_has_taken_nothing(transport, upstream, ask):
    request = attrs.evolve(ask(), body=None, upload=Failing(b"x", "x/y"))
    await upstream.refuse()
    with pytest.raises(ProviderConnectionError):
        await transport.send(request)
    assert request.upload.failure is None


def test_it_is_never_held():
    with pytest.raises(TypeError, match="written, not decoded"):
        UploadPayload(HeldUpload(b"x", "x/y"), None).decode()
