"""The Gemini surface: what Google's clients call, under every address that they make of a base URL.

Source: Gemini API reference; Vertex AI API reference for ``/v1/projects/…``. What is to be done stands behind the
model's name (``models/NAME:generateContent``), and the key in a header or in the query, which nothing here passes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.routing import Route

from llmgate.codecs.jsons import REMOVE, JSONError, top
from llmgate.formats import get_format, read_request
from llmgate.formats.gemini_count_tokens import estimated
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.headers import upstream_headers
from llmgate.host.json_array import JSONArrayFormat
from llmgate.host.reading import require_json
from llmgate.spec import Format, GatewayRequest, InvalidRequestError

from .openai import MODELS, THREAD_BYTES, model, stream_answer, whole_answer

__all__ = ["METHOD", "VERTEX", "call_method", "call_vertex", "routes"]

SURFACE: Final = "gemini"

PREFIXES: Final = ("/v1beta", "/ai/v1beta", "/router/{router}/v1beta")
"""Addresses that are Google's alone."""

SHARED: Final = ("/v1", "/ai/v1", "/router/{router}/v1")
"""Addresses where other vendors' clients list their models, too."""

MOUNTS: Final = ("/as/gemini/v1beta", "/as/gemini/v1", "/as/gemini")
PROJECTS: Final = ("/v1", "/v1beta1", "/as/gemini/v1", "/as/gemini/v1beta1")

_METHODS: Final[Mapping[str, str]] = {
    "generateContent": "gemini-generate-content",
    "streamGenerateContent": "gemini-generate-content",
    "countTokens": "gemini-count-tokens",
    "embedContent": "gemini-embed-content",
    "batchEmbedContents": "gemini-batch-embed-contents",
}
_RAW: Final = ("rawPredict", "streamRawPredict")
_COUNTING: Final = "count-tokens"
_READING: Final = ("GET", "HEAD")


def routes() -> Sequence[Route]:
    """The routes of this surface; they stand before those with which they share addresses."""
    every = (*PREFIXES, *SHARED, *MOUNTS)
    table = [Route(f"{prefix}/models/{{model:path}}", METHOD, name="gemini_method") for prefix in every]
    table += [Route(f"{prefix}/models", MODELS, name="models") for prefix in (*PREFIXES, *MOUNTS)]
    for prefix in PROJECTS:
        place = f"{prefix}/projects/{{project}}/locations/{{location}}/publishers/{{publisher}}"
        table.append(Route(f"{place}/models/{{model:path}}", VERTEX, name="vertex_method"))
    return table


async def call_method(call: Call) -> None:
    """Do what the address says behind the model's name; describe the model where that is only read."""
    if call.method in _READING:
        await model(call)
        return
    name, method = _taken_apart(call)
    if method not in _METHODS:
        raise _unknown_method(method, _METHODS)
    await _answer(call, name, method)


async def call_vertex(call: Call) -> None:
    """Do what an address of Vertex AI says, for a model of any vendor's."""
    name, method = _taken_apart(call)
    publisher = call.params["publisher"]
    if publisher == "anthropic" and method in _RAW:
        await _answer_raw(call, name, stream=method == _RAW[1])
    elif method in _METHODS:
        await _answer(call, name if publisher == "google" else f"{publisher}/{name}", method)
    else:
        raise _unknown_method(method, (*_METHODS, *_RAW) if publisher == "anthropic" else _METHODS)


async def _answer(call: Call, name: str, method: str) -> None:
    wire_format = call.wire_format = get_format(_METHODS[method])
    stream = method == "streamGenerateContent"
    if stream and parse_qs(call.query).get("alt") != ["sse"]:
        call.wire_format = JSONArrayFormat(wire_format)

    def read(body: bytes) -> GatewayRequest:
        router = call.params.get("router")
        return read_request(wire_format, body, model=name, stream=stream, router=router, headers=call.headers)

    await _serve(call, wire_format, read)


async def _answer_raw(call: Call, name: str, *, stream: bool) -> None:
    """Anthropic's own format as Vertex AI takes it: the model in the address, the version in the body."""
    counting = name == _COUNTING
    wire_format = call.wire_format = get_format("anthropic-count-tokens" if counting else "anthropic-messages")

    def read(body: bytes) -> GatewayRequest:
        try:
            edits: dict[str, Any] = {"anthropic_version": REMOVE}
            edits |= {} if counting else {"model": name, "stream": True if stream else REMOVE}
            body = top(body).patched(edits)
        except JSONError as error:
            raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
        return read_request(wire_format, body, headers=call.headers)

    await _serve(call, wire_format, read)


async def _serve(call: Call, wire_format: Format, read: Callable[[bytes], GatewayRequest]) -> None:
    async with call.exchange(wire_format.operation, SURFACE) as exchange:
        with call:
            require_json(call.headers)
            body = await call.read()
            call.watch()
            request = read(body) if len(body) < THREAD_BYTES else await asyncio.to_thread(read, body)
            if request.stream:
                await stream_answer(call, exchange, request)
            elif wire_format.name == "gemini-count-tokens":
                response = await exchange.send(request, otherwise=estimated)
                headers = call.answer_headers()
                headers += call.provenance(exchange.exchange)
                headers += upstream_headers(response.headers)
                await call.reply.whole(response.status, headers, response.body)
            else:
                await whole_answer(call, exchange, request)


def _taken_apart(call: Call) -> tuple[str, str]:
    """The model, whose name may hold colons itself, and what is to be done."""
    name, colon, method = call.params["model"].rpartition(":")
    if not (colon and name):
        raise RefusedError(
            405,
            f"{call.method[:32]} is not served at {call.path[:200]}: write what to do behind the model, as in "
            "models/NAME:generateContent",
            code="method_not_allowed",
            headers={"allow": ", ".join(_READING)},
        )
    return name, method


def _unknown_method(method: str, known: Sequence[str] | Mapping[str, str]) -> RefusedError:
    return RefusedError(
        404, f"{method[:80]} is no method that is served here: use {', '.join(known)}", code="not_found"
    )


METHOD: Final = Endpoint(("POST", *_READING), call_method)
VERTEX: Final = Endpoint(("POST",), call_vertex)
