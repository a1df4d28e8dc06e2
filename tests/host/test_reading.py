"""Bodies: their size, their pace, their encoding."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from llmgate.config.model import ServerConfig
from llmgate.host.errors import ClientLeftError, RefusedError
from llmgate.host.reading import declares_json, decompress, read_body, require_json
from llmgate.spec import InvalidRequestError, RequestTooLargeError

LIMITS = ServerConfig(max_body_bytes=1000)


def incoming(*pieces: bytes, left: bool = False, pause: float = 0.0):
    """An ASGI receive that gives pieces."""
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if left else {"type": "http.request", "body": b"", "more_body": False})
    taken = []

    async def receive():
        await asyncio.sleep(pause)
        taken.append(1)
        return messages.pop(0)

    receive.taken = taken
    return receive


async def test_a_body_is_put_together():
    assert await read_body(incoming(b"ab", b"", b"c"), {}, LIMITS) == b"abc"
    assert await read_body(incoming(), {}, LIMITS) == b""


async def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_not():
    assert await read_body(incoming(b"x" * 1000), {}, LIMITS) == b"x" * 1000
    with pytest.raises(RequestTooLargeError):
        await read_body(incoming(b"x" * 1000, b"y"), {}, LIMITS)


async def test_a_declared_length_beyond_the_limit_is_refused_unread():
    receive = incoming(b"x")
    with pytest.raises(RequestTooLargeError):
        await read_body(receive, {"content-length": "1001"}, LIMITS)
    with pytest.raises(RequestTooLargeError):
        await read_body(receive, {"content-length": "9" * 5000}, LIMITS)
    assert not receive.taken


async def test_no_more_is_read_once_the_limit_is_passed():
    receive = incoming(*[b"x" * 600] * 10)
    with pytest.raises(RequestTooLargeError):
        await read_body(receive, {"transfer-encoding": "chunked"}, LIMITS)
    assert len(receive.taken) == 2


async def test_a_client_that_leaves_is_noticed():
    with pytest.raises(ClientLeftError):
        await read_body(incoming(b"ab", left=True), {"content-length": "9"}, LIMITS)


async def test_a_body_that_never_starts_is_given_up():
    limits = ServerConfig(body_timeout=0.05)
    with pytest.raises(RefusedError) as refused:
        await asyncio.wait_for(read_body(incoming(b"a", pause=30), {}, limits), 5)
    assert refused.value.http_status == 408
    assert refused.value.close


async def test_a_body_that_trickles_is_given_up():
    limits = ServerConfig(body_timeout=0.2, body_rate=1000)
    with pytest.raises(RefusedError):
        await asyncio.wait_for(read_body(incoming(*[b"a"] * 1000, pause=0.01), {}, limits), 8)


async def test_a_body_that_keeps_the_pace_is_read_past_the_first_deadline():
    limits = ServerConfig(body_timeout=0.2, body_rate=1000)
    body = await asyncio.wait_for(read_body(incoming(*[b"a" * 200] * 40, pause=0.01), {}, limits), 8)
    assert len(body) == 8000


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "utf-8"])
async def test_an_unknown_encoding_is_refused_before_reading(encoding):
    receive = incoming(b"x")
    with pytest.raises(RefusedError) as refused:
        await read_body(receive, {"content-encoding": encoding}, LIMITS)
    assert refused.value.http_status == 415
    assert not receive.taken


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("data", [b"", b"{}", b"hello " * 100, bytes(range(256)) * 2])
async def test_known_encodings_are_undone(encoding, encode, data):
    assert await read_body(incoming(encode(data)), {"content-encoding": encoding}, LIMITS) == data


@pytest.mark.parametrize("cut", range(1, 30))
async def test_cut_data_is_an_error_never_a_short_body(cut):
    data = gzip.compress(b"some text that is long enough")
    with pytest.raises(InvalidRequestError):
        await decompress(data[:-cut], "gzip", ServerConfig())


@pytest.mark.parametrize(
    "data",
    [b"not gzip", gzip.compress(b"a") + b"tail", gzip.compress(b"a") * 2],
    ids=["not gzip", "followed by something else", "twice"],
)
async def test_broken_or_extended_data_is_an_error(data):
    with pytest.raises(InvalidRequestError):
        await decompress(data, "gzip", ServerConfig())


async def test_a_bomb_stops_at_the_ratio():
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    assert len(bomb) < 100_000
    with pytest.raises(RequestTooLargeError):
        await decompress(bomb, "gzip", ServerConfig())


async def test_a_bomb_stops_at_the_limit_and_lets_others_run_meanwhile():
    text = b"".join(b"%d," % number for number in range(1_000_000))
    body = zlib.compress(text, 1)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    assert await decompress(body, "deflate", ServerConfig()) == text
    task.cancel()
    assert turns > 10
    with pytest.raises(RequestTooLargeError):
        await decompress(body, "deflate", ServerConfig(max_body_bytes=1_000_000))


@pytest.mark.parametrize("declared", ["application/json", "Application/JSON; charset=utf-8", "application/ld+json"])
def test_json_types_pass(declared):
    require_json({"content-type": declared})


@pytest.mark.parametrize(
    "declared", [None, "", "text/plain", "application/x-www-form-urlencoded", "text/json+x", "a/b+json"]
)
def test_any_other_type_is_refused_with_the_remedy(declared):
    with pytest.raises(RefusedError) as refused:
        require_json({} if declared is None else {"content-type": declared})
    assert refused.value.http_status == 415
    assert "Content-Type: application/json" in refused.value.message


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("application/json", True),
        ("application/JSON; charset=utf-8", True),
        ("application/vnd.api+json", True),
        ("text/json", False),
        ("text/plain; application/json", False),
        ("", False),
    ],
)
def test_what_is_declared_to_be_json(kind, answer):
    assert declares_json({"content-type": kind}) is answer
