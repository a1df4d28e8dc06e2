from __future__ import annotations

import base64

import pytest

from llmgate.formats.ollama_chat.parts import decode_media, tool_input


@pytest.mark.parametrize(
    ("head", "modality", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image", "image/png"),
        (b"\xff\xd8\xff\xe0", "image", "image/jpeg"),
        (b"GIF89a", "image", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio", "audio/wav"),
        (b"ID3\x04", "audio", "audio/mpeg"),
        (b"??", "image", "image/jpeg"),
    ],
)
def test_the_first_bytes_tell(head, modality, media_type):
    data = base64.b64encode(head + b"\0" * 20).decode()
    blob = decode_media(data)
    assert (blob.modality, blob.media_type, blob.data) == (modality, media_type, data)


def test_what_is_no_base64_is_taken_for_a_picture():
    assert decode_media("é").media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("arguments", "value"),
    [("", {}), (" ", {}), ('{"a":1}', {"a": 1}), ("[1]", {"INVALID_JSON": "[1]"}), ("{", {"INVALID_JSON": "{"})],
)
def test_arguments_are_an_object(arguments, value):
    assert tool_input(arguments) == value
