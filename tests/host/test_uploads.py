"""A client's body on its way through: what is kept, how fast it must come, how much of it there may be."""

from __future__ import annotations

import asyncio

import pytest

from llmgate.codecs.multipart import encode_form
from llmgate.config.model import ServerConfig
from llmgate.host.errors import ClientLeftError, RefusedError
from llmgate.host.mailbox import Mailbox
from llmgate.host.uploads import IN_MEMORY, ClientUpload, read_form, read_form_if_one
from llmgate.spec import InvalidRequestError, RequestTooLargeError

LIMITS = ServerConfig(max_upload_bytes=1_000_000, max_spool_bytes=600_000, body_timeout=0.05)
FORM = {"content-type": "multipart/form-data; boundary=b"}


async def coming(*pieces: bytes, end: bool = True) -> Mailbox:
    mailbox = Mailbox()
    for index, piece in enumerate(pieces):
        last = end and index == len(pieces) - 1
        # Put by hand, since nobody takes anything yet and a full box would wait.
        mailbox._messages.append({"type": "http.request", "body": piece, "more_body": not last})
    return mailbox


async def upload(*pieces: bytes, end: bool = True, limits: ServerConfig = LIMITS, **headers: str) -> ClientUpload:
    mailbox = await coming(*pieces, end=end)
    return ClientUpload(mailbox.get, {name.replace("_", "-"): value for name, value in headers.items()}, limits)


async def all_of(body: ClientUpload) -> bytes:
    return b"".join([piece async for piece in body.pieces()])


async def test_it_passes_once_and_says_when_it_has_come():
    ended = []
    mailbox = await coming(b"one", b"", b"two", b"")
    body = ClientUpload(mailbox.get, {"content-type": "x/y"}, LIMITS, ended=lambda: ended.append(1))
    assert body.repeatable
    assert await all_of(body) == b"onetwo"
    assert (ended, body.repeatable, body.media_type, body.length) == ([1], False, "x/y", None)
    with pytest.raises(RuntimeError):
        await all_of(body)


@pytest.mark.parametrize("size", [1000, IN_MEMORY])
async def test_what_is_kept_can_be_had_again(size):
    pieces = (b"a" * size, b"b" * size, b"c")
    body = await upload(*pieces, end=False)
    for _ in range(2):
        assert await body.keep()
    assert (body._file is not None) == (2 * size > IN_MEMORY)
    taken = body.pieces()
    assert await anext(taken)
    assert body.repeatable
    await taken.aclose()
    taken = body.pieces()
    got = b""
    while len(got) < 2 * size + 1:
        got += await anext(taken)
    assert got == b"".join(pieces)
    assert not body.repeatable
    file = body._file
    body.close()
    body.close()
    assert file is None or file.closed


async def test_all_of_it_kept_can_always_be_had_again():
    body = await upload(b"one", b"two")
    while await body.keep():
        pass
    assert await all_of(body) == await all_of(body) == b"onetwo"
    assert body.repeatable


async def test_only_so_much_is_kept():
    body = await upload(*[bytes(200_000)] * 4)
    with pytest.raises(RequestTooLargeError, match="send it before the file") as late:
        while await body.keep():
            pass
    assert late.value.code == "model_too_late"
    assert not body.repeatable
    body.close()


async def test_it_has_a_bound():
    with pytest.raises(RequestTooLargeError):
        await upload(b"x", content_length="1000001")
    body = await upload(*[bytes(200_000)] * 6)
    with pytest.raises(RequestTooLargeError) as much:
        await all_of(body)
    assert body.failure is much.value
    with pytest.raises(RequestTooLargeError):
        await body.keep()


async def test_a_pause_is_the_clients_fault_and_a_provider_that_dawdles_is_not():
    body = await upload(b"one", end=False)
    with pytest.raises(RefusedError) as slow:
        await all_of(body)
    assert slow.value.status == 408
    body = await upload(b"one", b"two")
    got = []
    async for piece in body.pieces():
        got.append(piece)
        await asyncio.sleep(0.1)
    assert got == [b"one", b"two"]


async def test_a_client_that_leaves_is_told_of():
    left = []
    mailbox = await coming(b"one", end=False)
    body = ClientUpload(mailbox.get, {}, LIMITS, left=lambda: left.append(1))
    taken = body.pieces()
    await anext(taken)
    await mailbox.put({"type": "http.disconnect"})
    with pytest.raises(ClientLeftError):
        await anext(taken)
    assert left == [1]


async def test_a_form_is_read_up_to_its_model_and_followed_to_its_end():
    data = encode_form({"model": "m"}, [("file", "a", bytes(300_000), "x/y")], "b")
    body = await upload(data[:200], data[200:-4], data[-4:], content_type=FORM["content-type"])
    form = await read_form(body)
    assert form.text("model") == "m"
    assert b"".join([piece async for piece in form.pieces()]) == data
    cut = await upload(data[:200], data[200:-9], content_type=FORM["content-type"])
    form = await read_form(cut)
    with pytest.raises(InvalidRequestError, match="last boundary"):
        [piece async for piece in form.pieces()]


async def test_a_small_form_is_kept_whole():
    data = encode_form({"model": "m"}, [("file", "a", bytes(300), "x/y")], "b")
    kind = FORM["content-type"]
    form = await read_form(await upload(data[:200], data[200:], content_length=str(len(data)), content_type=kind))
    for _ in range(2):
        assert b"".join([piece async for piece in form.pieces()]) == data
    assert form.repeatable


async def test_what_is_no_form_can_be_passed_on_and_a_second_model_cannot():
    kind = FORM["content-type"]
    for data in (b"nonsense", b"--b\r\nX: y\r\n\r\nx\r\n--b--\r\n", encode_form({"language": "en"}, [], "b")):
        body = await upload(data, content_type=kind)
        assert await read_form_if_one(body) is None
        assert await all_of(body) == data
    body = await upload(encode_form({"language": "en"}, [], "b"), content_type=kind)
    assert await read_form_if_one(body, needs_model=False) is not None
    start = encode_form({"model": "m"}, [], "b").removesuffix(b"--b--\r\n")
    body = await upload(start, start, b"--b--\r\n", content_type=kind)
    form = await read_form_if_one(body)
    assert form is not None
    assert form.text("model") == "m"
    with pytest.raises(InvalidRequestError, match="twice"):
        await all_of(body)
