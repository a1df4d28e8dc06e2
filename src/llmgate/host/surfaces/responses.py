"""OpenAI's Responses: new ones for any model, and those that their provider has kept.

What is kept is relayed to the provider that made it. Nothing is kept here of who made what, and ids are the provider's
own: it is the one configured provider that speaks the format, or the one that the caller names with ``?provider=``.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from llmgate.catalogue.relaying import map_path, without_credentials
from llmgate.codecs.jsons import JSONError, TopLevel, top
from llmgate.formats import get_format
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.headers import relayed_request_headers
from llmgate.host.reading import require_json
from llmgate.spec import GatewayRequest, InvalidRequestError, Operation, Provider, RelayTarget

from .media import hand_over
from .openai import MOUNTS, PREFIXES, SURFACE, THREAD_BYTES, answer

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame

__all__ = [
    "ABOUT_A_MODEL",
    "CANCEL",
    "INPUT_ITEMS",
    "KEPT",
    "RESPONSES",
    "about_a_model",
    "kept",
    "responses",
    "routes",
]

FORMAT: Final = "openai-responses"

_ID: Final = re.compile(r"[A-Za-z0-9_.:~-]{1,512}", re.ASCII)
_PROVIDER: Final = re.compile(r"(?:^|&)provider=([A-Za-z0-9._-]{1,100})(?=&|$)", re.ASCII)
_OURS: Final = re.compile(r"(?:^|&)(?:provider=[A-Za-z0-9._-]{1,100}|api-version=[^&]*)(?=&|$)", re.ASCII)
"""What goes no further: whom the caller names, and the version of Azure's clients, which its v1 API does not take."""


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    table: list[Route] = []
    for prefix in (*PREFIXES, *MOUNTS, ""):
        table.append(Route(f"{prefix}/responses", RESPONSES, name="responses"))
        table.append(Route(f"{prefix}/responses/input_tokens", ABOUT_A_MODEL, name="response_input_tokens"))
        table.append(Route(f"{prefix}/responses/compact", ABOUT_A_MODEL, name="response_compact"))
        table.append(Route(f"{prefix}/responses/{{response_id}}", KEPT, name="response"))
        table.append(Route(f"{prefix}/responses/{{response_id}}/cancel", CANCEL, name="response_cancel"))
        table.append(Route(f"{prefix}/responses/{{response_id}}/input_items", INPUT_ITEMS, name="response_input_items"))
    return table


async def responses(call: Call) -> None:
    """Answer a request for a response, streamed or whole as it asks."""
    call.wire_format = get_format(FORMAT)
    await answer(call)


async def about_a_model(call: Call) -> None:
    """Relay a request that names a model, to the provider of that model that speaks the format."""
    call.wire_format = get_format(FORMAT)
    async with call.exchange(Operation.RELAY, SURFACE) as exchange:
        with call:
            require_json(call.headers)
            body = await call.read()
            call.watch()
            read = _read(body) if len(body) < THREAD_BYTES else await asyncio.to_thread(_read, body)
            deployment = await exchange.speaker(call.params.get("router"), read.get("model"), FORMAT)
            body = read.patched({"model": deployment.model})
            await _relay(call, exchange, deployment.provider, body, deployment.model)


async def kept(call: Call) -> None:
    """Relay a request about a response that its provider has kept."""
    call.wire_format = get_format(FORMAT)
    if not _ID.fullmatch(call.params["response_id"]):
        raise InvalidRequestError("the id of a response holds letters, digits and signs only", param="response_id")
    call.desk.guard.keep_simple_requests_out(call.method, call.headers)
    async with call.exchange(Operation.RELAY, SURFACE) as exchange:
        named = _PROVIDER.search(call.query)
        provider = exchange.keeper(call.params.get("router"), named[1] if named else None, FORMAT)
        with call:
            body = await call.read()
            call.watch()
            await _relay(call, exchange, provider, body, "")


async def _relay(call: Call, exchange: ExchangeFrame, provider: Provider, body: bytes, model: str) -> None:
    rest = call.path.rstrip("/").rpartition("/responses")[2]
    try:
        target = map_path(provider, call.method, f"{provider.row.formats[FORMAT].strip('/')}{rest}")
        query = without_credentials(_OURS.sub("", call.query).removeprefix("&"))
    except ValueError as error:
        raise RefusedError(400, f"{error}: write it plainly", code="invalid_path", close=True) from None
    request = GatewayRequest(
        operation=Operation.RELAY,
        format="",
        body=body,
        model=model,
        stream=False,
        router=call.params.get("router"),
        headers=relayed_request_headers(call.headers),
        relay=RelayTarget(call.method, f"{target.path}?{query}" if query else target.path),
    )
    await hand_over(call, exchange, provider.name, request)


def _read(body: bytes) -> TopLevel:
    try:
        read = top(body)
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
    model: Any = read.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
    return read


RESPONSES: Final = Endpoint(("POST",), responses)
ABOUT_A_MODEL: Final = Endpoint(("POST",), about_a_model)
KEPT: Final = Endpoint(("GET", "HEAD", "DELETE"), kept)
CANCEL: Final = Endpoint(("POST",), kept)
INPUT_ITEMS: Final = Endpoint(("GET", "HEAD"), kept)
