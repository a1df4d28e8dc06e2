"""The whole gateway in process: the real host and pipeline, no sockets, providers that answer from a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from end_to_end.dialects.dialect import Dialect
from end_to_end.dialects.table import DIALECTS
from llmgate import Pipeline
from llmgate.host.app import create_app
from llmgate.testing.transport import Answer, ScriptedTransport


@attrs.frozen
class Reply:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Gate:
    """A gateway whose providers answer from a script, one answer a request."""

    def __init__(self, pipeline: Pipeline, transport: ScriptedTransport) -> None:
        self._app = create_app(pipeline, owns_pipeline=False)
        self._transport = transport

    async def ask(self, client: Dialect, provider: Dialect, body: Mapping[str, Any], *answers: Answer) -> Reply:
        """A client's request to a provider's model.

        Args:
            client: The format that the client speaks.
            provider: The format of the provider.
            body: The client's request; where the format has its model in the address, only ``stream`` is told by it.
            answers: What the provider answers.
        """
        self._transport.requests.clear()
        self._transport.add(*answers)
        body = dict(body)
        stream = body.pop("_stream")
        path = client.path(f"{provider.provider}/{provider.model}", stream=stream)
        return await self._post(path, json.dumps(body).encode())

    @property
    def received(self) -> tuple[str, dict[str, Any]]:
        """The address and the body of the one request that the provider has had."""
        (request,) = self._transport.requests
        value = json.loads(request.body or b"")
        assert isinstance(value, dict)
        return request.url, value

    def forget(self) -> int:
        """Drop what is left of the script; how much that was."""
        left = self._transport.left
        self._transport._answers.clear()
        return left

    async def _post(self, path: str, body: bytes) -> Reply:
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        parts = urlsplit(path)

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
            "client": None,
            "server": None,
        }
        await self._app(scope, receive, send)
        start, *rest = sent
        assert start["type"] == "http.response.start"
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


@asynccontextmanager
async def gate() -> AsyncIterator[Gate]:
    """Open a gateway with a provider for every format, which speaks that one alone."""
    providers = {one.provider: {"base-url": f"https://{one.provider}.test", "format": one.name} for one in DIALECTS}
    keys = {f"{name.upper().replace('-', '_')}_API_KEY": f"key-of-{name}" for name in providers}
    transport = ScriptedTransport()
    # One gateway for all: what it has seen of a provider in one test is not to rule the next.
    health = {"monitor": {"health": {"ratio": 1, "max-rest": 0}}}
    settings = {"providers": providers, "discover": health}
    pipeline = Pipeline.from_config(settings, environment=keys, transport=transport)
    async with pipeline:
        yield Gate(pipeline, transport)
