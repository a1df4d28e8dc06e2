"""Headers: our own names, safe values, which of an upstream's may come down and which of a client's may go up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from llmgate.spec import Exchange, usd

__all__ = [
    "JSON_HEADERS",
    "RELAYED",
    "Headers",
    "are_lines",
    "cost_headers",
    "header_pairs",
    "header_value",
    "own_headers",
    "relayed_request_headers",
    "target_request_headers",
    "upstream_headers",
    "valid_request_id",
]

Headers: TypeAlias = "list[tuple[bytes, bytes]]"
"""Header names, lower case, and their values, as ASGI wants them."""

JSON_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]

OURS: Final = frozenset(
    {
        "age",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-security-policy",
        "content-type",
        "date",
        "helicone-cache",
        "helicone-cache-bucket-idx",
        "helicone-fallback-index",
        "helicone-id",
        "helicone-provider",
        "helicone-provider-req-id",
        "keep-alive",
        "llmgate-attempts",
        "llmgate-cost-estimated",
        "llmgate-cost-nano",
        "llmgate-cost-usd",
        "llmgate-dropped-params",
        "llmgate-model",
        "llmgate-shortened",
        "proxy-authenticate",
        "proxy-connection",
        "request-id",
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

RELAYED: Final = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "content-type",
        "idempotency-key",
        "if-modified-since",
        "if-none-match",
        "openai-beta",
        "range",
    }
)
"""Request headers that the direct relay passes up. What says who pays (``openai-organization``,
``x-goog-user-project``) is the operator's to set, and what carries a credential, a cookie or an address stays here."""

STAYING: Final = frozenset(
    {
        "accept-encoding", "alt-used", "api-key", "authorization", "baggage", "connection", "content-encoding",
        "content-length", "cookie", "dnt", "early-data", "expect", "forwarded", "from", "host", "keep-alive",
        "metadata", "metadata-flavor", "origin", "priority", "proxy-authorization", "proxy-connection", "referer", "te",
        "trace-context", "traceparent", "tracestate", "trailer", "transfer-encoding", "true-client-ip", "upgrade",
        "upgrade-insecure-requests", "user-agent", "via", "x-api-key", "x-client-ip", "x-cluster-client-ip",
        "x-goog-api-key", "x-http-method", "x-http-method-override", "x-method-override", "x-original-host",
        "x-original-url", "x-real-ip", "x-request-id", "x-rewrite-url", "x-amzn-trace-id",
    }
)  # fmt: skip
STAYING_PREFIXES: Final = (
    "cf-connecting-", "cf-ip", "cf-ray", "cf-visitor", "helicone-", "llmgate-", "sec-", "x-aws-ec2-metadata-",
    "x-envoy-", "x-forwarded-", "x-google-metadata-", "x-stainless-",
)  # fmt: skip
"""What does not go up to a target that the caller has named himself: what belongs to the connection, to the browser, to
the gateway and to the proxies before it, and what opens a metadata service. Keys go up in their own way."""

LONGEST_VALUE: Final = 4096
UNSAFE: Final = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
PRINTABLE: Final = bytes(range(0x20, 0x7F)) + b"\n"
EDGES: Final = frozenset({b"", b" ", b"\n"})
NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^`|~-]+")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


UNKNOWN_COST: Final = [(b"llmgate-cost-usd", b"unknown"), (b"llmgate-cost-nano", b"unknown")]


def cost_headers(exchange: Exchange) -> Headers:
    """What an exchange cost; nothing while an attempt of it runs, or where none was made because it was refused."""
    attempts = exchange.attempts
    if (attempts and attempts[-1].finished is None) or (not attempts and exchange.error is not None):
        return []
    nano = exchange.cost_nano
    if nano is None:
        return list(UNKNOWN_COST)
    headers = [(b"llmgate-cost-usd", usd(nano).encode("ascii")), (b"llmgate-cost-nano", b"%d" % nano)]
    return [*headers, (b"llmgate-cost-estimated", b"true")] if exchange.cost_estimated else headers


def header_value(text: str) -> bytes:
    """A header value that can never end its line: control bytes and what latin-1 lacks become question marks."""
    if len(text) > LONGEST_VALUE:
        text = text[:LONGEST_VALUE]
    if not (text.isascii() and text.isprintable()):
        text = UNSAFE.sub("?", text)
    return text.strip().encode("latin-1")


def are_lines(values: bytes) -> bool:
    """Whether bytes are lines of printable ASCII, none of them empty and none with space at its ends."""
    return not (
        values.translate(None, PRINTABLE)
        or b"\n\n" in values
        or b" \n" in values
        or b"\n " in values
        or values[:1] in EDGES
        or values[-1:] in EDGES
    )


def header_pairs(texts: Mapping[str, str]) -> Headers:
    """Headers by name as ASGI wants them, each value as ``header_value`` makes it; lower-case names in ASCII."""
    lines = "\n".join(texts.values())
    if len(lines) <= LONGEST_VALUE and lines.isascii():  # one look at all of them, which nearly always does
        values, names = lines.encode("ascii"), "\n".join(texts).encode("ascii")
        if are_lines(values) and values.count(b"\n") == names.count(b"\n") == len(texts) - 1:
            return list(zip(names.split(b"\n"), values.split(b"\n"), strict=True))
    return [(name.encode("ascii"), header_value(text)) for name, text in texts.items()]


def own_headers(content_type: str | None) -> Headers:
    """The headers of an answer that may be anything, HTML included: a browser runs none of it in the gateway's name."""
    own = [(b"content-type", header_value(content_type))] if content_type else []
    return [
        *own,
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox"),
    ]


def relayed_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """A client's headers as far as the direct relay passes them up: those listed, less those of its connection only."""
    own = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {name: value for name, value in headers.items() if name in RELAYED and name not in own}


def target_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """A client's headers as they go to the target that it has named itself, with its own key.

    Whatever means anything there, less ``STAYING`` and those of its connection only.
    """
    own = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    return {
        name: value
        for name, value in headers.items()
        if name not in STAYING and name not in own and not name.startswith(STAYING_PREFIXES)
    }


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
