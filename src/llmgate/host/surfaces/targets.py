"""The universal gateway: a request that names its own target goes there, whatever its path would mean here.

What its path tells to be a known wire format is read as that, so that usage, cache and interceptors work as for any
other request; everything else goes up and comes down as it is.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from llmgate.catalogue.relaying import without_credentials
from llmgate.codecs.jsons import JSONError, top
from llmgate.formats import get_format, read_request
from llmgate.formats.paths import Spoken, spoken_at
from llmgate.host.calls import Call
from llmgate.host.credentials import ALONE, PLACES
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.headers import target_request_headers
from llmgate.host.reading import declares_json
from llmgate.pipeline.targets import TargetKey
from llmgate.spec import (
    CredentialHeader,
    Format,
    GatewayError,
    GatewayRequest,
    InvalidRequestError,
    Operation,
    Provider,
    RelayTarget,
    Secret,
    Target,
)

from . import passthrough
from .media import hand_over
from .openai import THREAD_BYTES, stream_answer, whole_answer, with_model
from .realtime import hold_session

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame

__all__ = ["TARGET", "TARGET_HEADER", "send_to", "to_target"]

SURFACE: Final = "target"

TARGET_HEADER: Final = "helicone-target-url"
PROVIDER_HEADER: Final = "helicone-target-provider"

_TUNNELS: Final = frozenset({"CONNECT", "TRACE"})
"""Methods that are about the way and not about the target."""


async def to_target(call: Call) -> None:
    """Serve a request that names its own target.

    Raises:
        RefusedError: 403, the operator does not let callers choose; 405, for a method that cannot be relayed.
        GatewayError: why the target may not be called, or did not answer.
    """
    if call.desk.config.targets is None:
        off = RefusedError(
            403,
            "the header Helicone-Target-URL is not served by this gateway: name the provider in the path or in the "
            "model; the operator can turn it on with `target-urls: true`",
            code="target_url_off",
        )
        await _refuse(call, off)
    await send_to(call, call.headers[TARGET_HEADER], call.headers.get(PROVIDER_HEADER, ""))


async def send_to(call: Call, url: str, label: str) -> None:
    """Serve a request at a target.

    Args:
        call: The request.
        url: The target's address, of which only the origin counts.
        label: What it is called in the record.

    Raises:
        RefusedError: 405, for a method that cannot be relayed; 400, it needs a key and none is there.
        GatewayError: why the target may not be called, or did not answer.
    """
    if call.method in _TUNNELS:
        raise RefusedError(405, f"{call.method} is not relayed", code="method_not_allowed")
    try:
        way = _way(call, url, label)
    except GatewayError as refused:
        await _refuse(call, refused)
    path = call.raw_path
    if isinstance(way, Provider):
        await passthrough.relay(call, way, path.strip("/"))
        return
    target, spoken, provider = way
    if call.upgrade is not None:
        await hold_session(call, surface=SURFACE, provider=provider.name, path=path)
    elif spoken is not None and spoken.events and declares_json(call.headers):
        await _understood(call, target, spoken, provider)
    else:
        await _as_it_is(call, target, spoken, provider)


async def _refuse(call: Call, refused: GatewayError) -> NoReturn:
    """Refuse a request, and say why to whoever may call: which targets are open is nobody else's business."""
    async with call.exchange(Operation.RELAY, SURFACE):
        raise refused


def _way(call: Call, url: str, label: str) -> Provider | tuple[Target, Spoken | None, Provider]:
    """Where a request goes: a provider that is configured at the target's origin, or the target, which it then aims at.

    Raises:
        RefusedError: 400, it needs a key and none is there.
        GatewayError: why the target may not be called.
    """
    door = call.desk.pipeline.snapshot.targets
    assert door is not None, "it is there where anything leads here"
    path, query = call.raw_path, call.query
    keyless = _without_keys(path, query)
    whole = f"{path}?{query}" if query else path
    own = _brings_own(call)
    target = door.read(url, path=whole if own else keyless, label=label)
    key = _own_key(call) if own else None
    if key is None and target.path == keyless:
        bound = _bound_to(call, target)
        if bound is not None:
            return bound
    door.admit(target)
    spoken = spoken_at(call.method, path, query) if call.upgrade is None else None
    if key is None and not door.is_listed(target) and (call.upgrade is not None or target.path == keyless):
        raise RefusedError(
            400,
            "the gateway has no key for this target: put the gateway's key in Helicone-Auth and your own provider key "
            "in Authorization",
            code="missing_provider_key",
        )
    aim = door.aim(call.desk.pipeline.snapshot, target, spoken.format if spoken is not None else None, key)
    call.aim = aim
    return target, spoken, aim.provider


def _brings_own(call: Call) -> bool:
    """Whether what stands where clients put keys is the caller's own: it is where nothing there is the gateway's."""
    return ALONE in call.headers or all(stage.use == "anonymous" for stage in call.desk.config.auth)


def _own_key(call: Call) -> TargetKey | None:
    """The caller's key at his target as he presents it; one in the query goes up with the query.

    Raises:
        RefusedError: 400, it cannot be sent.
    """
    for place in PLACES:
        value = call.headers.get(place, "").strip() if place != ALONE else ""
        if not value:
            continue
        if not (value.isascii() and value.isprintable()):
            raise RefusedError(400, f"the header {place} holds more than printable ASCII", code="invalid_header")
        scheme, space, rest = value.partition(" ")
        if space and rest.strip():
            return TargetKey(Secret(rest.strip(), callers=True), CredentialHeader(place, f"{scheme} "))
        return TargetKey(Secret(value, callers=True), CredentialHeader(place, ""))
    return None


def _without_keys(path: str, query: str) -> str:
    """The address of a request, without a key that its query may hold.

    Raises:
        RefusedError: 400, the query holds signs that must be escaped.
    """
    try:
        kept = without_credentials(query)
    except ValueError as wrong:
        raise RefusedError(400, f"{wrong}: write it plainly", code="invalid_path", close=True) from None
    return f"{path}?{kept}" if kept else path


def _bound_to(call: Call, target: Target) -> Provider | None:
    """The provider that the operator has configured at a target's origin: his key is for that place."""
    snapshot = call.desk.pipeline.snapshot
    at_origin = [one for one in snapshot.providers.values() if snapshot.runtimes[one].origin.lower() == target.origin]
    named = [one for one in at_origin if one.name == target.label.lower()]
    return next(iter(named or at_origin), None)


async def _understood(call: Call, target: Target, spoken: Spoken, provider: Provider) -> None:
    wire_format = call.wire_format = get_format(spoken.format)
    async with call.exchange(wire_format.operation, SURFACE) as exchange:
        with call:
            body = await call.read()
            call.watch()
            read = functools.partial(_request, call.headers, wire_format, body, spoken)
            request = read() if len(body) < THREAD_BYTES else await asyncio.to_thread(read)
            if request is None:
                _see_that_nobody_reads(exchange)
                await _hand_on(call, exchange, _relayed(call, target, spoken, body), provider, spoken)
            elif request.stream:
                await stream_answer(call, exchange, request)
            else:
                await whole_answer(call, exchange, request)


def _request(headers: Mapping[str, str], wire_format: Format, body: bytes, spoken: Spoken) -> GatewayRequest | None:
    """The request in a body; None where it is not one of the format, which the target is left to judge.

    Raises:
        InvalidRequestError: it can be read in two ways.
    """
    own = target_request_headers(headers)
    try:
        request = read_request(wire_format, body, model=spoken.model, stream=spoken.stream)
    except InvalidRequestError as refused:
        if refused.code == "invalid_json" and not _is_no_json(body):
            raise
        if refused.code != "missing_model":
            return None
        # Some name the model in their path, or have but one: nothing is missing there.
        named = with_model(body, spoken.model or "-")
        request = read_request(wire_format, named)
        request = attrs.evolve(request, model="", decode=lambda _: wire_format.decode_request(named))
    model = request.model if spoken.model is None else spoken.model
    return attrs.evolve(request, model=model, body=body, headers=own, patches=[])


def _is_no_json(body: bytes) -> bool:
    """Whether nobody could take a body for JSON; some vendors take what comes close to it."""
    try:
        top(body)
    except JSONError as wrong:
        return str(wrong).startswith("not valid JSON")
    return False


def _see_that_nobody_reads(exchange: ExchangeFrame) -> None:
    """Refuse what an interceptor could not read where one wants to.

    Raises:
        InvalidRequestError: one does.
    """
    if exchange.chain.reads_requests:
        raise InvalidRequestError(
            "the request body is refused: it is not what its path says, and the gateway is to read it",
            code="invalid_json",
        )


async def _as_it_is(call: Call, target: Target, spoken: Spoken | None, provider: Provider) -> None:
    async with call.exchange(Operation.RELAY, SURFACE) as exchange:
        with call:
            body, upload = await passthrough.body_of(call)
            request = attrs.evolve(_relayed(call, target, spoken, body), upload=upload)
            await _hand_on(call, exchange, request, provider, spoken)


async def _hand_on(
    call: Call, exchange: ExchangeFrame, request: GatewayRequest, provider: Provider, spoken: Spoken | None
) -> None:
    if spoken is not None and spoken.model is not None:
        model = spoken.model  # nothing in a body changes what the path says
    else:
        model = await passthrough.model_asked(call, call.raw_path, request.body)
    await hand_over(call, exchange, provider.name, attrs.evolve(request, model=model))


def _relayed(call: Call, target: Target, spoken: Spoken | None, body: bytes) -> GatewayRequest:
    """A request that goes up as it came; the format serves to read its answer."""
    return GatewayRequest(
        operation=Operation.RELAY,
        format=spoken.format if spoken is not None else "",
        body=body,
        model="",
        stream=False,
        headers=target_request_headers(call.headers),
        relay=RelayTarget(call.method, target.path),
    )


TARGET: Final = Endpoint(None, to_target)
