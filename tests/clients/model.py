"""The model behind the gateway: on loopback, in any of the formats, and of one mind whatever the client says around it.

It greets; asked to read a file it calls the client's own tool for that, and repeats what the tool has found.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from end_to_end.dialects.dialect import Call, Dialect, Said
from llmgate.testing.upstream import FakeUpstream, ReceivedRequest, UpstreamConnection

GREETING = "Greetings from behind the gateway"
MOST_REQUESTS = 60


@attrs.define
class Model:
    """What it is asked and what it says.

    Args:
        dialect: The format that it speaks.
        found: What the file holds, which only the client can know.
        tool: The client's tool for reading files; None for a client that has none.
        arguments: What the tool is called with.
        answer: What it says at last; the greeting where None.
    """

    dialect: Dialect
    found: str = "nothing that anybody wrote"
    tool: str | None = None
    arguments: Mapping[str, Any] = attrs.field(factory=dict)
    answer: str | None = None
    requests: list[ReceivedRequest] = attrs.field(factory=list)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What it was asked, oldest first."""
        return [json.loads(request.body) for request in self.requests]

    def think(self, body: bytes) -> Said:
        """The answer to a request."""
        if self.found.encode() in body:
            return Said(text=f"The file says: {self.found}")
        if self.tool is not None and json.dumps(self.tool).encode() in body:
            return Said(calls=[Call("call_1", self.tool, self.arguments)], finish="tools")
        return Said(text=self.answer or GREETING)

    async def __call__(self, request: ReceivedRequest, connection: UpstreamConnection) -> None:
        """Answer a request, as a stream where one is wanted."""
        self.requests.append(request)
        said, dialect = self.think(request.body), self.dialect
        if "stream" not in request.path.lower() and not json.loads(request.body).get("stream"):
            data = dialect.whole(said)
            await connection.write_head(200, {"content-type": "application/json", "content-length": str(len(data))})
            await connection.write(data)
            return
        await connection.write_head(200, {"content-type": dialect.media_type, "transfer-encoding": "chunked"})
        for event in dialect.events(said):
            await connection.write_chunk(event)
        await connection.write(b"0\r\n\r\n")


@asynccontextmanager
async def listening(model: Model) -> AsyncIterator[FakeUpstream]:
    """The model at an address on loopback."""
    async with FakeUpstream() as upstream:
        upstream.script(model, times=MOST_REQUESTS)
        yield upstream
