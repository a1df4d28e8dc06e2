"""Files, uploads in parts and batches of OpenAI's and of Anthropic's, at the provider that has them.

No model says who is meant. It is the provider that the caller names (``llmgate-provider``, or ``provider`` in the
query), the router's only provider with files, or the gateway's only one; where there are several it is nobody. Ids are
the provider's own and come back unchanged. Everyone who may use an account's files sees all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final
from urllib.parse import unquote

from starlette.routing import Route

from llmgate.catalogue.relaying import map_path, without_credentials
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.guard import authenticates
from llmgate.host.headers import relayed_request_headers
from llmgate.host.reading import declares_json, is_encoded, require_json
from llmgate.spec import GatewayRequest, Operation, PermissionDeniedError, Provider, RelayTarget, Upload

from .media import SURFACE, hand_over

__all__ = ["PROVIDER_HEADER", "routes", "serve"]

PROVIDER_HEADER: Final = "llmgate-provider"

TABLE: Final = (
    ("files", ("GET", "POST"), Operation.FILES),
    ("files/{id}", ("GET", "DELETE"), Operation.FILES),
    ("files/{id}/content", ("GET",), Operation.FILES),
    ("uploads", ("POST",), Operation.FILES),
    ("uploads/{id}/parts", ("POST",), Operation.FILES),
    ("uploads/{id}/complete", ("POST",), Operation.FILES),
    ("uploads/{id}/cancel", ("POST",), Operation.FILES),
    ("batches", ("GET", "POST"), Operation.BATCHES),
    ("batches/{id}", ("GET",), Operation.BATCHES),
    ("batches/{id}/cancel", ("POST",), Operation.BATCHES),
    ("messages/batches", ("GET", "POST"), Operation.BATCHES),
    ("messages/batches/{id}", ("GET", "DELETE"), Operation.BATCHES),
    ("messages/batches/{id}/cancel", ("POST",), Operation.BATCHES),
    ("messages/batches/{id}/results", ("GET",), Operation.BATCHES),
)
"""What stands behind a prefix, with which methods."""


def routes(prefixes: Sequence[str]) -> Sequence[Route]:
    """The routes of files and batches.

    Args:
        prefixes: What they stand behind.
    """
    table = []
    for path, methods, operation in TABLE:
        endpoint = Endpoint(methods, _handler(operation, path.count("/") + 1))
        name = path.replace("/", "_").replace("{id}", "one")
        table += [Route(f"{prefix}/{path}", endpoint, name=name) for prefix in prefixes]
    return table


def _handler(operation: Operation, segments: int) -> Callable[[Call], Coroutine[Any, Any, None]]:
    async def handle(call: Call) -> None:
        await serve(call, operation, "/".join(call.raw_path.rstrip("/").split("/")[-segments:]))

    return handle


async def serve(call: Call, operation: Operation, rest: str) -> None:
    """Hand a request to the provider that has the files.

    Args:
        call: The request.
        operation: Files or batches.
        rest: The path below the provider's address, as it was sent.
    """
    # Late: the pipeline is not needed to import the host.
    from llmgate.pipeline.holders import find_holder

    call.desk.guard.keep_simple_requests_out(call.method, call.headers)
    named, query = _named(call)
    async with call.exchange(operation, SURFACE) as exchange:
        family = "anthropic" if call.wire_format.name == "anthropic-messages" else "openai"
        provider = find_holder(exchange.snapshot, call.params.get("router"), named, operation, family)
        _permit(call, provider)
        try:
            target, query = map_path(provider, call.method, rest), without_credentials(query)
        except ValueError as error:
            raise RefusedError(400, f"{error}: write it plainly", code="invalid_path", close=True) from None
        with call:
            body, upload = await _body(call, operation)
            request = GatewayRequest(
                operation=operation,
                format="",
                body=body,
                upload=upload,
                model="",
                stream=False,
                router=call.params.get("router"),
                headers=relayed_request_headers(call.headers),
                relay=RelayTarget(call.method, f"{target.path}?{query}" if query else target.path),
            )
            await hand_over(call, exchange, provider.name, request)


def _named(call: Call) -> tuple[str | None, str]:
    """The provider that the caller names, and the query without that."""
    named = call.headers.get(PROVIDER_HEADER)
    kept = []
    for part in call.query.split("&"):
        name, _, value = part.partition("=")
        if unquote(name) == "provider":
            named = named or unquote(value)
        elif part:
            kept.append(part)
    return named or None, "&".join(kept)


def _permit(call: Call, provider: Provider) -> None:
    """Refuse where callers could see each other's files, unless the operator allows it.

    Raises:
        PermissionDeniedError: naming the setting.
    """
    if authenticates(call.desk.config) and not provider.passthrough:
        raise PermissionDeniedError(
            f"files and batches of provider {provider.name!r} are off, since all callers would share them: the "
            f"operator can allow them with `passthrough: all` under providers.{provider.name}",
            code="path_not_allowed",
        )


async def _body(call: Call, operation: Operation) -> tuple[bytes, Upload | None]:
    if operation is Operation.BATCHES and call.body_pending:
        require_json(call.headers)
    if not call.body_pending or declares_json(call.headers) or is_encoded(call.headers):
        body = await call.read()
        call.watch()
        return body, None
    return b"", call.upload()
