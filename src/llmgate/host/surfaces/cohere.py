"""The Cohere surface: version 2 of its chat, under the address that Cohere's clients make of a base URL.

Source: Cohere API reference, "Chat (v2)". The clients are given a host and add ``v2/chat`` themselves, so that the
surface stands at the root, below a router and below ``/as/cohere``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from llmgate.formats import get_format
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint

from .openai import answer

__all__ = ["CHAT", "chat", "routes"]

SURFACE: Final = "cohere"

ADDRESSES: Final = ("/v2/chat", "/as/cohere/v2/chat", "/router/{router}/v2/chat")


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    return [Route(address, CHAT, name="cohere_chat") for address in ADDRESSES]


async def chat(call: Call) -> None:
    """Answer a chat request, streamed or whole as it asks."""
    call.wire_format = get_format("cohere-chat")
    await answer(call, surface=SURFACE)


CHAT: Final = Endpoint(("POST",), chat)
