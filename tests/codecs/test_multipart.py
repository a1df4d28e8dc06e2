"""Forms on the bytes that travel: found wherever they are cut, refused where two servers could differ."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from llmgate.codecs.multipart import (
    MAX_HEADERS,
    MAX_PARTS,
    MAX_VALUE,
    Form,
    FormScanner,
    MultipartError,
    boundary_of,
    encode_form,
)
from llmgate.spec import HeldUpload

FILE = b"\r\n--b\r\n--bounds \x00\xff\r\n" * 20
BODY = encode_form(
    {"language": "en", "model": "whisper-1", "tags": ["a", "b"]}, [("file", 'a".mp3', FILE, "audio/mpeg")], "b0undary"
)
PART = b'--b0undary\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
END = b"--b0undary--\r\n"


def scan(body: bytes, cuts: list[int] | None = None) -> FormScanner:
    scanner = FormScanner(b"b0undary", {"model", "stream"})
    places = [0, *sorted({cut % (len(body) + 1) for cut in cuts or []}), len(body)]
    for start, end in itertools.pairwise(places):
        if start < end:
            scanner.feed(body[start:end])
    scanner.feed(b"")
    return scanner


@given(st.lists(st.integers(min_value=0, max_value=10_000), max_size=30))
def test_a_field_is_found_wherever_the_body_is_cut(cuts):
    scanner = scan(BODY, cuts)
    field = scanner.fields["model"]
    assert list(scanner.fields) == ["model"]
    assert field.value == "whisper-1"
    assert BODY[field.start : field.end] == b"whisper-1"


@given(st.lists(st.integers(min_value=1, max_value=900), max_size=20), st.sampled_from(["x", "a-longer-name", "ü"]))
async def test_an_edit_changes_one_span_wherever_the_body_is_cut(sizes, model):
    class Cut(HeldUpload):
        async def pieces(self):
            place = 0
            for size in [*sizes, len(BODY)]:
                if piece := BODY[place : place + size]:
                    yield piece
                place += size

    form = Form(Cut(BODY, "multipart/form-data; boundary=b0undary"), b"b0undary", scan(BODY).fields)
    edited = form.edited("model", "never seen").edited("model", model)
    wanted = BODY.replace(b"whisper-1", model.encode())
    assert b"".join([piece async for piece in edited.pieces()]) == wanted
    assert edited.length == len(wanted)
    assert edited.text("model") == model
    assert b"".join([piece async for piece in form.pieces()]) == BODY


async def test_a_field_that_is_missing_is_put_in_front():
    body = b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n' + END
    form = Form(HeldUpload(body, "m"), b"b0undary", scan(body).fields).edited("model", "m")
    written = b"".join([piece async for piece in form.pieces()])
    assert written == PART + body
    assert scan(written).fields["model"].value == "m"
    assert form.length == len(written)


async def test_the_length_that_a_part_says_of_itself_changes_too():
    body = PART.replace(b"\r\n\r\nm", b"\r\nContent-Length: 1\r\n\r\nm") + END
    form = Form(HeldUpload(body, "m"), b"b0undary", scan(body).fields).edited("model", "twelve-bytes")
    written = b"".join([piece async for piece in form.pieces()])
    assert b"Content-Length: 12\r\n\r\ntwelve-bytes\r\n" in written


@pytest.mark.parametrize(
    "body",
    [
        PART + PART + END,
        PART,
        PART + END + b"more",
        b"preamble\r\n" + PART + END,
        PART.replace(b"b0undary\r\n", b"b0undary x\r\n") + END,
        PART.replace(b"\r\n", b"\n") + END,
        PART.replace(b'name="model"', b'name="mod%65l"') + END,
        PART.replace(b'name="model"', b'name="mod\\el"') + END,
        PART.replace(b'name="model"', b"name*=utf-8''model") + END,
        PART.replace(b'name="model"', b'name="model"; name="x"') + END,
        PART.replace(b'name="model"', b'name="model"; filename="x"') + END,
        PART.replace(b'name="model"', b"name=model garbage") + END,
        PART.replace(b"form-data", b"attachment") + END,
        PART.replace(b"Content-Disposition", b" Content-Disposition") + END,
        PART.replace(b"\r\n\r\nm", b"\r\nContent-Disposition: form-data; name=x\r\n\r\nm") + END,
        PART.replace(b"\r\n\r\nm", b"\r\nContent-Transfer-Encoding: base64\r\n\r\nm") + END,
        PART.replace(b"\r\n\r\nm", b"\r\nX: " + bytes(MAX_HEADERS + 9) + b"\r\n\r\nm") + END,
        PART.replace(b"m\r\n--", b"m\xff\r\n--").replace(b"\r\n\r\nm", b"\r\n\r\n\xff") + END,
        PART.replace(b"\r\n\r\nm", b"\r\n\r\nm\nx") + END,
        PART.replace(b"\r\n\r\nm", b"\r\n\r\n" + b"m" * (MAX_VALUE * 2)) + END,
        PART.replace(b"model", b"x") * (MAX_PARTS + 1) + END,
        b"--b0undary\r\nContent-Type: text/plain\r\n\r\nx\r\n" + END,
        b"",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(body):
    with pytest.raises(MultipartError):
        scan(body)
    with pytest.raises(MultipartError):
        scan(body, list(range(0, 300, 7)))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b:c"', b"a b:c"),
        ("multipart/form-data;boundary=----WebKitFormBoundary7MA4", b"----WebKitFormBoundary7MA4"),
    ],
)
def test_a_boundary(content_type, boundary):
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "application/json; boundary=abc",
        "multipart/form-data; boundary=" + "a" * 71,
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; boundary="a "',
        "multipart/form-data; boundary=a\u00fc",
        "multipart/form-data; boundary=",
    ],
)
def test_a_boundary_that_is_none(content_type):
    with pytest.raises(MultipartError):
        boundary_of(content_type)
