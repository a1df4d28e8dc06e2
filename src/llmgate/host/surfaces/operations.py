"""What operators and load balancers ask: is it alive, is it ready, would this router be accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.routing import Route

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.reading import require_json
from llmgate.spec import InvalidRequestError, Operation

__all__ = ["HEALTH", "READY", "VALIDATE", "health", "ready", "routes", "validate_router_config"]

SURFACE: Final = "operations"


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    return [
        Route("/health", HEALTH, name="health"),
        Route("/ready", READY, name="ready"),
        Route("/validate-router-config", VALIDATE, name="validate_router_config"),
    ]


async def health(call: Call) -> None:
    """Say that the process is alive; looks at nothing else."""
    await call.reply.whole(200, call.answer_headers(), b'{"status":"ok"}')


async def ready(call: Call) -> None:
    """Say whether requests should be sent here."""
    if call.desk.ready:
        await call.reply.whole(200, call.answer_headers(), b'{"status":"ready"}')
    else:
        await call.reply.whole(503, call.answer_headers(), b'{"status":"not ready"}')


async def validate_router_config(call: Call) -> None:
    """Say whether a router's configuration, sent as JSON, would be accepted; nothing is changed by it."""
    async with call.exchange(Operation.MODELS, SURFACE):
        with call:
            require_json(call.headers)
            body = await call.read()
            try:
                router = loads(body)
            except JSONError as error:
                raise InvalidRequestError(f"the body is not JSON: {error}", code="invalid_json") from None
            if not isinstance(router, Mapping):
                raise InvalidRequestError(
                    'the body must be one router as a JSON object, for example {"load-balance": {...}}',
                    code="invalid_json",
                )
            problems = call.desk.pipeline.validate_router(router)
            answer = {"valid": not problems, "error": "\n".join(problems) or None}
            await call.reply.whole(200, call.answer_headers(), dumps(answer))


HEALTH: Final = Endpoint(("GET", "HEAD"), health, guarded=False)
READY: Final = Endpoint(("GET", "HEAD"), ready, guarded=False)
VALIDATE: Final = Endpoint(("POST",), validate_router_config)
