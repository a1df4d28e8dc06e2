from __future__ import annotations

import aiohttp

from llmgate.testing.upstream_sockets import FakeSocketUpstream, ReceivedSocket


async def test_without_a_script_it_echoes_and_keeps_what_it_saw():
    async with FakeSocketUpstream() as upstream, aiohttp.ClientSession() as client:
        async with client.ws_connect(f"{upstream.base_url}/x?a=1", protocols=("realtime",)) as socket:
            await socket.send_str("a")
            await socket.send_bytes(b"b")
            assert (await socket.receive_str(), await socket.receive_bytes()) == ("a", b"b")
            assert socket.protocol == "realtime"
            await socket.close(code=4000)
        (seen,) = upstream.sockets
        await seen.ended.wait()
    assert (seen.path, seen.messages, seen.close_code) == ("/v1/x?a=1", ["a", b"b"], 4000)


async def test_a_script_refuses_plays_and_breaks():
    async def player(socket: ReceivedSocket) -> None:
        await socket.send({"a": 1})
        await socket.write(b"\x83\x00")

    async with FakeSocketUpstream() as upstream, aiohttp.ClientSession() as client:
        upstream.refuse(429, {"a": 1}, {"x-a": "b"})
        upstream.play(player)
        async with client.get(upstream.url) as answer:
            assert (answer.status, await answer.json(), answer.headers["x-a"]) == (429, {"a": 1}, "b")
        async with client.ws_connect(upstream.url) as socket:
            assert await socket.receive_json() == {"a": 1}
            assert (await socket.receive()).type is aiohttp.WSMsgType.ERROR
