"""What llmgate is measured against: the least that starlette, aiohttp and a server can pass a request through with.

No keys, no checks, no deadlines, no accounting; the listen settings are those of llmgate.
``bare.py UPSTREAM [hypercorn|uvicorn] [WORKERS]``; with uvicorn come httptools and uvloop, as with ``llmgate[fast]``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route


def application(upstream: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app.state.session:
            yield

    async def forward(request: Request) -> Response:
        headers = {"content-type": "application/json", "authorization": request.headers["authorization"]}
        answer = await app.state.session.post(upstream, data=await request.body(), headers=headers)
        media_type = answer.headers["content-type"]
        if media_type.startswith("text/event-stream"):
            return StreamingResponse(answer.content.iter_any(), answer.status, media_type=media_type)
        return Response(await answer.read(), answer.status, media_type=media_type)

    app = Starlette(routes=[Route("/v1/chat/completions", forward, methods=["POST"])], lifespan=lifespan)
    return app


def on_hypercorn(upstream: str, listening: socket.socket) -> None:
    # late: each server is measured without the other
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.backlog, config.keep_alive_max_requests = 4096, 10_000
    # starlette and hypercorn have each a type of their own for the same thing
    asyncio.run(serve(application(upstream), config))  # type: ignore[arg-type]


def on_uvicorn(upstream: str, listening: socket.socket) -> None:
    import uvicorn  # late: as above

    config = uvicorn.Config(
        application(upstream), loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning"
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    server, workers = (sys.argv[2:3] or ["hypercorn"])[0], int((sys.argv[3:4] or ["1"])[0])
    bound = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    for _ in range(workers - 1):
        if os.fork() == 0:
            # ends with its parent, whose standard input is a pipe of who started it
            threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
            break
    {"hypercorn": on_hypercorn, "uvicorn": on_uvicorn}[server](sys.argv[1], bound)
