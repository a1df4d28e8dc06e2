"""``llmgate restart`` under load: every request is answered, streams go on, and ``/metrics`` has counted all."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import tempfile
import time

import aiohttp
import pytest

from end_to_end.gateways import Gateway
from llmgate.cli.control import ask, find_gateways
from llmgate.testing.upstream import FakeUpstream, chat_events

SERVERS = ("hypercorn", "uvicorn")

CHAT = {"model": "one/m", "messages": [{"role": "user", "content": "Hello there"}]}
CONFIG = """\
providers: {{one: {{base-url: "{url}"}}}}
telemetry: {{prometheus: true}}
server: {{access-log: false, max-headers: {headers}}}
"""
CLIENTS = 6


@pytest.fixture
def runtime_directory(monkeypatch):
    """Where control sockets lie: a short name, as a socket's path may have 107 characters only."""
    with tempfile.TemporaryDirectory(prefix="llmgate-") as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield directory


class Load:
    """Clients that ask one request after another, each on a connection of its own that is kept alive."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self.failures: list[str] = []
        self.over = asyncio.Event()

    async def one_client(self) -> None:
        """No request is sent anew: what the gateway drops, fails."""
        reader = writer = None
        body = json.dumps(CHAT).encode()
        host, port = self.url.removeprefix("http://").split(":")
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        while not self.over.is_set():
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(head + body)
                answer = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"content-length: (\d+)", answer)
                await reader.readexactly(int(length[1]))
                if not answer.startswith(b"http/1.1 200"):
                    self.failures.append(answer.decode())
                self.answered += 1
                if b"connection: close" in answer:
                    writer.close()
                    writer = None
            except (OSError, asyncio.IncompleteReadError) as failure:
                self.failures.append(repr(failure))
                writer = None
            await asyncio.sleep(0.002)
        if writer is not None:
            writer.close()


async def counted(client: aiohttp.ClientSession, url: str) -> float:
    async with client.get(f"{url}/metrics", headers={"connection": "close"}) as answer:
        shown = await answer.text()
    return sum(float(found) for found in re.findall(r"llmgate_exchanges_total\{[^}]*chat[^}]*\} (\S+)", shown))


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_workers_are_replaced_under_load_and_no_request_fails(tmp_path, runtime_directory):
    async with FakeUpstream() as upstream, aiohttp.ClientSession() as client:
        path = tmp_path / "llmgate.yaml"
        path.write_text(CONFIG.format(url=upstream.base_url, headers=100))
        environment = {"ONE_API_KEY": "x", "XDG_RUNTIME_DIR": runtime_directory}
        started = Gateway(tmp_path, "--workers", "2", "--config", str(path), environment=environment)
        try:
            await asyncio.to_thread(started.wait_ready)
            go = asyncio.Event()

            async def waits(request, connection):
                await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
                events = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in chat_events("first last")]
                await connection.write_chunk(b"".join(events[:2]))
                await go.wait()
                await connection.write_chunk(b"".join(events[2:]) + b"data: [DONE]\n\n")
                await connection.write(b"0\r\n\r\n")

            upstream.script(waits)
            streaming = await client.post(f"{started.url}/v1/chat/completions", json={**CHAT, "stream": True})
            first = await streaming.content.readany()
            assert b"first" in first

            load = Load(started.url)
            clients = [asyncio.create_task(load.one_client()) for _ in range(CLIENTS)]
            before = set(re.findall(r"is ready \(process (\d+)\)", started.stderr))
            (control,) = find_gateways(path).values()
            path.write_text(CONFIG.format(url=upstream.base_url, headers=9))
            for _ in range(20):
                await asyncio.sleep(0.05)
            assert await asyncio.wait_for(ask(control, "restart"), 60) == []
            deadline = time.monotonic() + 20
            while len(set(re.findall(r"is ready \(process (\d+)\)", started.stderr)) - before) != 2:
                assert time.monotonic() < deadline, f"both are new: {started.stderr}"
                await asyncio.sleep(0.05)  # what it writes comes by a pipe
            answered = load.answered
            deadline = time.monotonic() + 20
            while load.answered < answered + 100:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert await ask(control, "restart") != [], "one at a time"
            load.over.set()
            await asyncio.gather(*clients)
            assert load.failures == []

            await asyncio.sleep(6)  # longer than an idle connection is left alone: the stream is what keeps its worker
            go.set()
            rest = await streaming.content.read()
            assert rest.endswith(b"data: [DONE]\n\n")
            streaming.close()
            async with client.get(f"{started.url}/v1/models", headers={f"x-{n}": "1" for n in range(12)}) as refused:
                assert refused.status == 431, "the new ones have the new settings"
            deadline = time.monotonic() + 20
            while (
                total := await counted(client, started.url)
            ) != load.answered + 2:  # the stream, and the one that was refused
                assert time.monotonic() < deadline, (total, load.answered + 2)
                await asyncio.sleep(0.1)
            deadline = time.monotonic() + 20
            while started.stderr.count("has finished and is gone") < 2:
                assert time.monotonic() < deadline, started.stderr
                await asyncio.sleep(0.1)
            started.signal(signal.SIGTERM)
            assert await asyncio.to_thread(started.wait, 20) == 0
            assert "Traceback" not in started.stderr
        finally:
            if started.process.poll() is None:
                started.process.kill()
            await asyncio.to_thread(started.wait)
