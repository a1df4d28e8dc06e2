"""What llmgate is measured against: the least that starlette, hypercorn and aiohttp can pass a request through with.

No keys, no checks, no deadlines, no accounting; the listen settings are those of llmgate. ``bare.py PORT UPSTREAM``.
"""

from __future__ import annotations

import asyncio
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
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.backlog, config.keep_alive_max_requests = 4096, 10_000
    asyncio.run(serve(application(sys.argv[2]), config))  # type: ignore[arg-type]  # starlette and hypercorn name one type apart
