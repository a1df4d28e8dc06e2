"""The direct relay ``/{provider}/{path}``: a provider's own API under the gateway's credential, limits and record.

What the path leads to that the gateway understands (chat, completions, embeddings) is served as that, by that provider
alone; everything else goes up and comes down as it is. The address is the operator's and no part of it the caller's.
"""

from __future__ import annotations

import asyncio
from typing import Final

from llmgate.catalogue import provider_row
from llmgate.catalogue.relaying import RelayPath, map_path, model_in_path, without_credentials
from llmgate.codecs.jsons import JSONError, top
from llmgate.formats import get_format
from llmgate.formats.carried import CarriedFormat
from llmgate.formats.sessions import OPAQUE, SESSIONS
from llmgate.host.calls import Call
from llmgate.host.errors import RefusedError
from llmgate.host.headers import relayed_request_headers
from llmgate.host.reading import declares_json, is_encoded, media_type
from llmgate.spec import GatewayRequest, Operation, PermissionDeniedError, Provider, RelayTarget, Upload

from .media import carried, hand_over
from .openai import THREAD_BYTES, answer
from .realtime import hold_session

__all__ = ["METHODS", "SURFACE", "body_of", "find_provider", "model_asked", "relay"]

SURFACE: Final = "relay"

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def find_provider(call: Call) -> tuple[Provider, str] | None:
    """The provider that a path begins with, by its configured name or another spelling of it, and the rest of the path.

    Returns:
        None when the path names no configured provider, or nothing behind it.
    """
    name, _, rest = call.raw_path.removeprefix("/").removesuffix("/").partition("/")
    providers = call.desk.pipeline.snapshot.providers
    provider = providers.get(name)
    if provider is None and (row := provider_row(name)) is not None:
        provider = providers.get(row.name)
    return (provider, rest) if provider is not None and rest else None


async def relay(call: Call, provider: Provider, rest: str) -> None:
    """Serve a request for a path of a provider.

    Args:
        call: The request.
        provider: Whose path it is.
        rest: The path behind the provider's name, as it was sent.
    """
    if call.upgrade is not None and await _hold(call, provider, rest):
        return
    if call.method not in METHODS:
        allowed = ", ".join(METHODS)
        raise RefusedError(
            405,
            f"{call.method[:32]} is not relayed: use {allowed}",
            code="method_not_allowed",
            headers={"allow": allowed},
        )
    call.desk.guard.keep_simple_requests_out(call.method, call.headers)
    try:
        target, query = map_path(provider, call.method, rest), without_credentials(call.query)
    except ValueError as error:
        raise RefusedError(400, f"{error}: write it plainly", code="invalid_path", close=True) from None
    wire_format = None if target.format is None else get_format(target.format)
    if isinstance(wire_format, CarriedFormat) and media_type(call.headers) in wire_format.takes:
        call.wire_format = wire_format
        plain = RelayTarget(call.method, f"{target.path}?{query}" if query else target.path)
        await carried(call, surface=SURFACE, provider=provider.name, plain=plain)
    elif wire_format is not None and not isinstance(wire_format, CarriedFormat) and declares_json(call.headers):
        call.wire_format = wire_format
        await answer(call, surface=SURFACE, provider=provider.name)
    else:
        await _relay(call, provider, target, query)


async def _hold(call: Call, provider: Provider, rest: str) -> bool:
    """Hold a session at a provider's own path; False where a request for a WebSocket is better served as a GET."""
    try:
        target = map_path(provider, "WS", rest)
        plain = map_path(provider, "GET", rest)
    except ValueError as error:
        raise RefusedError(400, f"{error}: write it plainly", code="invalid_path", close=True) from None
    if plain.inference and not target.inference:
        return False
    refused = None
    try:
        _permit(provider, "WebSocket", target)
    except PermissionDeniedError as denied:
        refused = denied
    wanted = SESSIONS.get(target.format or "", OPAQUE)
    await hold_session(call, wanted, surface=SURFACE, provider=provider.name, path=target.path, permit=refused)
    return True


async def _relay(call: Call, provider: Provider, target: RelayPath, query: str) -> None:
    async with call.exchange(Operation.RELAY, SURFACE) as exchange:
        _permit(provider, call.method, target)
        with call:
            body, upload = await body_of(call)
            request = GatewayRequest(
                operation=Operation.RELAY,
                format="",
                body=body,
                upload=upload,
                model=await model_asked(call, target.path, body),
                stream=False,
                headers=relayed_request_headers(call.headers),
                relay=RelayTarget(call.method, f"{target.path}?{query}" if query else target.path),
            )
            await hand_over(call, exchange, provider.name, request)


async def body_of(call: Call) -> tuple[bytes, Upload | None]:
    """The body where something in it is looked for or undone, else what passes it on as it comes."""
    if not call.body_pending or declares_json(call.headers) or is_encoded(call.headers):
        body = await call.read()
        call.watch()
        return body, None
    return b"", call.upload()


def _permit(provider: Provider, method: str, target: RelayPath) -> None:
    """Refuse what is no inference, unless the operator allows everything.

    Raises:
        PermissionDeniedError: naming the setting.
    """
    if not target.inference and not provider.passthrough:
        raise PermissionDeniedError(
            f"{method} {target.path[:200]} is none of the inference paths of provider {provider.name!r}: the operator "
            f"can allow all of its paths with `passthrough: all` under providers.{provider.name}",
            code="path_not_allowed",
        )


async def model_asked(call: Call, path: str, body: bytes) -> str:
    """The model that a request asks for, by its body or its path; ``""`` where neither says, or both and differently.

    Who may not call every model is refused then: nobody gets further by hiding the name.

    Args:
        call: The request.
        path: Its path at the provider's host.
        body: Its body, as far as it has been read.
    """
    said = {model_in_path(call.method, path)}
    if body and declares_json(call.headers):
        said.add(_model_in(body) if len(body) < THREAD_BYTES else await asyncio.to_thread(_model_in, body))
    said.discard(None)
    return str(said.pop()) if len(said) == 1 else ""


def _model_in(body: bytes) -> str | None:
    try:
        model = top(body).get("model")
    except JSONError:
        return ""
    return model if isinstance(model, str) else None
