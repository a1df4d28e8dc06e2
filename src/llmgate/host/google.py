"""Telling Google's clients from others: by the addresses that are theirs alone, else by what they send.

``/v1/models`` is an address of OpenAI's, of Anthropic's and of Google's clients. Source: google-genai, which sends
``x-goog-api-key``, ``x-goog-api-client`` and its own name as the user agent. What is in the query tells nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["speaks_gemini"]

_THEIRS: Final = re.compile(r"/(?:as/gemini|v1beta|v1beta1|ai/v1beta|router/[^/]+/v1beta)(?:/|$)|/v1/projects/")
_METHODS: Final = frozenset(
    {"generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"}
)
_SHARED: Final = re.compile(r"(?:/router/[^/]+|/ai)?(?:/v1)?/models(?:/.+)?")
_HEADERS: Final = ("x-goog-api-key", "x-goog-api-client")


def speaks_gemini(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a client of Gemini's API.

    Args:
        path: Its path.
        headers: Its headers by lower-case name.
    """
    if "/models" not in path and not path.startswith(("/v1beta", "/as/gemini")):
        return False  # nearly every request
    if _THEIRS.match(path) or path.rpartition(":")[2] in _METHODS:
        return True
    if _SHARED.fullmatch(path) is None:
        return False
    return any(name in headers for name in _HEADERS) or headers.get("user-agent", "").startswith("google-genai")
