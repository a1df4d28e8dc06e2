"""The OpenAI surface: chat, completions, embeddings and models, under every address that our users' clients have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs
from starlette.routing import Route

from llmgate.codecs.jsons import dumps
from llmgate.formats import get_format, read_request
from llmgate.formats.bodies import read_top
from llmgate.host.calls import Call
from llmgate.host.cursor import is_cursors, read_cursors
from llmgate.host.endpoints import Endpoint
from llmgate.host.headers import JSON_HEADERS, Headers, upstream_headers
from llmgate.host.reading import require_json
from llmgate.host.rewriting import RewrittenFormat
from llmgate.host.sending import Pulse
from llmgate.spec import Format, GatewayRequest, InvalidRequestError, ModelNotFoundError, Operation

from .model_lists import model_list, model_value

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame, ModelEntry

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "EMBEDDINGS",
    "MODEL",
    "MODELS",
    "answer",
    "chat_completions",
    "completions",
    "embeddings",
    "model",
    "models",
    "routes",
    "stream_answer",
    "whole_answer",
    "with_model",
]

SURFACE: Final = "openai"

PREFIXES: Final = ("/v1", "/ai", "/ai/v1", "/router/{router}", "/router/{router}/v1")

MOUNTS: Final = ("/as/openai", "/as/openai/v1")
"""Where this surface alone stands, whatever other vendors' clients ask for elsewhere."""

THREAD_BYTES: Final = 256 * 1024
"""From this size on a body is read in a thread, so that one large request does not hold up the others."""


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    table: list[Route] = []
    for prefix in (*PREFIXES, *MOUNTS, ""):
        table.append(Route(f"{prefix}/chat/completions", CHAT, name="chat_completions"))
        table.append(Route(f"{prefix}/completions", COMPLETIONS, name="completions"))
        table.append(Route(f"{prefix}/embeddings", EMBEDDINGS, name="embeddings"))
        table.append(Route(f"{prefix}/models", MODELS, name="models"))
        table.append(Route(f"{prefix}/models/{{model:path}}", MODEL, name="model"))
    return table


async def chat_completions(call: Call) -> None:
    """Answer a chat request, streamed or whole as it asks."""
    call.wire_format = get_format("openai-chat")
    await answer(call)


async def completions(call: Call) -> None:
    """Answer a legacy text completion request, streamed or whole as it asks."""
    call.wire_format = get_format("openai-completions")
    await answer(call)


async def embeddings(call: Call) -> None:
    """Answer a request for embeddings."""
    call.wire_format = get_format("openai-embeddings")
    await answer(call)


async def answer(
    call: Call,
    *,
    surface: str = SURFACE,
    provider: str | None = None,
    model: str | None = None,
    stream: bool | None = None,
    declared: bool = True,
) -> None:
    """Answer a request in the call's wire format.

    Args:
        call: The request.
        surface: Which door it came through, for the record.
        provider: The only provider that may serve it, where the address names one.
        model: The model, where the address names it.
        stream: Whether a streamed answer is wanted, where the address says so.
        declared: Whether the body must be declared to be JSON; where clients declare nothing, no page of another site
            may have sent it all the same.
    """
    async with call.exchange(call.wire_format.operation, surface) as exchange:
        with call:
            if declared:
                require_json(call.headers)
            else:
                call.desk.guard.keep_simple_requests_out(call.method, call.headers)
            body = await call.read()
            call.watch()
            if len(body) < THREAD_BYTES:
                request = _request(call, body, model, stream)
            else:
                request = await asyncio.to_thread(_request, call, body, model, stream)
            if provider is not None:
                named = ",".join(f"{provider}/{one}" for one in request.models)  # none of them leads elsewhere
                request = attrs.evolve(request, model=named or f"{provider}/", provider=provider)
            if request.stream:
                await stream_answer(call, exchange, request)
            else:
                await whole_answer(call, exchange, request)


async def models(call: Call) -> None:
    """List what the caller may call."""
    entries = await _entries(call)
    body = dumps(model_list(entries, call.wire_format.name, call.query))
    await call.reply.whole(200, call.answer_headers(), body)


async def model(call: Call) -> None:
    """Describe one model that the caller may call."""
    wanted = call.params["model"]
    entries = await _entries(call)
    found = next((entry for entry in entries if entry.id == wanted), None)
    if found is None and "router" in call.params:  # which is asked by the vendor's own names as well
        found = next((entry for entry in entries if entry.id.partition("/")[2] == wanted), None)
    if found is None:
        raise ModelNotFoundError(f"the model {wanted[:200]!r} does not exist: see the list of models", param="model")
    await call.reply.whole(200, call.answer_headers(), dumps(model_value(found, call.wire_format.name)))


def _request(call: Call, body: bytes, model: str | None, stream: bool | None) -> GatewayRequest:
    deployment = call.params.get("deployment")
    if deployment is not None:
        body = with_model(body, deployment)
    router, headers = call.params.get("router"), call.headers
    try:
        return read_request(call.wire_format, body, model=model, stream=stream, router=router, headers=headers)
    except InvalidRequestError as error:
        if error.param != "messages" or call.wire_format.name != "openai-chat" or not is_cursors(body):
            raise
    body, call.wire_format = read_cursors(body)
    return read_request(get_format("openai-responses"), body, router=router, headers=headers)


def with_model(body: bytes, model: str) -> bytes:
    """A JSON body with the model that its address names, every other byte as it was.

    Raises:
        InvalidRequestError: it is not a JSON object.
    """
    read = read_top(body)
    return body if read.get("model") == model else read.patched({"model": model})


async def whole_answer(call: Call, exchange: ExchangeFrame, request: GatewayRequest) -> None:
    """Send a request and its whole answer."""
    response = await exchange.send(request)
    headers = call.answer_headers()
    headers += call.provenance(exchange.exchange)
    headers += upstream_headers(response.headers)
    body = response.body
    if isinstance(call.wire_format, RewrittenFormat):
        body = call.wire_format.rewriter.whole(body)
    await call.reply.whole(response.status, headers, body)


async def stream_answer(call: Call, exchange: ExchangeFrame, request: GatewayRequest) -> None:
    """Send a request and its answer as it comes: in events, or as an array where the call's format says so."""
    reply = call.reply
    timing = call.desk.config.stream
    own: Headers = [(b"content-type", call.wire_format.stream_media_type.encode("ascii")), *JSON_HEADERS[1:]]
    reply.live(
        Pulse(
            commit_after=timing.commit_after,
            interval=timing.heartbeat,
            opening=_opening(call),
            beat=call.wire_format.heartbeat,
            headers=lambda: call.answer_headers(own) + call.noted(exchange.exchange),
        )
    )
    stream = await exchange.stream(request)
    headers = call.answer_headers(own)
    headers += call.provenance(exchange.exchange)
    headers += upstream_headers(stream.headers)
    await reply.begin(headers)
    if isinstance(call.wire_format, RewrittenFormat):
        rewriter = call.wire_format.rewriter
        async for data in stream:
            if piece := rewriter.rewritten(data):
                await reply.piece(piece)
        await reply.end(rewriter.end())
        return
    async for data in stream:
        await reply.piece(data)
    await reply.end()


def _opening(call: Call) -> bytes:
    """The sign of life before the first event.

    OpenAI's own libraries refuse a stream of responses that begins with anything but ``response.created``, and take
    comments; Codex waits for an event and does not count comments.
    """
    responses = call.wire_format.name == "openai-responses"
    return Format.heartbeat if responses and "x-stainless-lang" in call.headers else call.wire_format.heartbeat


async def _entries(call: Call) -> Sequence[ModelEntry]:
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        return await exchange.models(call.params.get("router"))


CHAT: Final = Endpoint(("POST",), chat_completions)
COMPLETIONS: Final = Endpoint(("POST",), completions)
EMBEDDINGS: Final = Endpoint(("POST",), embeddings)
MODELS: Final = Endpoint(("GET", "HEAD"), models)
MODEL: Final = Endpoint(("GET", "HEAD"), model)
