"""The key of a request: two requests have the same only where each would do with the other's answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from llmgate.codecs import jsons
from llmgate.formats import get_format
from llmgate.spec import ExchangeView, GatewayRequest

__all__ = ["request_key"]

_VERSION: Final = "llmgate-cache/2"
_OF_ONE_CALL: Final = frozenset({"idempotency-key", "x-client-request-id", "x-amzn-trace-id"})
"""Headers that go up and differ from call to call without changing the answer."""
_REQUIRED: Final = "required-tags"
"""The attribute of a caller that says what its deployments must carry."""
_LEADING: Final = frozenset(
    prefix + name
    for prefix in ("llmgate-", "helicone-")
    for name in (
        "fallbacks",
        "fallback",
        "forced-routing",
        "model-override",
        "moderations-enabled",
        "openai-api-base",
        "provider",
        "retry-enabled",
        "tags",
        "target-url",
        "token-limit-exception-handler",
    )
)
"""Controls of the caller's that lead a request to another model or another answer."""


def request_key(
    exchange: ExchangeView, request: GatewayRequest, *, shared: bool, seed: Sequence[str], ignored: Sequence[str]
) -> str:
    """The key, 64 hexadecimal digits of a SHA-256; no credential is part of it.

    Args:
        exchange: The exchange: who asks, by which router, and which headers lead it.
        request: What is asked, with the edits of the interceptors before.
        shared: Whether callers share their answers; those who may call different models never do.
        seed: What keeps answers apart.
        ignored: Fields at the top of the body that do not count.
    """
    who, controls = exchange.principal, exchange.controls
    scope: Sequence[Any] = ["shared"] if shared else ["principal", who.issuer, who.kind, who.id]
    parts = [
        _VERSION,
        *scope,
        None if who.models is None else sorted(who.models),
        str(who.attributes.get(_REQUIRED)) if _REQUIRED in who.attributes else None,
        exchange.caller_key,
        None if exchange.target is None else [exchange.target.origin, exchange.target.path],
        exchange.router,
        request.operation.value,
        request.format,
        request.model,
        request.stream,
        request.include_usage,
        sorted((name, value) for name, value in request.headers.items() if name not in _OF_ONE_CALL),
        sorted((name, value) for name, value in controls.items() if name in _LEADING),
        list(seed),
        list(ignored),
    ]
    digest = hashlib.sha256(jsons.canonical(parts))
    digest.update(b"\n")
    digest.update(_canonical(request, ignored))
    return digest.hexdigest()


def _canonical(request: GatewayRequest, ignored: Sequence[str]) -> bytes:
    """The body as it would be asked, its names sorted; a body that is no JSON as it came."""
    body = request.body
    if request.edits:
        body = get_format(request.format).patch_request(body, request.edits)
    try:
        value = jsons.loads(body)
    except jsons.JSONError:
        return body
    if isinstance(value, dict):
        for name in ignored:
            value.pop(name, None)
    return jsons.canonical(value)
