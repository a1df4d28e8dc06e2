"""The key of a request: two requests have the same only where each would do with the other's answer."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from llmgate.codecs import jsons
from llmgate.formats import get_format
from llmgate.spec import ExchangeView, GatewayRequest

__all__ = ["request_key"]

_VERSION: Final = "llmgate-cache/2"
_OF_ONE_CALL: Final = frozenset({"idempotency-key", "x-client-request-id", "x-amzn-trace-id"})
"""Headers that go up and differ from call to call without changing the answer."""
_Texts: TypeAlias = tuple[str, ...]
_Pairs: TypeAlias = tuple[tuple[str, str], ...]
_Scope: TypeAlias = tuple[
    bool, _Texts | None, _Texts | None, _Texts, str | None, str, _Texts | None, str | None, str, str, str,
    bool, bool, _Pairs, _Pairs, _Texts, _Texts
]  # fmt: skip
"""All that counts besides the body, in the order of ``request_key``."""
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
    exchange: ExchangeView,
    request: GatewayRequest,
    controls: Mapping[str, str],
    seed: tuple[str, ...],
    ignored: tuple[str, ...],
    *,
    shared: bool,
) -> str:
    """The key, 64 hexadecimal digits of a SHA-256; no credential is part of it.

    Args:
        exchange: The exchange: who asks, by which router, and which headers lead it.
        request: What is asked, with the edits of the interceptors before.
        controls: The caller's headers for the gateway, by lower-case name.
        seed: What keeps answers apart.
        ignored: Fields at the top of the body that do not count.
        shared: Whether callers share their answers; those who may call different models never do.
    """
    who, target = exchange.principal, exchange.target
    digest = _scope(
        (
            shared,
            None if shared else (who.issuer, who.kind, who.id),
            None if who.models is None else tuple(who.models),
            tuple(who.denied_models),
            str(who.attributes[_REQUIRED]) if _REQUIRED in who.attributes else None,
            exchange.caller_key,
            None if target is None else (target.origin, target.path),
            exchange.router,
            request.operation._value_,
            request.format,
            request.model,
            request.stream,
            request.include_usage,
            tuple([one for one in request.headers.items() if one[0] not in _OF_ONE_CALL]) if request.headers else (),
            tuple([one for one in controls.items() if one[0] in _LEADING]) if controls else (),
            seed,
            ignored,
        )
    ).copy()
    digest.update(_canonical(request, ignored))
    return digest.hexdigest()


@functools.lru_cache(maxsize=1024)
def _scope(found: _Scope) -> hashlib._Hash:
    """What is hashed before the body; most requests of a caller have it in common, so that it is not hashed again."""
    (shared, who, models, denied, required, caller_key, target, router, operation, wire_format, model, stream, usage,
     headers, controls, seed, ignored) = found  # fmt: skip
    parts: list[Any] = [
        _VERSION,
        *(["shared"] if who is None else ["principal", *who]),
        None if models is None else sorted(models),
        required,
        caller_key,
        target,
        router,
        operation,
        wire_format,
        model,
        stream,
        usage,
        sorted(headers),
        sorted(controls),
        seed,
        ignored,
    ]
    if shared and denied:
        parts.append({"denied": sorted(denied)})
    digest = hashlib.sha256(jsons.canonical(parts))
    digest.update(b"\n")
    return digest


def _canonical(request: GatewayRequest, ignored: Sequence[str]) -> bytes:
    """The body as it would be asked, its names sorted; a body that is no JSON as it came."""
    value: Any = None if request.edits else request.top_values()
    if value is None:
        body = request.body
        if request.edits:
            body = get_format(request.format).patch_request(body, request.edits)
        try:
            value = jsons.loads(body)
        except jsons.JSONError:
            return body
    if isinstance(value, dict):
        if "stream" in value and (
            value["stream"] is request.stream or (value["stream"] is None and not request.stream)
        ):
            del value["stream"]  # it counts as what it means, so that no stream is the same however it is said
        for name in ignored:
            value.pop(name, None)
    return jsons.canonical(value)
