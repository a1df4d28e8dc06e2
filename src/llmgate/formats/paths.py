"""Which wire format a path belongs to, wherever it stands: vendors differ in what goes before, not in how it ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

import attrs

__all__ = ["Spoken", "spoken_at"]


@attrs.frozen
class Spoken:
    """What is spoken at a path.

    Args:
        format: The wire format.
        model: The model that the path names; None where the body does.
        stream: Whether a streamed answer is asked for; None where the body says so.
        events: Whether a stream comes as the events that the format knows.
    """

    format: str
    model: str | None = None
    stream: bool | None = None
    events: bool = True


_ENDINGS: Final[Mapping[str, str]] = {
    "/api/chat": "ollama-chat",
    "/chat/completions": "openai-chat",
    "/completions": "openai-completions",
    "/embeddings": "openai-embeddings",
    "/messages": "anthropic-messages",
    "/messages/count_tokens": "anthropic-count-tokens",
    "/responses": "openai-responses",
    "/v2/chat": "cohere-chat",
}
"""How paths end, for formats whose body says everything."""

_GOOGLE: Final = re.compile(r".*/models/(?P<model>[^/]+):(?P<method>[A-Za-z]+)")
_METHODS: Final[Mapping[str, str]] = {
    "batchEmbedContents": "gemini-batch-embed-contents",
    "countTokens": "gemini-count-tokens",
    "embedContent": "gemini-embed-content",
    "generateContent": "gemini-generate-content",
    "streamGenerateContent": "gemini-generate-content",
}
_CONVERSE: Final = re.compile(r".*/model/(?P<model>[^/]+)/converse(?P<stream>-stream)?")
_DEPLOYMENT: Final = re.compile(r".*/deployments/(?P<model>[^/]+)/[a-z/]+")


def spoken_at(method: str, path: str, query: str = "") -> Spoken | None:
    """What is spoken at a path of a provider.

    Args:
        method: The HTTP method.
        path: The path, escapes and all.
        query: The query behind it.

    Returns:
        None where it is none of the formats known here.
    """
    if method != "POST":
        return None
    google = _GOOGLE.fullmatch(path)
    if google is not None and google["method"] in _METHODS:
        streams = google["method"] == "streamGenerateContent"
        events = not streams or parse_qs(query).get("alt") == ["sse"]
        return Spoken(_METHODS[google["method"]], unquote(google["model"]), streams, events)
    converse = _CONVERSE.fullmatch(path)
    if converse is not None:
        return Spoken("bedrock-converse", unquote(converse["model"]), converse["stream"] is not None)
    ending = max((one for one in _ENDINGS if path.endswith(one)), key=len, default=None)
    if ending is None:
        return None
    azure = _DEPLOYMENT.fullmatch(path)
    return Spoken(_ENDINGS[ending], unquote(azure["model"]) if azure is not None else None)
