"""What llmgate is measured against: the least that starlette, hypercorn and aiohttp can pass a request through with.

No keys, no checks, no deadlines, no accounting; the listen settings are those of llmgate. ``bare.py UPSTREAM``.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from hypercorn.asyncio import serve
from hypercorn.config import Config
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


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.backlog, config.keep_alive_max_requests = 4096, 10_000
    # starlette and hypercorn have each a type of their own for the same thing
    asyncio.run(serve(application(sys.argv[1]), config))  # type: ignore[arg-type]
