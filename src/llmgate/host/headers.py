"""Response headers: our own names, safe values, and which of an upstream's may pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

__all__ = ["JSON_HEADERS", "Headers", "header_value", "upstream_headers", "valid_request_id"]

Headers: TypeAlias = "list[tuple[bytes, bytes]]"
"""Header names, lower case, and their values, as ASGI wants them."""

JSON_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]

OURS: Final = frozenset(
    {
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "helicone-id",
        "helicone-provider",
        "helicone-provider-req-id",
        "keep-alive",
        "llmgate-attempts",
        "llmgate-model",
        "proxy-authenticate",
        "proxy-connection",
        "server",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-content-type-options",
        "x-request-id",
    }
)
"""Names that the gateway sets itself or that belong to one connection; an upstream's are never passed on."""

LONGEST_VALUE: Final = 4096
UNSAFE: Final = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^`|~-]+")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


def header_value(text: str) -> bytes:
    """A header value that can never end its line: control bytes and what latin-1 lacks become question marks."""
    if len(text) > LONGEST_VALUE:
        text = text[:LONGEST_VALUE]
    if not (text.isascii() and text.isprintable()):
        text = UNSAFE.sub("?", text)
    return text.strip().encode("latin-1")


def upstream_headers(headers: Mapping[str, str]) -> Headers:
    """An upstream's headers as far as they may reach the client; the format's allow-list has been applied already."""
    return [
        (name.encode("ascii"), header_value(value))
        for name, value in headers.items()
        if name not in OURS and NAME.fullmatch(name)
    ]


def valid_request_id(text: str | None) -> str | None:
    """A client's own request id if it is one that can be echoed and recorded: 128 of ``[A-Za-z0-9_-]`` at most."""
    return text if text is not None and REQUEST_ID.fullmatch(text) else None
