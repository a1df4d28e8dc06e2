"""Images, audio, moderations and reranking: requests that may be forms, answers that may be text, bytes or events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
from starlette.routing import Route

from llmgate.codecs.multipart import Form, FormScanner, boundary_of
from llmgate.formats import get_format, read_request
from llmgate.formats.carried import FORM_FIELDS, CarriedFormat, read_form_request
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.headers import Headers, own_headers, relayed_request_headers, upstream_headers
from llmgate.host.reading import is_encoded, media_type, require_json
from llmgate.host.sending import Pulse
from llmgate.host.uploads import read_form, read_form_if_one
from llmgate.spec import GatewayRequest, GatewayResponse, HeldUpload, Operation, RelayTarget, Upload

from .openai import THREAD_BYTES, with_model

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame

__all__ = ["ENDPOINTS", "FORM", "carried", "hand_over", "pass_on", "routes"]

SURFACE: Final = "openai"

FORM: Final = "multipart/form-data"

PATHS: Final = {
    "images/generations": "openai-images",
    "images/edits": "openai-image-edits",
    "images/variations": "openai-image-variations",
    "audio/speech": "openai-speech",
    "audio/transcriptions": "openai-transcriptions",
    "audio/translations": "openai-translations",
    "moderations": "openai-moderations",
    "rerank": "rerank",
}
"""What stands behind a prefix, and the wire format that is spoken there."""


def _handler(name: str) -> Callable[[Call], Coroutine[Any, Any, None]]:
    async def handle(call: Call) -> None:
        call.wire_format = get_format(name)
        await carried(call)

    return handle


ENDPOINTS: Final = {path: Endpoint(("POST",), _handler(name)) for path, name in PATHS.items()}


def routes(prefixes: Sequence[str]) -> Sequence[Route]:
    """The routes of these operations.

    Args:
        prefixes: What they stand behind.
    """
    table = [
        Route(f"{prefix}/{path}", endpoint, name=path.replace("/", "_"))
        for prefix in prefixes
        for path, endpoint in ENDPOINTS.items()
    ]
    return [*table, Route("/v2/rerank", ENDPOINTS["rerank"], name="rerank_v2")]


async def carried(
    call: Call, *, surface: str = SURFACE, provider: str | None = None, plain: RelayTarget | None = None
) -> None:
    """Answer a request in the call's wire format.

    Args:
        call: The request.
        surface: Which door it came through, for the record.
        provider: The only provider that may serve it, where the address names one.
        plain: Where it goes at that provider if it is a form that cannot be read, as it is.
    """
    wire_format = call.wire_format
    assert isinstance(wire_format, CarriedFormat), "the route has set it"
    async with call.exchange(wire_format.operation, surface) as exchange:
        with call:
            if provider is not None and plain is not None and _streams_a_form(call):
                upload = call.upload()
                form = await read_form_if_one(upload, needs_model=wire_format.default_model is None)
                if form is None:
                    await hand_over(call, exchange, provider, _unread(call, upload, plain))
                    return
                request = read_form_request(wire_format, form, headers=call.headers)
            else:
                request = await _request(call, wire_format)
            if provider is not None:
                named = ",".join(f"{provider}/{one}" for one in request.models)  # none of them leads elsewhere
                request = attrs.evolve(request, model=named or f"{provider}/", provider=provider)
            answered = await exchange.carry(request)
            if isinstance(answered, GatewayResponse):
                headers = call.answer_headers(own_headers(answered.media_type)) + call.parting()
                headers += call.provenance(exchange.exchange) + upstream_headers(answered.headers)
                await call.reply.whole(answered.status, headers, answered.body)
                return
            kind = wire_format.stream_media_type if answered.events else answered.headers.get("content-type")
            headers = call.answer_headers(own_headers(kind)) + call.parting()
            headers += call.provenance(exchange.exchange) + upstream_headers(answered.headers)
            if answered.events:
                call.reply.live(_pulse(call))
            else:
                call.opaque = True
            await pass_on(call, answered, headers)


async def hand_over(call: Call, exchange: ExchangeFrame, provider: str, request: GatewayRequest) -> None:
    """Hand a request to a provider as it is, and its answer to the client.

    Args:
        call: The request.
        exchange: Its exchange.
        provider: The configured name of the provider.
        request: What is asked, with ``relay`` set.
    """
    call.opaque = True
    upstream = await exchange.relay(provider, request)
    headers = call.answer_headers(own_headers(upstream.headers.get("content-type"))) + call.parting()
    headers += call.provenance(exchange.exchange) + upstream_headers(upstream.headers)
    await pass_on(call, upstream, headers)


def _streams_a_form(call: Call) -> bool:
    return media_type(call.headers) == FORM and not is_encoded(call.headers)


def _unread(call: Call, upload: Upload, target: RelayTarget) -> GatewayRequest:
    return GatewayRequest(
        operation=Operation.RELAY,
        format="",
        body=b"",
        upload=upload,
        model="",
        stream=False,
        headers=relayed_request_headers(call.headers),
        relay=target,
    )


async def pass_on(call: Call, answer: Any, headers: Headers) -> None:
    """Send an answer in the pieces in which it comes.

    Args:
        call: The request.
        answer: Its pieces, and the status where it has one of its own.
        headers: What is sent before it.
    """
    pieces: AsyncIterable[bytes] = answer
    await call.reply.begin(headers, getattr(answer, "status", 200))
    async for piece in pieces:
        if piece:
            await call.reply.piece(piece)
    await call.reply.end()


async def _request(call: Call, wire_format: CarriedFormat) -> GatewayRequest:
    router = call.params.get("router")
    if media_type(call.headers) == FORM and FORM in wire_format.takes:
        call.desk.guard.keep_simple_requests_out(call.method, call.headers)
        form = await _form(call)
        deployment = call.params.get("deployment")
        if deployment is not None and form.text("model") != deployment:
            form = form.edited("model", deployment)
        return read_form_request(wire_format, form, router=router, headers=call.headers)
    if "application/json" not in wire_format.takes:
        raise RefusedError(
            415,
            f"this address takes a form with a file: send it as {FORM} (with curl: -F file=@NAME)",
            code="unsupported_media_type",
        )
    require_json(call.headers)
    body = await call.read()
    call.watch()
    if len(body) < THREAD_BYTES:
        return _read(call, wire_format, body)
    return await asyncio.to_thread(_read, call, wire_format, body)


def _read(call: Call, wire_format: CarriedFormat, body: bytes) -> GatewayRequest:
    deployment = call.params.get("deployment")
    if deployment is not None:
        body = with_model(body, deployment)
    return read_request(wire_format, body, router=call.params.get("router"), headers=call.headers)


async def _form(call: Call) -> Form:
    if not is_encoded(call.headers):
        return await read_form(call.upload())
    body = await call.read()
    call.watch()
    upload = HeldUpload(body, call.headers["content-type"])
    boundary = boundary_of(upload.media_type)
    scanner = FormScanner(boundary, FORM_FIELDS)
    scanner.feed(body)
    scanner.feed(b"")
    return Form(upload, boundary, scanner.fields)


def _pulse(call: Call) -> Pulse:
    timing = call.desk.config.stream
    return Pulse(
        commit_after=timing.commit_after,
        interval=timing.heartbeat,
        opening=call.wire_format.heartbeat,
        beat=call.wire_format.heartbeat,
        headers=call.answer_headers,
    )
