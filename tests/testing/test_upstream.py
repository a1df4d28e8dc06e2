"""The fake upstream does what its methods promise, seen through bare sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.testing.upstream import FakeUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as server:
        yield server


class Client:
    """A client that adds nothing and hides nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, upstream: FakeUpstream) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", upstream.port))

    def ask(self, body: Any = None, *, path: str = "/v1/chat/completions", headers: str = "") -> None:
        data = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}content-length: {len(data)}\r\n\r\n"
        self.writer.write(head.encode() + data)

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        return int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:] if line)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        if headers.get("transfer-encoding") != "chunked":
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)
        return status, headers, body

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


@pytest.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[Client]:
    made = await Client.to(upstream)
    yield made
    made.writer.close()


def chat(text: str = "hello wide world", **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}], **fields}


# --- the default -----------------------------------------------------------------------------------------------------


async def test_it_echoes_the_last_user_message(upstream: FakeUpstream, client: Client) -> None:
    client.ask(chat())
    status, headers, body = await client.answer()
    answer = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert answer["choices"][0]["message"]["content"] == "hello wide world"
    assert answer["model"] == "m"
    assert answer["usage"]["completion_tokens"] == 3
    assert headers["x-request-id"] == "req-fake-1"


async def test_it_understands_content_in_parts(client: Client) -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]
    client.ask({"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert json.loads((await client.answer())[2])["choices"][0]["message"]["content"] == "a b"


@pytest.mark.parametrize("usage", [True, False])
async def test_it_streams_when_asked_with_usage_when_asked(client: Client, usage: bool) -> None:
    client.ask(chat(stream=True, stream_options={"include_usage": usage}))
    _, headers, body = await client.answer()
    assert headers["content-type"] == "text/event-stream"
    events = [event_data(raw) or b"" for raw in EventSplitter().feed(body)]
    assert events.pop() == b"[DONE]"
    chunks = [json.loads(event) for event in events]
    assert [chunk for chunk in chunks if chunk.get("usage")] == (chunks[-1:] if usage else [])
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == "hello wide world"


async def test_it_lists_its_models(upstream: FakeUpstream, client: Client) -> None:
    client.ask(path="/v1/models")
    assert [row["id"] for row in json.loads((await client.answer())[2])["data"]] == list(upstream.models)


@pytest.mark.parametrize("body", [[], {}, {"model": "m", "messages": []}, {"model": "m", "messages": "x"}])
async def test_a_request_it_does_not_understand_is_a_400(client: Client, body: Any) -> None:
    client.ask(body)
    status, _, answer = await client.answer()
    assert status == 400
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"


async def test_other_paths_are_a_404(client: Client) -> None:
    client.ask(chat(), path="/v1/embeddings")
    assert (await client.answer())[0] == 404


# --- what it notes ---------------------------------------------------------------------------------------------------


async def test_it_keeps_what_it_received(upstream: FakeUpstream, client: Client) -> None:
    client.ask(chat(), path="/v1/chat/completions?a=%2F", headers="X-A: 1\r\nx-a: 2\r\nAuthorization: Bearer k\r\n")
    await client.answer()
    [request] = upstream.requests
    assert (request.method, request.path, request.connection) == ("POST", "/v1/chat/completions?a=%2F", 0)
    assert request.headers["x-a"] == "1, 2"
    assert request.headers["authorization"] == "Bearer k"
    assert request.json() == chat()
    assert request.raw_head.startswith(b"POST /v1/chat")


async def test_it_reads_chunked_bodies_in_any_split(upstream: FakeUpstream, client: Client) -> None:
    wire = b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n"
    for at in range(len(wire)):
        client.writer.write(wire[at : at + 1])
        await asyncio.sleep(0)
    await client.answer()
    assert upstream.requests[0].body == b"abcde"


async def test_it_counts_connections_and_who_left_early(upstream: FakeUpstream) -> None:
    patient, hasty = await Client.to(upstream), await Client.to(upstream)
    patient.ask(chat())
    await patient.answer()
    upstream.hang()
    hasty.ask(chat())
    await upstream.received(2)
    assert (upstream.accepted, upstream.open_connections, upstream.left) == (2, 2, 0)
    await hasty.close()
    await upstream.closed(1)
    assert upstream.disconnects == 1
    await patient.close()
    await upstream.closed(2)
    assert (upstream.disconnects, upstream.open_connections) == (1, 0)


async def test_waiting_in_vain_says_for_what(upstream: FakeUpstream) -> None:
    with pytest.raises(AssertionError, match="in vain for 1 requests"):
        await upstream.received(1, timeout=0.01)
    with pytest.raises(AssertionError, match="in vain for the client to close 1"):
        await upstream.closed(1, timeout=0.01)


# --- what it is told -------------------------------------------------------------------------------------------------


async def test_scripts_are_taken_in_order_and_then_the_default(upstream: FakeUpstream, client: Client) -> None:
    upstream.answer(429, json={"error": 1}, headers={"retry-after": "3"}, times=2)
    upstream.answer(body=b"x", split=1, delay=0.001)
    upstream.redirect("http://other/")
    upstream.html(503)
    seen = []
    for _ in range(6):
        client.ask(chat())
        status, headers, _ = await client.answer()
        seen.append((status, headers.get("retry-after"), headers.get("location")))
    expected = [(429, "3", None), (429, "3", None), (200, None, None), (302, None, "http://other/")]
    assert seen == [*expected, (503, None, None), (200, None, None)]


async def test_a_stream_is_sent_as_given(upstream: FakeUpstream, client: Client) -> None:
    upstream.stream([{"a": "é"}, "text", b": raw\n\n"], split=2)
    client.ask(chat())
    assert (await client.answer())[2] == 'data: {"a": "é"}\n\ndata: text\n\n: raw\n\ndata: [DONE]\n\n'.encode()
    upstream.error_event(["one"], message="no")
    client.ask(chat())
    body = (await client.answer())[2]
    assert body.startswith(b'data: one\n\ndata: {"error": {"message": "no"')
    assert b"[DONE]" not in body


async def test_a_cut_is_an_end_and_a_reset_a_break(upstream: FakeUpstream) -> None:
    for script in (lambda: upstream.stream(["x"], end="cut"), lambda: upstream.cut(b"abcdef", after=3)):
        script()
        client = await Client.to(upstream)
        client.ask(chat())
        assert (await client.reader.read()).endswith((b"data: x\n\n\r\n", b"\r\n\r\nabc"))
        await client.close()
    for script in (upstream.reset, lambda: upstream.stream(["x"], end="reset")):
        script()
        client = await Client.to(upstream)
        client.ask(chat())
        with pytest.raises(ConnectionResetError):
            await client.reader.read()
        client.writer.close()
    assert upstream.left == 0  # all of these ends were the server's


async def test_compressed_answers_are_whole_cut_or_damaged(upstream: FakeUpstream, client: Client) -> None:
    upstream.gzip(b"hello")
    upstream.gzip(b"hello", keep=-3)
    upstream.gzip(b"hello", corrupt=True)
    upstream.gzip_bomb(10_000_000)
    bodies = []
    for _ in range(4):
        client.ask(chat())
        _, headers, body = await client.answer()
        assert headers["content-encoding"] == "gzip"
        bodies.append(body)
    assert gzip.decompress(bodies[0]) == b"hello"
    assert bodies[1] == bodies[0][:-3]
    assert len(bodies[2]) == len(bodies[0])
    assert bodies[2] != bodies[0]
    assert len(bodies[3]) < 20_000
    assert len(gzip.decompress(bodies[3])) > 9_900_000


@pytest.mark.parametrize("after", [None, 0.0])
async def test_surplus_bytes_follow_on_the_open_connection(
    upstream: FakeUpstream, client: Client, after: float | None
) -> None:
    upstream.surplus(b"surplus", after=after)
    client.ask(chat())
    assert (await client.answer())[0] == 200
    assert await client.reader.readexactly(7) == b"surplus"
    client.ask(chat())
    assert (await client.answer())[0] == 200


async def test_raw_bytes_go_out_as_they_are(upstream: FakeUpstream, client: Client) -> None:
    upstream.raw(b"any\x00thing")
    client.ask(chat())
    assert await client.reader.read() == b"any\x00thing"


async def test_it_refuses_and_accepts_again_on_the_same_port(upstream: FakeUpstream, client: Client) -> None:
    client.ask(chat())
    await client.answer()
    port = upstream.port
    await upstream.refuse()
    with pytest.raises(ConnectionResetError):
        await client.reader.read()
    with pytest.raises(ConnectionRefusedError):
        await Client.to(upstream)
    await upstream.accept()
    assert upstream.port == port
    again = await Client.to(upstream)
    again.ask(chat())
    assert (await again.answer())[0] == 200
    await again.close()


async def test_a_behaviour_that_raises_fails_the_test() -> None:
    async def broken(request: Any, connection: Any) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        async with FakeUpstream() as upstream:
            upstream.script(broken)
            client = await Client.to(upstream)
            client.ask(chat())
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
            client.writer.close()


async def test_a_client_that_does_not_read_stops_the_stream(upstream: FakeUpstream, client: Client) -> None:
    sent = 0

    async def flood(request: Any, connection: Any) -> None:
        nonlocal sent
        while True:
            await connection.write(b"x" * 65_536)
            sent += 65_536

    upstream.script(flood)
    client.ask(chat())
    await upstream.received(1)
    await asyncio.sleep(0.2)
    held = sent
    await asyncio.sleep(0.2)
    assert sent == held
