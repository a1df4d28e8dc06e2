from __future__ import annotations

from llmgate.spec import HeldUpload


async def test_held_bytes_can_be_had_as_often_as_wanted_in_pieces():
    upload = HeldUpload(bytes(200_000), "audio/mpeg")
    for _ in range(2):
        pieces = [piece async for piece in upload.pieces()]
        assert b"".join(pieces) == bytes(200_000)
        assert len(pieces) == 4
    assert (upload.length, upload.media_type, upload.repeatable, upload.failure) == (200_000, "audio/mpeg", True, None)
