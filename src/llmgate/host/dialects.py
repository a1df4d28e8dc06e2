"""Which vendor's wire format a request is in, as far as its address and its headers tell before it is read.

An error that comes before the endpoint is answered in it. Sources: the addresses of the vendors' own APIs; the headers
that their clients send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .google import speaks_gemini

__all__ = ["dialect_of"]

_MOUNTS: Final = {
    "anthropic": "anthropic-messages",
    "bedrock": "bedrock-converse",
    "cohere": "cohere-chat",
    "gemini": "gemini-generate-content",
    "ollama": "ollama-chat",
    "openai": "openai-chat",
}
"""The mounts below ``/as``, and the format of each."""

_BEGINNINGS: Final = {"/api/": "ollama-chat", "/v2/chat": "cohere-chat", "/model/": "bedrock-converse"}
"""How addresses begin, at the root or below a router, that belong to one vendor's format."""

_MESSAGES: Final = re.compile(r".*/messages(?:/count_tokens|/batches(?:/[^/]+(?:/cancel|/results)?)?)?", re.DOTALL)
"""How addresses end that belong to Anthropic's format whatever its client sends."""


def dialect_of(path: str, headers: Mapping[str, str]) -> str:
    """The name of the wire format that a client speaks.

    Args:
        path: The path of its request.
        headers: Its headers by lower-case name.
    """
    if path.startswith("/as/"):
        mount = _MOUNTS.get(path.split("/", 3)[2])
        if mount is not None:
            return mount
    below = "/" + path.removeprefix("/router/").partition("/")[2] if path.startswith("/router/") else path
    for beginning, name in _BEGINNINGS.items():
        if below.startswith(beginning):
            return name
    if "anthropic-version" in headers or ("/messages" in path and _MESSAGES.fullmatch(path)):
        return "anthropic-messages"
    return "gemini-generate-content" if speaks_gemini(path, headers) else "openai-chat"
