"""What operators and load balancers ask: is it alive, is it ready, who is left out, would this router be accepted."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Route

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.host.calls import Call
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.reading import require_json
from llmgate.spec import InvalidRequestError, Operation

if TYPE_CHECKING:
    from llmgate.pipeline import Checkup
    from llmgate.telemetry.standing import Standing

__all__ = [
    "DEPLOYMENTS",
    "HEALTH",
    "METRICS",
    "READY",
    "VALIDATE",
    "deployments",
    "described",
    "health",
    "metrics",
    "ready",
    "routes",
    "validate_router_config",
]

SURFACE: Final = "operations"


def routes() -> Sequence[Route]:
    """The routes of this surface."""
    return [
        Route("/health", HEALTH, name="health"),
        Route("/ready", READY, name="ready"),
        Route("/v1/health/deployments", DEPLOYMENTS, name="deployments"),
        Route("/metrics", METRICS, name="metrics"),
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


async def deployments(call: Call) -> None:
    """Say of every deployment that has been asked how it does, and how far records are on their way to loggers."""
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        checkups = await exchange.health()
    standing = await call.desk.pipeline.standing()
    answer = {"object": "list", "data": [described(one) for one in checkups], "records": _records(standing)}
    await call.reply.whole(200, call.answer_headers(), dumps(answer))


def described(one: Checkup) -> Mapping[str, Any]:
    """A checkup as programs read it."""
    times = {"first_content": one.first_content, "total": one.total}
    return {
        "id": one.id,
        "provider": one.provider_name,
        "model": one.model,
        "instance": one.instance,
        "state": one.state,
        "reason": one.reason,
        "out_since": _date(one.out_since),
        "trial_at": _date(one.trial_at),
        "probe": None if one.probe is None else "passed" if one.probe else "failed",
        "dead": one.dead,
        "requests": one.requests,
        "errors": one.errors,
        "error_rate": None if one.error_rate is None else round(one.error_rate, 4),
        "answers": one.answers,
        **{
            f"{name}_seconds": found and {field: round(getattr(found, field), 4) for field in ("p50", "p95", "p99")}
            for name, found in times.items()
        },
    }


def _records(standing: Standing) -> Mapping[str, Any]:
    """How far records are on their way, as programs read it."""
    down = standing.journal_down
    return {
        "loggers": [
            {
                "id": one.id,
                "waiting": one.waiting,
                "backlog_bytes": one.size,
                "oldest_seconds": None if one.oldest is None else round(one.oldest, 3),
                "failing": one.failing,
                "dropped": one.dropped,
                "failures": one.failed,
            }
            for one in standing.loggers
        ],
        "journal": None if down is None else {"down": down, "failed": standing.journal_failed},
    }


def _date(moment: float | None) -> str | None:
    return None if moment is None else dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds")


async def metrics(call: Call) -> None:
    """Show what has been counted, as Prometheus reads it."""
    async with call.exchange(Operation.MODELS, SURFACE) as exchange:
        telemetry = exchange.snapshot.telemetry
        if telemetry is None or telemetry.metrics is None:
            raise RefusedError(
                404, "metrics are not counted: write telemetry: {prometheus: true}", code="metrics_not_counted"
            )
        await telemetry.collect()
        shown = await asyncio.to_thread(telemetry.metrics.exposition)
    kind = [(b"content-type", telemetry.metrics.content_type.encode("ascii"))]
    await call.reply.whole(200, call.answer_headers(kind), shown)


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


HEALTH: Final = Endpoint(("GET", "HEAD"), health, guarded=False, always=True)
READY: Final = Endpoint(("GET", "HEAD"), ready, guarded=False, always=True)
DEPLOYMENTS: Final = Endpoint(("GET", "HEAD"), deployments, always=True)
METRICS: Final = Endpoint(("GET", "HEAD"), metrics, always=True)
VALIDATE: Final = Endpoint(("POST",), validate_router_config)
