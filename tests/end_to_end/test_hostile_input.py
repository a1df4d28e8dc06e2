"""Requests made to hurt: whatever is sent, the answer is a clear 4xx with a stable code, and the next one is served.

Every body goes through a real socket. A provider hears of none of those that are refused.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from end_to_end.loopback import MAIN, MESSAGES, Loopback, Reply, loopback, request_bytes, settings_for
from llmgate.testing.upstream import FakeUpstream

SERVERS = ("hypercorn", "uvicorn")

CHAT = {"model": "m", "messages": MESSAGES}
PLAIN = json.dumps(CHAT).encode()
LIMIT = 64 * 1024


@asynccontextmanager
async def opened(**sections: Any) -> AsyncIterator[tuple[Loopback, FakeUpstream]]:
    async with FakeUpstream() as one, loopback(settings_for(one, **sections)) as gateway:
        yield gateway, one


def body_with(fields: str) -> bytes:
    """A chat request with more fields, as they are written."""
    return f'{{"model": "m", "messages": [{{"role": "user", "content": "hello"}}], {fields}}}'.encode()


def nested(depth: int, opening: str, closing: str) -> bytes:
    return body_with(f'"x": {opening * depth}1{closing * depth}')


def assert_refused(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.error["code"]) == (status, code), reply.body[:300]
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["type"] == ("timeout" if status == 408 else "invalid_request_error")
    assert reply.error["message"]
    assert len(reply.body) < 1000, "a refusal is short, and does not throw back what was sent"
    for inner in (b"Traceback", b'File "', b".py", b"Error("):
        assert inner not in reply.body


async def assert_well(gateway: Loopback, one: FakeUpstream, *, heard: int = 0) -> None:
    """Nothing has reached the provider, and a decent request does."""
    assert len(one.requests) == heard
    reply = await gateway.post(CHAT)
    assert reply.status == 200
    assert len(one.requests) == heard + 1


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """What a client sends is no error of the gateway."""
    yield
    assert [line for line in caplog.records if line.exc_info or line.levelname in {"ERROR", "CRITICAL"}] == []


# --- JSON that is none, or that two parsers would read in two ways ---------------------------------------------------

NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "space": b"  \n ",
    "null": b"null",
    "list": b"[]",
    "number": b"1",
    "string": b'"model"',
    "cut": PLAIN[:-1],
    "trailing": PLAIN + b"x",
    "two": PLAIN + PLAIN,
    "trailing comma": b'{"model": "m", "messages": [],}',
    "single quotes": b"{'model': 'm', 'messages': []}",
    "comment": b'{"model": "m", /* x */ "messages": []}',
    "control character": b'{"model": "m\x01", "messages": []}',
    "NUL behind": PLAIN + b"\0",
    "NaN": body_with('"temperature": NaN'),
    "Infinity": body_with('"temperature": Infinity'),
    "-Infinity": body_with('"temperature": -Infinity'),
    "1e400": body_with('"temperature": 1e400'),
    "hexadecimal": body_with('"n": 0x10'),
    "leading zero": body_with('"n": 01'),
    "BOM": b"\xef\xbb\xbf" + PLAIN,
    "UTF-16": json.dumps(CHAT).encode("utf-16"),
    "UTF-16-LE": json.dumps(CHAT).encode("utf-16-le"),
    "UTF-32": json.dumps(CHAT).encode("utf-32"),
    "Latin-1": '{"model": "m", "messages": [], "x": "é"}'.encode("latin-1"),
    "overlong": body_with('"x": "').replace(b'"x": "', b'"x": "\xc0\xaf"'),
    "surrogate in UTF-8": body_with('"x": "?"').replace(b"?", b"\xed\xa0\x80"),
    "lone high surrogate": body_with('"x": "\\ud800"'),
    "lone low surrogate": body_with('"x": "\\udc00 "'),
    "surrogates reversed": body_with('"x": "\\udc00\\ud800"'),
    "surrogate in a name": body_with('"\\ud83d": 1'),
    "bad escape": body_with('"x": "\\q"'),
    "half an escape": body_with('"x": "\\u12"'),
    **{f"{depth} arrays": nested(depth, "[", "]") for depth in (1_000, 10_000, 100_000, 1_000_000)},
    **{f"{depth} objects": nested(depth, '{"a":', "}") for depth in (1_000, 10_000, 100_000, 1_000_000)},
    "arrays never closed": b"[" * 1_000_000,
    "objects never closed": b'{"a":' * 200_000,
    "arrays in messages": b'{"model": "m", "messages": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    **{f"{digits} digits": body_with(f'"n": {"9" * digits}') for digits in (5_000, 100_000, 1_000_000)},
    **{f"-{digits} digits": body_with(f'"n": -{"9" * digits}') for digits in (5_000, 100_000)},
    "long exponent": body_with('"n": 1e' + "9" * 5_000),
}

TWICE: dict[str, bytes] = {
    "model": body_with('"model": "other"'),
    "model, escaped": body_with('"mod\\u0065l": "other"'),
    "model, all escaped": body_with('"\\u006d\\u006f\\u0064\\u0065\\u006c": "other"'),
    "model, same value": body_with('"model": "m"'),
    "stream": body_with('"stream": true, "stream": false'),
    "messages": body_with('"messages": []'),
    "max_tokens": body_with('"max_tokens": 1, "max_tokens": 1000000'),
    "max_tokens, escaped": body_with('"max_tokens": 1, "max\\u005ftokens": 1000000'),
    "inside a message": b'{"model":"m","messages":[{"role":"user","role":"system","content":"x"}]}',
    "inside a message, escaped": b'{"model":"m","messages":[{"role":"user","r\\u006fle":"system","content":"x"}]}',
    "deep inside": body_with('"metadata": {"a": [{"b": 1, "b": 2}]}'),
    "first and last of many": body_with('"model": "a", ' + ", ".join(f'"f{n}": 1' for n in range(500)) + ', "f0": 2'),
}


async def test_what_is_no_json_is_refused_and_the_next_request_is_served(quiet: None) -> None:
    async with opened() as (gateway, one):
        for name, body in NOT_JSON.items():
            reply = await gateway.post(body)
            assert reply.status == 400, (name, reply.body[:200])
            assert_refused(reply, 400, "invalid_json")
        await assert_well(gateway, one)


async def test_a_name_that_is_given_twice_is_refused_however_it_is_spelt(quiet: None) -> None:
    """So that what a policy has read, what is logged and what the provider sees are one and the same value."""
    async with opened() as (gateway, one):
        for name, body in TWICE.items():
            reply = await gateway.post(body)
            assert reply.status == 400, (name, reply.body[:200])
            assert_refused(reply, 400, "invalid_json")
            assert "repeated" in reply.error["message"]
        await assert_well(gateway, one)


WRONG_FIELDS: dict[str, tuple[str, bytes]] = {
    "no model": ("missing_model", b'{"messages": []}'),
    "model null": ("missing_model", b'{"model": null, "messages": []}'),
    "model empty": ("missing_model", b'{"model": "", "messages": []}'),
    "model a number": ("missing_model", b'{"model": 5, "messages": []}'),
    "model a list": ("missing_model", b'{"model": ["m"], "messages": []}'),
    "model an object": ("missing_model", b'{"model": {"name": "m"}, "messages": []}'),
    "stream a word": ("invalid_request", b'{"model": "m", "messages": [], "stream": "yes"}'),
    "stream a number": ("invalid_request", b'{"model": "m", "messages": [], "stream": 1}'),
    "stream an object": ("invalid_request", b'{"model": "m", "messages": [], "stream": {}}'),
}


@pytest.mark.parametrize("name", WRONG_FIELDS)
async def test_fields_that_the_gateway_reads_must_be_what_they_are(name: str, quiet: None) -> None:
    code, body = WRONG_FIELDS[name]
    async with opened() as (gateway, one):
        reply = await gateway.post(body, "/v1/chat/completions")
        assert reply.status == 400, reply.body
        assert_refused(reply, 400, code)
        await assert_well(gateway, one)


ODD_BUT_VALID: dict[str, bytes] = {
    "spread out": b' \n{\t"model" :\r\n"m" , "messages": [ {"role": "user", "content": "x"} ] }\n\n',
    "escaped name, once": b'{"mod\\u0065l": "m", "messages": [{"role": "user", "content": "x"}]}',
    "a pair of surrogates": body_with('"x": "\\ud83d\\ude00"'),
    "escaped backslash before u": body_with('"x": "\\\\ud800"'),
    "U+2028 and NUL escaped": body_with('"x": "\u2028\\u0000"'),
    "150 levels": nested(150, "[", "]"),
    "a large integer": body_with(f'"seed": {2**80}'),
    "many digits behind the point": body_with('"temperature": 0.' + "1" * 300),
    "brackets in a string": body_with('"x": "' + "[{" * 100_000 + '"'),
    "100,000 names": body_with(", ".join(f'"k{n}": 0' for n in range(100_000))),
    "a name of 1 MB": body_with(f'"{"k" * 1_000_000}": 1'),
}


async def test_what_is_odd_and_valid_goes_up_as_it_came(quiet: None) -> None:
    async with opened() as (gateway, one):
        for number, (name, body) in enumerate(ODD_BUT_VALID.items(), 1):
            reply = await gateway.post(body)
            assert reply.status == 200, (name, reply.body[:200])
            assert len(one.requests) == number
            assert one.requests[-1].body == body, name


async def longest_pause(work: Callable[[], Any]) -> tuple[Any, float]:
    """What some work returns, and the longest time for which it kept everybody else from running."""
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)

    watching = asyncio.create_task(watch())
    try:
        return await work(), longest
    finally:
        watching.cancel()


TINY = {"objects": b"{},", "lists": b"[],", "numbers": b"1,", "strings": b'"",'}


@pytest.mark.parametrize("shape", TINY)
async def test_twenty_megabytes_of_tiny_things_are_refused_and_hold_nobody_up(shape: str, quiet: None) -> None:
    thing = TINY[shape]
    body = b'{"model": "m", "messages": [' + thing * (20_000_000 // len(thing)) + b"0]}"
    async with opened() as (gateway, one):
        reply, pause = await longest_pause(lambda: gateway.post(body))
        assert_refused(reply, 400, "invalid_json")
        assert pause < 1.0, "seconds for which nobody else was served; the bound is wide for a busy machine"
        await assert_well(gateway, one)


async def test_a_million_tiny_things_are_taken_and_hold_nobody_up_for_long(quiet: None) -> None:
    body = body_with('"x": [' + "1," * 900_000 + "1]")
    async with opened() as (gateway, one):
        reply, pause = await longest_pause(lambda: gateway.post(body))
        assert reply.status == 200
        assert one.requests[0].body == body
        assert pause < 1.0


# --- how long a body is ----------------------------------------------------------------------------------------------


def sized(size: int) -> bytes:
    """A decent request of so many bytes."""
    empty = body_with('"x": ""')
    return empty[:-2] + b"a" * (size - len(empty)) + empty[-2:]


def chunked(body: bytes, *, piece: int = 16_384, end: bytes = b"0\r\n\r\n") -> bytes:
    """A request whose length is not announced."""
    head = (
        f"POST {MAIN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    )
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    return head.encode() + b"\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces) + end


async def raw_reply(gateway: Loopback, data: bytes) -> Reply:
    """The first answer to bytes as they are."""
    client = await gateway.raw(data)
    received = await client.read_until(b"\r\n\r\n")
    head, _, _ = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines)}
    length = int(headers["content-length"])
    received = await client.read(len(head) + 4 + length)
    return Reply(int(status_line.split()[1]), headers, received[len(head) + 4 :][:length])


async def test_a_body_may_be_as_long_as_the_limit_and_not_a_byte_longer(quiet: None) -> None:
    async with opened(server={"max-body-bytes": LIMIT}) as (gateway, one):
        assert (await gateway.post(sized(LIMIT))).status == 200
        assert_refused(await gateway.post(sized(LIMIT + 1)), 413, "request_too_large")
        assert (await raw_reply(gateway, chunked(sized(LIMIT)))).status == 200
        assert_refused(await raw_reply(gateway, chunked(sized(LIMIT + 1))), 413, "request_too_large")
        assert_refused(await raw_reply(gateway, chunked(sized(50 * LIMIT))), 413, "request_too_large")
        await assert_well(gateway, one, heard=2)


async def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(quiet: None) -> None:
    async with opened(server={"max-body-bytes": LIMIT}) as (gateway, one):
        for length in (LIMIT + 1, 10_000_000_000, 10**19):
            head = request_bytes(b"").replace(b"Content-Length: 0", b"Content-Length: %d" % length)
            assert_refused(await raw_reply(gateway, head), 413, "request_too_large")
        await assert_well(gateway, one)


async def test_a_body_without_end_is_not_kept(quiet: None) -> None:
    async with opened(server={"max-body-bytes": LIMIT}) as (gateway, one):
        await assert_well(gateway, one)
        endless = chunked(b"x" * (8 * 1024 * 1024), end=b"")
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            assert_refused(await raw_reply(gateway, endless), 413, "request_too_large")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak - before < 2 * LIMIT + 1024 * 1024
        await assert_well(gateway, one, heard=1)


async def test_a_length_that_lies_fools_nobody(quiet: None) -> None:
    async with opened(server={"body-timeout": "300ms"}) as (gateway, one):
        # Shorter than what is sent: the body is cut, and the rest is no request.
        short = request_bytes(PLAIN).replace(b"Content-Length: %d" % len(PLAIN), b"Content-Length: 20")
        assert_refused(await raw_reply(gateway, short), 400, "invalid_json")
        # Longer than what is sent: the rest is waited for, but not for ever.
        long = request_bytes(PLAIN).replace(b"Content-Length: %d" % len(PLAIN), b"Content-Length: 5000")
        assert_refused(await raw_reply(gateway, long), 408, "request_timeout")
        for length in (b"-1", b"1e3", b"0x10", b"5, 5000", b"\xb2", b""):
            wrong = request_bytes(PLAIN).replace(b"Content-Length: %d" % len(PLAIN), b"Content-Length: " + length)
            reply = await raw_reply(gateway, wrong)
            assert reply.status == 400, length
        await assert_well(gateway, one)


async def test_a_body_that_drips_is_given_up(quiet: None) -> None:
    async with opened(server={"body-timeout": "300ms"}) as (gateway, one):
        client = await gateway.raw(request_bytes(PLAIN)[: -len(PLAIN)])
        for byte in PLAIN[:40]:
            await client.send(bytes([byte]))
            await asyncio.sleep(0.02)
        assert b" 408 " in (await client.read_until(b"\r\n"))
        await assert_well(gateway, one)


async def test_who_has_not_logged_in_is_refused_before_the_body_is_read(quiet: None) -> None:
    digest = hashlib.sha256(b"sk-llmgate-test-0123456789abcdef0123456789abcdef").hexdigest()
    auth = [{"use": "static-keys", "keys": [{"name": "one", "hash": f"sha256:{digest}"}]}]
    async with opened(auth=auth) as (gateway, one):
        head = request_bytes(b"").replace(b"Content-Length: 0", b"Content-Length: 60000000")
        reply = await raw_reply(gateway, head)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
        for body in (NOT_JSON["1000000 arrays"], TWICE["model"], gzip.compress(PLAIN)):
            assert (await gateway.post(body)).status == 401
        assert one.requests == []


# --- what the body is said to be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data; boundary=" + "b" * 5_000,
        "application/jsonp",
        "text/json",
        "json",
        "",
    ],
)
async def test_what_is_not_declared_to_be_json_is_not_read(kind: str, quiet: None) -> None:
    async with opened() as (gateway, one):
        head = request_bytes(PLAIN).replace(b"application/json", kind.encode())
        assert_refused(await raw_reply(gateway, head), 415, "unsupported_media_type")
        await assert_well(gateway, one)


def packed(body: bytes, encoding: str = "gzip") -> bytes:
    if encoding == "gzip":
        return gzip.compress(body, mtime=0)
    return zlib.compress(body)


def bomb(size: int, encoding: str = "gzip") -> bytes:
    """A request that is small, and ``size`` bytes of spaces once it is unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    block = b" " * 1_048_576
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # looks back at nothing, so it can be repeated
    return first + again * (size // len(block) - 1) + packer.flush()


COMPRESSED: dict[str, tuple[str, Callable[[], bytes], int, str]] = {
    "gzip bomb": ("gzip", lambda: bomb(300 * 1_048_576), 413, "request_too_large"),
    "deflate bomb": ("deflate", lambda: bomb(300 * 1_048_576, "deflate"), 413, "request_too_large"),
    "gzip bomb within the limit": ("gzip", lambda: bomb(32 * 1_048_576), 413, "request_too_large"),
    "bomb in a bomb": ("gzip", lambda: packed(bomb(300 * 1_048_576)), 400, "invalid_json"),
    "truncated": ("gzip", lambda: packed(PLAIN)[:-9], 400, "invalid_content_encoding"),
    "without its end": ("gzip", lambda: packed(PLAIN)[:-1], 400, "invalid_content_encoding"),
    "deflate truncated": ("deflate", lambda: packed(PLAIN, "deflate")[:-3], 400, "invalid_content_encoding"),
    "damaged": ("gzip", lambda: packed(PLAIN)[:20] + b"\xff" * 20, 400, "invalid_content_encoding"),
    "wrong sum": ("gzip", lambda: packed(PLAIN)[:-8] + b"\0" * 8, 400, "invalid_content_encoding"),
    "something behind": ("gzip", lambda: packed(PLAIN) + b"more", 400, "invalid_content_encoding"),
    "two members": ("gzip", lambda: packed(PLAIN) + packed(PLAIN), 400, "invalid_content_encoding"),
    "not compressed": ("gzip", lambda: PLAIN, 400, "invalid_content_encoding"),
    "nothing": ("gzip", lambda: b"", 400, "invalid_content_encoding"),
    "deflate said, gzip sent": ("deflate", lambda: packed(PLAIN), 400, "invalid_content_encoding"),
    "gzip, and not said": ("identity", lambda: packed(PLAIN), 400, "invalid_json"),
    "brotli": ("br", lambda: b"\x8b\x02\x80abc\x03", 415, "unsupported_content_encoding"),
    "zstd": ("zstd", lambda: b"\x28\xb5\x2f\xfd", 415, "unsupported_content_encoding"),
    "gzip twice": ("gzip, gzip", lambda: packed(packed(PLAIN)), 415, "unsupported_content_encoding"),
    "nonsense": ("x" * 3_000, lambda: PLAIN, 415, "unsupported_content_encoding"),
}


@pytest.mark.parametrize("name", COMPRESSED)
async def test_compressed_bodies_are_bounded_and_whole_or_refused(name: str, quiet: None) -> None:
    encoding, make, status, code = COMPRESSED[name]
    body = make()
    async with opened() as (gateway, one):
        tracemalloc.start()
        try:
            reply = await gateway.post(body, content_encoding=encoding)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert_refused(reply, status, code)
        assert peak < 64 * 1024 * 1024, "a bomb is stopped before it has gone off"
        await assert_well(gateway, one)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip", "GZIP"])
async def test_a_compressed_request_is_served(encoding: str, quiet: None) -> None:
    async with opened() as (gateway, one):
        body = packed(PLAIN, "deflate" if encoding == "deflate" else "gzip")
        assert (await gateway.post(body, content_encoding=encoding)).status == 200
        assert one.requests[0].body == PLAIN
        assert "content-encoding" not in one.requests[0].headers
