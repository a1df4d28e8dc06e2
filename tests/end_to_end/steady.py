"""A gateway that answers many requests, some of them given up, while the receiver of its records is away for half
of them: prints what it has in memory, and how many records have come.

``python steady.py COUNT DIRECTORY``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
from pathlib import Path

from llmgate import Pipeline

PAGE = os.sysconf("SC_PAGE_SIZE")
MESSAGES = [{"role": "user", "content": "one two three four five six seven eight nine ten"}]
WORKERS = 8


class Receiver:
    """Takes batches of records and counts them; while it is away its port is closed."""

    def __init__(self) -> None:
        self.count = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def come(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    body = await reader.readexactly(length)
                    self.count += len(json.loads(body)["data"]["records"])
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                    await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()


async def ask(pipeline: Pipeline, number: int) -> None:
    """One request: answered, streamed, given up after its first words, or cancelled."""
    model = "echo?words=20"
    match number % 4:
        case 0:
            await pipeline.complete(model=model, messages=MESSAGES)
        case 1:
            async with pipeline.stream(model=model, messages=MESSAGES) as chunks:
                async for _ in chunks:
                    pass
        case 2:
            async with pipeline.stream(model=model, messages=MESSAGES) as chunks:
                async for _ in chunks:
                    break
        case _:
            task = asyncio.ensure_future(pipeline.complete(model="echo?words=20&word-delay=60000", messages=MESSAGES))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})


def resident() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


async def main(count: int, directory: Path) -> None:
    receiver = Receiver()
    await receiver.come()
    config = {
        "providers": {"echo": {}},
        "records": {"journal": {"path": str(directory / "journal"), "sync": "os"}},
        "loggers": [{"use": "webhook", "url": f"http://127.0.0.1:{receiver.port}/records"}],
    }
    memory: list[float] = []
    numbers = iter(range(count))

    async def work(pipeline: Pipeline) -> None:
        for number in numbers:
            if number % (count // 20) == 0:
                memory.append(resident())
                if number == count * 3 // 10:
                    await receiver.leave()
                elif number == count * 8 // 10:
                    await receiver.come()
            await ask(pipeline, number)

    async with Pipeline.from_config(config, environment={}) as pipeline:
        await asyncio.gather(*(work(pipeline) for _ in range(WORKERS)))
        memory.append(resident())
        async with asyncio.timeout(120):
            while receiver.count < count:
                await asyncio.sleep(0.05)
        memory.append(resident())
    await receiver.leave()
    print(json.dumps({"memory": memory, "records": receiver.count}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
