"""What a request is counted by, as the key of the store under which it is counted."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import Final

from llmgate.codecs.jsons import dumps
from llmgate.spec import Deployment, ExchangeView, GatewayRequest, Operation

__all__ = ["caller_of", "network_of", "segment_suffix", "wants_body"]

_BY_CALLER: Final = ("api-key",)


def segment_suffix(
    by: Sequence[str], view: ExchangeView, request: GatewayRequest, deployment: Deployment | None = None
) -> str:
    """The end of the key that requests share which are counted together by these segments.

    A digest keeps it short whatever callers send, and keeps names and addresses out of the store.

    Args:
        by: The segments.
        view: The exchange.
        request: What is asked.
        deployment: Where an attempt goes; None while that is not known.
    """
    if not by:
        return ""
    if by == _BY_CALLER:  # what most limits count by
        return _caller_digest(caller_of(view))
    return _digest(tuple([(one, *_value(one, view, request, deployment)) for one in by]))


@functools.lru_cache(maxsize=4096)
def _digest(found: tuple[tuple[str, ...], ...]) -> str:
    return f":{hashlib.sha256(dumps([list(one) for one in found])).hexdigest()[:32]}"


@functools.lru_cache(maxsize=4096)
def _caller_digest(caller: tuple[str, ...]) -> str:
    return _digest((("api-key", *caller),))


def wants_body(by: Sequence[str]) -> bool:
    """Whether a segment may stand in the body of a request."""
    return "user" in by


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What counts as one address: that of IPv4 itself, of IPv6 its /64, which is the least that a customer gets."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _value(segment: str, view: ExchangeView, request: GatewayRequest, deployment: Deployment | None) -> Sequence[str]:
    kind, _, name = segment.partition(":")
    match kind:
        case "api-key":
            return caller_of(view)
        case "ip":
            return (network_of(view.client_address),)
        case "user":
            return (_user(view, request),)
        case "team":
            return (str(view.principal.attributes.get("team", "")),)
        case "model":
            return (request.model if deployment is None or len(request.models) == 1 else deployment.id,)
        case "provider":
            return ("" if deployment is None else deployment.provider_name,)
        case "router":
            return (view.router or "",)
        case "surface":
            return (view.surface,)
        case "property":
            return (view.client_headers.get(f"helicone-property-{name.lower()}", ""),)
        case "header":
            return (view.client_headers.get(name.lower(), ""),)
        case _:
            return (str(view.principal.attributes.get(name, "")),)


def caller_of(view: ExchangeView) -> tuple[str, ...]:
    """Who asks; callers whom nobody has asked for a name are told apart by their address."""
    principal = view.principal
    if principal.kind == "anonymous":
        return ("anonymous", network_of(view.client_address))
    return ("principal", principal.issuer, principal.id)


def _user(view: ExchangeView, request: GatewayRequest) -> str:
    """The caller's own name for its end user: the header's, else the body's."""
    named = view.client_headers.get("helicone-user-id")
    if named or request.operation is not Operation.CHAT or request.decode is None:
        return named or ""
    return request.chat.user or ""
