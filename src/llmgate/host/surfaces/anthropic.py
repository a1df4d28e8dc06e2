"""The Anthropic surface: messages and token counts, under every address that Anthropic's clients make of a base URL.

Acceptance text: Anthropic's "Gateway protocol reference" for Claude Code. Queries are ignored, errors are in
Anthropic's shape, and silent streams get its ``ping`` events. ``/as/anthropic`` is the mount for clients whose paths
would otherwise be another vendor's; there, lists of models are Anthropic's whatever the client sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from llmgate.formats import get_format, read_request
from llmgate.formats.anthropic_count_tokens import estimated
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.headers import upstream_headers
from llmgate.host.reading import require_json

from .openai import MODEL, MODELS, PREFIXES, THREAD_BYTES, answer

__all__ = ["COUNT_TOKENS", "MESSAGES", "count_tokens", "messages", "routes"]

SURFACE: Final = "anthropic"

MOUNTS: Final = ("/as/anthropic", "/as/anthropic/v1")


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    table: list[Route] = []
    for prefix in (*PREFIXES, *MOUNTS):
        table.append(Route(f"{prefix}/messages", MESSAGES, name="messages"))
        table.append(Route(f"{prefix}/messages/count_tokens", COUNT_TOKENS, name="count_tokens"))
    for prefix in MOUNTS:
        table.append(Route(f"{prefix}/models", MODELS, name="models"))
        table.append(Route(f"{prefix}/models/{{model:path}}", MODEL, name="model"))
    return table


async def messages(call: Call) -> None:
    """Answer a request for a message, streamed or whole as it asks."""
    call.wire_format = get_format("anthropic-messages")
    await answer(call, surface=SURFACE)


async def count_tokens(call: Call) -> None:
    """Count the tokens of a request: by its model's provider where that counts, else by an estimate."""
    wire_format = call.wire_format = get_format("anthropic-count-tokens")
    async with call.exchange(wire_format.operation, SURFACE) as exchange:
        with call:
            require_json(call.headers)
            body = await call.read()
            call.watch()
            if len(body) < THREAD_BYTES:
                request = read_request(wire_format, body, router=call.params.get("router"), headers=call.headers)
            else:
                request = await asyncio.to_thread(
                    read_request, wire_format, body, router=call.params.get("router"), headers=call.headers
                )
            response = await exchange.send(request, otherwise=estimated)
            headers = call.answer_headers()
            headers += call.provenance(exchange.exchange)
            headers += upstream_headers(response.headers)
            await call.reply.whole(response.status, headers, response.body)


MESSAGES: Final = Endpoint(("POST",), messages)
COUNT_TOKENS: Final = Endpoint(("POST",), count_tokens)
